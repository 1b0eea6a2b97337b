use std::sync::atomic::AtomicU64;

use super::*;

const SOURCE: Address = Address::from_v4([192, 0, 2, 7]);
const NOW: Boottime = Boottime::from_milliseconds(100_000);
const LATER: Deadline = Deadline::at(Boottime::from_milliseconds(130_000));

fn search() -> Search<AtomicU64> {
    Search::default()
}

#[test]
fn a_ninth_grant_is_refused_until_one_has_passed() {
    let mut grants = SourceGrants::none(SOURCE);
    for door in 1..=8 {
        let change = grants.grant(Granted::Door(door), GrantedBy::Knock, LATER, NOW, &search());
        assert_eq!(change, Change::Opened(LATER));
    }
    assert_eq!(grants.grant(Granted::Door(9), GrantedBy::Knock, LATER, NOW, &search()), Change::Full);
    assert!(grants.revoke(Granted::Door(3), NOW));
    assert_eq!(
        grants.grant(Granted::Door(9), GrantedBy::Knock, LATER, NOW, &search()),
        Change::Opened(LATER)
    );
}

#[test]
fn an_extension_never_shortens_and_reports_a_second_one_in_the_same_second() {
    let mut grants = SourceGrants::none(SOURCE);
    let sooner = Deadline::at(Boottime::from_milliseconds(110_000));
    grants.grant(Granted::Door(1), GrantedBy::Knock, LATER, NOW, &search());
    assert_eq!(
        grants.grant(Granted::Door(1), GrantedBy::Knock, sooner, NOW, &search()),
        Change::Extended { deadline: LATER, again: false }
    );
    assert_eq!(
        grants.grant(Granted::Door(1), GrantedBy::Knock, sooner, NOW, &search()),
        Change::Extended { deadline: LATER, again: true }
    );
    let next_second = Boottime::from_milliseconds(101_000);
    assert_eq!(
        grants.grant(Granted::Door(1), GrantedBy::Knock, Deadline::FOREVER, next_second, &search()),
        Change::Extended { deadline: Deadline::FOREVER, again: false }
    );
}

#[test]
fn a_grant_tells_what_was_granted_by_whom_and_until_when() {
    let until = Deadline::from_nanoseconds(130_000_000_063);
    let all = [
        (Granted::Door(u32::MAX), GrantedBy::OneTime, until),
        (Granted::Port(Protocol::Udp, 65_535), GrantedBy::Admin, Deadline::FOREVER),
        (Granted::Port(Protocol::Tcp, 0), GrantedBy::Approve, until),
        (Granted::Door(65_535), GrantedBy::Knock, until),
    ];
    let mut grants = SourceGrants::none(SOURCE);
    for (index, (granted, by, deadline)) in all.into_iter().enumerate() {
        let change = grants.grant(granted, by, deadline, NOW, &search());
        assert_eq!(change, Change::Opened(grants.all()[index].deadline()), "as it is kept");
    }
    grants.mark_used(2);
    for (index, (grant, (granted, by, deadline))) in grants.all().iter().zip(all).enumerate() {
        assert_eq!((grant.granted(), grant.granted_by()), (granted, by));
        assert_eq!((grant.granted_at(), grant.is_used()), (100, index == 2));
        let sooner = deadline.nanoseconds() - grant.deadline().nanoseconds();
        assert!(sooner <= MARKS && grant.exists() && !grant.passed(NOW), "{sooner} ns");
    }
}

#[test]
fn revoking_is_idempotent() {
    let mut grants = SourceGrants::none(SOURCE);
    let port = Granted::Port(Protocol::Udp, 53);
    grants.grant(port, GrantedBy::Admin, LATER, NOW, &search());
    assert!(!grants.revoke(Granted::Port(Protocol::Tcp, 53), NOW));
    grants.mark_used(0);
    assert!(grants.revoke(port, NOW));
    assert!(!grants.revoke(port, NOW));
    let [grant, ..] = grants.all();
    assert_eq!((grant.granted(), grant.granted_by(), grant.is_used()), (port, GrantedBy::Admin, true));
    assert!(NOW.nanoseconds() - grant.deadline().nanoseconds() <= MARKS, "{:?}", grant.deadline());
}

#[test]
fn a_grant_that_has_passed_begins_anew() {
    let mut grants = SourceGrants::none(SOURCE);
    let (passed, until) = (Boottime::from_milliseconds(130_000), Boottime::from_milliseconds(140_000));
    grants.grant(Granted::Door(1), GrantedBy::Knock, LATER, NOW, &search());
    grants.mark_used(0);
    assert_eq!(
        grants.grant(Granted::Door(1), GrantedBy::Admin, Deadline::at(until), passed, &search()),
        Change::Opened(Deadline::at(until))
    );
    let [grant, next, ..] = grants.all();
    assert_eq!((grant.granted_by(), grant.is_used(), next.exists()), (GrantedBy::Admin, false, false));
}

#[test]
fn an_extension_leaves_the_mark_of_use_as_it_was() {
    for used in [false, true] {
        let mut grants = SourceGrants::none(SOURCE);
        let until = Deadline::at(Boottime::from_milliseconds(140_000));
        grants.grant(Granted::Door(1), GrantedBy::OneTime, LATER, NOW, &search());
        if used {
            grants.mark_used(0);
        }
        grants.grant(Granted::Door(1), GrantedBy::Knock, until, NOW, &search());
        let [grant, ..] = grants.all();
        assert_eq!((grant.deadline(), grant.granted_by(), grant.is_used()), (until, GrantedBy::Knock, used));
    }
}

#[test]
fn what_is_reset_for_another_source_is_that_ones_and_empty() {
    let mut grants = SourceGrants::none(SOURCE);
    grants.grant(Granted::Door(1), GrantedBy::Knock, LATER, NOW, &search());
    assert!(grants.all()[0].exists() && !grants.all()[1].exists());
    let other = Address::from_v4([192, 0, 2, 8]);
    assert!(grants.is_of(&SOURCE) && !grants.is_of(&other));
    grants.reset(&other);
    assert!(grants.is_of(&other) && !grants.is_of(&SOURCE));
    assert_eq!(grants.source(), other);
    assert!(grants.all().iter().all(|grant| !grant.exists()));
}

#[test]
fn who_granted_has_a_name_and_a_number() {
    let names = ["knock", "admin", "approve", "one_time"];
    for (number, name) in (0..).zip(names) {
        assert_eq!(GrantedBy::from_number(number).name(), name);
    }
}

#[test]
fn used_grants_are_never_given_up_and_passed_ones_first() {
    let mut grants = SourceGrants::none(SOURCE);
    grants.grant(Granted::Door(1), GrantedBy::Knock, LATER, NOW, &search());
    assert_eq!(grants.eviction_rank(NOW, |rank| rank), 101);
    assert_eq!(grants.eviction_rank(Boottime::from_milliseconds(130_000), |rank| rank), 0);
    grants.mark_used(0);
    assert_eq!(grants.eviction_rank(NOW, |rank| rank), u64::MAX);
}
