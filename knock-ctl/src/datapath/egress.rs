//! The program on packets that leave, attached beside the XDP program of the same interface.
//!
//! By a TCX link (Linux 6.6), which is pinned as the XDP link is. Older kernels have a filter of the clsact qdisc instead, which
//! stays by itself and is known by its priority and handle.

use std::io;

use aya::programs::links::{FdLink, Link};
use aya::programs::tc::{
    NlOptions, SchedClassifierLink, TcAttachOptions, TcError, TcHandle, qdisc_add_clsact,
};
use aya::programs::{LinkOrder, ProgramError, SchedClassifier, TcAttachType};
use aya::{Ebpf, EbpfError};
use nix::net::if_::if_indextoname;

use super::DatapathError;
use super::pins::Pins;
use super::program::open_link;

/// The program's name.
const EGRESS: &str = "knock_egress";

/// Where our filter of the clsact qdisc lies: late among the priorities that `tc` gives by itself, which begin at 49152 and
/// count down.
const PRIORITY: u16 = 49_160;
const HANDLE: TcHandle = TcHandle::new(0, 1);

/// What the program hangs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EgressHook {
    /// TCX where the kernel has it, else the clsact qdisc.
    Best,
    Clsact,
}

/// Attaches the program to an interface, or puts it in the place of an earlier controller's, from one packet to the next.
pub(super) fn attach(
    ebpf: &mut Ebpf,
    index: u32,
    hook: EgressHook,
    pins: &Pins,
) -> Result<(), DatapathError> {
    let path = pins.egress_link(index);
    let program = program(ebpf)?;
    if path.exists() {
        let link = SchedClassifierLink::try_from(FdLink::from(open_link(&path)?))
            .map_err(|error| DatapathError::Link(format!("{}: {error}", path.display())))?;
        let id = program.attach_to_link(link).map_err(Box::new)?;
        // The pin alone is to keep the link, so that removing it detaches.
        drop(program.take_link(id).map_err(Box::new)?);
        return Ok(());
    }
    let name = name_of(index)?;
    if hook == EgressHook::Best {
        let options = TcAttachOptions::TcxOrder(LinkOrder::default());
        match program.attach_with_options(&name, TcAttachType::Egress, options) {
            Ok(id) => {
                let link = program.take_link(id).map_err(Box::new)?;
                let link: FdLink = link
                    .try_into()
                    .map_err(|error| DatapathError::Link(format!("the link of {name}'s egress: {error}")))?;
                link.pin(&path).map_err(|error| {
                    DatapathError::Link(format!("cannot pin {}: {error}", path.display()))
                })?;
                return Ok(());
            }
            // EINVAL: the kernel knows no such link.
            Err(ProgramError::SyscallError(error)) if error.io_error.raw_os_error() == Some(libc::EINVAL) => {
            }
            Err(error) => return Err(Box::new(error).into()),
        }
    }
    attach_to_clsact(program, &name)
}

/// Takes the program off an interface; it need not be on it.
pub(super) fn detach(pins: &Pins, index: u32) -> Result<(), DatapathError> {
    let path = pins.egress_link(index);
    if path.exists() {
        drop(open_link(&path)?.unpin().map_err(DatapathError::io(&path))?);
        return Ok(());
    }
    // An interface that is gone has no filter any more.
    let Ok(name) = name_of(index) else {
        return Ok(());
    };
    match filter(&name)?.detach() {
        // The qdisc stays: it costs nothing, and somebody else may have come to use it.
        Ok(()) | Err(ProgramError::NetlinkError(_)) => Ok(()),
        Err(error) => Err(Box::new(error).into()),
    }
}

fn attach_to_clsact(program: &mut SchedClassifier, name: &str) -> Result<(), DatapathError> {
    match qdisc_add_clsact(name) {
        Ok(()) | Err(TcError::AlreadyAttached) => {}
        Err(error) => return Err(Box::new(ProgramError::from(error)).into()),
    }
    let id = match program.attach_to_link(filter(name)?) {
        Ok(id) => id,
        // There was none to replace.
        Err(_) => {
            let options = NlOptions { priority: PRIORITY, handle: HANDLE, classid: None };
            program
                .attach_with_options(name, TcAttachType::Egress, TcAttachOptions::Netlink(options))
                .map_err(Box::new)?
        }
    };
    // The filter is to stay when the controller ends, and dropping this would take it off.
    std::mem::forget(program.take_link(id).map_err(Box::new)?);
    Ok(())
}

/// Our filter of the interface's clsact qdisc, whether it is there or not.
fn filter(name: &str) -> Result<SchedClassifierLink, DatapathError> {
    SchedClassifierLink::attached(name, TcAttachType::Egress, PRIORITY, HANDLE, None)
        .map_err(DatapathError::io(name))
}

fn name_of(index: u32) -> Result<String, DatapathError> {
    let name = if_indextoname(index)
        .map_err(|error| DatapathError::Link(format!("interface {index}: {}", io::Error::from(error))))?;
    Ok(name.to_string_lossy().into_owned())
}

/// Loads the program.
pub(super) fn load(ebpf: &mut Ebpf) -> Result<(), DatapathError> {
    Ok(program(ebpf)?.load().map_err(Box::new)?)
}

pub(super) fn program(ebpf: &mut Ebpf) -> Result<&mut SchedClassifier, DatapathError> {
    let missing = || Box::new(EbpfError::ProgramError(ProgramError::NotLoaded));
    let program = ebpf.program_mut(EGRESS).ok_or_else(missing)?;
    program.try_into().map_err(|error| DatapathError::Program(Box::new(error)))
}
