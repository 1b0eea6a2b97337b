//! Repeats of knocks already taken (4a.7, 4a.8).

use super::*;

#[test]
fn a_tcp_retransmission_changes_nothing() {
    let mut host = Host::new(one_door());
    let first = host.fresh(FIRST);
    host.send(&first);
    host.send(&first);
    assert_eq!(host.alive(), [(0, 1)]);
    host.knock(SECOND);
    host.send(&first);
    assert_eq!(host.alive(), [(0, 2)]);
}

#[test]
fn a_udp_repeat_from_the_same_source_port_changes_nothing() {
    let mut host = Host::new(with_doors(vec![Door::new(vec![SECOND, FIRST, THIRD], vec![])]));
    let first = host.fresh(SECOND);
    host.send(&first);
    host.knock(FIRST);
    host.send(&first.payload(b"another payload"));
    assert_eq!(host.alive(), [(0, 2)]);
}

#[test]
fn a_hit_on_a_middle_port_already_taken_changes_nothing_wherever_it_comes_from() {
    let mut host = Host::new(with_doors(vec![Door::new(vec![FIRST, SECOND, THIRD, SSH], vec![])]));
    host.knocks(&[FIRST, SECOND]);
    host.knock(SECOND);
    assert_eq!(host.alive(), [(0, 2)]);
    host.knock(THIRD);
    host.knocks(&[SECOND, THIRD, SECOND]);
    assert_eq!(host.alive(), [(0, 3)]);
}

#[test]
fn a_hit_on_the_first_port_from_another_source_port_starts_over() {
    let mut host = Host::new(one_door());
    host.knocks(&[FIRST, SECOND]);
    host.wait(9_000).knock(FIRST);
    assert_eq!(host.alive(), [(0, 1)]);
    assert_eq!(host.model.attempt(host.now_ms, CLIENT).unwrap().start_ms, host.now_ms);
    host.wait(9_000);
    assert_told(&host.knocks(&[SECOND, THIRD]), &[(EventKind::Open, 0)]);
}

#[test]
fn a_hit_on_the_first_port_with_another_sequence_number_starts_over() {
    let mut host = Host::new(one_door());
    let first = host.fresh(FIRST);
    host.send(&first);
    host.knock(SECOND);
    host.send(&first.sequence(77));
    assert_eq!(host.alive(), [(0, 1)]);
}

#[test]
fn a_udp_hit_on_the_first_port_from_another_source_port_starts_over() {
    let mut host = Host::new(with_doors(vec![Door::new(vec![SECOND, FIRST, THIRD], vec![])]));
    host.knocks(&[SECOND, FIRST]);
    host.knock(SECOND);
    assert_eq!(host.alive(), [(0, 1)]);
}

#[test]
fn starting_over_brings_back_the_doors_that_had_left() {
    let other = Door::new(vec![FIRST, Port::udp(8001)], vec![]);
    let mut host = Host::new(with_doors(vec![ssh(), other]));
    host.knocks(&[FIRST, SECOND]);
    assert_eq!(host.alive(), [(0, 2)]);
    host.knock(FIRST);
    assert_eq!(host.alive(), [(0, 1), (1, 1)]);
}

#[test]
fn a_hit_on_the_first_port_that_begins_no_door_changes_nothing() {
    let ack = FlagsCondition { set: ACK, clear: 0 };
    let other = Door { flags: ack, ..Door::new(vec![THIRD, FIRST], vec![]) };
    let mut host = Host::new(with_doors(vec![ssh(), other]));
    host.knocks(&[FIRST, SECOND]);
    let frame = host.fresh(FIRST).flags(ACK);
    assert_quiet(&host.send(&frame), true, "knock");
    assert_eq!(host.alive(), [(0, 2)]);
}

#[test]
fn where_the_next_port_is_the_same_another_tcp_hit_advances_and_a_retransmission_does_not() {
    let mut host = Host::new(with_doors(vec![Door::new(vec![FIRST, FIRST, THIRD], vec![])]));
    let first = host.fresh(FIRST);
    host.send(&first);
    host.send(&first);
    assert_eq!(host.alive(), [(0, 1)]);
    host.send(&first.clone().sequence(77));
    assert_eq!(host.alive(), [(0, 2)]);
    host.send(&first);
    assert_eq!(host.alive(), [(0, 2)]);
}

#[test]
fn where_the_next_port_is_the_same_every_udp_hit_advances() {
    let mut host = Host::new(with_doors(vec![Door::new(vec![SECOND, SECOND, THIRD], vec![])]));
    let knock = host.fresh(SECOND);
    host.send(&knock);
    host.send(&knock);
    assert_eq!(host.alive(), [(0, 2)]);
    host.send(&knock);
    assert_eq!(host.alive(), [(0, 2)]);
}

#[test]
fn a_first_port_that_comes_twice_starts_over_only_from_a_new_source_port() {
    let mut host = Host::new(with_doors(vec![Door::new(vec![SECOND, SECOND, THIRD], vec![])]));
    let knocks = [host.fresh(SECOND), host.fresh(SECOND)];
    for knock in &knocks {
        host.send(knock);
    }
    for knock in &knocks {
        host.send(knock);
        assert_eq!(host.alive(), [(0, 2)]);
    }
    host.knock(SECOND);
    assert_eq!(host.alive(), [(0, 1)]);
}

#[test]
fn after_completion_a_repeat_of_the_last_knock_does_nothing() {
    let mut host = Host::new(with_doors(vec![Door::new(vec![SECOND], vec![SSH])]));
    let knock = host.fresh(SECOND);
    assert_told(&host.send(&knock), &[(EventKind::Open, 0)]);
    host.wait(10_000);
    assert_quiet(&host.send(&knock), true, "knock");
    host.wait(1);
    assert_told(&host.send(&knock), &[(EventKind::Refresh, 0)]);
}

#[test]
fn after_completion_any_other_hit_is_judged_as_without_attempt() {
    let mut host = Host::new(one_door());
    host.complete(0);
    let last = host.fresh(THIRD);
    host.send(&last);
    assert_eq!(host.alive(), []);
    host.knock(FIRST);
    assert_eq!(host.alive(), [(0, 1)]);
    host.wait(2_000);
    assert_told(&host.knocks(&[SECOND, THIRD]), &[(EventKind::Refresh, 0)]);
}

#[test]
fn after_completion_a_wrong_port_ends_the_memory_of_the_last_knock() {
    let mut host = Host::new(with_doors(vec![Door::new(vec![FIRST], vec![SSH])]));
    let knock = host.fresh(FIRST);
    host.send(&knock);
    host.knock(SSH);
    assert_quiet(&host.send(&knock), true, "knock");
    host.knock(Port::tcp(12_345));
    assert_told(&host.send(&knock), &[(EventKind::Refresh, 0)]);
}

#[test]
fn after_completion_a_knock_that_begins_nothing_ends_the_memory_of_the_last() {
    let mut host = Host::new(one_door());
    host.complete(0);
    let completed = |host: &Host| host.model.attempt(host.now_ms, CLIENT).is_some();
    assert!(completed(&host));
    host.knock(SECOND);
    assert!(!completed(&host));
}

#[test]
fn a_hit_on_the_first_port_that_does_not_begin_its_door_changes_nothing() {
    let any = Door { flags: FlagsCondition::ANY, ..Door::new(vec![THIRD, FIRST], vec![]) };
    let mut host = Host::new(with_doors(vec![ssh(), any]));
    host.knock(FIRST);
    let ack = host.fresh(FIRST).flags(ACK);
    host.send(&ack);
    assert_eq!(host.alive(), [(0, 1)]);
}
