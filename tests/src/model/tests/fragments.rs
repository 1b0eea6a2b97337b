//! Later fragments under `policy = "drop"` (4a.16), and whose pass without limit.

use super::*;

fn later(source: IpAddr) -> Frame {
    Frame::udp(source, SERVER).payload(&[0; 16]).fragment(185, true)
}

/// Sends a second's worth of strangers' fragments.
fn exhaust(host: &mut Host) {
    for _ in 0..FRAGMENTS_PER_SECOND {
        assert_quiet(&host.send(&later(OTHER_ADDRESS)), true, "fragment");
    }
    assert_quiet(&host.send(&later(OTHER_ADDRESS)), false, "fragment_limit");
}

#[test]
fn strangers_fragments_pass_at_a_rate() {
    let mut host = Host::new(closed());
    exhaust(&mut host);
    assert_quiet(&host.send(&later(STRANGER)), false, "fragment_limit");
    host.wait(999);
    assert_quiet(&host.send(&later(STRANGER)), false, "fragment_limit");
    host.wait(1);
    exhaust(&mut host);
}

#[test]
fn under_pass_all_pass() {
    let mut host = Host::new(one_door());
    for _ in 0..2 * FRAGMENTS_PER_SECOND {
        assert_quiet(&host.send(&later(STRANGER)), true, "fragment");
    }
}

#[test]
fn those_of_trusted_and_granted_sources_pass_without_limit_and_are_not_counted() {
    let from = Network { address: STRANGER, prefix_length: 32 };
    let trusted = vec![Trusted { from, to: Some(vec![PortRange::from(Port::tcp(1))]) }];
    let mut host = Host::new(Rules { trusted, ..closed() });
    host.complete(0);
    for _ in 0..FRAGMENTS_PER_SECOND {
        assert_quiet(&host.send(&later(CLIENT)), true, "fragment");
        assert_quiet(&host.send(&later(STRANGER)), true, "fragment");
    }
    exhaust(&mut host);
    assert_quiet(&host.send(&later(CLIENT)), true, "fragment");
    host.wait(30_000);
    exhaust(&mut host);
    assert_quiet(&host.send(&later(CLIENT)), false, "fragment_limit");
}

/// Whether the client is a peer at each of these times after now.
fn is_peer_after(host: &Host, times_ms: [u64; 2]) -> [bool; 2] {
    times_ms.map(|ms| {
        let Host { model, now_ms, sent } = host;
        let mut host = Host { model: model.clone(), now_ms: now_ms + ms, sent: *sent };
        exhaust(&mut host);
        host.send(&later(CLIENT)).pass
    })
}

#[test]
fn whoever_this_machine_speaks_to_is_a_peer() {
    let begun = |frame: Frame, life_ms| {
        let mut host = Host::new(closed());
        assert_eq!(is_peer_after(&host, [0, 0]), [false, false]);
        host.leave(&frame);
        assert_eq!(is_peer_after(&host, [life_ms - 1, life_ms]), [true, false]);
    };
    begun(syn((SERVER, 1), (CLIENT, 2)), 30_000);
    begun(datagram((SERVER, 1), (CLIENT, 2)), 180_000);
    begun(Frame::icmp(SERVER, CLIENT), 30_000);
}

#[test]
fn what_renews_the_flow_renews_the_peer() {
    let mut host = Host::new(closed());
    host.leave(&datagram((SERVER, 1), (CLIENT, 2)));
    host.wait(100_000).leave(&datagram((SERVER, 1), (CLIENT, 2)));
    host.send(&datagram((CLIENT, 2), (SERVER, 1)));
    assert_eq!(is_peer_after(&host, [179_999, 180_000]), [true, false]);
    host.leave(&Frame::icmp(SERVER, CLIENT));
    assert_eq!(is_peer_after(&host, [179_999, 180_000]), [true, false]);
}

#[test]
fn other_control_messages_make_no_peer() {
    let mut host = Host::new(closed());
    host.leave(&Frame::protocol(SERVER, CLIENT, ICMP).payload(&[0; 8]));
    host.leave(&Frame::protocol(SERVER, CLIENT, ICMP).payload(&[3; 8]));
    assert_eq!(is_peer_after(&host, [0, 0]), [false, false]);
}

#[test]
fn an_accepted_flow_makes_a_peer_once_it_is_confirmed() {
    let door = Door { open_for_ms: Some(1_000), ..Door::new(vec![FIRST], vec![SSH, Port::udp(5353)]) };
    let rules = Rules { policy: Policy::Drop, ..with_doors(vec![door]) };
    let mut host = Host::new(rules.clone());
    host.complete(0);
    host.send(&syn((CLIENT, 1), (SERVER, 22)));
    assert_eq!(is_peer_after(&host, [999, 1_000]), [true, false], "by its grant");
    host.send(&syn((CLIENT, 1), (SERVER, 22)).flags(ACK));
    assert_eq!(is_peer_after(&host, [432_000_000 - 1, 432_000_000]), [true, false]);
    let mut host = Host::new(rules);
    host.complete(0);
    host.send(&datagram((CLIENT, 1), (SERVER, 5353)));
    assert_eq!(is_peer_after(&host, [999, 1_000]), [true, false], "by its grant");
    host.leave(&datagram((SERVER, 5353), (CLIENT, 1)));
    assert_eq!(is_peer_after(&host, [179_999, 180_000]), [true, false]);
}
