//! The program on packets that leave, attached beside the XDP program of the same interface.
//!
//! By a TCX link (Linux 6.6), which is pinned as the XDP link is. Older kernels have a filter of the clsact qdisc instead, which
//! stays by itself and is known by its priority, its handle and its program's name.

use std::mem;

use aya::programs::links::{FdLink, Link, LinkOrder};
use aya::programs::tc::{
    self, NlOptions, SchedClassifierLink, SchedClassifierLinkId, TcAttachOptions, TcError, TcHandle,
};
use aya::programs::{ProgramError, SchedClassifier, TcAttachType};
use netlink_packet_core::{
    DecodeError, Emitable, ErrorContext, NetlinkDeserializable, NetlinkHeader, NlasIterator, Parseable,
    parse_string,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::tc::{
    TcAttribute, TcFilterBpfOption, TcHandle as Handle, TcHeader, TcMessage, TcOption,
};
use netlink_sys::protocols::NETLINK_ROUTE;
use nix::net::if_::if_nameindex;

use super::link::{self, end_link, open_link, pin_link};
use super::program::EGRESS;
use super::{DatapathError, Pins};
use crate::interface;
use crate::netlink::{Scope, ask};

/// What the program hangs on.
///
/// Either way it stands before what others have there: behind a program that ends the chain with a verdict, it would not see
/// the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EgressHook {
    /// TCX where the kernel has it, else the clsact qdisc.
    Best,
    Clsact,
}

/// The place of our filter, by which it is found again: early, and not the first, which is where others put theirs, of
/// kinds that share a priority with no other.
const PRIORITY: u16 = 7;
/// linux/rtnetlink.h.
const TCA_KIND: u16 = 1;
/// "knoc".
const HANDLE: TcHandle = TcHandle::new(0x6b6e, 0x6f63);

/// Attaches the loaded program to an interface, or puts it in the place of an earlier controller's, from one packet to the
/// next.
pub(super) fn attach(
    program: &mut SchedClassifier,
    index: u32,
    hook: EgressHook,
    pins: &Pins,
) -> Result<(), DatapathError> {
    let path = pins.egress_link(index);
    if path.exists() {
        let link = SchedClassifierLink::try_from(FdLink::from(open_link(&path)?))
            .map_err(|error| DatapathError::Link(format!("{}: {error}", path.display())))?;
        let id = program.attach_to_link(link).map_err(Box::new)?;
        // Only the pin holds it: with the pin it goes.
        return program.take_link(id).map(drop).map_err(of_program);
    }
    let name = name_of(index)?;
    if has_our_filter(index)? {
        let id = program.attach_to_link(our_filter(&name)?).map_err(Box::new)?;
        return keep(program, id);
    }
    if hook == EgressHook::Clsact {
        return attach_filter(program, &name, index);
    }
    // Kernels say in several ways that they don't know such links.
    attach_link(program, &name, index, pins).or_else(|by_link| {
        attach_filter(program, &name, index)
            .map_err(|by_filter| DatapathError::Egress(format!("{by_filter}; by TCX neither: {by_link}")))
    })
}

/// The program on an interface's pinned link, where there is one.
pub(super) fn program_on_link(pins: &Pins, index: u32) -> Option<u32> {
    link::program_on_link(&pins.egress_link(index))
}

/// Takes the filters that are ours off all interfaces of this thread's network namespace.
pub(super) fn detach_all_filters() -> Result<(), DatapathError> {
    let interfaces = if_nameindex().map_err(|error| DatapathError::Egress(error.to_string()))?;
    interfaces.iter().try_for_each(|interface| detach_filter(interface.index()))
}

/// Takes the program off an interface; it need not be on it.
pub(super) fn detach(pins: &Pins, index: u32) -> Result<(), DatapathError> {
    let path = pins.egress_link(index);
    if path.exists() {
        end_link(&path)?;
    }
    detach_filter(index)
}

/// Takes our filter off an interface. The qdisc stays: the kernel removes one with all that it holds, so that whoever adds a
/// filter to it at that moment would lose it; and an empty one does nothing.
fn detach_filter(index: u32) -> Result<(), DatapathError> {
    if !has_our_filter(index)? {
        return Ok(());
    }
    our_filter(&name_of(index)?)?.detach().map_err(of_program)
}

/// Whether an interface has a filter of ours; another one may lie in its place.
fn has_our_filter(index: u32) -> Result<bool, DatapathError> {
    let mut request = TcMessage::with_index(index.cast_signed());
    request.header.parent = Handle { major: Handle::CLSACT.major, minor: Handle::MIN_EGRESS };
    let filters: Vec<Filter> = ask(NETLINK_ROUTE, Scope::All, RouteNetlinkMessage::GetTrafficFilter(request))
        .map_err(|error| DatapathError::Egress(error.to_string()))?;
    Ok(filters.iter().any(|filter| filter.is_ours))
}

fn attach_link(
    program: &mut SchedClassifier,
    name: &str,
    index: u32,
    pins: &Pins,
) -> Result<(), DatapathError> {
    let order = TcAttachOptions::TcxOrder(LinkOrder::first());
    let id = program.attach_with_options(name, TcAttachType::Egress, order).map_err(Box::new)?;
    let link = program.take_link(id).map_err(Box::new)?;
    let link = FdLink::try_from(link).map_err(|error| DatapathError::Link(error.to_string()))?;
    pin_link(link, &pins.egress_link(index))
}

fn attach_filter(program: &mut SchedClassifier, name: &str, index: u32) -> Result<(), DatapathError> {
    match tc::qdisc_add_clsact(name) {
        Err(TcError::NetlinkError(error)) if error.raw_os_error() == Some(libc::EEXIST) => {
            // Under the qdisc `ingress`, which takes the same place, the kernel would put the filter on the way in.
            if !has_clsact(index)? {
                return Err(DatapathError::Egress(format!(
                    "{name} has the qdisc `ingress` in its place; replace that by `clsact`, which does the same and more"
                )));
            }
        }
        result => result.map_err(of_program)?,
    }
    let options = NlOptions { priority: PRIORITY, handle: HANDLE, classid: None };
    let id = program
        .attach_with_options(name, TcAttachType::Egress, TcAttachOptions::Netlink(options))
        .map_err(Box::new)?;
    keep(program, id)
}

fn has_clsact(index: u32) -> Result<bool, DatapathError> {
    let request = TcMessage::with_index(index.cast_signed());
    let qdiscs: Vec<Qdisc> = ask(NETLINK_ROUTE, Scope::All, RouteNetlinkMessage::GetQueueDiscipline(request))
        .map_err(|error| DatapathError::Egress(error.to_string()))?;
    Ok(qdiscs.iter().any(|qdisc| qdisc.interface == index.cast_signed() && qdisc.kind == "clsact"))
}

/// Lets a filter live on without this process.
fn keep(program: &mut SchedClassifier, id: SchedClassifierLinkId) -> Result<(), DatapathError> {
    // It holds no descriptor; dropped, it would take the filter off.
    mem::forget(program.take_link(id).map_err(Box::new)?);
    Ok(())
}

fn our_filter(name: &str) -> Result<SchedClassifierLink, DatapathError> {
    SchedClassifierLink::attached(name, TcAttachType::Egress, PRIORITY, HANDLE, None)
        .map_err(|error| of_program(TcError::from(error)))
}

fn of_program(error: impl Into<ProgramError>) -> DatapathError {
    DatapathError::Program(Box::new(error.into()))
}

fn name_of(index: u32) -> Result<String, DatapathError> {
    let gone = || DatapathError::Egress(format!("there is no interface {index} any more"));
    interface::name_of(index).ok_or_else(gone)
}

/// A qdisc, without its options: there are many kinds.
struct Qdisc {
    interface: i32,
    kind: String,
}

impl NetlinkDeserializable for Qdisc {
    type Error = DecodeError;

    fn deserialize(_: &NetlinkHeader, payload: &[u8]) -> Result<Self, DecodeError> {
        let header = TcHeader::parse(payload)?;
        let mut qdisc = Self { interface: header.index, kind: String::new() };
        for attribute in NlasIterator::new(payload.get(header.buffer_len()..).unwrap_or_default()) {
            let attribute = attribute.context("in the attributes of a qdisc")?;
            if attribute.kind() == TCA_KIND {
                qdisc.kind = parse_string(attribute.value())?;
            }
        }
        Ok(qdisc)
    }
}

/// A filter. Those of others are not read further than their place.
struct Filter {
    is_ours: bool,
}

impl NetlinkDeserializable for Filter {
    type Error = DecodeError;

    fn deserialize(_: &NetlinkHeader, payload: &[u8]) -> Result<Self, DecodeError> {
        let header = TcHeader::parse(payload)?;
        let is_in_our_place =
            header.info >> 16 == u32::from(PRIORITY) && u32::from(header.handle) == u32::from(HANDLE);
        Ok(Self { is_ours: is_in_our_place && has_our_program(&TcMessage::parse(payload)?) })
    }
}

fn has_our_program(filter: &TcMessage) -> bool {
    let is_our_name = |option: &TcOption| matches!(option, TcOption::Bpf(TcFilterBpfOption::ProgName(name)) if name == EGRESS);
    filter.attributes.iter().any(|attribute| match attribute {
        TcAttribute::Options(options) => options.iter().any(is_our_name),
        _ => false,
    })
}
