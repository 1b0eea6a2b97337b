//! Files of one-time sequences, as knockd has them: a sequence a line; a line that begins with '#' is used, or a comment.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use knock_common::port::Port;
use knock_common::rules::SequenceId;
use sha2::{Digest, Sha256};

use super::mark::{USED, mark};
use super::ports::PortError;
use super::sequence::{Sequence, SequenceError, parse_steps};

/// A door's file of one-time sequences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneTimeFile {
    pub path: PathBuf,
    /// Those that were not used when it was read, in the order in which they are to be used.
    pub unused: Vec<OneTimeSequence>,
}

#[derive(Clone, PartialEq, Eq)]
pub struct OneTimeSequence {
    pub id: SequenceId,
    pub sequence: Sequence,
}

/// The sequence is a secret.
impl fmt::Debug for OneTimeSequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OneTimeSequence({:08x})", self.id)
    }
}

/// A line that is not used.
pub(super) struct Line {
    /// Bytes from the beginning of the file.
    pub(super) offset: usize,
    pub(super) sequence: Result<OneTimeSequence, LineError>,
}

pub(super) enum LineError {
    /// Of the step at this many bytes from the beginning of the file.
    Step {
        offset: usize,
        number: usize,
        error: PortError,
    },
    Sequence(SequenceError),
}

impl OneTimeFile {
    /// Marks sequences of `door` as used, and returns how many were not yet. They are on the disk when this returns.
    ///
    /// # Errors
    /// When the file can't be read or written, or, where a line begins with no blank, can't be replaced.
    pub fn mark(path: &Path, door: &str, used: &BTreeSet<SequenceId>) -> io::Result<usize> {
        let mut file = OpenOptions::new().read(true).write(true).open(path)?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let is_used = |line: &Line| matches!(&line.sequence, Ok(sequence) if used.contains(&sequence.id));
        let lines: Vec<usize> =
            lines(&text, door).iter().filter(|line| is_used(line)).map(|line| line.offset).collect();
        if !lines.is_empty() {
            mark(path, &mut file, text.as_bytes(), &lines)?;
        }
        Ok(lines.len())
    }
}

/// The lines of a file that are not used.
pub(super) fn lines(text: &str, door: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    // The same sequence may stand there again, to be used once more.
    let mut seen: HashMap<Vec<Port>, u32> = HashMap::new();
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        let begin = offset;
        offset += line.len();
        let used = line.as_bytes().first() == Some(&USED);
        let content = if used { &line[1..] } else { line };
        if content.trim().is_empty() {
            continue;
        }
        let sequence = parse(content, begin + usize::from(used)).map(|sequence| {
            let occurrence = seen.entry(sequence.steps().to_vec()).or_default();
            *occurrence += 1;
            OneTimeSequence { id: identity(door, &sequence, *occurrence), sequence }
        });
        if !used {
            lines.push(Line { offset: begin, sequence });
        }
    }
    lines
}

/// `begin`: where `line` begins in its file.
fn parse(line: &str, begin: usize) -> Result<Sequence, LineError> {
    let indent = line.len() - line.trim_start().len();
    let steps = parse_steps(line.trim())
        .enumerate()
        .map(|(index, (offset, step))| {
            let offset = begin + indent + offset;
            step.map_err(|error| LineError::Step { offset, number: index + 1, error })
        })
        .collect::<Result<Vec<_>, _>>()?;
    Sequence::new(steps).map_err(LineError::Sequence)
}

fn identity(door: &str, sequence: &Sequence, occurrence: u32) -> SequenceId {
    let mut hash = Sha256::new();
    hash.update(door.as_bytes());
    hash.update([0]);
    for step in sequence.steps() {
        hash.update([step.protocol as u8 + 1]);
        hash.update(step.number.get().to_be_bytes());
    }
    hash.update([0]);
    hash.update(occurrence.to_be_bytes());
    let [a, b, c, d, ..] = <[u8; 32]>::from(hash.finalize());
    SequenceId::from_be_bytes([a, b, c, d]).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(text: &str) -> Vec<SequenceId> {
        lines(text, "ssh").into_iter().filter_map(|line| Some(line.sequence.ok()?.id)).collect()
    }

    #[test]
    fn a_line_keeps_its_identity_whatever_becomes_of_others() {
        let all = ids(" 1000,2000:udp\n 3000,4000\n 1000,2000:udp\n");
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 3);
        assert_eq!(ids("# a comment\n\n#1000,2000:udp\n 3000 , 4000:tcp\n 1000,2000:udp"), all[1..]);
        assert_ne!(lines(" 3000,4000\n", "web")[0].sequence.as_ref().ok().map(|line| line.id), Some(all[1]));
    }

    #[test]
    fn used_lines_are_marked_in_their_place() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ssh.sequences");
        let text = "# ours\n 1000,2000\n\t3000,4000\n5000,6000\n";
        std::fs::write(&path, text).unwrap();
        let all = ids(text);
        assert_eq!(OneTimeFile::mark(&path, "ssh", &[all[0], all[2]].into()).unwrap(), 2);
        let marked = std::fs::read_to_string(&path).unwrap();
        assert_eq!(marked, "# ours\n#1000,2000\n\t3000,4000\n#5000,6000\n");
        assert_eq!(ids(&marked), [all[1]]);
        assert_eq!(OneTimeFile::mark(&path, "ssh", &[all[0]].into()).unwrap(), 0);
    }
    #[test]
    fn a_marked_line_is_never_taken_for_another() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ssh.sequences");
        // Without its first digit the first line would be the second, and the third the fourth's only occurrence.
        let text = "17000,8000\n7000,8000\n9000,1\n 9000,1\n";
        std::fs::write(&path, text).unwrap();
        let all = ids(text);
        for taken in 0..all.len() {
            assert_eq!(OneTimeFile::mark(&path, "ssh", &[all[taken]].into()).unwrap(), 1);
            assert_eq!(ids(&std::fs::read_to_string(&path).unwrap()), all[taken + 1..]);
        }
        let marked = std::fs::read_to_string(&path).unwrap();
        assert_eq!(marked, "#17000,8000\n#7000,8000\n#9000,1\n#9000,1\n");
    }
}
