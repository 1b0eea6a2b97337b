//! `enforce = false`: what this machine answers only because nothing is dropped yet begins no flow.

use super::*;

const SERVICE: (IpAddr, u16) = (SERVER, 5353);
const ASKER: (IpAddr, u16) = (STRANGER, 9);

fn audited() -> Rules {
    Rules { enforce: false, listeners: [Port::udp(5353)].into(), ..closed() }
}

#[test]
fn an_unasked_answer_begins_no_flow() {
    let mut host = Host::new(audited());
    assert_quiet(&host.send(&datagram(ASKER, SERVICE)), true, "would_drop");
    host.leave(&datagram(SERVICE, ASKER));
    assert_eq!(host.outgoing_states(), []);
    assert_quiet(&host.send(&datagram(ASKER, SERVICE)), true, "would_drop");
    host.leave(&datagram(SERVICE, (STRANGER, 10)));
    assert_eq!(host.outgoing_states(), [FlowState::Established]);
}

#[test]
fn it_is_known_as_long_as_a_flow_lives() {
    let mut host = Host::new(audited());
    host.send(&datagram(ASKER, SERVICE));
    host.wait(100_000).send(&datagram(ASKER, SERVICE));
    host.wait(179_999).leave(&datagram(SERVICE, ASKER));
    assert_eq!(host.outgoing_states(), []);
    host.wait(1).leave(&datagram(SERVICE, ASKER));
    assert_eq!(host.outgoing_states(), [FlowState::Established]);
}

#[test]
fn without_a_listener_nobody_was_asked() {
    let mut host = Host::new(Rules { listeners: [].into(), ..audited() });
    host.send(&datagram(ASKER, SERVICE));
    host.leave(&datagram(SERVICE, ASKER));
    assert_eq!(host.outgoing_states(), [FlowState::Established]);
}

#[test]
fn it_holds_for_protected_ports_under_pass_too() {
    let protected = vec![PortRange::from(Port::udp(5353))];
    let mut host = Host::new(Rules { policy: Policy::Pass, protected, ..audited() });
    assert_quiet(&host.send(&datagram(ASKER, SERVICE)), true, "would_drop");
    host.leave(&datagram(SERVICE, ASKER));
    assert_eq!(host.outgoing_states(), []);
}

#[test]
fn what_is_enforced_is_not_noted() {
    let mut host = Host::new(Rules { enforce: true, ..audited() });
    assert_quiet(&host.send(&datagram(ASKER, SERVICE)), false, "policy_drop");
    host.leave(&datagram(SERVICE, ASKER));
    assert_eq!(host.outgoing_states(), [FlowState::Established]);
}
