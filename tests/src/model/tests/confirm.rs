//! Changes of rules that are undone unless they are confirmed (4a.19).

use super::*;

const BY_MS: u64 = 61_000;

fn host(before: Option<Rules>) -> Host {
    Host { model: Model::on_trial(closed(), BY_MS, before), ..Host::new(closed()) }
}

#[test]
fn unconfirmed_rules_give_way_to_those_before() {
    let mut host = host(Some(one_door()));
    assert_quiet(&host.knock(Port::tcp(12_345)), false, "policy_drop");
    host.knock(FIRST);
    host.now_ms = BY_MS - 1;
    assert_quiet(&host.knock(Port::tcp(12_345)), false, "policy_drop");
    host.wait(1);
    assert_quiet(&host.knock(Port::tcp(12_345)), true, "unlisted");
    assert_quiet(&host.knock(SSH), false, "no_grant");
    assert!(!host.model.confirm(host.now_ms));
}

#[test]
fn what_was_opened_stays_open() {
    let mut host = host(Some(one_door()));
    host.now_ms = BY_MS - 2;
    host.knocks(&[FIRST, SECOND]);
    host.wait(2);
    assert_told(&host.knock(THIRD), &[(EventKind::Open, 0)]);
    assert_quiet(&host.knock(SSH), true, "granted");
}

#[test]
fn where_there_was_no_filter_everything_passes_unseen() {
    let mut host = host(None);
    host.now_ms = BY_MS;
    for frame in [
        syn((CLIENT, 1), (SERVER, 22)),
        syn((CLIENT, 1), (SERVER, 22)).data_offset(0),
        Frame::arp(),
        Frame::arp().vlan(CTAG, 1).vlan(CTAG, 2).vlan(CTAG, 3),
        Frame::icmp(CLIENT, SERVER),
    ] {
        assert_quiet(&host.send(&frame), true, "unconfirmed");
    }
    host.knock(FIRST);
    assert_eq!(host.alive(), []);
    host.leave(&syn((SERVER, 50_000), (STRANGER, 443)));
    assert_eq!(host.outgoing_states(), [FlowState::HalfOpen]);
}

#[test]
fn confirmed_rules_stay() {
    let mut host = host(None);
    assert!(host.model.confirm(host.now_ms));
    assert!(!host.model.confirm(host.now_ms));
    host.now_ms = BY_MS;
    assert_quiet(&host.knock(Port::tcp(12_345)), false, "policy_drop");
}
