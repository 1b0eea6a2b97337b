//! Captures, and the replay of what is in them.

use knock_ctl::config::parse;
use knock_ctl::replay::{Capture, Host, Record, Replay, Replayed};
use std::collections::BTreeSet;
use std::io::Cursor;
use std::path::Path;
use std::time::Duration;

const RULES: &str = "[filter]\npolicy = \"drop\"\ndestinations = [\"local\"]\npublic = [\"80/tcp\"]\n\
    [doors.ssh]\nsequence = [7000, \"8000/udp\", 9000]\nopens = [\"22/tcp\"]\n\
    [scanners]\nports = 3\n[limits]\nattempts = 64\nflows = 256\n";
const LOCAL: &str = "198.51.100.1";

/// What can be read is no more than there is, and the same packets in a file of another format are judged the same.
pub fn capture(bytes: &[u8]) {
    let Packets { all, judged, outgoing } = replay(bytes);
    let captured: usize = all.iter().map(|packet| packet.frame.len()).sum();
    assert!(captured <= bytes.len(), "{captured} bytes from {}", bytes.len());
    assert!(all.iter().all(|packet| packet.frame.len() <= packet.length));
    if outgoing {
        return;
    }
    if let Some(file) = all.iter().map(Packet::record).collect::<Option<Vec<_>>>() {
        let again = replay(&[&HEADER.map(u32::to_le_bytes).concat()[..], &file.concat()].concat());
        assert_eq!(again.all, all);
        assert_eq!(again.judged, judged);
    }
}

/// One packet, as it was read.
#[derive(Debug, PartialEq, Eq)]
struct Packet {
    time: Duration,
    frame: Vec<u8>,
    length: usize,
}

#[derive(Default)]
struct Packets {
    all: Vec<Packet>,
    judged: Vec<Replayed>,
    /// Some are said to leave, which not every format can say.
    outgoing: bool,
}

/// Up to what can't be read or replayed any more.
fn replay(bytes: &[u8]) -> Packets {
    let config = parse(RULES, "knock.toml", Path::new("/")).expect("the rules are sound").config;
    let addresses = BTreeSet::from([LOCAL.parse().expect("an address")]);
    let mut replay =
        Replay::new(&config, &Host { addresses, listening: Vec::new() }).expect("the rules compile");
    let mut packets = Packets::default();
    let read = Capture::new(Cursor::new(bytes.to_vec())).read(|record: &Record<'_>| {
        packets.outgoing |= record.outgoing;
        packets.judged.push(replay.packet(record)?);
        let frame = record.frame.to_vec();
        packets.all.push(Packet { time: record.time, frame, length: record.length });
        anyhow::Ok(())
    });
    if let Err(error) = read {
        assert!(!error.to_string().is_empty());
    }
    packets
}

/// A pcap file of little-endian machines, in nanoseconds, from Ethernet.
const HEADER: [u32; 6] = [0xa1b2_3c4d, 0x0004_0002, 0, 0, 262_144, 1];

impl Packet {
    /// In such a file. `None`: it has no room for the date.
    fn record(&self) -> Option<Vec<u8>> {
        let words = [
            u32::try_from(self.time.as_secs()).ok()?,
            self.time.subsec_nanos(),
            u32::try_from(self.frame.len()).ok()?,
            u32::try_from(self.length).ok()?,
        ];
        Some([&words.map(u32::to_le_bytes).concat()[..], &self.frame].concat())
    }
}
