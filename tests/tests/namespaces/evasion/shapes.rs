//! Every disguise that is tried.

use std::net::IpAddr;

use knock_tests::packet::Frame;
use knock_tests::packet::numbers::*;

use super::shape::*;
use crate::site::Aim;

pub fn all() -> Vec<Shape> {
    let mut shapes = Shapes::default();
    shapes.one("undisguised", TAKEN, |aim| aim.frame());
    fragments(&mut shapes);
    ipv4_headers(&mut shapes);
    ipv6_headers(&mut shapes);
    link(&mut shapes);
    transport(&mut shapes);
    for hop_limit in [0, 1, 255] {
        shapes.one(format!("hop limit {hop_limit}"), TAKEN, move |aim| aim.frame().ttl(hop_limit));
    }
    shapes.done()
}

fn fragments(shapes: &mut Shapes) {
    shapes.some("in two fragments", DELIVERED, |aim| Some(aim.fragments(&aim.long_frame(), 24)));
    shapes.some("in two fragments, the last one first", DELIVERED, |aim| {
        let mut fragments = aim.fragments(&aim.long_frame(), 24);
        fragments.reverse();
        Some(fragments)
    });
    // In IPv6 a kernel wants the whole TCP header in the first fragment (RFC 7112).
    shapes.some("ipv4, in fragments of 8 bytes", DELIVERED, |aim| {
        aim.is_ipv4().then(|| aim.fragments(&aim.long_frame(), 8))
    });
    shapes.some("ipv6, in fragments of 8 bytes", LOST, |aim| {
        (!aim.is_ipv4()).then(|| aim.fragments(&aim.long_frame(), 8))
    });
    shapes.some("in fragments of 8 bytes, the last one first", LOST, |aim| {
        let mut fragments = aim.fragments(&aim.long_frame(), 8);
        fragments.reverse();
        Some(fragments)
    });
    shapes.some("every fragment twice", LOST, |aim| {
        let fragments = aim.fragments(&aim.long_frame(), 24);
        Some(fragments.into_iter().flat_map(|fragment| [fragment.clone(), fragment]).collect())
    });
    shapes.some("behind the first fragment of something harmless", LOST, |aim| {
        let whole = aim.long_frame();
        let harmless = whole.clone().ports(aim.source_port, 12_345);
        let mut fragments = vec![aim.fragment(&harmless, 0, 24).build()];
        fragments.extend(aim.fragments(&whole, 24));
        Some(fragments)
    });
    shapes.some("over the end of the first fragment of something harmless", LOST, |aim| {
        let whole = aim.long_frame();
        let harmless = whole.clone().ports(aim.source_port, 12_345);
        Some(vec![
            aim.fragment(&harmless, 0, 32).build(),
            aim.fragment(&whole, 8, 24).build(),
            aim.fragment(&whole, 24, 64).build(),
        ])
    });
    shapes.some("under a second fragment that came first", LOST, |aim| {
        let whole = aim.long_frame();
        Some(vec![aim.fragment(&whole, 8, 64).build(), aim.fragment(&whole, 0, 24).build()])
    });
    shapes.v6("as an atomic fragment", TAKEN, |aim| aim.frame().fragment(0, false));
    shapes.some("ipv6, with destination options in the first fragment", DELIVERED, |aim| {
        destination_options_within(aim, 40)
    });
    shapes.some("ipv6, with destination options that fill the first fragment", LOST, |aim| {
        destination_options_within(aim, 16)
    });
    shapes.v4("with the reserved bit of a fragment field", TAKEN, |aim| aim.frame().fragment(0x8000, false));
    shapes.v4("not to be fragmented", TAKEN, |aim| aim.frame().dont_fragment());
}

/// Two fragments of a packet that begins with 16 bytes of destination options; the first holds `first` bytes of it.
fn destination_options_within(aim: Aim, first: usize) -> Option<Vec<Vec<u8>>> {
    if aim.is_ipv4() {
        return None;
    }
    let transport = aim.long_frame().build().split_off(54);
    let protocol = if aim.is_tcp() { TCP } else { UDP };
    let mut content = vec![0; 16];
    (content[0], content[1], content[2], content[3]) = (protocol, 1, UNKNOWN_OPTION, 12);
    content.extend(transport);
    let fragment = |from: usize, to: usize| {
        Frame::protocol(aim.from, aim.to, DESTINATION_OPTIONS)
            .payload(&content[from..to])
            .identification(aim.identification())
            .fragment((from / 8) as u16, to < content.len())
            .build()
    };
    Some(vec![fragment(0, first), fragment(first, content.len())])
}

fn ipv4_headers(shapes: &mut Shapes) {
    let own = |aim: Aim| match aim.from {
        IpAddr::V4(address) => address.octets(),
        IpAddr::V6(_) => unreachable!("ipv4 alone has options"),
    };
    for (name, options) in [
        ("no-operations", vec![1; 40]),
        ("an end of options", vec![0; 4]),
        ("a router alert", vec![148, 4, 0, 0]),
        ("a record of the route", vec![7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        ("timestamps", vec![68, 12, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
    ] {
        shapes.v4(format!("with {name}"), TAKEN, move |aim| aim.frame().ip_options(&options));
    }
    for (name, kind) in [("loose", 131), ("strict", 137)] {
        shapes.v4(format!("with a {name} source route that has ended"), TAKEN, move |aim| {
            let [a, b, c, d] = own(aim);
            aim.frame().ip_options(&[kind, 7, 8, a, b, c, d, 0])
        });
        shapes.v4(format!("with a {name} source route that goes on"), KNOCK_ONLY, move |aim| {
            let [a, b, c, d] = own(aim);
            aim.frame().ip_options(&[kind, 7, 4, a, b, c, d, 0])
        });
    }
    shapes.v4("with an option of no length", KNOCK_ONLY, |aim| aim.frame().ip_options(&[7, 0, 0, 0]));
    for words in [0, 4, 15] {
        shapes.v4(format!("with a header of {words} words"), LOST, move |aim| aim.frame().ihl(words));
    }
    for version in [0, 6] {
        shapes.v4(format!("of version {version}"), LOST, move |aim| aim.frame().version(version));
    }
    shapes.v4("with a total length beyond the frame", LOST, |aim| aim.frame().total_length(1400));
    shapes.v4("under the ethertype of ipv6", LOST, |aim| aim.frame().ether_type(IPV6));
}

fn ipv6_headers(shapes: &mut Shapes) {
    for (name, number) in [
        ("hop-by-hop options", HOP_BY_HOP),
        ("destination options", DESTINATION_OPTIONS),
        ("a routing header", ROUTING),
    ] {
        for length in [8, 256] {
            shapes.v6(format!("behind {name} of {length} bytes"), TAKEN, move |aim| {
                aim.frame().extension(number, length)
            });
        }
    }
    shapes.v6("behind a routing header that goes on", KNOCK_ONLY, |aim| {
        let mut route = vec![0; 24];
        (route[1], route[3], route[8]) = (2, 1, 0xfd);
        aim.frame().extension_bytes(ROUTING, route)
    });
    shapes.v6("behind hop-by-hop options in the wrong place", KNOCK_ONLY, |aim| {
        aim.frame().extension(DESTINATION_OPTIONS, 8).extension(HOP_BY_HOP, 8)
    });
    shapes.v6("behind an authentication header", KNOCK_ONLY, |aim| aim.frame().extension(AUTHENTICATION, 24));
    shapes.v6("behind a header of each kind", TAKEN, |aim| {
        let numbers = [HOP_BY_HOP, DESTINATION_OPTIONS, ROUTING];
        let frame = numbers.iter().fold(aim.frame(), |frame, &number| frame.extension(number, 8));
        frame.fragment(0, false).extension(DESTINATION_OPTIONS, 8)
    });
    for (count, fate) in [(8, TAKEN), (9, DELIVERED), (40, DELIVERED)] {
        shapes.v6(format!("behind {count} headers"), fate, move |aim| {
            (0..count).fold(aim.frame(), |frame, _| frame.extension(DESTINATION_OPTIONS, 8))
        });
    }
    for version in [0, 4] {
        shapes.v6(format!("of version {version}"), LOST, move |aim| aim.frame().version(version));
    }
    shapes.v6("with a payload length beyond the frame", LOST, |aim| aim.frame().total_length(1400));
    shapes.v6("with a payload length of 0", LOST, |aim| aim.frame().total_length(0));
    shapes.v6("under the ethertype of ipv4", LOST, |aim| aim.frame().ether_type(IPV4));
}

fn link(shapes: &mut Shapes) {
    // Linux takes priority tags off without asking; others without a device of theirs are not for this machine.
    let tagged: [(&'static [(u16, u16)], Fate); 12] = [
        (&[(CTAG, 0)], TAKEN),
        (&[(STAG, 0)], TAKEN),
        (&[(CTAG, 0xe000)], TAKEN),
        (&[(CTAG, 0), (CTAG, 0)], TAKEN),
        (&[(STAG, 0), (CTAG, 0)], TAKEN),
        (&[(CTAG, 7)], KNOCK_ONLY),
        (&[(STAG, 8), (CTAG, 7)], KNOCK_ONLY),
        (&[(CTAG, 0), (CTAG, 7)], KNOCK_ONLY),
        (&[(CTAG, 0), (CTAG, 0), (CTAG, 0)], DELIVERED),
        (&[(STAG, 0), (STAG, 0), (CTAG, 0), (CTAG, 0)], DELIVERED),
        (&[(STAG, 8), (CTAG, 7), (CTAG, 6)], LOST),
        (&[(0x9100, 0)], LOST),
    ];
    for (tags, fate) in tagged {
        shapes.one(format!("under tags {tags:x?}"), fate, move |aim| {
            tags.iter().fold(aim.frame(), |frame, &(tpid, id)| frame.vlan(tpid, id))
        });
    }
    shapes.one("padded", TAKEN, |aim| aim.frame().padding(18));
    // Only datagrams are taken from a broadcast.
    shapes.some("to everyone's ethernet address", KNOCK_ONLY, |aim| {
        Some(vec![to_mac(&aim.frame(), [0xff; 6])])
    });
    shapes.some("as a broadcast", KNOCK_ONLY, |aim| {
        aim.is_ipv4().then(|| {
            let to = IpAddr::from([10, 77, 0, 255]);
            vec![to_mac(&Aim { to, ..aim }.frame(), [0xff; 6])]
        })
    });
    shapes.some("to all nodes of the link", KNOCK_ONLY, |aim| {
        (!aim.is_ipv4()).then(|| {
            let to = IpAddr::from([0xff02, 0, 0, 0, 0, 0, 0, 1]);
            vec![to_mac(&Aim { to, ..aim }.frame(), [0x33, 0x33, 0, 0, 0, 1])]
        })
    });
}

fn to_mac(frame: &Frame, mac: [u8; 6]) -> Vec<u8> {
    let mut bytes = frame.build();
    bytes[..6].copy_from_slice(&mac);
    bytes
}

fn transport(shapes: &mut Shapes) {
    // A port that listens answers an acknowledgement with a reset.
    for (name, flags, fate) in [
        ("ack", ACK, DELIVERED),
        ("data", PSH | ACK, DELIVERED),
        ("fin with ack", FIN | ACK, DELIVERED),
        ("syn with ack", SYN | ACK, DELIVERED),
        ("fin", FIN, LOST),
        ("rst", RST, LOST),
        ("no flags", 0, LOST),
        ("fin, psh, urg", FIN | PSH | URG, LOST),
        ("syn with fin", SYN | FIN, LOST),
        ("syn with rst", SYN | RST, LOST),
        ("all flags", 0xff, LOST),
        ("syn, psh, urg", SYN | PSH | URG, TAKEN),
        ("syn with ecn", SYN | ECE | CWR, TAKEN),
    ] {
        shapes.tcp(name, fate, move |aim| aim.frame().flags(flags));
    }
    shapes.tcp("syn with a payload", TAKEN, |aim| aim.long_frame());
    shapes.tcp("syn with options", TAKEN, |aim| aim.frame().tcp_options(&[1; 40]));
    for words in [0, 4, 15] {
        shapes.tcp(format!("with a tcp header of {words} words"), LOST, move |aim| {
            aim.frame().data_offset(words)
        });
    }
    for length in [12, 19] {
        shapes.tcp(format!("of {length} bytes of tcp"), LOST, move |aim| {
            aim.frame().cut_transport(length).padding(20)
        });
    }
    // The checksum covers more than the kernel looks at; in IPv4 there may be none.
    shapes.udp("says less than its payload", KNOCK_ONLY, |aim| aim.long_frame().udp_length(12));
    shapes.some("ipv4, says less than its payload, without a checksum", TAKEN, |aim| {
        (aim.is_ipv4() && !aim.is_tcp()).then(|| {
            let mut frame = aim.long_frame().udp_length(12).build();
            frame[40..42].fill(0);
            vec![frame]
        })
    });
    for length in [0, 7, 1000] {
        shapes
            .udp(format!("says a length of {length}"), LOST, move |aim| aim.long_frame().udp_length(length));
    }
    shapes.one("with wrong checksums", KNOCK_ONLY, |aim| aim.frame().corrupt_checksums());
}
