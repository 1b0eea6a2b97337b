//! The filter that is attached here, as the commands that run beside the controller find it.

use std::error::Error;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::PathBuf;

use aya::maps::MapData;

use crate::datapath::{DatapathError, Maps, Pins, bpffs};
use crate::runtime::{RunState, RuntimeDirectory};

/// The pinned maps of this network namespace, and what the controller has said of them.
pub(super) struct Filter {
    pub(super) pins: Pins,
    pub(super) maps: Maps,
    pub(super) directory: RuntimeDirectory,
    /// `None`: unknown, or no rules are in force.
    pub(super) state: Option<RunState>,
}

/// Why there is no filter to look at.
#[derive(Debug, thiserror::Error)]
pub(super) enum FilterError {
    #[error("the filter is not attached in this network namespace; `knock-ctl attach` attaches it")]
    NotAttached,
    #[error(
        "the filter is not attached in this network namespace, as far as can be seen: {} is not a BPF file system. \
         Below `ip netns exec` it is hidden; use `nsenter --net=/run/netns/NAME`",
        bpffs::BPFFS
    )]
    NoBpffs,
    #[error(
        "the filter in this network namespace was attached by another version of knock-ctl ({0}); use that version, \
         or run `knock-ctl detach` with it and attach anew"
    )]
    OtherVersion(PathBuf),
    #[error("needs root: run `sudo knock-ctl {command}`")]
    NeedsRoot { command: &'static str },
    #[error(transparent)]
    Datapath(#[from] DatapathError),
}

impl Filter {
    /// Opens the filter for the subcommand `command`.
    pub(super) fn open(command: &'static str) -> anyhow::Result<Self> {
        let pins = Pins::of_this_namespace()?;
        let maps = open_maps(&pins, command)?;
        let directory = RuntimeDirectory::of_this_namespace()?;
        let state = match maps.slot_in_force()? {
            Some(slot) => RunState::load(&directory, slot).unwrap_or_else(|error| {
                log::warn!("the names of doors are not known: {error}");
                None
            }),
            None => None,
        };
        Ok(Self { pins, maps, directory, state })
    }

    /// `None`: there is none, or none to be seen.
    pub(super) fn open_if_attached(command: &'static str) -> anyhow::Result<Option<Self>> {
        match Self::open(command) {
            Ok(filter) => Ok(Some(filter)),
            Err(error) => match error.downcast_ref() {
                Some(FilterError::NotAttached) => Ok(None),
                Some(FilterError::NoBpffs) => {
                    log::warn!("{error}");
                    Ok(None)
                }
                _ => Err(error),
            },
        }
    }
}

fn open_maps(pins: &Pins, command: &'static str) -> Result<Maps, FilterError> {
    // Pins::exist() does not tell what isn't there from what may not be looked at.
    match fs::metadata(pins.map("CONTROL")) {
        Ok(_) if pins.are_of_another() => return Err(FilterError::NotAttached),
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            return Err(FilterError::NeedsRoot { command });
        }
        Err(_) => {
            return Err(match pins.other_layout() {
                Some(path) => FilterError::OtherVersion(path),
                None if !bpffs::is_mounted() => FilterError::NoBpffs,
                None => FilterError::NotAttached,
            });
        }
    }
    // Maps::open() takes what it may not open for what it can't read.
    match MapData::from_pin(pins.map("CONTROL")) {
        Err(error) if is_refusal(&error) => Err(FilterError::NeedsRoot { command }),
        _ => Ok(Maps::open(pins)?),
    }
}

fn is_refusal(error: &(dyn Error + 'static)) -> bool {
    let system_error = error.downcast_ref::<io::Error>();
    system_error.is_some_and(|error| error.kind() == ErrorKind::PermissionDenied)
        || error.source().is_some_and(is_refusal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aya::maps::MapError;
    use aya::sys::SyscallError;

    #[test]
    fn a_refusal_is_told_from_other_failures_however_deep_it_lies() {
        let error = |errno| {
            let io_error = io::Error::from_raw_os_error(errno);
            MapError::SyscallError(SyscallError { call: "bpf_obj_get", io_error })
        };
        assert!(is_refusal(&error(libc::EPERM)));
        assert!(is_refusal(&error(libc::EACCES)));
        assert!(!is_refusal(&error(libc::ENOENT)));
    }
}
