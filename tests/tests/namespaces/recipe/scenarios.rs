//! What is sent to both machines.

use knock_tests::packet::numbers::*;

use super::DOOR;
use crate::site::Aim;

/// One thing that is sent; each has a source port of its own.
#[derive(Clone, Copy, Debug)]
pub enum Sent {
    Syn(u16),
    /// TCP with other flags than SYN alone.
    Segment(u8, u16),
    Datagram(u16),
    Ping,
    /// From now on from the other source, and back.
    OtherSource,
    /// A datagram that is no knock here, though it is one to the recipe.
    Disguised(Disguise, u16),
}

#[derive(Clone, Copy, Debug)]
pub enum Disguise {
    /// In two fragments.
    Fragments,
    /// It says that it is longer than it is.
    Lie,
    /// Under three VLAN tags that the kernel takes off without asking.
    Tags,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Nothing,
    Accepted,
    Refused,
    Echo,
}

/// A story with its name, told by a source that has not been heard of before.
pub struct Scenario {
    pub name: String,
    pub sent: Vec<Sent>,
    /// What the last packet is answered by the recipe, and here.
    pub last: [Answer; 2],
}

use Answer::*;
use Sent::*;

const KNOCKS: [Sent; 3] = [Datagram(DOOR[0]), Datagram(DOOR[1]), Datagram(DOOR[2])];
const WRONG: Sent = Datagram(5000);
const CONNECT: Sent = Syn(22);

/// Where both do the same.
pub fn alike() -> Vec<Scenario> {
    let mut all = Vec::new();
    let mut add = |name: &str, last: Answer, sent: &[&[Sent]]| {
        all.push(Scenario { name: name.to_owned(), sent: sent.concat(), last: [last, last] });
    };
    add("no knock", Nothing, &[&[CONNECT]]);
    add("the sequence", Accepted, &[&KNOCKS, &[CONNECT]]);
    add("one connection per knock", Nothing, &[&KNOCKS, &[CONNECT, CONNECT]]);
    add("knocked anew", Accepted, &[&KNOCKS, &[CONNECT, CONNECT], &KNOCKS, &[CONNECT]]);
    add("knocked twice over", Nothing, &[&KNOCKS, &KNOCKS, &[CONNECT, CONNECT]]);
    for order in [[0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        add(&format!("in the order {order:?}"), Nothing, &[&order.map(|step| KNOCKS[step]), &[CONNECT]]);
    }
    for missing in 0..3 {
        let rest: Vec<Sent> = (0..3).filter(|step| *step != missing).map(|step| KNOCKS[step]).collect();
        add(&format!("without knock {missing}"), Nothing, &[&rest, &[CONNECT]]);
    }
    for (before, after) in [(&KNOCKS[..1], &KNOCKS[1..]), (&KNOCKS[..2], &KNOCKS[2..])] {
        let at = before.len();
        for wrong in [53, 5000, 12_344, 12_346, 65_535] {
            let sent: [&[Sent]; 4] = [before, &[Datagram(wrong)], after, &[CONNECT]];
            add(&format!("a datagram to {wrong} behind knock {at}"), Nothing, &sent);
        }
        for (name, other) in [
            ("a ping", Ping),
            ("a public connection", Syn(80)),
            ("data to a public port", Segment(PSH | ACK, 80)),
            ("a fin", Segment(FIN, 8080)),
            ("a reset", Segment(RST, 8080)),
        ] {
            add(&format!("{name} behind knock {at}"), Accepted, &[before, &[other], after, &[CONNECT]]);
        }
        let interrupted: [&[Sent]; 4] = [before, &[WRONG], &KNOCKS, &[CONNECT]];
        add(&format!("all over again behind knock {at}"), Accepted, &interrupted);
        let meanwhile = [OtherSource, WRONG, KNOCKS[2], OtherSource];
        add(
            &format!("somebody else's behind knock {at}"),
            Accepted,
            &[before, &meanwhile, after, &[CONNECT]],
        );
        let shared: [&[Sent]; 5] = [before, &[OtherSource], after, &[OtherSource], &[CONNECT]];
        add(&format!("somebody else's rest behind knock {at}"), Nothing, &shared);
    }
    add("the first knock twice", Accepted, &[&KNOCKS[..1], &KNOCKS, &[CONNECT]]);
    add("a wrong datagram before", Accepted, &[&[WRONG], &KNOCKS, &[CONNECT]]);
    add("a wrong datagram behind", Accepted, &[&KNOCKS, &[WRONG, CONNECT]]);
    add("knocks over tcp", Nothing, &[&DOOR.map(Syn), &[CONNECT]]);
    add("another's knocks", Nothing, &[&[OtherSource], &KNOCKS, &[OtherSource, CONNECT]]);
    add("the other's connection", Accepted, &[&[OtherSource], &KNOCKS, &[CONNECT]]);
    add("the same port over udp", Nothing, &[&KNOCKS, &[Datagram(22)]]);
    for port in [1, 21, 23, 443, 8080, 12_345, 65_535] {
        add(&format!("a connection to {port}"), Nothing, &[&[Syn(port)]]);
        add(&format!("a connection to {port} behind the sequence"), Nothing, &[&KNOCKS, &[Syn(port)]]);
        add(&format!("a datagram to {port}"), Nothing, &[&[Datagram(port)]]);
    }
    for flags in [ACK, FIN, RST, 0, FIN | PSH | URG, SYN | ACK, SYN | FIN, 0xff] {
        add(&format!("flags {flags:#x}"), Nothing, &[&[Segment(flags, 22), Segment(flags, 8080)]]);
    }
    add("a public connection", Accepted, &[&[Syn(80), Syn(80)]]);
    add("an acknowledgement to a public port", Refused, &[&[Segment(ACK, 80)]]);
    add("a ping", Echo, &[&[Ping, Ping]]);
    all
}

/// Where ours is stricter, on purpose.
pub fn stricter() -> Vec<Scenario> {
    let connection = vec![KNOCKS[0], Syn(8080), KNOCKS[1], KNOCKS[2], CONNECT];
    let mut all = vec![("a connection to a wrong port starts over too", connection)];
    for (name, disguise) in [
        ("a knock in fragments is none", Disguise::Fragments),
        ("a datagram that lies about its length is no knock", Disguise::Lie),
        ("a third tag is nobody's", Disguise::Tags),
    ] {
        let [first, second, third] = DOOR.map(|port| Disguised(disguise, port));
        all.push((name, vec![first, second, third, CONNECT]));
    }
    let scenario =
        |(name, sent): (&str, _)| Scenario { name: name.to_owned(), sent, last: [Accepted, Nothing] };
    all.into_iter().map(scenario).collect()
}

/// Where ours forgives what networks do to honest knocks.
pub fn more_forgiving() -> Vec<Scenario> {
    let twice = vec![KNOCKS[0], KNOCKS[1], KNOCKS[1], KNOCKS[2], CONNECT];
    vec![Scenario {
        name: "a knock that comes twice is one".to_owned(),
        sent: twice,
        last: [Nothing, Accepted],
    }]
}

impl Disguise {
    /// The frames of a datagram.
    pub fn dress(self, aim: Aim) -> Vec<Vec<u8>> {
        match self {
            Self::Fragments => aim.fragments(&aim.long_frame(), 24),
            Self::Lie => vec![aim.frame().udp_length(1000).build()],
            Self::Tags => {
                vec![[0; 3].into_iter().fold(aim.frame(), |frame, id| frame.vlan(CTAG, id)).build()]
            }
        }
    }
}
