//! One door a user, each in a file of its own.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::super::{Loaded, OpenFor, load};
use super::files::{directory, errors_in, write};
use tempfile::TempDir;

const USERS: u16 = 40;

fn forty_users() -> TempDir {
    let main = "include = [\"doors.d/*.toml\"]\n[door_defaults]\nopens = [\"22/tcp\"]\nopen_for = \"1m\"\n";
    let directory = directory(&[("knock.toml", main)]);
    for user in 1..=USERS {
        let path = |name: String| directory.path().join(name);
        let steps = format!("{},{}:udp,{}\n", 30_000 + 7 * user, 20_000 + 11 * user, 40_000 + 13 * user);
        write(&path(format!("secrets/user{user}")), steps.as_bytes());
        let door = format!("[doors.user{user}]\nsequence_file = \"../secrets/user{user}\"\n");
        write(&path(format!("doors.d/user{user}.toml")), door.as_bytes());
    }
    directory
}

fn loaded(directory: &TempDir) -> Loaded {
    load(&directory.path().join("knock.toml")).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn every_door_is_there_with_the_defaults() {
    let loaded = loaded(&forty_users());
    assert_eq!(loaded.warnings, []);
    assert_eq!(loaded.files.len(), 1 + 2 * usize::from(USERS));
    assert_eq!(loaded.config.doors.len(), usize::from(USERS));
    for user in 1..=USERS {
        let door = loaded.config.door(&format!("user{user}")).unwrap();
        let steps: Vec<_> = door.sequence.next().unwrap().steps().iter().map(ToString::to_string).collect();
        let expected = [
            format!("{}/tcp", 30_000 + 7 * user),
            format!("{}/udp", 20_000 + 11 * user),
            format!("{}/tcp", 40_000 + 13 * user),
        ];
        assert_eq!(steps, expected);
        assert_eq!(door.open_for, OpenFor::For(std::time::Duration::from_secs(60)));
    }
}

#[test]
fn a_user_who_is_there_twice_is_an_error_that_names_both_files() {
    let directory = forty_users();
    let path = directory.path().join("doors.d/user7b.toml");
    write(&path, b"[doors.user7]\nsequence_file = \"../secrets/user8\"\n");
    let expected =
        "doors.d/user7b.toml:1:8: door \"user7\" is also in doors.d/user7.toml:1; keep one of the two";
    assert_eq!(errors_in(&directory), expected);
}

#[test]
fn two_users_with_one_sequence_are_an_error_that_names_both_doors() {
    let directory = forty_users();
    fs::copy(directory.path().join("secrets/user3"), directory.path().join("secrets/user31")).unwrap();
    let errors = errors_in(&directory);
    assert!(
        errors.starts_with(
            "doors.d/../secrets/user31:1:1: doors \"user3\" and \"user31\" have the same sequence; "
        ),
        "{errors}"
    );
    assert_eq!(errors.lines().count(), 1);
}

#[test]
fn a_users_file_that_others_may_read_is_warned_of_by_name() {
    let directory = forty_users();
    let secret = directory.path().join("secrets/user9");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).unwrap();
    let warnings = loaded(&directory).warnings;
    let [warning] = warnings.as_slice() else { panic!("{warnings:?}") };
    assert!(warning.file.ends_with("secrets/user9"), "{warning}");
    assert!(
        warning.help.starts_with("run: chmod 600 ") && warning.help.ends_with("secrets/user9"),
        "{warning}"
    );
}
