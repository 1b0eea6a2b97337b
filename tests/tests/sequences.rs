//! What opens a door and what does not: the core, shown knocks of one client.

use fastrand::Rng;
use knock_tests::core::CoreFilter;
use knock_tests::model::{Door, Event, EventKind, FlagsCondition, Policy, Port, PortRange, Protocol, Rules};
use knock_tests::packet::Frame;
use std::net::{IpAddr, Ipv4Addr};

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));
const SSH: Port = Port::tcp(22);
const NO_DOOR: [usize; 0] = [];
/// A port of no door.
const WRONG: Port = Port::tcp(12_345);

/// The core, a clock, and a client that uses a new source port and sequence number for each packet.
struct Host {
    core: CoreFilter,
    now_ms: u64,
    sent: u32,
}

impl Host {
    fn new(rules: &Rules) -> Self {
        Self { core: CoreFilter::new(rules), now_ms: 1_000, sent: 0 }
    }

    fn fresh(&mut self, port: Port) -> Vec<u8> {
        self.sent += 1;
        let ports = (1024 + (self.sent % 60_000) as u16, port.number);
        let frame = match port.protocol {
            Protocol::Tcp => Frame::tcp(CLIENT, SERVER).sequence(self.sent),
            Protocol::Udp => Frame::udp(CLIENT, SERVER),
        };
        frame.ports(ports.0, ports.1).build()
    }

    /// The doors that the frame completes.
    fn send(&mut self, frame: &[u8]) -> Vec<usize> {
        let events = self.core.packet(self.now_ms, frame).events;
        let is_completion = |event: &&Event| matches!(event.kind, EventKind::Open | EventKind::Refresh);
        events.iter().filter(is_completion).filter_map(|event| event.door).collect()
    }

    fn knock(&mut self, port: Port) -> Vec<usize> {
        let frame = self.fresh(port);
        self.send(&frame)
    }

    /// The doors that fresh knocks complete, a millisecond after each other.
    fn knocks(&mut self, ports: &[Port]) -> Vec<usize> {
        let knock = |port: &Port| {
            self.now_ms += 1;
            self.knock(*port)
        };
        ports.iter().flat_map(knock).collect()
    }

    /// Ends whatever attempt there is.
    fn reset(&mut self) {
        self.knock(WRONG);
    }
}

fn with_doors(doors: Vec<Door>) -> Rules {
    Rules { doors, ..Rules::default() }
}

/// Ports that differ, with every other one of UDP.
fn ports(random: &mut Rng, count: usize) -> Vec<Port> {
    let mut numbers: Vec<u16> = (1_000..12_000).collect();
    random.shuffle(&mut numbers);
    let port = |(index, number)| if index % 2 == 0 { Port::tcp(number) } else { Port::udp(number) };
    numbers.into_iter().take(count).enumerate().map(port).collect()
}

fn five_steps() -> (Rules, Vec<Port>) {
    let sequence = ports(&mut Rng::with_seed(1), 5);
    (with_doors(vec![Door::new(sequence.clone(), vec![SSH])]), sequence)
}

/// SYNs to the given ports in their order, as a scanner sends them.
fn opens_by_scan(host: &mut Host, order: &[u16]) -> bool {
    let mut frame = host.fresh(SSH);
    let destination_port = 14 + 20 + 2;
    order.iter().any(|number| {
        frame[destination_port..destination_port + 2].copy_from_slice(&number.to_be_bytes());
        host.core.completes(host.now_ms, &frame)
    })
}

#[test]
fn no_full_scan_opens_anything() {
    let door = |numbers: [u16; 3]| Door::new(numbers.map(Port::tcp).to_vec(), vec![SSH]);
    let mut host = Host::new(&with_doors(vec![
        door([7000, 8000, 9000]),
        door([9001, 8001, 7001]),
        door([31_207, 5_481, 60_122]),
    ]));
    let mut order: Vec<u16> = (1..=u16::MAX).collect();
    assert!(!opens_by_scan(&mut host, &order), "ascending");
    order.reverse();
    assert!(!opens_by_scan(&mut host, &order), "descending");
    let mut random = Rng::with_seed(2);
    for scan in 0..200 {
        random.shuffle(&mut order);
        assert!(!opens_by_scan(&mut host, &order), "random scan {scan}");
    }
    host.reset();
    assert_eq!(host.knocks(&[7000, 8000, 9000].map(Port::tcp)), [0]);
}

#[test]
fn one_wrong_knock_anywhere_opens_nothing() {
    let (rules, sequence) = five_steps();
    let mut host = Host::new(&rules);
    for place in 0..sequence.len() {
        let mut wrong = sequence.clone();
        wrong[place] = WRONG;
        assert_eq!(host.knocks(&wrong), NO_DOOR, "instead of knock {place}");
        let mut wrong = sequence.clone();
        wrong.insert(place, WRONG);
        let opened = host.knocks(&wrong);
        assert_eq!(opened.is_empty(), place > 0, "before knock {place}");
        host.reset();
    }
    assert_eq!(host.knocks(&sequence), [0]);
}

#[test]
fn a_missing_knock_opens_nothing() {
    let (rules, sequence) = five_steps();
    let mut host = Host::new(&rules);
    for place in 0..sequence.len() {
        let mut short = sequence.clone();
        short.remove(place);
        assert_eq!(host.knocks(&short), NO_DOOR, "without knock {place}");
        host.reset();
    }
}

#[test]
fn swapped_knocks_open_nothing() {
    let (rules, sequence) = five_steps();
    let mut host = Host::new(&rules);
    for first in 0..sequence.len() {
        for second in first + 1..sequence.len() {
            let mut swapped = sequence.clone();
            swapped.swap(first, second);
            assert_eq!(host.knocks(&swapped), NO_DOOR, "knocks {first} and {second}");
            host.reset();
        }
    }
}

#[test]
fn a_sequence_has_its_timeout_to_the_millisecond() {
    let (rules, sequence) = five_steps();
    let timeout_ms = rules.doors[0].seq_timeout_ms;
    let (last, first) = sequence.split_last().expect("a sequence has steps");
    for (late_ms, opened) in [(0, vec![0]), (1, vec![])] {
        let mut host = Host::new(&rules);
        host.knock(first[0]);
        let start_ms = host.now_ms;
        host.knocks(&first[1..]);
        host.now_ms = start_ms + timeout_ms + late_ms;
        assert_eq!(host.knock(*last), opened, "{late_ms} ms late");
    }
}

#[test]
fn retransmitted_and_doubled_knocks_harm_nothing() {
    let (rules, sequence) = five_steps();
    let mut host = Host::new(&rules);
    let frames: Vec<_> = sequence.iter().map(|&port| host.fresh(port)).collect();
    let mut opened = Vec::new();
    for next in 0..frames.len() - 1 {
        opened.extend(host.send(&frames[next]));
        // Every frame so far once more, late copies first.
        for copy in &frames[..=next] {
            opened.extend(host.send(copy));
        }
    }
    let last = &frames[frames.len() - 1];
    for _ in 0..3 {
        opened.extend(host.send(last));
    }
    assert_eq!(opened, [0]);
    host.reset();
    let doubled: Vec<Port> = sequence.iter().flat_map(|&port| [port, port]).collect();
    assert_eq!(host.knocks(&doubled), [0]);
}

#[test]
fn one_port_again_and_again_wants_as_many_knocks() {
    for port in [Port::tcp(7000), Port::udp(7000)] {
        let mut host = Host::new(&with_doors(vec![Door::new(vec![port; 4], vec![SSH])]));
        for knock in 0..12 {
            // One refresh is told in a second.
            host.now_ms += 500;
            assert_eq!(host.knock(port).is_empty(), knock % 4 != 3, "knock {knock} on {port:?}");
        }
    }
}

#[test]
fn sequences_have_one_to_thirty_two_steps() {
    for steps in 1..=32 {
        let sequence = ports(&mut Rng::with_seed(steps), steps as usize);
        let mut host = Host::new(&with_doors(vec![Door::new(sequence.clone(), vec![SSH])]));
        assert_eq!(host.knocks(&sequence[..sequence.len() - 1]), NO_DOOR, "{steps} steps");
        host.reset();
        assert_eq!(host.knocks(&sequence), [0], "{steps} steps");
    }
}

/// A thousand doors, each knocked at once; each opens at its last knock and no other door does.
#[track_caller]
fn assert_each_opens_with_its_own(sequences: &[Vec<Port>]) {
    let door = |(index, sequence): (usize, &Vec<Port>)| {
        // Doors of a source hold eight grants at most.
        Door { open_for_ms: Some(1), ..Door::new(sequence.clone(), vec![Port::tcp(20_000 + index as u16)]) }
    };
    let mut host = Host::new(&with_doors(sequences.iter().enumerate().map(door).collect()));
    for (index, sequence) in sequences.iter().enumerate() {
        host.reset();
        let (last, first) = sequence.split_last().expect("a sequence has steps");
        assert_eq!(host.knocks(first), NO_DOOR, "door {index}");
        assert_eq!(host.knocks(&[*last]), [index]);
        host.now_ms += 1;
    }
}

#[test]
fn a_thousand_doors_open_with_their_own_sequences() {
    let random = &mut Rng::with_seed(3);
    let apart: Vec<_> = ports(random, 3_000).chunks(3).map(<[Port]>::to_vec).collect();
    assert_each_opens_with_its_own(&apart);
}

#[test]
fn a_thousand_doors_that_share_ports_and_beginnings_open_with_their_own_sequences() {
    let few = ports(&mut Rng::with_seed(4), 10);
    let shared = (0..1_000).map(|index: usize| {
        let digits = [index / 100, index / 10 % 10, index % 10];
        // Behind a common beginning, three of ten ports, repeats among them.
        let sequence = [Port::tcp(900), Port::udp(901)].into_iter().chain(digits.map(|digit| few[digit]));
        sequence.collect()
    });
    assert_each_opens_with_its_own(&shared.collect::<Vec<_>>());
}

#[test]
fn packets_that_do_not_meet_the_flags_take_no_step_and_reset_nothing() {
    let (rules, sequence) = five_steps();
    let mut host = Host::new(&rules);
    let (last, first) = sequence.split_last().expect("a sequence has steps");
    host.knocks(first);
    for flags in (0..=u8::MAX).filter(|flags| !FlagsCondition::CONNECT.met_by(*flags)) {
        let frame = Frame::tcp(CLIENT, SERVER).ports(1, last.number).flags(flags).build();
        assert_eq!(host.send(&frame), NO_DOOR);
    }
    assert_eq!(host.knock(*last), [0]);
}

#[test]
fn what_a_granted_source_sends_to_ports_open_to_it_does_not_reset_its_attempt() {
    let (mut rules, sequence) = five_steps();
    let everything = Door { opens: knock_tests::model::Opens::Any, ..Door::new(vec![Port::tcp(1)], vec![]) };
    rules.doors.push(everything);
    rules.protected = vec![PortRange::from(Port::tcp(8080)), PortRange::from(Port::udp(8080))];
    let mut host = Host::new(&rules);
    let with_visits = |host: &mut Host| -> Vec<usize> {
        let visits = [Port::tcp(8080), Port::udp(8080)];
        sequence.iter().flat_map(|port| host.knocks(&[*port, visits[0], visits[1]])).collect()
    };
    assert_eq!(with_visits(&mut host), NO_DOOR);
    host.reset();
    assert_eq!(host.knock(Port::tcp(1)), [1]);
    assert_eq!(with_visits(&mut host), [0]);
}

#[test]
fn a_port_with_a_listener_is_no_wrong_one_unless_it_is_closed_to_all() {
    let (rules, sequence) = five_steps();
    for (policy, expected) in [(Policy::Pass, &[0][..]), (Policy::Drop, &NO_DOOR)] {
        let mut host = Host::new(&Rules { policy, listeners: [WRONG].into(), ..rules.clone() });
        host.knocks(&sequence[..3]);
        host.knock(WRONG);
        assert_eq!(host.knocks(&sequence[3..]), expected, "{policy:?}");
    }
}
