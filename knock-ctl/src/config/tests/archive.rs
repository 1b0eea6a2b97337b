use std::fs;
use std::path::PathBuf;

use super::super::{ConfigErrors, Loaded, load, load_archived};
use super::files::{directory, write};

const MAIN: &str = "include = [\"./d/*.toml\", \"e.toml\"]\n[filter]\npublic = [\"80/tcp\"]\n";
const FILE_DOOR: &str = "[doors.b]\nsequence_file = \"secret\"\nopens = [\"23/tcp\"]\n";
const ONE_TIME_DOOR: &str = "[doors.c]\none_time_sequences = \"once\"\nopens = [\"24/tcp\"]\n";
const PLAIN_DOOR: &str = "[doors.a]\nsequence = [41207, 5481, 60122]\nopens = [\"22/tcp\"]\n";

#[track_caller]
fn sound(loaded: Result<Loaded, ConfigErrors>) -> Loaded {
    loaded.unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn an_archive_gives_the_same_configuration_whatever_became_of_the_files() {
    let directory = directory(&[
        ("knock.toml", MAIN),
        ("d/1.toml", FILE_DOOR),
        ("d/secret", "4120,548:udp,6012:tcp\n"),
        ("d/deeper/no.toml", "neither the pattern nor its archive goes here"),
        ("e.toml", PLAIN_DOOR),
    ]);
    let path = directory.path().join("knock.toml");
    let before = sound(load(&path));
    assert!(!before.is_archived);
    write(&path, b"public = 80\n");
    for gone in ["d", "e.toml"].map(|name| directory.path().join(name)) {
        let _ = fs::remove_dir_all(&gone).or_else(|_| fs::remove_file(&gone));
    }
    assert!(load(&path).is_err());
    let after = sound(load_archived(&before.archive));
    assert!(after.is_archived);
    assert_eq!(after.config, before.config);
    assert_eq!(after.sha256, before.sha256);
    assert_eq!(after.archive, before.archive);
    let names: Vec<PathBuf> = before.files.iter().map(|path| std::path::absolute(path).unwrap()).collect();
    assert_eq!(after.files, names);
}

#[test]
fn a_used_one_time_sequence_is_used_in_the_archive_too() {
    let directory = directory(&[("knock.toml", ONE_TIME_DOOR), ("once", " 4120,548,6012\n 4121,549,6013\n")]);
    let before = sound(load(&directory.path().join("knock.toml")));
    write(&directory.path().join("once"), b"#4120,548,6012\n 4121,549,6013\n");
    let after = sound(load_archived(&before.archive));
    assert_eq!(after.config.doors[0].sequence.next().unwrap().steps()[0].to_string(), "4121/tcp");
}

#[test]
fn an_archive_does_not_show_what_it_holds() {
    let directory = directory(&[("knock.toml", PLAIN_DOOR)]);
    let archive = sound(load(&directory.path().join("knock.toml"))).archive;
    assert_eq!(format!("{archive:?}"), "Archive(1 files)");
}
