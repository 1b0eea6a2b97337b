//! The interfaces that the filter is put on and taken off.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};

use crate::config::{self, Filter};
use crate::datapath::{self, DatapathError, Displaced, EgressHook, Mode, Pins, Program};
use crate::interface::{self, InterfaceFacts, InterfaceName};

/// The interfaces to attach to: those named on the command line, else the configuration's.
pub(super) fn named(named: &[String], filter: &Filter) -> Result<Vec<InterfaceName>> {
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

/// Whether one of them is that of the default route, whichever that is.
pub(super) fn name_default(named: &[String], filter: &Filter) -> bool {
    if named.is_empty() {
        filter.interfaces.contains(&config::Interface::Default)
    } else {
        named.iter().any(|name| name == "default")
    }
}

/// Whether this one is among them by its own name.
pub(super) fn name_literally(named: &[String], filter: &Filter, name: &InterfaceName) -> bool {
    if named.is_empty() {
        filter.interfaces.contains(&config::Interface::Named(name.to_string()))
    } else {
        named.iter().any(|given| given == name.as_str())
    }
}

/// Interfaces with what the kernel says of them.
pub(super) fn described(names: &[InterfaceName]) -> Result<Vec<(&InterfaceName, InterfaceFacts)>> {
    names.iter().map(|name| Ok((name, interface::describe(name)?))).collect()
}

/// Whether connections within this machine go by one of them.
pub(super) fn have_loopback(facts: &[(&InterfaceName, InterfaceFacts)]) -> bool {
    facts.iter().any(|(_, facts)| facts.loopback)
}

/// As [`described`], without those that are gone.
pub(super) fn present(names: &[InterfaceName]) -> Vec<(&InterfaceName, InterfaceFacts)> {
    names.iter().filter_map(|name| Some((name, interface::describe(name).ok()?))).collect()
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
pub(super) fn name_of(index: u32) -> String {
    interface::name_of(index).unwrap_or_else(|| format!("interface {index}"))
}

/// Refuses an interface that the filter does not belong on, unless it is there already.
pub(super) fn refuse_misplaced(
    name: &InterfaceName,
    facts: &InterfaceFacts,
    filter: &Filter,
    pins: &Pins,
) -> Result<()> {
    if pins.link(facts.index).exists() {
        return Ok(());
    }
    match interface::misplaced(name, facts, filter.destinations.is_empty()) {
        Some(misplaced) => Err(misplaced.into()),
        None => Ok(()),
    }
}

/// Refuses an interface on which a program of somebody else's is.
pub(super) fn refuse_foreign_program(
    name: &InterfaceName,
    facts: &InterfaceFacts,
    pins: &Pins,
) -> Result<()> {
    if pins.link(facts.index).exists() {
        return Ok(());
    }
    match datapath::foreign_program(facts.index)? {
        None => Ok(()),
        Some(program) => bail!(
            "{name} has an XDP program of somebody else's already ({program}); `bpftool prog show id {}` tells which, \
             `knock-ctl attach --replace` puts the filter in its place, and `ip link set dev {name} xdp off` takes it off \
             if nobody needs it",
            program.id()
        ),
    }
}

/// Takes the program of somebody else's off an interface that the filter is not on, if there is one.
pub(super) fn displace_foreign_program(
    name: &InterfaceName,
    facts: &InterfaceFacts,
    pins: &Pins,
) -> Result<Option<Displaced>> {
    if pins.link(facts.index).exists() {
        return Ok(None);
    }
    let Some(program) = datapath::foreign_program(facts.index)? else {
        return Ok(None);
    };
    let what = format!("{name} has an XDP program of somebody else's ({program}), which can't be replaced");
    let displaced = program.displace().context(what)?;
    log::warn!(
        "{name}: the XDP program of somebody else's ({}) gives way to the filter",
        displaced.program()
    );
    Ok(Some(displaced))
}

/// Puts programs back that gave way to a filter which did not come.
pub(super) fn put_back(displaced: &[Displaced]) {
    for displaced in displaced {
        let (name, program) = (name_of(displaced.interface()), displaced.program());
        match displaced.put_back() {
            Ok(()) => log::info!("{name}: the XDP program of somebody else's ({program}) is on again"),
            Err(error) => log::error!(
                "{name}: the XDP program of somebody else's ({program}) is off, and can't be put back: {error}; \
                 start again what attached it"
            ),
        }
    }
}

/// Interfaces that are filtered already but were not named: they stay filtered, by the new rules.
pub(super) fn take_over_others(
    program: &mut Program,
    facts: &[(&InterfaceName, InterfaceFacts)],
    pins: &Pins,
) {
    for index in pins.linked_interfaces() {
        if facts.iter().any(|(_, facts)| facts.index == index) {
            continue;
        }
        let name = name_of(index);
        let taken_over = program
            .attach_egress(index, EgressHook::Best, pins)
            .and_then(|()| program.take_over(index, pins));
        match taken_over {
            Ok(()) => {
                log::warn!("{name} was not named and stays filtered; `knock-ctl detach {name}` takes it off")
            }
            Err(error) => log::warn!("{name}: {error}"),
        }
    }
}

/// The modes to try, in their order.
fn modes(mode: config::Mode) -> &'static [Mode] {
    match mode {
        config::Mode::Auto => &[Mode::Native, Mode::Generic],
        config::Mode::Native => &[Mode::Native],
        config::Mode::Generic => &[Mode::Generic],
    }
}

/// Loads what is going to be taken over, and attached to new interfaces in `mode`, before anything is changed.
pub(super) fn prepare(program: &mut Program, mode: Option<config::Mode>, pins: &Pins) -> Result<()> {
    let first = mode.and_then(|mode| modes(mode).first().copied());
    program.prepare(first, pins).context("the kernel refuses the filter")
}

/// Has what leaves by an interface noted, so that the answers to it are known when the filter comes.
pub(super) fn attach_egress(
    program: &mut Program,
    name: &InterfaceName,
    index: u32,
    pins: &Pins,
) -> Result<()> {
    program
        .attach_egress(index, EgressHook::Best, pins)
        .with_context(|| format!("cannot follow what leaves by {name}"))
}

/// Attaches the filter to an interface that has none, or takes over what an earlier controller has attached.
pub(super) fn attach(
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
    let mut refusals = Vec::new();
    for &mode in modes(mode) {
        match program.attach(facts.index, mode, pins) {
            Ok(()) => {
                for refusal in refusals {
                    log::warn!("{refusal}");
                }
                log::info!("{name}: attached in {mode} mode");
                return Ok(());
            }
            Err(error @ DatapathError::Verifier { .. }) => return Err(error.into()),
            Err(error) => refusals.push(refusal(name, facts, mode, &error)),
        }
    }
    bail!("{}", refusals.join("; "))
}

/// Why an interface does not take the program, and what may help.
fn refusal(name: &InterfaceName, facts: &InterfaceFacts, mode: Mode, error: &DatapathError) -> String {
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

    if has_no_native_mode(facts) {
        "interfaces of this kind have none; generic mode does it".to_owned()
    } else if facts.mtu > MTU_OF_ONE_PAGE {
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

/// Whether there is no driver that could run programs, because it is the kernel's own.
fn has_no_native_mode(facts: &InterfaceFacts) -> bool {
    /// Virtual ones that have it all the same.
    const WITH: &[&str] = &["bond", "netdevsim", "netkit", "tun", "veth"];

    facts.loopback || facts.kind.as_deref().is_some_and(|kind| !WITH.contains(&kind))
}
