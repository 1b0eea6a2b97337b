//! What a completed sequence brings (4a.2, 4a.17, 4a.21, 4a.22).

use super::*;

#[test]
fn the_completing_packet_is_judged_as_if_the_grant_did_not_exist_yet() {
    let door = Door::new(vec![FIRST, SECOND, SSH], vec![SSH]);
    let mut host = Host::new(with_doors(vec![door]));
    let last = host.complete(0);
    assert_eq!((last.pass, last.reason), (false, "no_grant"));
    assert_told(&last, &[(EventKind::Open, 0)]);
    assert_quiet(&host.knock(SSH), true, "granted");
}

#[test]
fn a_grant_ends_at_its_deadline() {
    let mut host = Host::new(one_door());
    host.complete(0);
    assert_eq!(host.deadline(0), Some(host.now_ms + 30_000));
    host.wait(29_999);
    assert_quiet(&host.knock(SSH), true, "granted");
    host.wait(1);
    assert_eq!(host.deadline(0), None);
    assert_quiet(&host.knock(SSH), false, "no_grant");
}

#[test]
fn for_ever_has_no_end() {
    let mut host = Host::new(with_doors(vec![Door { open_for_ms: None, ..ssh() }]));
    host.complete(0);
    host.wait(1 << 50);
    assert_quiet(&host.knock(SSH), true, "granted");
}

#[test]
fn a_re_knock_extends_an_open_door() {
    let mut host = Host::new(one_door());
    host.complete(0);
    host.wait(20_000);
    assert_told(&host.complete(0), &[(EventKind::Refresh, 0)]);
    assert_eq!(host.deadline(0), Some(host.now_ms + 30_000));
}

#[test]
fn a_knock_after_the_end_opens_anew() {
    let mut host = Host::new(one_door());
    host.complete(0);
    host.wait(30_000);
    assert_told(&host.complete(0), &[(EventKind::Open, 0)]);
}

#[test]
fn one_refresh_in_each_second_of_the_clock_is_told() {
    let mut host = Host::new(one_door());
    assert_eq!(host.now_ms % 1_000, 0);
    host.complete(0);
    assert_told(&host.complete(0), &[(EventKind::Refresh, 0)]);
    host.wait(999);
    assert_told(&host.complete(0), &[]);
    assert_eq!(host.deadline(0), Some(host.now_ms + 30_000));
    host.wait(1);
    assert_told(&host.complete(0), &[(EventKind::Refresh, 0)]);
}

#[test]
fn a_closing_door_takes_the_grants_from_its_source_alone() {
    let close = Door { revokes: vec![0], ..Door::new(vec![THIRD, SECOND, FIRST], vec![]) };
    let mut host = Host::new(with_doors(vec![ssh(), close]));
    for frame in [
        Frame::tcp(STRANGER, SERVER).ports(1, 7000),
        Frame::udp(STRANGER, SERVER).ports(1, 8000),
        Frame::tcp(STRANGER, SERVER).ports(1, 9000),
    ] {
        host.send(&frame);
    }
    host.complete(0);
    assert_told(&host.complete(1), &[(EventKind::Close, 0), (EventKind::Open, 1)]);
    assert_quiet(&host.knock(SSH), false, "no_grant");
    let syn = Frame::tcp(STRANGER, SERVER).ports(1, 22);
    assert_quiet(&host.send(&syn), true, "granted");
    host.wait(1_000);
    assert_told(&host.complete(1), &[(EventKind::Open, 1)]);
}

#[test]
fn a_door_without_opens_is_never_open() {
    let mut host = Host::new(with_doors(vec![Door::new(vec![FIRST, SECOND], vec![])]));
    for _ in 0..3 {
        assert_told(&host.complete(0), &[(EventKind::Open, 0)]);
    }
    assert_eq!(host.deadline(0), None);
}

#[test]
fn a_ninth_grant_is_refused() {
    let door = |n: u16| Door::new(vec![Port::udp(100 + n)], vec![Port::tcp(200 + n)]);
    let mut host = Host::new(with_doors((0..9).map(door).collect()));
    for n in 0..8 {
        assert_told(&host.complete(n), &[(EventKind::Open, n)]);
    }
    assert_told(&host.complete(8), &[(EventKind::GrantRefused, 8)]);
    assert_quiet(&host.knock(Port::tcp(208)), false, "no_grant");
    assert_told(&host.complete(0), &[(EventKind::Refresh, 0)]);
    host.model.revoke(host.now_ms, CLIENT, 3);
    assert_told(&host.complete(8), &[(EventKind::Open, 8)]);
}

#[test]
fn expired_grants_make_room() {
    let door = |n: u16| Door::new(vec![Port::udp(100 + n)], vec![Port::tcp(200 + n)]);
    let mut host = Host::new(with_doors((0..9).map(door).collect()));
    for n in 0..8 {
        host.complete(n);
    }
    host.wait(30_000);
    assert_told(&host.complete(8), &[(EventKind::Open, 8)]);
}
