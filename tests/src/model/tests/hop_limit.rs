//! Doors with `same_ttl`.

use super::*;

fn strict_ttl() -> Door {
    Door { same_ttl: true, ..ssh() }
}

#[test]
fn knocks_of_the_first_ones_hop_limit_open() {
    let mut host = Host::new(with_doors(vec![strict_ttl()]));
    for port in [FIRST, SECOND] {
        let frame = host.fresh(port).ttl(57);
        host.send(&frame);
    }
    let frame = host.fresh(THIRD).ttl(57);
    assert_told(&host.send(&frame), &[(EventKind::Open, 0)]);
}

#[test]
fn a_knock_of_another_hop_limit_is_ignored() {
    let mut host = Host::new(with_doors(vec![strict_ttl()]));
    host.knock(FIRST);
    for port in [SECOND, THIRD, FIRST] {
        let frame = host.fresh(port).ttl(63);
        host.send(&frame);
        assert_eq!(host.alive(), [(0, 1)]);
    }
    host.knock(SECOND);
    assert_eq!(host.alive(), [(0, 2)]);
}

#[test]
fn a_forger_on_another_path_cannot_reset() {
    let mut host = Host::new(with_doors(vec![strict_ttl()]));
    host.knock(FIRST);
    for port in [Port::tcp(12_345), Port::udp(12_345)] {
        let frame = host.fresh(port).ttl(63);
        host.send(&frame);
        assert_eq!(host.alive(), [(0, 1)]);
    }
    host.knock(Port::tcp(12_345));
    assert_eq!(host.alive(), []);
}

#[test]
fn doors_without_same_ttl_go_on_and_those_with_it_leave() {
    let other = Door::new(vec![FIRST, SECOND, Port::tcp(9001)], vec![]);
    let mut host = Host::new(with_doors(vec![strict_ttl(), other]));
    host.knock(FIRST);
    let frame = host.fresh(SECOND).ttl(63);
    host.send(&frame);
    assert_eq!(host.alive(), [(1, 2)]);
}

#[test]
fn every_door_leaves_that_a_knock_of_another_hop_limit_does_not_take_further() {
    let ending_in = |second| Door::new(vec![FIRST, second, SSH], vec![]);
    let doors = vec![strict_ttl(), ending_in(Port::udp(1)), ending_in(Port::udp(2))];
    let mut host = Host::new(with_doors(doors));
    host.knock(FIRST);
    let frame = host.fresh(Port::udp(2)).ttl(63);
    host.send(&frame);
    assert_eq!(host.alive(), [(2, 2)]);
}

#[test]
fn without_same_ttl_the_hop_limit_is_free() {
    let mut host = Host::new(one_door());
    for (port, hop_limit) in [(FIRST, 1), (SECOND, 2), (THIRD, 3)] {
        let frame = host.fresh(port).ttl(hop_limit);
        host.send(&frame);
    }
    assert!(host.deadline(0).is_some());
}

#[test]
fn a_completion_ends_the_attempt_for_the_doors_that_did_not_hear_it() {
    let other = Door::new(vec![FIRST, SECOND], vec![SSH]);
    let longer = Door { same_ttl: true, ..Door::new(vec![FIRST, Port::udp(1)], vec![]) };
    let mut host = Host::new(with_doors(vec![other, longer]));
    host.knock(FIRST);
    let frame = host.fresh(SECOND).ttl(63);
    assert_told(&host.send(&frame), &[(EventKind::Open, 0)]);
    let attempt = host.model.attempt(host.now_ms, CLIENT).unwrap();
    assert_eq!((attempt.doors, attempt.completed), (vec![(0, 2)], true));
}

#[test]
fn a_door_whose_time_has_run_out_no_longer_hears_and_ignores() {
    let short = Door { seq_timeout_ms: 1_000, ..strict_ttl() };
    let other = Door::new(vec![FIRST, SECOND, Port::tcp(9001)], vec![]);
    let mut host = Host::new(with_doors(vec![short, other]));
    host.knock(FIRST);
    host.wait(1_001);
    let frame = host.fresh(Port::tcp(12_345)).ttl(63);
    host.send(&frame);
    assert_eq!(host.alive(), []);
}
