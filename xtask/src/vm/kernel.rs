//! A kernel of Debian's: its image and its modules.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use super::apt::Apt;
use super::suite::Suite;

/// The name of the package that depends on the newest one.
const META_PACKAGE: &str = "linux-image-cloud-amd64";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// As uname(2) gives it.
    pub release: String,
    pub image: PathBuf,
    /// Holds `kernel` and `modules.builtin`.
    pub modules: PathBuf,
}

impl Kernel {
    /// Gets the suite's newest into a folder below `cache`, unless it lies there already.
    pub fn fetch(suite: Suite, cache: &Path) -> Result<Self> {
        let folder = cache.join(suite.name());
        let apt = Apt::of_suite(suite, &folder)?;
        let packages = apt.closure(META_PACKAGE, is_part_of_kernel)?;
        // What bears no version only depends on what does.
        let packages: Vec<String> =
            packages.into_iter().filter(|name| name.chars().any(|letter| letter == '.')).collect();
        let image = packages.iter().find_map(|name| name.strip_prefix("linux-image-"));
        let release = image.with_context(|| format!("{META_PACKAGE} of {suite} depends on no kernel"))?;
        let root = folder.join(release);
        if !root.exists() {
            let unfinished = folder.join("unfinished");
            if unfinished.exists() {
                fs::remove_dir_all(&unfinished)?;
            }
            apt.unpack(&packages, &unfinished)?;
            fs::rename(&unfinished, &root)?;
        }
        Self::unpacked(&root, release)
    }

    fn unpacked(root: &Path, release: &str) -> Result<Self> {
        let modules = ["usr/lib/modules", "lib/modules"].map(|folder| root.join(folder).join(release));
        let [ours, _] = &modules;
        let modules = modules.iter().find(|folder| folder.is_dir()).unwrap_or(ours).clone();
        let images = [root.join("boot").join(format!("vmlinuz-{release}")), modules.join("vmlinuz")];
        let [_, last] = &images;
        let image = images.iter().find(|image| image.is_file()).unwrap_or(last).clone();
        ensure!(image.is_file(), "the packages of Linux {release} hold no {}", image.display());
        Ok(Self { release: release.to_owned(), image, modules })
    }
}

/// Newer kernels come in several packages.
fn is_part_of_kernel(package: &str) -> bool {
    ["linux-image-", "linux-binary-", "linux-modules-"].iter().any(|prefix| package.starts_with(prefix))
}
