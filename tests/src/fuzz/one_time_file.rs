//! Files of one-time sequences, as the client and the controller use them up.

use super::folder::Folder;
use knock_ctl::client::one_time::{OneTimeError, take};
use knock_ctl::config::{DoorSequence, OneTimeFile, OneTimeSequence, Sequence, parse};
use std::path::Path;

const NAME: &str = "once";
const DOOR: &str = "ssh";
/// Lines that are used up, one after the other.
const TAKEN: usize = 16;

/// Both use the same lines in the same order, each once, and a mark changes nothing but its line.
pub fn one_time_file(bytes: &[u8]) {
    Folder::with(|folder| {
        let taken = use_up_as_client(folder, bytes);
        folder.put(NAME, Some(bytes));
        if let Some(unused) = unused(&folder.path(NAME)) {
            let sequences: Vec<_> = unused.iter().map(|line| line.sequence.clone()).take(TAKEN).collect();
            assert_eq!(taken, sequences, "the client's lines, and the controller's");
            use_up_as_controller(folder, unused);
        }
    });
}

fn use_up_as_client(folder: &Folder, bytes: &[u8]) -> Vec<Sequence> {
    folder.put(NAME, Some(bytes));
    let mut taken = Vec::new();
    let mut left = None;
    while taken.len() < TAKEN {
        let before = folder.read(NAME);
        match take(&folder.path(NAME)) {
            Ok(line) => {
                assert_one_line_marked(&before, &folder.read(NAME));
                assert!(left.is_none_or(|left: usize| left == line.left + 1), "{left:?}, then {}", line.left);
                left = Some(line.left);
                taken.push(line.sequence);
            }
            Err(OneTimeError::Exhausted { .. }) => {
                assert!(left.is_none_or(|left| left == 0), "{left:?} were left");
                return taken;
            }
            Err(OneTimeError::Faulty { fault, .. }) => {
                assert!(!fault.contains('\n'), "{fault}");
                assert_eq!(folder.read(NAME), before);
                return taken;
            }
            Err(error) => panic!("{error}"),
        }
    }
    taken
}

fn use_up_as_controller(folder: &Folder, mut unused: Vec<OneTimeSequence>) {
    for _ in 0..TAKEN.min(unused.len()) {
        let before = folder.read(NAME);
        let next = unused.remove(0);
        let marked = OneTimeFile::mark(&folder.path(NAME), DOOR, &[next.id].into());
        assert_eq!(marked.expect("the file is ours"), 1);
        assert_one_line_marked(&before, &folder.read(NAME));
        let left = self::unused(&folder.path(NAME)).expect("a mark makes no fault");
        assert!(left == unused, "{left:?} are left instead of {unused:?}");
    }
}

/// The mark took the place of a blank, or stands before a line that had none.
fn assert_one_line_marked(before: &[u8], after: &[u8]) {
    let at = before.iter().zip(after).position(|(before, after)| before != after).expect("a mark");
    let begins_line = at.checked_sub(1).is_none_or(|newline| before[newline] == b'\n');
    assert!(begins_line && after[at] == b'#', "byte {at} of {before:?} became {}", after[at]);
    let behind = if before[at] == b' ' || before[at] == b'\t' { at + 1 } else { at };
    assert_eq!(before[behind..], after[at + 1..], "what stands behind the mark");
}

/// `None`: the controller refuses the file.
fn unused(path: &Path) -> Option<Vec<OneTimeSequence>> {
    let text = format!("[doors.{DOOR}]\none_time_sequences = {path:?}\nopens = [\"22/tcp\"]\n");
    let door = parse(&text, "knock.toml", Path::new("/")).ok()?.config.doors.remove(0);
    match door.sequence {
        DoorSequence::OneTime(file) => Some(file.unused),
        other => panic!("{other:?}"),
    }
}
