//! From nothing, or from what an earlier controller left, to an attached filter.

use std::io;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use knock_common::hash::{HashKey, KEY_WORDS};
use knock_common::rules::Slot;
use nix::unistd::geteuid;

use super::in_force::{InForce, Prepared, rule_set};
use super::metrics::Listen;
use super::waiting::{Before, Change};
use super::{Options, connections, interfaces, lockout, one_time, waiting};
use crate::config::{self, Loaded};
use crate::datapath::{self, Displaced, Maps, Pins, Program, Unconfirmed, Variant, bpffs};
use crate::interface::{self, InterfaceFacts, InterfaceName};
use crate::rules::PreviousStates;
use crate::runtime::{ControllerLock, ProgramRecord, RuntimeDirectory};

/// A filter that is attached, and what its controller goes on with.
pub(super) struct Attached {
    pub(super) in_force: InForce,
    pub(super) program: Program,
    pub(super) maps: Maps,
    pub(super) pins: Pins,
    pub(super) directory: RuntimeDirectory,
    pub(super) lock: ControllerLock,
    pub(super) metrics: Listen,
    /// `None`: the rules hold for good.
    pub(super) change: Option<Change>,
}

pub(super) fn require_privilege() -> Result<()> {
    if geteuid().is_root() {
        return Ok(());
    }
    bail!("attaching needs root; run `sudo knock-ctl attach ...`")
}

/// Attaches the filter. On an error it leaves everything as it was.
pub(super) fn bring_up(loaded: Loaded, names: &[InterfaceName], options: &Options) -> Result<Attached> {
    let facts = interfaces::described(names)?;
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
            "{0} is of another version of knock-ctl, whose tables this one can't read; run `knock-ctl detach` with that \
             version first, or, where that is gone, `rm -r {0}`, which takes its filter off",
            other.display()
        );
    }
    if pins.are_of_another() {
        log::info!("removing what a network namespace that is no more has left under the number of this one");
        pins.remove()?;
    }
    let exist = pins.exist();
    if !exist {
        // Of a filter that is no more.
        directory.clear();
    }
    datapath::remove_dead_links(&pins)?;
    for (name, facts) in &facts {
        interfaces::refuse_misplaced(name, facts, &loaded.config.filter, &pins)?;
        if !options.replace {
            interfaces::refuse_foreign_program(name, facts, &pins)?;
        }
    }
    let metrics = Listen::at(loaded.config.metrics)?;
    let unfiltered: Vec<u32> =
        facts.iter().map(|(_, facts)| facts.index).filter(|&index| !pins.link(index).exists()).collect();
    let mut earlier = if exist { Some(Maps::open(&pins)?) } else { None };
    let loaded = if one_time::settle(earlier.as_ref())? { options.load()? } else { loaded };
    if !options.yes {
        let change = lockout::Change {
            rules: &rule_set(&loaded.config)?,
            before: earlier.as_ref().filter(|_| unfiltered.is_empty()),
            on_loopback: interfaces::have_loopback(&facts),
        };
        lockout::refuse(&change.locked_out()?)?;
    }
    let earlier = match &mut earlier {
        Some(maps) => waiting::settle_earlier(maps)?,
        None => None,
    };
    let variant = if options.trace { Variant::Trace } else { Variant::Plain };
    let confirm = options.confirm.map(|wait| (wait, earlier));
    let mut displaced = Vec::new();
    let giving_way = options.replace.then_some(&mut displaced);
    let result = load_and_attach(loaded, &facts, variant, &pins, &directory, confirm, giving_way);
    if result.is_err() {
        take_back(&unfiltered, exist, &pins);
        interfaces::put_back(&displaced);
    }
    let (in_force, program, maps, unconfirmed) = result?;
    let before = match earlier {
        Some(_) => Before::Earlier { attached: unfiltered },
        None => Before::Nothing,
    };
    let change = unconfirmed.map(|unconfirmed| Change::begin(&unconfirmed, before, &maps, &directory));
    Ok(Attached { in_force, program, maps, pins, directory, lock, metrics, change })
}

/// Takes the filter off where it was not before.
fn take_back(unfiltered: &[u32], existed: bool, pins: &Pins) {
    let detached = unfiltered.iter().try_for_each(|&index| datapath::detach(pins, index));
    let removed = if existed { Ok(()) } else { pins.remove() };
    if let Err(error) = detached.and(removed) {
        log::error!("{error}");
    }
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

/// `confirm`: for how long the rules hold, and the slot of those that do afterwards. `giving_way`: what gave way, also on
/// an error; `None`: nothing may.
fn load_and_attach(
    loaded: Loaded,
    facts: &[(&InterfaceName, InterfaceFacts)],
    variant: Variant,
    pins: &Pins,
    directory: &RuntimeDirectory,
    confirm: Option<(Duration, Option<Slot>)>,
    mut giving_way: Option<&mut Vec<Displaced>>,
) -> Result<(InForce, Program, Maps, Option<Unconfirmed>)> {
    let previous = if pins.exist() { Maps::open(pins)?.states()? } else { PreviousStates::new() };
    let prepared = Prepared::new(loaded, &previous)?;
    let sizes = prepared.table_sizes()?;
    let (mut program, mut maps) =
        Program::load(variant, &sizes, random_key()?, Some(pins)).context("the kernel refuses the filter")?;
    if maps.sizes() != sizes && pins.linked_interfaces().iter().any(|&index| pins.link(index).exists()) {
        log::warn!(
            "the tables stay as large as they were made; `knock-ctl detach` and attach anew to change [limits]"
        );
    }
    recognise(&mut program, directory);
    let is_new = facts.iter().any(|(_, facts)| !pins.link(facts.index).exists());
    interfaces::prepare(&mut program, is_new.then_some(prepared.config.filter.mode), pins)?;
    let unconfirmed = confirm.map(|(wait, fallback)| Unconfirmed::for_time(wait, fallback));
    let (mut in_force, imported) = prepared.put_into_force(&mut maps, directory, unconfirmed)?;
    interfaces::take_over_others(&mut program, facts, pins);
    // What begins from here on is noted as it leaves; what began before is known by its sockets.
    for (name, facts) in facts {
        interfaces::attach_egress(&mut program, name, facts.index, pins)?;
    }
    let imported = imported.and(connections::import(&maps, &in_force.closed, &in_force.rules)?);
    for (name, facts) in facts {
        // Only now, with all else done, so that no program is missing for longer than it must.
        if let Some(giving_way) = &mut giving_way {
            giving_way.extend(interfaces::displace_foreign_program(name, facts, pins)?);
        }
        interfaces::attach(&mut program, name, facts, in_force.config.filter.mode, pins)?;
        in_force.interfaces.insert((*name).clone(), facts.index);
    }
    remember(&program, directory);
    // Those that were accepted while the filter was being attached.
    let imported = imported.and(connections::import(&maps, &in_force.closed, &in_force.rules)?);
    report_import(imported.recorded, imported.left_out);
    Ok((in_force, program, maps, unconfirmed))
}

/// Programs that an earlier controller of this very version has loaded need not be loaded again.
fn recognise(program: &mut Program, directory: &RuntimeDirectory) {
    match (ProgramRecord::load(directory), Program::object_hash(program.variant())) {
        (Ok(record), Ok(object)) if record.object == object => program.recognise(record.ids),
        (Err(error), _) => log::warn!("{error}"),
        _ => {}
    }
}

/// For the next controller.
pub(super) fn remember(program: &Program, directory: &RuntimeDirectory) {
    let record =
        Program::object_hash(program.variant()).map(|object| ProgramRecord { object, ids: program.ids() });
    match record.map(|record| record.save(directory)) {
        Ok(Ok(())) => {}
        Ok(Err(error)) => log::warn!("{error}"),
        Err(error) => log::warn!("{error}"),
    }
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
