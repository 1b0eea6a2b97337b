//! From nothing, or from what an earlier controller left, to an attached filter.

use std::collections::BTreeSet;
use std::io;

use anyhow::{Context, Result, anyhow, bail};
use knock_common::flow::FlowLives;
use knock_common::hash::{HashKey, KEY_WORDS};
use nix::unistd::geteuid;

use super::connections::{self, ProtectedPorts};
use super::notice;
use crate::config::{self, Config, Destination, Filter, Loaded};
use crate::datapath::{self, Maps, Mode, Pins, Program, TableSizes, Variant, bpffs};
use crate::interface::{self, InterfaceFacts, InterfaceName};
use crate::rules::{Compiled, Policy, PreviousStates, RuleSet, compile, door_ids};
use crate::runtime::{ConfigState, ControllerLock, DoorState, RunState, RuntimeDirectory};

/// The oldest kernel that has everything the program needs.
const OLDEST_KERNEL: (u32, u32) = (5, 10);

/// A filter that is attached, and what its controller goes on with.
pub(super) struct Attached {
    pub(super) config: Config,
    pub(super) program: Program,
    pub(super) maps: Maps,
    pub(super) pins: Pins,
    pub(super) directory: RuntimeDirectory,
    pub(super) lock: ControllerLock,
    pub(super) protected: ProtectedPorts,
    pub(super) lives: FlowLives,
}

pub(super) fn require_privilege() -> Result<()> {
    if geteuid().is_root() {
        return Ok(());
    }
    bail!("attaching needs root; run `sudo knock-ctl attach ...`")
}

pub(super) fn require_kernel() -> Result<()> {
    let release = nix::sys::utsname::uname().context("cannot ask for the kernel's version")?;
    let release = release.release().to_string_lossy().into_owned();
    let mut numbers = release.split(['.', '-']).map(|part| part.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version < OLDEST_KERNEL {
        let (major, minor) = OLDEST_KERNEL;
        bail!("this is Linux {release}; knock-ctl needs Linux {major}.{minor} or newer");
    }
    Ok(())
}

/// The interfaces to attach to: those named on the command line, else the configuration's.
pub(super) fn interfaces(named: &[String], filter: &Filter) -> Result<Vec<InterfaceName>> {
    let default = || {
        interface::default_route_interface()?
            .context("there is no default route, so \"default\" names no interface; name one")
    };
    let names: Vec<InterfaceName> = if named.is_empty() {
        filter
            .interfaces
            .iter()
            .map(|interface| match interface {
                config::Interface::Default => default(),
                config::Interface::Named(name) => Ok(name.parse()?),
            })
            .collect::<Result<_>>()?
    } else {
        named
            .iter()
            .map(|name| if name == "default" { default() } else { Ok(name.parse()?) })
            .collect::<Result<_>>()?
    };
    if names.is_empty() {
        bail!(
            "no interface is named; write `knock-ctl attach eth0`, or interfaces = [\"default\"] under [filter]"
        );
    }
    let mut seen = BTreeSet::new();
    Ok(names.into_iter().filter(|name| seen.insert(name.to_string())).collect())
}

/// Indices of the interfaces of the given names, all of `attached` without names.
pub(super) fn indices(names: &[String], attached: &[u32]) -> Result<Vec<u32>> {
    if names.is_empty() {
        return Ok(attached.to_vec());
    }
    names
        .iter()
        .map(|name| {
            let index = interface::describe(&name.parse()?)?.index;
            if attached.contains(&index) { Ok(index) } else { bail!("the filter is not attached to {name}") }
        })
        .collect()
}

/// The interface's name, or its index where it is gone.
pub(super) fn interface_name(index: u32) -> String {
    nix::net::if_::if_indextoname(index)
        .ok()
        .and_then(|name| name.into_string().ok())
        .unwrap_or_else(|| format!("interface {index}"))
}

/// Attaches the filter. On an error it leaves everything as it was.
pub(super) fn bring_up(loaded: Loaded, names: &[InterfaceName], variant: Variant) -> Result<Attached> {
    let facts: Vec<(&InterfaceName, InterfaceFacts)> =
        names.iter().map(|name| Ok((name, interface::describe(name)?))).collect::<Result<_>>()?;
    refuse_to_close_for_others(&loaded, &facts)?;
    if bpffs::ensure_mounted()? {
        log::info!("mounted a BPF file system at {}", bpffs::BPFFS);
    }
    let directory = RuntimeDirectory::of_this_namespace()?;
    directory.create()?;
    let lock = ControllerLock::acquire(&directory)?;
    let pins = Pins::of_this_namespace()?;
    if let Some(other) = pins.other_layout() {
        bail!(
            "{} is of another version of knock-ctl, whose tables this one can't read; \
             run `knock-ctl detach` with that version first",
            other.display()
        );
    }
    let exist = pins.exist();
    if !exist {
        // Of a filter that is no more, in a namespace whose number was given out again.
        directory.clear();
    }
    for (name, facts) in &facts {
        refuse_foreign_program(name, facts, &pins)?;
    }
    let result = load_and_attach(loaded, &facts, variant, &pins, &directory);
    if result.is_err() && !exist {
        // Links that were pinned on the way detach with their pins.
        if let Err(error) = pins.remove() {
            log::error!("{error}");
        }
    }
    let (config, program, maps, protected, lives) = result?;
    Ok(Attached { config, program, maps, pins, directory, lock, protected, lives })
}

/// Whoever is behind this machine would be cut off, although the rules are about this machine.
pub(super) fn refuse_to_close_for_others(
    loaded: &Loaded,
    facts: &[(&InterfaceName, InterfaceFacts)],
) -> Result<()> {
    if loaded.config.filter.closes_for_others()
        && let Some(forwarding) = interface::forwarding(facts)?
    {
        bail!("{}", config::closed_for_others(loaded, &forwarding));
    }
    Ok(())
}

fn refuse_foreign_program(name: &InterfaceName, facts: &InterfaceFacts, pins: &Pins) -> Result<()> {
    if pins.link(facts.index).exists() {
        return Ok(());
    }
    match interface::attached_programs(facts.index)?.first() {
        None => Ok(()),
        Some(program) => bail!(
            "{name} has an XDP program of somebody else's already (id {}); `bpftool prog show id {}` tells which, and \
             `ip link set dev {name} xdp off` takes it off if nobody needs it",
            program.id,
            program.id
        ),
    }
}

type Parts = (Config, Program, Maps, ProtectedPorts, FlowLives);

fn load_and_attach(
    loaded: Loaded,
    facts: &[(&InterfaceName, InterfaceFacts)],
    variant: Variant,
    pins: &Pins,
    directory: &RuntimeDirectory,
) -> Result<Parts> {
    let rules = rule_set(&loaded.config)?;
    let previous = if pins.exist() { Maps::open(pins)?.states()? } else { PreviousStates::new() };
    let compiled =
        compile(&rules, &previous).map_err(|error| anyhow!("{}: {error}", loaded.path.display()))?;
    let sizes = table_sizes(&loaded.config, &compiled)?;
    let (mut program, mut maps) =
        Program::load(variant, &sizes, random_key()?, Some(pins)).context("the kernel refuses the filter")?;
    if maps.sizes() != sizes && pins.linked_interfaces().iter().any(|&index| pins.link(index).exists()) {
        log::warn!(
            "the tables stay as large as they were made; `knock-ctl detach` and attach anew to change [limits]"
        );
    }
    maps.put_into_force(&compiled)?;
    run_state(&loaded, &rules).save(directory)?;
    let protected = ProtectedPorts::of(&compiled);
    let lives = FlowLives {
        established: rules.flow_established.as_millis() as u64,
        closing: rules.flow_closing.as_millis() as u64,
    };
    let imported = connections::import(&maps, &protected, &lives)?;
    take_over_others(&mut program, facts, pins);
    for (name, facts) in facts {
        attach_one(&mut program, name, facts, loaded.config.filter.mode, pins)?;
    }
    // Those that began while the filter was being attached.
    let again = connections::import(&maps, &protected, &lives)?;
    report_import(imported.recorded.max(again.recorded), again.left_out);
    Ok((loaded.config, program, maps, protected, lives))
}

/// The rules of a configuration, for this machine as it is now.
fn rule_set(config: &Config) -> Result<RuleSet> {
    let local = if config.filter.destinations.contains(&Destination::Local) {
        interface::local_addresses()?
    } else {
        BTreeSet::new()
    };
    Ok(RuleSet::from_config(config, &local))
}

fn table_sizes(config: &Config, compiled: &Compiled) -> Result<TableSizes> {
    let cpus = aya::util::nr_cpus().map_err(|(path, error)| anyhow!("{path}: {error}"))?;
    let limits = &config.limits;
    Ok(TableSizes::new(limits.attempts, limits.flows, limits.grants, compiled, cpus as u32))
}

fn report_import(recorded: usize, left_out: usize) {
    if recorded > 0 {
        log::info!("{recorded} connections that were there before go on");
    }
    if left_out > 0 {
        log::warn!(
            "{left_out} connections that were there before have no room in the flow table; raise limits.flows"
        );
    }
}

/// Interfaces that are filtered already but were not named: they stay filtered, by the new rules.
fn take_over_others(program: &mut Program, facts: &[(&InterfaceName, InterfaceFacts)], pins: &Pins) {
    for index in pins.linked_interfaces() {
        if facts.iter().any(|(_, facts)| facts.index == index) {
            continue;
        }
        let name = interface_name(index);
        match program.take_over(index, pins) {
            Ok(()) => {
                log::warn!("{name} was not named and stays filtered; `knock-ctl detach {name}` takes it off")
            }
            Err(error) => log::warn!("{name}: {error}"),
        }
    }
}

fn attach_one(
    program: &mut Program,
    name: &InterfaceName,
    facts: &InterfaceFacts,
    mode: config::Mode,
    pins: &Pins,
) -> Result<()> {
    if pins.link(facts.index).exists() {
        program.take_over(facts.index, pins).with_context(|| format!("cannot take over {name}"))?;
        log::info!("{name}: took over from an earlier controller, without a gap");
        return Ok(());
    }
    let modes: &[Mode] = match mode {
        config::Mode::Auto => &[Mode::Native, Mode::Generic],
        config::Mode::Native => &[Mode::Native],
        config::Mode::Generic => &[Mode::Generic],
    };
    let mut refusals = Vec::new();
    for &mode in modes {
        match program.attach(facts.index, mode, pins) {
            Ok(()) => {
                for refusal in refusals {
                    log::warn!("{refusal}");
                }
                log::info!("{name}: attached in {mode} mode");
                return Ok(());
            }
            Err(error) => refusals.push(refusal(name, facts, mode, &error)),
        }
    }
    bail!("{}", refusals.join("; "))
}

/// Why an interface does not take the program, and what may help.
fn refusal(
    name: &InterfaceName,
    facts: &InterfaceFacts,
    mode: Mode,
    error: &datapath::DatapathError,
) -> String {
    let driver = facts.driver.as_deref().unwrap_or("unknown");
    let mut text = format!(
        "{name}: {mode} mode is refused ({error}); driver {driver}, MTU {}, {} receive queues",
        facts.mtu, facts.receive_queues
    );
    if mode == Mode::Native {
        text.push_str(&format!("; {}", cure(name, facts)));
    }
    text
}

/// The commonest reasons why drivers refuse native programs.
fn cure(name: &InterfaceName, facts: &InterfaceFacts) -> String {
    /// What fits a page with the headroom that XDP wants; many drivers' limit.
    const MTU_OF_ONE_PAGE: u32 = 3498;

    if facts.mtu > MTU_OF_ONE_PAGE {
        format!("many drivers need a smaller MTU: `ip link set dev {name} mtu {MTU_OF_ONE_PAGE}`")
    } else if facts.receive_queues > 1 {
        let half = facts.receive_queues / 2;
        format!(
            "some drivers need free channels: `ethtool -L {name} combined {half}`; others have no native XDP"
        )
    } else {
        format!(
            "some drivers need large receive offload off: `ethtool -K {name} lro off`; others have no native XDP"
        )
    }
}

fn run_state(loaded: &Loaded, rules: &RuleSet) -> RunState {
    let ids = door_ids(rules.doors.iter().map(|door| door.name.as_str()));
    let path = std::path::absolute(&loaded.path).unwrap_or_else(|_| loaded.path.clone());
    RunState {
        policy: match rules.policy {
            Policy::Pass => "pass",
            Policy::Drop => "drop",
        }
        .to_owned(),
        enforce: rules.enforce,
        config: ConfigState { path, sha256: loaded.sha256.clone(), loaded_at: notice::now() },
        doors: ids
            .into_iter()
            .zip(&rules.doors)
            .map(|(id, door)| DoorState {
                name: door.name.clone(),
                id,
                steps: door.steps.len(),
                opens: door.opens.names(),
                open_for_ms: door.open_for.map(|open_for| open_for.as_millis() as u64),
                connections: door.connections,
            })
            .collect(),
    }
}

fn random_key() -> Result<HashKey> {
    use std::io::Read;

    let mut bytes = [0; 8 * KEY_WORDS];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut bytes))
        .map_err(|error: io::Error| anyhow!("/dev/urandom: {error}"))?;
    let (words, _) = bytes.as_chunks::<8>();
    let mut key = [0; KEY_WORDS];
    for (word, bytes) in key.iter_mut().zip(words) {
        *word = u64::from_ne_bytes(*bytes);
    }
    Ok(HashKey(key))
}
