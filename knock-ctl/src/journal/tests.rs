use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::record::BootId;
use super::*;
use crate::namespace::NamespaceCookie;

fn boot(name: &str) -> BootId {
    BootId(name.to_owned())
}

fn open(path: &Path) -> (Journal, Vec<OpenDoor>) {
    Journal::open_in_boot(path, boot("first"), None).unwrap()
}

fn opening(journal: &Journal, address: &str, opened_at: u64) -> Opening {
    journal.opening(address.parse::<IpAddr>().unwrap().into(), "ssh", opened_at)
}

fn opened(opening: &Opening, stop_due: Option<u64>) -> Record {
    Record::Opened { opening: opening.clone(), stop_due, announced: false }
}

fn stopping(opening: &Opening) -> Record {
    Record::Stopping { opening: opening.clone() }
}

fn closed(opening: &Opening) -> Record {
    Record::Closed { opening: opening.clone() }
}

/// A directory, and the path of a journal in a directory in it that does not exist yet.
fn place() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("knock/journal");
    (directory, path)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn open_doors_come_back_and_closed_ones_do_not() {
    let (_directory, path) = place();
    let (mut journal, before) = open(&path);
    assert_eq!(before, []);
    let timed = opening(&journal, "192.0.2.7", 1);
    let forever = opening(&journal, "2001:db8::7", 2);
    let done = opening(&journal, "192.0.2.8", 3);
    journal
        .append(&[opened(&timed, Some(50)), opened(&forever, None), opened(&done, Some(u64::MAX))])
        .unwrap();
    journal.append(&[stopping(&done)]).unwrap();
    journal.append(&[closed(&done)]).unwrap();
    drop(journal);
    for _ in 0..2 {
        let (_journal, doors) = open(&path);
        assert_eq!(
            doors,
            [
                OpenDoor { opening: timed.clone(), unstarted: false, stop: StopDue::At(50) },
                OpenDoor { opening: forever.clone(), unstarted: false, stop: StopDue::WhenRevoked },
            ]
        );
    }
}

#[test]
fn a_stop_that_had_begun_is_due_now() {
    let (_directory, path) = place();
    let (mut journal, _) = open(&path);
    let revoked = opening(&journal, "192.0.2.7", 1);
    journal.append(&[opened(&revoked, Some(u64::MAX))]).unwrap();
    journal.append(&[stopping(&revoked)]).unwrap();
    drop(journal);
    for _ in 0..2 {
        assert_eq!(
            open(&path).1,
            [OpenDoor { opening: revoked.clone(), unstarted: false, stop: StopDue::Now }]
        );
    }
}

#[test]
fn after_a_reboot_every_stop_is_due_now() {
    let (_directory, path) = place();
    let (mut journal, _) = open(&path);
    let (timed, forever) = (opening(&journal, "192.0.2.7", 1), opening(&journal, "192.0.2.8", 2));
    journal.append(&[opened(&timed, Some(u64::MAX)), opened(&forever, None)]).unwrap();
    drop(journal);
    for boot_id in ["second", "third"] {
        let (mut journal, doors) = Journal::open_in_boot(&path, boot(boot_id), None).unwrap();
        assert!(doors.iter().all(|door| door.stop == StopDue::Now));
        assert_eq!(doors.len(), if boot_id == "second" { 2 } else { 1 });
        journal.append(&[closed(&doors[0].opening)]).unwrap();
    }
}

#[test]
fn what_was_opened_in_a_namespace_that_is_no_more_is_forgotten() {
    let (_directory, path) = place();
    let open_in = |name: &str, number| {
        Journal::open_in_boot(&path, boot(name), Some(NamespaceCookie::new(number))).unwrap()
    };
    let (mut journal, _) = open_in("first", 1);
    let gone = opening(&journal, "192.0.2.7", 1);
    journal.append(&[opened(&gone, Some(50))]).unwrap();
    drop(journal);
    assert_eq!(open_in("first", 1).1.len(), 1, "in the same namespace it goes on");
    // Numbers begin anew with every boot.
    assert_eq!(open_in("second", 2).1, [OpenDoor { opening: gone, unstarted: false, stop: StopDue::Now }]);

    let (mut journal, left) = open_in("first", 2);
    assert_eq!(left, []);
    let own = opening(&journal, "192.0.2.8", 2);
    journal.append(&[opened(&own, Some(60))]).unwrap();
    drop(journal);
    for _ in 0..2 {
        assert_eq!(
            open_in("first", 2).1,
            [OpenDoor { opening: own.clone(), unstarted: false, stop: StopDue::At(60) }]
        );
    }
}

#[test]
fn extending_an_opening_moves_its_stop_and_reopening_is_another_opening() {
    let (_directory, path) = place();
    let (mut journal, _) = open(&path);
    let (first, second) = (opening(&journal, "192.0.2.7", 1), opening(&journal, "192.0.2.7", 60));
    journal.append(&[opened(&first, Some(30))]).unwrap();
    journal.append(&[opened(&first, Some(50))]).unwrap();
    drop(journal);
    let (mut journal, doors) = open(&path);
    assert_eq!(doors, [OpenDoor { opening: first.clone(), unstarted: false, stop: StopDue::At(50) }]);
    // The first opening's stop command ends only after the door opened again.
    journal.append(&[stopping(&first), opened(&second, Some(90)), closed(&first)]).unwrap();
    drop(journal);
    assert_eq!(open(&path).1, [OpenDoor { opening: second, unstarted: false, stop: StopDue::At(90) }]);
}

#[test]
fn a_cut_at_any_byte_loses_the_cut_record_alone() {
    let (_directory, path) = place();
    let (mut journal, _) = open(&path);
    let openings: Vec<Opening> = (0..4).map(|number| opening(&journal, "192.0.2.7", number)).collect();
    let records: Vec<Record> = openings.iter().map(|opening| opened(opening, Some(5))).collect();
    journal.append(&records).unwrap();
    drop(journal);
    let whole = fs::read(&path).unwrap();
    for length in 0..=whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        let complete = whole[..length].iter().filter(|&&byte| byte == b'\n').count();
        let (mut journal, doors) = open(&path);
        let found: Vec<Opening> = doors.into_iter().map(|door| door.opening).collect();
        assert_eq!(found, openings[..complete], "cut at {length}");
        // What is appended now does not continue the line that was cut.
        let next = opening(&journal, "192.0.2.9", 9);
        journal.append(&[opened(&next, None)]).unwrap();
        drop(journal);
        assert_eq!(open(&path).1.len(), complete + 1, "cut at {length}");
    }
}

#[test]
fn lines_that_make_no_sense_cost_nothing_but_themselves() {
    let (_directory, path) = place();
    let (mut journal, _) = open(&path);
    let (before, after) = (opening(&journal, "192.0.2.7", 1), opening(&journal, "192.0.2.8", 2));
    journal.append(&[opened(&before, Some(5))]).unwrap();
    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(b"\n{\"record\":\"eaten\"}\nnonsense\n\0\0\0\n\xff\xfe\n{\"record\":\"opened\"}\n")
        .unwrap();
    journal.append(&[opened(&after, Some(5))]).unwrap();
    drop(journal);
    let (_, skipped) = replay::Ledger::replay(&fs::read(&path).unwrap());
    assert_eq!(skipped, [2, 3, 4, 5, 6, 7]);
    let openings: Vec<Opening> = open(&path).1.into_iter().map(|door| door.opening).collect();
    assert_eq!(openings, [before, after]);
}

#[test]
fn the_file_stays_small() {
    let (_directory, path) = place();
    let (mut journal, _) = open(&path);
    let kept = opening(&journal, "192.0.2.7", 0);
    journal.append(&[opened(&kept, None)]).unwrap();
    for number in 1..2000 {
        let passing = opening(&journal, "192.0.2.8", number);
        journal.append(&[stopping(&kept), opened(&kept, Some(number))]).unwrap();
        journal.append(&[stopping(&passing), closed(&passing)]).unwrap();
    }
    let lines = fs::read(&path).unwrap().iter().filter(|&&byte| byte == b'\n').count();
    assert!(lines <= 1024, "{lines}");
    drop(journal);
    assert_eq!(open(&path).1, [OpenDoor { opening: kept, unstarted: false, stop: StopDue::At(1999) }]);
}

#[test]
fn nobody_else_reads_or_writes_it() {
    let (directory, path) = place();
    let (journal, _) = open(&path);
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    drop(journal);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    drop(open(&path));
    assert_eq!(mode(&path), 0o600);
    fs::set_permissions(path.parent().unwrap(), fs::Permissions::from_mode(0o777)).unwrap();
    assert!(
        matches!(Journal::open(&path, None), Err(JournalError::Exposed(exposed)) if exposed == path.parent().unwrap())
    );
    let link = directory.path().join("link");
    symlink("/etc/hostname", &link).unwrap();
    assert!(matches!(Journal::open(&link, None), Err(JournalError::File { .. })));
}

#[test]
fn one_process_at_a_time() {
    let (_directory, path) = place();
    let held = Journal::open(&path, None).unwrap();
    assert!(matches!(Journal::open(&path, None), Err(JournalError::InUse(used)) if used == path));
    drop(held);
    Journal::open(&path, None).unwrap();
}

#[test]
fn the_kernel_names_this_boot() {
    let (_directory, path) = place();
    let (mut journal, _) = Journal::open(&path, None).unwrap();
    let now = opening(&journal, "192.0.2.7", 1);
    journal.append(&[opened(&now, Some(5))]).unwrap();
    drop(journal);
    let (_journal, doors) = Journal::open(&path, None).unwrap();
    assert_eq!(doors, [OpenDoor { opening: now, unstarted: false, stop: StopDue::At(5) }]);
    let line = fs::read_to_string(&path).unwrap();
    let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let expected = format!(
        r#"{{"record":"opened","address":"192.0.2.7","door":"ssh","opened_at":1,"boot_id":"{}","stop_due":5,"announced":false}}"#,
        boot_id.trim()
    );
    assert_eq!(line, expected + "\n");
}

#[test]
fn what_a_command_announces_outlives_the_controller_that_started_it() {
    let (_directory, path) = place();
    let (mut journal, _) = open(&path);
    let [begun, waiting, stopped] = [1, 2, 3].map(|time| opening(&journal, "192.0.2.7", time));
    for opening in [&begun, &waiting, &stopped] {
        let opening = opening.clone();
        journal.append(&[Record::Opened { opening, stop_due: Some(9), announced: true }]).unwrap();
    }
    let announcement = |record: Record| journal.announcement(&record).unwrap();
    announcement(Record::Started { opening: begun.clone() }).ready().make();
    announcement(Record::Started { opening: stopped.clone() }).ready().make();
    announcement(closed(&stopped)).ready().make();
    drop(journal);
    for _ in 0..2 {
        let left: Vec<_> = open(&path).1.into_iter().map(|door| (door.opening, door.unstarted)).collect();
        assert_eq!(left, [(begun.clone(), false), (waiting.clone(), true)]);
    }
    // After a reboot nobody waits for a start any more.
    let (_, left) = Journal::open_in_boot(&path, boot("second"), None).unwrap();
    assert!(left.iter().all(|door| !door.unstarted));
}

#[test]
fn what_waits_while_the_journal_is_written_anew_is_announced_in_the_new_one() {
    let (_directory, path) = place();
    let (mut journal, _) = open(&path);
    let long = opening(&journal, "192.0.2.7", 0);
    journal.append(&[opened(&long, Some(9))]).unwrap();
    let announcement = journal.announcement(&closed(&long)).unwrap();
    let begun = opening(&journal, "192.0.2.8", 0);
    journal.append(&[Record::Opened { opening: begun.clone(), stop_due: Some(9), announced: true }]).unwrap();
    journal.announcement(&Record::Started { opening: begun.clone() }).unwrap().ready().make();
    for time in 1..2000 {
        let short = opening(&journal, "192.0.2.9", time);
        journal.append(&[opened(&short, Some(9)), closed(&short)]).unwrap();
    }
    assert!(fs::read_to_string(&path).unwrap().lines().count() < 2000, "it was written anew");
    announcement.ready().make();
    drop(journal);
    let left: Vec<_> = open(&path).1.into_iter().map(|door| (door.opening, door.unstarted)).collect();
    assert_eq!(left, [(begun, false)]);
}
