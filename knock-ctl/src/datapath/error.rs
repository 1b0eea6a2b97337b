//! What can go wrong between the controller and the kernel.

use std::io;
use std::path::PathBuf;

use crate::rules::CompileError;

#[derive(Debug, thiserror::Error)]
pub enum DatapathError {
    #[error(
        "this knock-ctl was built without its kernel program, because no BPF toolchain was found; \
         run `cargo xtask setup` and build again"
    )]
    NoProgram,
    #[error("cannot load the kernel program: {0}")]
    Load(#[from] Box<aya::EbpfError>),
    #[error("{}", brief(.0))]
    Program(#[from] Box<aya::programs::ProgramError>),
    #[error("the kernel refuses the program {program}: {}", brief(.source))]
    Verifier { program: &'static str, source: Box<aya::programs::ProgramError> },
    #[error("the program on packets that leave can't be attached: {0}")]
    Egress(String),
    #[error("the kernel program has no map {0}")]
    NoMap(String),
    #[error("map {name}: {source}")]
    Map { name: String, source: Box<aya::maps::MapError> },
    #[error(
        "the pinned map {path} is not of the layout that this knock-ctl writes (its {what}); another version made it. \
         Use that version, or run `knock-ctl detach` with it and attach anew"
    )]
    Layout { path: PathBuf, what: &'static str },
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error(
        "these rules need {needed} entries in the map {name}, which was made for {room}; \
         run `knock-ctl detach` and attach anew to make room"
    )]
    NoRoom { name: &'static str, needed: usize, room: usize },
    #[error("the rules can't be compiled: {0}")]
    Compile(#[from] CompileError),
    #[error("cannot map {name} into memory: {source}")]
    Mmap { name: String, source: io::Error },
    #[error("{0}")]
    Link(String),
}

impl DatapathError {
    pub(crate) fn map(name: &str) -> impl FnOnce(aya::maps::MapError) -> Self + '_ {
        move |source| Self::Map { name: name.to_owned(), source: Box::new(source) }
    }

    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}

/// The verifier's log has thousands of lines, and its last ones say what it did not like.
fn brief(error: &aya::programs::ProgramError) -> String {
    const LINES: usize = 6;

    let aya::programs::ProgramError::LoadError { io_error, verifier_log } = error else {
        let mut text = error.to_string();
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            text.push_str(&format!(": {cause}"));
            source = cause.source();
        }
        return text;
    };
    let log = verifier_log.to_string();
    let lines: Vec<&str> = log.lines().collect();
    let last = lines.len().saturating_sub(LINES);
    format!("the verifier refuses it: {io_error}: {}", lines[last..].join(" | "))
}
