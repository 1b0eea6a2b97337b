use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::super::{DoorSequence, differs_from_disk, load, parse};

/// Writes files, all with mode 0600.
pub(super) fn directory(files: &[(&str, &str)]) -> TempDir {
    let directory = TempDir::new().unwrap();
    for (name, text) in files {
        write(&directory.path().join(name), text.as_bytes());
    }
    directory
}

pub(super) fn write(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// All messages about `knock.toml` there, with the directory's name cut out.
pub(super) fn errors_in(directory: &TempDir) -> String {
    let errors = load(&directory.path().join("knock.toml")).expect_err("refused").to_string();
    errors.replace(&format!("{}/", directory.path().display()), "")
}

const A: &str = "[doors.a]\nsequence = [41207, 5481, 60122]\nopens = [\"22/tcp\"]\n";
const B: &str = "[doors.b]\nsequence = [4120, 548, 6012]\nopens = [\"23/tcp\"]\n";

#[test]
fn included_files_join_in_lexical_order() {
    let directory = directory(&[
        (
            "knock.toml",
            &format!("include = [\"d/*.toml\", \"d/0.toml\"]\n[filter]\npublic = [\"80/tcp\"]\n{A}"),
        ),
        ("d/1.toml", "[filter]\npublic = [\"443/tcp\"]\nstrict = false\n"),
        ("d/0.toml", "[doors.b]\nsequence_file = \"secret\"\nopens = [\"23/tcp\"]\n"),
        ("d/0.txt", "not read"),
        ("d/secret", "\n  4120,548:udp , 6012:tcp\n"),
    ]);
    let path = |name: &str| directory.path().join(name);
    let loaded = load(&path("knock.toml")).unwrap_or_else(|errors| panic!("{errors}"));
    let names: Vec<_> = loaded.config.doors.iter().map(|door| door.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    let steps: Vec<_> =
        loaded.config.doors[1].sequence.next().unwrap().steps().iter().map(ToString::to_string).collect();
    assert_eq!(steps, ["4120/tcp", "548/udp", "6012/tcp"]);
    let public: Vec<_> = loaded.config.filter.public.iter().map(ToString::to_string).collect();
    assert_eq!(public, ["80/tcp", "443/tcp"]);
    assert!(!loaded.config.filter.strict);
    assert_eq!(loaded.path, path("knock.toml"));
    let expected: Vec<PathBuf> = ["knock.toml", "d/0.toml", "d/1.toml", "d/secret"].map(path).to_vec();
    assert_eq!(loaded.files, expected);
}

#[test]
fn the_digest_of_one_file_is_what_sha256sum_prints_and_covers_every_file() {
    // printf '[filter]\nprotected = ["22/tcp"]\n' | sha256sum
    let text = "[filter]\nprotected = [\"22/tcp\"]\n";
    let known = "159afc00166d54afc0f1e7717a66b263ed18bebe831dc1b5952ab06a19ffa471";
    let directory = directory(&[("knock.toml", text)]);
    let path = directory.path().join("knock.toml");
    assert_eq!(load(&path).unwrap().sha256, known);
    assert_eq!(parse(text, "-", directory.path()).unwrap().sha256, known);

    write(&path, b"include = [\"*.toml\"]\n");
    write(&directory.path().join("a.toml"), A.as_bytes());
    let before = load(&path).unwrap().sha256;
    write(&directory.path().join("a.toml"), format!("{A}#").as_bytes());
    assert_ne!(load(&path).unwrap().sha256, before);
}

#[test]
fn what_is_said_twice_is_an_error_that_names_both_files() {
    let directory = directory(&[
        (
            "knock.toml",
            &format!("include = [\"d/*.toml\"]\n{A}[filter]\nmode = \"auto\"\n[door_defaults]\nopens = []\n"),
        ),
        ("d/0.toml", &format!("{A}[filter]\nmode = \"auto\"\n")),
        ("d/1.toml", &format!("{B}[door_defaults]\nopens = []\n")),
        ("d/2.toml", "doors = 5\ninclude = [\"x\"]\n"),
    ]);
    let expected = "\
d/0.toml:1:8: door \"a\" is also in knock.toml:2; keep one of the two
d/0.toml:5:1: \"mode\" of [filter] is also in knock.toml:6; keep one of the two
d/1.toml:5:1: \"opens\" of [door_defaults] is also in knock.toml:8; keep one of the two
d/2.toml:1:1: \"doors\" is also in knock.toml:2; keep one of the two
d/2.toml:2:1: an included file cannot include others; name them in knock.toml:1";
    assert_eq!(errors_in(&directory), expected);
}

#[test]
fn errors_of_all_files_come_together() {
    let directory = directory(&[
        (
            "knock.toml",
            &format!("include = [\"b.toml\", \"missing.toml\", \"no/dir.toml\"]\n{A}opnes = []\n"),
        ),
        (
            "b.toml",
            "[doors.b]\nsequence_file = \"secret\"\nopens = [23]\n[doors.c]\nsequence_file = \"empty\"\nopens = [\"1/tcp\"]\n[doors.d]\nsequence_file = \"long\"\nopens = [\"1/tcp\"]\n[doors.e]\nsequence_file = \".\"\nopens = [\"1/tcp\"]\n",
        ),
        ("secret", "\n 7000,0:udp, 12-13,70000,x"),
        ("empty", " \n\n"),
        ("long", "1,2,3\n4,5,6\n"),
    ]);
    let expected = "\
knock.toml:1:22: include: missing.toml: no such file; check the path, or create it
knock.toml:1:38: include: no/dir.toml: no such file; its directory no does not exist either: check the path
knock.toml:5:1: unknown key \"opnes\" in [doors.a]; did you mean \"opens\"?
b.toml:3:10: opens: this port names no protocol; write \"23/tcp\"
b.toml:11:17: sequence_file: .: this is a directory; name a file in it
secret:2:7: step 2: there is no port 0; write a number from 1 to 65535
secret:2:14: step 3: this is a range of ports where a single one belongs; write one port
secret:2:20: step 4: ports end at 65535; write a number from 1 to 65535
secret:2:26: step 5: this is not a port; write a number from 1 to 65535 and its protocol, as in \"22/tcp\"
empty:3:1: this sequence has no step; write 3 to 32 ports; \"knock-ctl generate 22/tcp\" prints random ones
long:2:1: a sequence file holds one sequence, and here is more; keep one line, as in 7000,8000:udp,9000:tcp with ports of your own";
    assert_eq!(errors_in(&directory), expected);
}

#[test]
fn a_file_may_match_its_own_include() {
    let directory = directory(&[("knock.toml", &format!("include = [\"*.toml\"]\n{A}")), ("b.toml", B)]);
    assert_eq!(load(&directory.path().join("knock.toml")).unwrap().config.doors.len(), 2);
}

#[test]
fn files_that_cannot_be_read_come_with_a_cure() {
    let directory = directory(&[]);
    assert_eq!(errors_in(&directory), "knock.toml: no such file; check the path, or create it");
    fs::create_dir(directory.path().join("knock.toml")).unwrap();
    assert_eq!(errors_in(&directory), "knock.toml: this is a directory; name a file in it");
}

#[test]
fn bytes_that_are_not_utf8_are_located() {
    let directory = directory(&[]);
    write(&directory.path().join("knock.toml"), b"[filter]\n# \xc3\xa9 \xff\nmdoe = 1\n");
    let expected = "\
knock.toml:2:5: the file is not UTF-8 from here on; save it in UTF-8, without the characters it cannot hold
knock.toml:3:1: unknown key \"mdoe\" in [filter]; did you mean \"mode\"?";
    assert_eq!(errors_in(&directory), expected);
}

#[test]
fn a_readable_secret_is_warned_of_once_with_the_command_to_run() {
    let directory = directory(&[
        (
            "knock.toml",
            &format!(
                "include = [\"b.toml\", \"d.toml\"]\n{A}[doors.c]\nsequence_file = \"se cret\"\nopens = [\"1/tcp\"]\n"
            ),
        ),
        ("b.toml", B),
        ("d.toml", "[filter]\nprotected = [\"1/tcp\"]\n"),
        ("se cret", "9,7,50"),
    ]);
    let path = |name: &str| directory.path().join(name);
    for (name, mode) in [("knock.toml", 0o644), ("d.toml", 0o644), ("se cret", 0o640)] {
        fs::set_permissions(path(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    let warnings = load(&path("knock.toml")).unwrap().warnings;
    let warnings: Vec<_> = warnings.iter().map(ToString::to_string).collect();
    let (knock, secret) = (path("knock.toml"), path("se cret"));
    let expected = [
        format!(
            "{0}: this file holds sequences, and others than its owner may read it (mode 0644); run: chmod 600 {0}",
            knock.display()
        ),
        format!(
            "{0}: this file holds sequences, and others than its owner may read it (mode 0640); run: chmod 600 '{0}'",
            secret.display()
        ),
    ];
    assert_eq!(warnings, expected);
}

#[test]
fn one_time_sequences_are_read_from_their_file() {
    let directory = tempfile::tempdir().unwrap();
    let write = |text: &str| fs::write(directory.path().join("ssh.sequences"), text).unwrap();
    let load = || {
        let door = "[doors.ssh]\none_time_sequences = \"ssh.sequences\"\nopens = [\"22/tcp\"]\n";
        parse(door, "knock.toml", directory.path())
    };
    write("# mine\n#31207,5481:udp,60122\n 41207, 5482:udp,60122:tcp\n\n 31208,1:udp,2\n");
    let loaded = load().unwrap();
    let DoorSequence::OneTime(file) = &loaded.config.doors[0].sequence else { panic!("one-time") };
    assert_eq!(file.unused.len(), 2);
    let steps: Vec<_> = file.unused[0].sequence.steps().iter().map(ToString::to_string).collect();
    assert_eq!(steps, ["41207/tcp", "5482/udp", "60122/tcp"]);

    let before = loaded.sha256;
    write("# mine\n#31207,5481:udp,60122\n#41207, 5482:udp,60122:tcp\n\n 31208,1:udp,2\n");
    assert_eq!(load().unwrap().sha256, before, "to use one is no change of the configuration");

    write("#31207,5481:udp,60122\n");
    let warnings = load().unwrap().warnings;
    assert!(warnings.iter().any(|warning| warning.message.contains("all its one-time sequences are used")));

    write(" 31207,5481:udp,60122\n 31207,x,60122\n 1,2,3,\n");
    let errors: Vec<String> = load().unwrap_err().diagnostics().iter().map(ToString::to_string).collect();
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert!(errors[0].contains("ssh.sequences:2:8: step 2: "), "{errors:?}");
    assert!(errors[1].contains("ssh.sequences:3:8: step 4: "), "{errors:?}");
}

#[test]
fn one_time_sequences_keep_to_themselves() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("ssh.sequences"), " 41207,5481,60122\n 31207,5481:udp,60122\n").unwrap();
    let text = "[filter]\npublic = [\"60122/tcp\"]\n[doors.ssh]\none_time_sequences = \"ssh.sequences\"\nopens = [\"22/tcp\"]\n\
                [doors.other]\nsequence = [31207, \"5481/udp\"]\nopens = [\"23/tcp\"]\n";
    let errors = parse(text, "knock.toml", directory.path()).unwrap_err();
    let errors: Vec<String> = errors.diagnostics().iter().map(ToString::to_string).collect();
    assert!(errors.iter().any(|error| error.contains("door \"ssh\" could never open")), "{errors:?}");
    assert!(
        errors.iter().any(|error| error.contains("step 3 of door \"ssh\" is a public port")),
        "{errors:?}"
    );
}

#[test]
fn a_configuration_that_changed_is_invalid_or_is_gone_differs() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("knock.toml");
    let text = "[doors.ssh]\nsequence = [31207, 5481, 60123]\nopens = [\"22/tcp\"]\n";
    fs::write(&path, text).unwrap();
    let sha256 = load(&path).unwrap().sha256;
    assert!(!differs_from_disk(&path, &sha256));
    fs::write(&path, format!("{text}# later\n")).unwrap();
    assert!(differs_from_disk(&path, &sha256));
    fs::write(&path, "doors = 1\n").unwrap();
    assert!(differs_from_disk(&path, &sha256));
    fs::remove_file(&path).unwrap();
    assert!(differs_from_disk(&path, &sha256));
}
