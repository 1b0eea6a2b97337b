//! Where maps and links are pinned, so that the filter outlives the controller.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use knock_common::rules::LAYOUT_VERSION;

use super::bpffs::BPFFS;
use super::{DatapathError, egress};
use crate::namespace::{NamespaceCookie, NetworkNamespace};

/// The pins of one network namespace and one layout of the maps:
/// `/sys/fs/bpf/knock/net-INODE/vLAYOUT/{maps/NAME,links/INDEX,links/INDEX-egress}`, and beside them `namespace-COOKIE`, an
/// empty directory that says whose they are.
#[derive(Clone, Debug)]
pub struct Pins {
    namespace: PathBuf,
    cookie: Option<NamespaceCookie>,
}

/// What the directory's name begins with that says whose pins there are.
const OWNER: &str = "namespace-";
/// What the name of a link's pin ends with where it holds the program on packets that leave.
const OF_EGRESS: &str = "-egress";

impl Pins {
    /// Those of the network namespace that this thread is in.
    pub fn of_this_namespace() -> Result<Self, DatapathError> {
        let current = NetworkNamespace::current().map_err(DatapathError::io("this network namespace"))?;
        Ok(Self { namespace: Path::new(BPFFS).join("knock").join(current.name()), cookie: current.cookie() })
    }

    fn layout(&self) -> PathBuf {
        self.namespace.join(format!("v{LAYOUT_VERSION}"))
    }

    pub fn map(&self, name: &str) -> PathBuf {
        self.layout().join("maps").join(name)
    }

    fn links(&self) -> PathBuf {
        self.layout().join("links")
    }

    pub fn link(&self, interface_index: u32) -> PathBuf {
        self.links().join(interface_index.to_string())
    }

    /// Where the link of the program on packets that leave is pinned, where it has one.
    pub fn egress_link(&self, interface_index: u32) -> PathBuf {
        self.links().join(format!("{interface_index}{OF_EGRESS}"))
    }

    /// Whether maps of this namespace are pinned.
    pub fn exist(&self) -> bool {
        self.map("CONTROL").exists() && !self.are_of_another()
    }

    /// Whether what is pinned is of a namespace that is no more, and had the inode that is now this one's.
    pub fn are_of_another(&self) -> bool {
        let Some(own) = self.cookie.map(|cookie| format!("{OWNER}{cookie}")) else {
            return false;
        };
        let Ok(entries) = fs::read_dir(self.layout()) else {
            return false;
        };
        let mut names = entries.filter_map(Result::ok).map(|entry| entry.file_name());
        names.any(|name| name.to_str().is_some_and(|name| name.starts_with(OWNER) && name != own))
    }

    /// Another version's layout that has pins here.
    pub fn other_layout(&self) -> Option<PathBuf> {
        let entries = fs::read_dir(&self.namespace).ok()?;
        entries.filter_map(Result::ok).map(|entry| entry.path()).find(|path| *path != self.layout())
    }

    /// Makes the directories, for root alone.
    pub fn create(&self) -> Result<(), DatapathError> {
        let owner = self.cookie.map(|cookie| self.layout().join(format!("{OWNER}{cookie}")));
        for directory in [self.layout().join("maps"), self.links()].into_iter().chain(owner) {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&directory)
                .map_err(DatapathError::io(&directory))?;
        }
        Ok(())
    }

    /// Indices of the interfaces with a pinned link of an XDP program.
    pub fn linked_interfaces(&self) -> Vec<u32> {
        self.indices(|name| name.parse().ok())
    }

    /// Indices of the interfaces with a pinned link of whatever program.
    pub fn pinned_interfaces(&self) -> Vec<u32> {
        self.indices(|name| name.strip_suffix(OF_EGRESS).unwrap_or(name).parse().ok())
    }

    fn indices(&self, index_of: impl Fn(&str) -> Option<u32>) -> Vec<u32> {
        let Ok(entries) = fs::read_dir(self.links()) else {
            return Vec::new();
        };
        let names = entries.filter_map(Result::ok).map(|entry| entry.file_name());
        let mut indices: Vec<u32> = names.filter_map(|name| index_of(name.to_str()?)).collect();
        indices.sort_unstable();
        indices.dedup();
        indices
    }

    /// Removes everything that is pinned here, and takes off what is attached in this thread's network namespace.
    pub fn remove(&self) -> Result<(), DatapathError> {
        match fs::remove_dir_all(&self.namespace) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(DatapathError::io(&self.namespace)(error));
            }
            _ => {}
        }
        // No pin tells of these; a controller that was killed while it attached leaves some.
        egress::detach_all_filters()
    }
}
