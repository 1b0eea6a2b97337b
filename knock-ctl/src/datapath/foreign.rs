//! XDP programs of somebody else's on interfaces that the filter shall be on.

use std::fmt;
use std::io;
use std::os::fd::AsFd;

use aya::programs::links::LinkType;
use aya::programs::{ProgramFd, loaded_links, loaded_programs};

use super::DatapathError;
use crate::interface::{InterfaceError, XdpProgram, attached_programs, put_program, remove_program};
use crate::netlink::NetlinkError;

/// A program of somebody else's on an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignProgram {
    interface: u32,
    program: XdpProgram,
    /// `None`: its author gave it none.
    name: Option<String>,
}

/// A program that gave way to the filter, and can be put back.
#[derive(Debug)]
pub struct Displaced {
    foreign: ForeignProgram,
    /// It may have no other holder by now.
    program: ProgramFd,
}

/// Why somebody's program can't be taken off.
#[derive(Debug, thiserror::Error)]
pub enum DisplaceError {
    /// By the link with this id, where it is known.
    #[error(
        "it is held by a BPF link of its own{}, which nobody else can replace: end what attached it, or run `bpftool link detach id {}`",
        .0.map_or_else(String::new, |id| format!(" (id {id})")),
        .0.map_or_else(|| "LINK".to_owned(), |id| id.to_string())
    )]
    HeldByLink(Option<u32>),
    #[error("{0}")]
    Refused(#[from] NetlinkError),
    #[error("{0}")]
    Unreadable(#[from] DatapathError),
}

/// The first program on an interface that the filter is not on.
pub fn foreign_program(index: u32) -> Result<Option<ForeignProgram>, InterfaceError> {
    let Some(program) = attached_programs(index)?.into_iter().next() else {
        return Ok(None);
    };
    let name = loaded_programs()
        .filter_map(Result::ok)
        .find(|info| info.id() == program.id)
        .and_then(|info| info.name_as_str().map(str::to_owned))
        .filter(|name| !name.is_empty());
    Ok(Some(ForeignProgram { interface: index, program, name }))
}

impl ForeignProgram {
    pub fn id(&self) -> u32 {
        self.program.id
    }

    /// Takes it off its interface. The caller puts it back if the filter does not come in its place.
    pub fn displace(self) -> Result<Displaced, DisplaceError> {
        let program = self.open()?;
        let removed = remove_program(self.interface, self.program.mode, program.as_fd());
        match removed {
            Ok(()) => Ok(Displaced { foreign: self, program }),
            Err(NetlinkError::Refused(refusal)) if is_busy(&refusal) => {
                Err(DisplaceError::HeldByLink(self.link()))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn open(&self) -> Result<ProgramFd, DatapathError> {
        let info = loaded_programs().filter_map(Result::ok).find(|info| info.id() == self.program.id);
        let gone = || DatapathError::Link(format!("the program {self} is gone by now"));
        Ok(info.ok_or_else(gone)?.fd().map_err(Box::new)?)
    }

    /// The id of the link that holds it.
    fn link(&self) -> Option<u32> {
        let holds_it = |link: &aya::programs::links::LinkInfo| {
            link.program_id() == self.program.id && matches!(link.link_type(), Ok(LinkType::Xdp))
        };
        loaded_links().filter_map(Result::ok).find(holds_it).map(|link| link.id())
    }
}

impl fmt::Display for ForeignProgram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name}, id {}", self.program.id),
            None => write!(f, "id {}", self.program.id),
        }
    }
}

impl Displaced {
    /// Attaches it again, as it was.
    pub fn put_back(&self) -> Result<(), NetlinkError> {
        put_program(self.foreign.interface, self.foreign.program.mode, self.program.as_fd())
    }

    pub fn interface(&self) -> u32 {
        self.foreign.interface
    }

    pub fn program(&self) -> &ForeignProgram {
        &self.foreign
    }
}

fn is_busy(refusal: &io::Error) -> bool {
    refusal.raw_os_error() == Some(libc::EBUSY)
}
