//! A file system for the kernel to begin with: a cpio archive of the format "newc".

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, Result};
use cpio::newc::{Builder, trailer};

const FOLDER: u32 = 0o040_755;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_777;

/// Written as it is made.
pub struct Archive {
    output: BufWriter<File>,
    /// What is in it, with a slash before it.
    known: BTreeSet<PathBuf>,
    entries: u32,
}

impl Archive {
    pub fn create(path: &Path) -> Result<Self> {
        let file = File::create(path).with_context(|| path.display().to_string())?;
        Ok(Self { output: BufWriter::new(file), known: BTreeSet::new(), entries: 0 })
    }

    /// A file of the host, where `target` says; what it leads through becomes folders.
    pub fn copy(&mut self, source: &Path, target: &Path) -> Result<()> {
        let in_source = || source.display().to_string();
        let mode = fs::metadata(source).with_context(in_source)?.permissions().mode() & 0o777;
        let content = fs::read(source).with_context(in_source)?;
        self.file(target, &content, mode)
    }

    pub fn file(&mut self, path: &Path, content: &[u8], mode: u32) -> Result<()> {
        self.entry(path, FILE | mode, content)
    }

    pub fn folder(&mut self, path: &Path) -> Result<()> {
        self.entry(path, FOLDER, &[])
    }

    pub fn link(&mut self, path: &Path, to: &Path) -> Result<()> {
        self.entry(path, LINK, to.as_os_str().as_encoded_bytes())
    }

    /// All files below a folder of the host, in the same place.
    pub fn copy_tree(&mut self, folder: &Path) -> Result<()> {
        for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            if path.is_dir() { self.copy_tree(&path)? } else { self.copy(&path, &path)? }
        }
        Ok(())
    }

    pub fn finish(self) -> Result<()> {
        trailer(self.output)?.flush()?;
        Ok(())
    }

    /// The first entry of a path counts.
    fn entry(&mut self, path: &Path, mode: u32, content: &[u8]) -> Result<()> {
        let path: PathBuf =
            Path::new("/").join(path).components().filter(|part| *part != Component::CurDir).collect();
        if let Some(parent) =
            path.parent().filter(|parent| !self.known.contains(*parent) && parent.parent().is_some())
        {
            self.folder(parent)?;
        }
        if !self.known.insert(path.clone()) {
            return Ok(());
        }
        self.entries += 1;
        let name =
            path.strip_prefix("/")?.to_str().with_context(|| format!("{} is no text", path.display()))?;
        let entry = Builder::new(name).ino(self.entries).mode(mode).nlink(1);
        let mut writer = entry.write(&mut self.output, u32::try_from(content.len())?);
        writer.write_all(content)?;
        writer.finish()?;
        Ok(())
    }
}
