//! What the package holds, and where it goes.

use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

const PROGRAM: u32 = 0o755;
const TEXT: u32 = 0o644;
/// The configuration will hold secrets.
const PRIVATE_FOLDER: u32 = 0o700;
pub const CONFIGURATION: &str = "etc/knock";

/// A file of the package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub source: PathBuf,
    /// From the root, without a slash before it.
    pub target: PathBuf,
    pub mode: u32,
}

/// The package's files, those that dpkg runs and those that it installs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    scripts: Vec<Entry>,
    pub files: Vec<Entry>,
}

impl Layout {
    /// `program` is the one to be installed; `documents` holds `man/*.1.gz` and `completions/`.
    ///
    /// # Errors
    /// When `documents` can't be read.
    pub fn new(workspace: &Path, program: &Path, documents: &Path) -> Result<Self> {
        let contrib = workspace.join("knock-ctl/contrib");
        let scripts = ["postinst", "prerm", "postrm"]
            .map(|name| entry(contrib.join("debian").join(name), format!("DEBIAN/{name}"), PROGRAM));
        let document = |source: &str, target: &str| {
            entry(workspace.join(source), format!("usr/share/doc/knock-ctl/{target}"), TEXT)
        };
        let completion = |name: &str, target: &str| {
            entry(documents.join("completions").join(name), target.to_owned(), TEXT)
        };
        let unit = "knock-ctl.service";
        let mut files = vec![
            entry(program.to_owned(), "usr/bin/knock-ctl".to_owned(), PROGRAM),
            entry(contrib.join("systemd").join(unit), format!("usr/lib/systemd/system/{unit}"), TEXT),
            completion("knock-ctl.bash", "usr/share/bash-completion/completions/knock-ctl"),
            completion("_knock-ctl", "usr/share/zsh/vendor-completions/_knock-ctl"),
            completion("knock-ctl.fish", "usr/share/fish/vendor_completions.d/knock-ctl.fish"),
            document("README.md", "README.md"),
            document("knock-ctl/contrib/debian/copyright", "copyright"),
            document("knock-ctl/contrib/knock.toml", "examples/knock.toml"),
            document("knock-ctl/contrib/prometheus/alerts.yml", "examples/prometheus/alerts.yml"),
            document("knock-ctl/contrib/prometheus/alerts.test.yml", "examples/prometheus/alerts.test.yml"),
            document("knock-ctl/contrib/grafana/dashboard.json", "examples/grafana/dashboard.json"),
        ];
        let man = documents.join("man");
        let mut pages = fs::read_dir(&man)
            .with_context(|| man.display().to_string())?
            .map(|page| Ok(page?.file_name().to_string_lossy().into_owned()))
            .collect::<Result<Vec<_>>>()?;
        pages.sort();
        files.extend(
            pages.into_iter().map(|page| entry(man.join(&page), format!("usr/share/man/man1/{page}"), TEXT)),
        );
        Ok(Self { scripts: scripts.into(), files })
    }

    /// Lays it all out in a folder that does not exist yet.
    pub fn write(&self, tree: &Path) -> Result<()> {
        for Entry { source, target, mode } in self.scripts.iter().chain(&self.files) {
            let content = fs::read(source).with_context(|| source.display().to_string())?;
            write(&tree.join(target), &content, *mode)?;
        }
        let configuration = tree.join(CONFIGURATION);
        make_folder(&configuration)?;
        fs::set_permissions(&configuration, Permissions::from_mode(PRIVATE_FOLDER))?;
        Ok(())
    }

    /// Bytes of the installed files.
    pub fn size(&self) -> Result<u64> {
        let sizes = self.files.iter().map(|entry| {
            let metadata = fs::metadata(&entry.source).with_context(|| entry.source.display().to_string())?;
            Ok(metadata.len())
        });
        sizes.sum()
    }
}

/// Writes a file of this mode, and the folders that lead there, whatever the umask.
pub fn write(path: &Path, content: impl AsRef<[u8]>, mode: u32) -> Result<()> {
    let in_path = || path.display().to_string();
    make_folder(path.parent().unwrap_or(path))?;
    fs::write(path, content).with_context(in_path)?;
    fs::set_permissions(path, Permissions::from_mode(mode)).with_context(in_path)
}

fn make_folder(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        make_folder(parent)?;
    }
    let in_path = || path.display().to_string();
    DirBuilder::new().mode(0o755).create(path).with_context(in_path)?;
    fs::set_permissions(path, Permissions::from_mode(0o755)).with_context(in_path)
}

fn entry(source: PathBuf, target: String, mode: u32) -> Entry {
    Entry { source, target: target.into(), mode }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]
mod tests {
    use std::collections::BTreeSet;

    use tempfile::TempDir;

    use super::*;
    use crate::workspace::root;

    fn laid_out() -> (TempDir, Layout, PathBuf) {
        let folder = TempDir::new().unwrap();
        let documents = folder.path().join("documents");
        for name in ["man/knock-ctl.1.gz", "man/knock-ctl-attach.1.gz"] {
            write(&documents.join(name), "page", 0o600).unwrap();
        }
        for name in ["knock-ctl.bash", "_knock-ctl", "knock-ctl.fish"] {
            write(&documents.join("completions").join(name), "completion", 0o600).unwrap();
        }
        let program = folder.path().join("program");
        write(&program, "program", 0o600).unwrap();
        let layout = Layout::new(root(), &program, &documents).unwrap();
        let tree = folder.path().join("tree");
        layout.write(&tree).unwrap();
        (folder, layout, tree)
    }

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn each_file_is_in_its_place_with_its_mode() {
        let (_folder, layout, tree) = laid_out();
        for entry in &layout.files {
            let expected = if entry.target.starts_with("usr/bin") { 0o755 } else { 0o644 };
            assert_eq!(mode(&tree.join(&entry.target)), expected, "{}", entry.target.display());
        }
        for script in ["postinst", "prerm", "postrm"] {
            assert_eq!(mode(&tree.join("DEBIAN").join(script)), 0o755);
        }
        let targets: BTreeSet<_> = layout.files.iter().map(|entry| &entry.target).collect();
        assert_eq!(targets.len(), layout.files.len(), "no two files in one place");
        assert!(targets.contains(&PathBuf::from("usr/share/man/man1/knock-ctl-attach.1.gz")));
    }

    #[test]
    fn the_configuration_is_an_empty_folder_of_roots() {
        let (_folder, _, tree) = laid_out();
        let configuration = tree.join(CONFIGURATION);
        assert_eq!(mode(&configuration), 0o700);
        assert_eq!(fs::read_dir(&configuration).unwrap().count(), 0);
        assert!(!tree.join("DEBIAN/conffiles").exists());
    }

    #[test]
    fn its_size_is_that_of_what_is_installed() {
        let (_folder, layout, tree) = laid_out();
        let installed =
            layout.files.iter().map(|entry| fs::metadata(tree.join(&entry.target)).unwrap().len());
        assert_eq!(layout.size().unwrap(), installed.sum::<u64>());
    }
}
