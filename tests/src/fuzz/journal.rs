//! The journal: whatever is in its file, and whatever of it was written when the machine stopped.

use super::folder::Folder;
use knock_ctl::journal::{Journal, OpenDoor, Opening, Record, StopDue};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const NAME: &str = "journal/doors";

/// The first byte says whether the others are a file, or what is recorded in one and how much of it is there.
pub fn journal(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    Folder::with(|folder| {
        if kind & 1 == 0 { assert_recovered(folder, bytes) } else { assert_prefix_recovered(folder, bytes) }
    });
}

/// Any bytes are recovered from, and what was recovered is read again as it is.
fn assert_recovered(folder: &Folder, bytes: &[u8]) {
    folder.put(NAME, Some(bytes));
    let (_, doors) = open(folder);
    let written = folder.read(NAME);
    let (_, again) = open(folder);
    assert_eq!(again, doors);
    assert_eq!(folder.read(NAME), written);
}

/// Of a journal that is cut short, every record that is there whole counts, and nothing else.
fn assert_prefix_recovered(folder: &Folder, bytes: &[u8]) {
    let (cut, bytes) = bytes.split_at(bytes.len().min(2));
    folder.put(NAME, None);
    let (mut journal, doors) = open(folder);
    assert_eq!(doors, []);
    let records: Vec<Record> = bytes.chunks_exact(3).map(|chunk| record(&journal, chunk)).collect();
    journal.append(&records).expect("the folder is ours");
    drop(journal);

    let whole = folder.read(NAME);
    let length = cut.iter().fold(0, |cut, byte| cut << 8 | usize::from(*byte)) % (whole.len() + 1);
    let there = &whole[..length];
    folder.put(NAME, Some(there));
    let complete = there.iter().filter(|&&byte| byte == b'\n').count();
    assert_eq!(open(folder).1, open_by(&records[..complete]), "{complete} records");
}

fn open(folder: &Folder) -> (Journal, Vec<OpenDoor>) {
    Journal::open(&folder.path(NAME), None).expect("the folder is ours")
}

/// About one of a few openings.
fn record(journal: &Journal, chunk: &[u8]) -> Record {
    let [kind, whose, time] = [chunk[0], chunk[1], chunk[2]];
    let address = match whose & 1 {
        0 => IpAddr::V4(Ipv4Addr::new(192, 0, 2, whose >> 6)),
        _ => IpAddr::V6(Ipv6Addr::from_bits(u128::from(whose >> 6) << 96 | 1)),
    };
    let door = ["ssh", "web", "\"\\\n", "ä\u{0}"][usize::from(whose >> 1 & 3)];
    let opening = journal.opening(address.into(), door, u64::from(whose >> 3 & 7));
    match kind & 3 {
        0 => Record::Opened {
            opening,
            stop_due: (kind & 4 != 0).then(|| u64::from(time)),
            announced: kind & 8 != 0,
        },
        1 => Record::Started { opening },
        2 => Record::Stopping { opening },
        _ => Record::Closed { opening },
    }
}

/// What the records say, one after the other.
fn open_by(records: &[Record]) -> Vec<OpenDoor> {
    let mut open: BTreeMap<Opening, OpenDoor> = BTreeMap::new();
    for record in records {
        match record.clone() {
            Record::Opened { opening, stop_due, announced } => {
                let unstarted = open.get(&opening).map_or(announced, |door| door.unstarted);
                let stop = stop_due.map_or(StopDue::WhenRevoked, StopDue::At);
                open.insert(opening.clone(), OpenDoor { opening, unstarted, stop });
            }
            Record::Started { opening } => {
                open.entry(opening).and_modify(|door| door.unstarted = false);
            }
            Record::Stopping { opening } => {
                open.entry(opening).and_modify(|door| door.stop = StopDue::Now);
            }
            Record::Closed { opening } => drop(open.remove(&opening)),
        }
    }
    open.into_values().collect()
}
