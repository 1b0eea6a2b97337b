//! Sends single packets, and knows what each is answered without waiting for what does not come.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::{PacketHeaders, TransportHeader};
use knock_tests::lab::{Machine, RawSocket};
use knock_tests::packet::Frame;
use knock_tests::packet::numbers::ACK;

use super::scenarios::{Answer, Sent};
use crate::site::*;

/// Speaks from two sources at a time, which have no kernel of their own.
pub struct Prober {
    socket: RawSocket,
    server: IpAddr,
    scenarios: u16,
    source_port: u16,
}

/// Sources there are.
const SOURCES: u16 = 220;

impl Prober {
    pub fn new(site: &Site, server: IpAddr) -> Self {
        site.make_neighbours(&(0..SOURCES).map(|number| source(server, number)).collect::<Vec<_>>());
        let socket = site.lab.raw_socket(Machine::Client).unwrap();
        Self { socket, server, scenarios: 0, source_port: 10_000 }
    }

    /// What each packet of a scenario is answered.
    pub fn tell(&mut self, scenario: &[Sent]) -> Vec<Answer> {
        let mut sources = [0, 1].map(|number| source(self.server, 2 * self.scenarios + number));
        self.scenarios += 1;
        let mut answers = Vec::new();
        for &sent in scenario {
            if matches!(sent, Sent::OtherSource) {
                sources.swap(0, 1);
            } else {
                answers.push(self.send(sources[0], sent));
            }
        }
        answers
    }

    fn send(&mut self, from: IpAddr, sent: Sent) -> Answer {
        self.source_port += 1;
        let aim = |at| Aim { from, to: self.server, source_port: self.source_port, at };
        let frames = match sent {
            Sent::Syn(port) => vec![aim(Knock::Tcp(port)).frame().build()],
            Sent::Segment(flags, port) => vec![aim(Knock::Tcp(port)).frame().flags(flags).build()],
            Sent::Datagram(port) => vec![aim(Knock::Udp(port)).frame().build()],
            Sent::Disguised(disguise, port) => disguise.dress(aim(Knock::Udp(port))),
            Sent::Ping => vec![self.ping(from, b"asked")],
            Sent::OtherSource => unreachable!("is not sent"),
        };
        for frame in frames {
            self.socket.send(&frame).unwrap();
        }
        // What answers this last ping comes behind all other answers.
        self.socket.send(&self.ping(from, b"the end")).unwrap();
        let mut answer = Answer::Nothing;
        loop {
            let frame = self.socket.receive(limit(), |frame| self.is_to(from, frame)).unwrap().unwrap();
            if frame.ends_with(b"the end") {
                return answer;
            }
            answer = self.understand(from, &frame).unwrap_or(answer);
        }
    }

    fn ping(&self, from: IpAddr, text: &[u8]) -> Vec<u8> {
        let number = self.source_port.to_be_bytes();
        Frame::icmp(from, self.server).payload(&[&number, text].concat()).build()
    }

    /// Whether the server has sent the frame there.
    fn is_to(&self, source: IpAddr, frame: &[u8]) -> bool {
        frame[6..12] == Machine::Server.mac()
            && match (self.server, source) {
                (IpAddr::V4(from), IpAddr::V4(to)) => {
                    frame.get(26..34) == Some(&[from.octets(), to.octets()].concat())
                }
                (IpAddr::V6(from), IpAddr::V6(to)) => {
                    frame.get(22..54) == Some(&[from.octets(), to.octets()].concat())
                }
                _ => unreachable!("one family"),
            }
    }

    /// Completes a connection that is accepted. What answers an earlier packet means nothing.
    fn understand(&self, from: IpAddr, frame: &[u8]) -> Option<Answer> {
        match PacketHeaders::from_ethernet_slice(frame).ok()?.transport? {
            TransportHeader::Tcp(tcp) if tcp.destination_port != self.source_port => None,
            TransportHeader::Tcp(tcp) if tcp.rst => Some(Answer::Refused),
            TransportHeader::Tcp(tcp) => {
                let answer = Frame::tcp(from, self.server).ports(self.source_port, tcp.source_port);
                let answer =
                    answer.flags(ACK).sequence(2).acknowledgement(tcp.sequence_number.wrapping_add(1));
                self.socket.send(&answer.build()).unwrap();
                Some(Answer::Accepted)
            }
            _ => Some(Answer::Echo),
        }
    }
}

fn source(server: IpAddr, number: u16) -> IpAddr {
    assert!(number < SOURCES, "more scenarios than sources");
    match server {
        IpAddr::V4(_) => Ipv4Addr::new(10, 77, 0, 20 + number as u8).into(),
        IpAddr::V6(_) => Ipv6Addr::new(0xfd00, 0x77, 0, 0, 0, 0, 1, number).into(),
    }
}
