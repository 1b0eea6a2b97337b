//! `TCPFlags = syn,!ack`.

use knock_common::flags::{FlagsCondition, TcpFlags};

use super::knockd::At;
use super::notes::Notes;
use crate::config::flags::parse_flags;

/// As knockd reads it: no blanks, what is said of a flag last counts, and a second line adds to the first.
pub(super) fn read(line: &At<&str>, before: FlagsCondition, notes: &mut Notes) -> Option<FlagsCondition> {
    let (mut set, mut clear) = (before.set(), before.clear());
    for word in line.value.split(',') {
        // A single flag never contradicts itself.
        let Some(flag) = parse_flags(word).ok().filter(|flag| *flag != FlagsCondition::ANY && is_plain(word))
        else {
            notes.error(
                line.place,
                format!("{word:?} is not a TCP flag"),
                "write any of fin, syn, rst, psh, ack, urg, each with a ! if it must be clear, and no spaces",
            );
            return None;
        };
        let without =
            |flags: TcpFlags, others: TcpFlags| TcpFlags::from_header(flags.bits() & !others.bits());
        set = without(set, flag.clear()).union(flag.set());
        clear = without(clear, flag.set()).union(flag.clear());
    }
    FlagsCondition::new(set, clear)
}

/// What [`parse_flags`] takes with blanks around, knockd does not.
fn is_plain(word: &str) -> bool {
    !word.contains(char::is_whitespace)
}
