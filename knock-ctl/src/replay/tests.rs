use std::cell::{Cell, RefCell};
use std::io::Cursor;
use std::path::Path;

use etherparse::PacketBuilder;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::*;
use crate::config;

const CLIENT: [u8; 4] = [192, 0, 2, 7];
const SERVER: [u8; 4] = [198, 51, 100, 1];
const DOOR: &str = "[limits]\nattempts = 64\nflows = 256\n\
                    [doors.ssh]\nsequence = [31207, 5481, 60123]\nopens = [\"22/tcp\"]\n";

fn syn(from: [u8; 4], to: [u8; 4], port: u16) -> Vec<u8> {
    let builder =
        PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(from, to, 64).tcp(40_000, port, 7, 1024).syn();
    let mut frame = Vec::new();
    builder.write(&mut frame, &[]).unwrap();
    frame
}

/// A pcap file of little-endian machines, in microseconds.
fn pcap(link: u32, packets: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4, 0x0004_0002, 0, 0, 262_144, link] {
        file.extend(u32::to_le_bytes(word));
    }
    for (time, frame) in packets {
        let (second, microsecond) = (time / 1_000_000, time % 1_000_000);
        for word in [second as u32, microsecond as u32, frame.len() as u32, frame.len() as u32] {
            file.extend(word.to_le_bytes());
        }
        file.extend(frame);
    }
    file
}

/// A pcapng file of big-endian machines, in nanoseconds, that begins its count at `offset` seconds.
fn pcapng(offset: i64, packets: &[(u64, Vec<u8>)]) -> Vec<u8> {
    fn block(kind: u32, body: &[u8]) -> Vec<u8> {
        let padding = vec![0; body.len().next_multiple_of(4) - body.len()];
        let length = (12 + body.len() + padding.len()) as u32;
        [&kind.to_be_bytes(), &length.to_be_bytes(), body, &padding, &length.to_be_bytes()].concat()
    }
    let mut file = block(0x0a0d_0d0a, &[&[0x1a, 0x2b, 0x3c, 0x4d, 0, 1, 0, 0][..], &[0xff; 8]].concat());
    let options = [&[0, 9, 0, 1, 9, 0, 0, 0, 0, 14, 0, 8][..], &offset.to_be_bytes(), &[0; 4]].concat();
    file.extend(block(1, &[&[0, 1, 0, 0, 0, 0, 0, 0][..], &options].concat()));
    for (time, frame) in packets {
        let length = (frame.len() as u32).to_be_bytes();
        file.extend(block(6, &[&[0; 4], &time.to_be_bytes()[..], &length, &length, frame].concat()));
    }
    file
}

fn read(file: &[u8], config: &str, host: &Host) -> Result<Vec<Replayed>, String> {
    #[derive(Debug, thiserror::Error)]
    enum Either {
        #[error(transparent)]
        Capture(#[from] CaptureError),
        #[error(transparent)]
        Replay(#[from] ReplayError),
    }

    let config = config::parse(config, "test", Path::new("")).unwrap().config;
    let mut replay = Replay::new(&config, host).map_err(|error| error.to_string())?;
    let mut replayed = Vec::new();
    let all = Capture::new(Cursor::new(file.to_vec())).read(|record| {
        replayed.push(replay.packet(record)?);
        Ok::<(), Either>(())
    });
    all.map(|()| replayed).map_err(|error| error.to_string())
}

fn sequence() -> Vec<(u64, Vec<u8>)> {
    let ports = [22, 31207, 5481, 9, 31207, 5481, 60123, 22];
    ports.iter().enumerate().map(|(index, port)| (index as u64 * 1000, syn(CLIENT, SERVER, *port))).collect()
}

fn told(replayed: &[Replayed]) -> Vec<(Outcome, Vec<Effect>)> {
    replayed.iter().map(|packet| (packet.outcome, packet.effects.clone())).collect()
}

fn step(step: u32) -> Vec<Effect> {
    vec![Effect::Step { door: "ssh".to_owned(), step }]
}

#[test]
fn each_packet_is_judged_and_its_effects_are_told_whatever_the_file_is_like() {
    let expected = [
        (Outcome::Judged(Reason::NoGrant), vec![]),
        (Outcome::Judged(Reason::Knock), step(1)),
        (Outcome::Judged(Reason::Knock), step(2)),
        (Outcome::Judged(Reason::Unlisted), vec![Effect::Reset]),
        (Outcome::Judged(Reason::Knock), step(1)),
        (Outcome::Judged(Reason::Knock), step(2)),
        (Outcome::Judged(Reason::Knock), vec![Effect::Opened { door: "ssh".to_owned() }]),
        (Outcome::Judged(Reason::Granted), vec![]),
    ];
    let cooked = |link: u32, header: &[u8]| {
        let cook = |(time, frame): (u64, Vec<u8>)| (time, [header, &frame[14..]].concat());
        pcap(link, &sequence().into_iter().map(cook).collect::<Vec<_>>())
    };
    let sll = [0, 0, 0, 1, 0, 6, 2, 2, 2, 2, 2, 2, 0, 0, 8, 0];
    let sll2 = [8, 0, 0, 0, 0, 0, 0, 2, 0, 1, 0, 6, 2, 2, 2, 2, 2, 2, 0, 0];
    for file in
        [pcap(1, &sequence()), pcapng(1_700_000_000, &sequence()), cooked(113, &sll), cooked(276, &sll2)]
    {
        let replayed = read(&file, DOOR, &Host::default()).unwrap();
        assert_eq!(told(&replayed), expected);
        let client =
            Ends { source: CLIENT.into(), destination: SERVER.into(), port: Some((Protocol::Tcp, 22)) };
        assert_eq!(replayed[0].ends, Some(client));
    }
    let times = read(&pcapng(5, &[(7, syn(CLIENT, SERVER, 1))]), DOOR, &Host::default()).unwrap();
    assert_eq!(times[0].time, Duration::new(5, 7));
    // Units of 2^-1 seconds.
    let mut halves = pcapng(5, &[(7, syn(CLIENT, SERVER, 1))]);
    halves[28 + 20] = 0x81;
    assert_eq!(read(&halves, DOOR, &Host::default()).unwrap()[0].time, Duration::new(8, 500_000_000));
}

#[test]
fn what_leaves_is_noted_and_its_answers_are_let_in() {
    let config = "[filter]\npolicy = \"drop\"\ndestinations = [\"local\"]\n";
    let answer = {
        let builder = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(CLIENT, SERVER, 64);
        let mut frame = Vec::new();
        builder.tcp(80, 40_000, 9, 1024).syn().ack(8).write(&mut frame, &[]).unwrap();
        frame
    };
    let file = pcap(1, &[(0, answer.clone()), (1, syn(SERVER, CLIENT, 80)), (2, answer)]);
    let host = Host { addresses: BTreeSet::from([SERVER.into()]), listening: Vec::new() };
    let outcomes: Vec<Outcome> =
        read(&file, config, &host).unwrap().iter().map(|packet| packet.outcome).collect();
    let expected = [Outcome::Judged(Reason::PolicyDrop), Outcome::Leaves, Outcome::Judged(Reason::Flow)];
    assert_eq!(outcomes, expected);
    let error = read(&file, config, &Host::default()).unwrap_err();
    assert!(error.contains("name them with --local"), "{error}");
}

#[test]
fn a_listener_forgives() {
    let packets: Vec<_> = [31207, 80, 5481].iter().map(|port| (0, syn(CLIENT, SERVER, *port))).collect();
    let effects = |listening| {
        let host = Host { listening, ..Host::default() };
        let mut replayed = read(&pcap(1, &packets), DOOR, &host).unwrap();
        replayed.pop().unwrap().effects
    };
    assert_eq!(effects(vec![]), []);
    assert_eq!(effects(vec![Port::tcp(80).unwrap()]), step(2));
}

#[test]
fn the_clock_never_goes_back() {
    let mut packets = sequence();
    packets[5].0 = 0;
    let file = pcap(1, &packets);
    let replayed = read(&file, DOOR, &Host::default()).unwrap();
    assert_eq!(replayed[7].outcome, Outcome::Judged(Reason::Granted));
    // Too late for the sequence, by the clock.
    packets[6].0 = 11_000_000;
    packets[7].0 = 0;
    let replayed = read(&pcap(1, &packets), DOOR, &Host::default()).unwrap();
    assert_eq!(replayed[7].outcome, Outcome::Judged(Reason::NoGrant));
    packets[7].0 = 9 * 365 * 86_400 * 1_000_000;
    let error = read(&pcap(1, &packets), DOOR, &Host::default()).unwrap_err();
    assert_eq!(
        error,
        "packet 8 is stamped more than 8 years after the first one; no attempt or grant is replayed over such a time"
    );
}

#[test]
fn what_the_capture_cut_short_is_not_called_malformed() {
    let mut file = pcap(1, &[(0, syn(CLIENT, SERVER, 22))]);
    let captured = 40u32;
    file[32..36].copy_from_slice(&captured.to_le_bytes());
    file.truncate(24 + 16 + captured as usize);
    let replayed = read(&file, DOOR, &Host::default()).unwrap();
    assert_eq!(replayed[0].outcome, Outcome::CutShort);
    // Cut short on the wire.
    file[36..40].copy_from_slice(&captured.to_le_bytes());
    let replayed = read(&file, DOOR, &Host::default()).unwrap();
    assert_eq!(replayed[0].outcome, Outcome::Judged(Reason::Malformed));
}

#[test]
fn what_cannot_be_read_is_told_with_its_place() {
    let error = |file: &[u8]| read(file, DOOR, &Host::default()).unwrap_err();
    let whole = pcap(1, &sequence());
    let nothing = "this is no capture: it begins neither as a pcap nor as a pcapng file does";
    assert_eq!(error(b""), nothing);
    assert_eq!(error(b"GIF89a, which is something else"), nothing);
    let cut_off = "the capture ends within a packet, behind packet 7; it was cut off";
    assert_eq!(error(&whole[..whole.len() - 1]), cut_off);
    assert!(
        error(&pcap(105, &sequence())).starts_with("the capture has link type 105, which this can't read")
    );
    let mut huge = whole.clone();
    huge[32..36].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(error(&huge), "the capture ends within a packet, behind packet 0; it was cut off");
    huge.resize(5 << 20, 0);
    assert_eq!(error(&huge), "behind packet 0 the capture has a block of more than 4 MiB");
    let early = pcapng(-1, &sequence());
    assert_eq!(error(&early), "packet 1 has no time that could be told");
    let late = pcapng(i64::MAX, &sequence());
    assert_eq!(error(&late), "packet 1 has no time that could be told");
}

/// Hands many inputs to the replay of one set of rules, which takes a while to compile.
fn never_panics<S: Strategy>(inputs: &S, file: impl Fn(S::Value) -> Vec<u8>) {
    let config = config::parse(DOOR, "test", Path::new("")).unwrap().config;
    let replay = RefCell::new(Replay::new(&config, &Host::default()).unwrap());
    let judged = Cell::new(0);
    let judge_all = |input| {
        let _ = Capture::new(Cursor::new(file(input))).read(|record| {
            judged.set(judged.get() + 1);
            let _ = replay.borrow_mut().packet(record);
            Ok::<(), CaptureError>(())
        });
        Ok(())
    };
    TestRunner::default().run(inputs, judge_all).unwrap();
    assert!(judged.get() > 100, "{} packets", judged.get());
}

#[test]
fn no_frame_makes_it_panic() {
    let packets = prop::collection::vec((0..u64::MAX, prop::collection::vec(any::<u8>(), 0..128)), 0..8);
    never_panics(&(any::<bool>(), packets), |(next_generation, packets)| {
        if next_generation { pcapng(0, &packets) } else { pcap([1, 113, 276][packets.len() % 3], &packets) }
    });
}

#[test]
fn no_change_of_a_capture_makes_it_panic() {
    let place = any::<prop::sample::Index>;
    let changes = prop::collection::vec((place(), any::<u8>()), 0..12);
    never_panics(&(any::<bool>(), changes, place()), |(next_generation, changes, keep)| {
        let mut file = if next_generation { pcapng(0, &sequence()) } else { pcap(1, &sequence()) };
        for (place, byte) in changes {
            let place = place.index(file.len());
            file[place] = byte;
        }
        file.truncate(keep.index(file.len() + 1));
        file
    });
}
