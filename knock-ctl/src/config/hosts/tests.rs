use std::fs;
use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::*;

pub(crate) fn write_private(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// All messages about a file of that content, with its folder cut out.
fn errors_of(text: &str, mode: u32) -> String {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("hosts.toml");
    write_private(&file, text);
    fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    load(&file).expect_err(text).to_string().replace(&format!("{}/", folder.path().display()), "")
}

const SOUND: &str = "[hosts.web]\nsequence = [41207, \"5481/udp\", \"6012:udp\"]\n";

#[test]
fn a_host_says_what_to_knock_and_how() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("hosts.toml");
    let more = "\
[hosts.\"db.example.net\"]
address = \"2001:db8::7\"
one_time = \"db.lines\"
delay = \"20ms\"
family = 6
wait = \"2222/tcp\"
retry = 3
";
    write_private(&file, &format!("{SOUND}{more}"));
    let [web, db]: [Host; 2] = load(&file).unwrap_or_else(|errors| panic!("{errors}")).try_into().unwrap();
    let Secret::Sequence(sequence) = &web.secret else { panic!("{web:?}") };
    let steps: Vec<_> = sequence.steps().iter().map(ToString::to_string).collect();
    assert_eq!(steps, ["41207/tcp", "5481/udp", "6012/udp"]);
    assert_eq!((web.name.as_str(), web.address.as_str()), ("web", "web"));
    assert_eq!((web.delay, web.family, web.wait, web.retry), (None, None, None, None));
    let expected = Host {
        name: "db.example.net".to_owned(),
        address: "2001:db8::7".to_owned(),
        secret: Secret::OneTime(folder.path().join("db.lines")),
        delay: Some(Duration::from_millis(20)),
        family: Some(Family::Ipv6),
        wait: "2222".parse().ok(),
        retry: Some(3),
    };
    assert_eq!(db, expected);
    assert!(!format!("{web:?}").contains("41207"), "a sequence is not shown");
}

#[test]
fn no_file_names_no_host() {
    assert_eq!(load(Path::new("/nonexistent/hosts.toml")), Ok(Vec::new()));
}

#[test]
fn all_errors_come_at_once_with_their_lines() {
    let text = "\
[hosts.a]
sequnce = [1, 2]
[hosts.b]
sequence = [0, \"x\", \"9/sctp\"]
one_time = \"lines\"
delay = 20
family = 5
wait = \"53/udp\"
retry = -1
[hosts.example.net]
sequence = [41207, 5, 6]
[hosts.c]
address = \"\"
[web]
sequence = [41207, 5, 6]
";
    let expected = "\
hosts.toml:2:1: unknown key \"sequnce\" in [hosts.a]; did you mean \"sequence\"?
hosts.toml:4:13: step 1: there is no port 0; write a number from 1 to 65535
hosts.toml:4:16: step 2: this is not a port; write a number from 1 to 65535 and its protocol, as in \"22/tcp\"
hosts.toml:4:21: step 3: the protocol of a port is tcp or udp; write it as in \"22/tcp\" or \"53/udp\"
hosts.toml:5:1: \"sequence\" and \"one_time\" are both given; keep one of the two
hosts.toml:6:9: delay: this delay names no unit; write \"20ms\"
hosts.toml:7:10: family: there is no such family; write 4 or 6
hosts.toml:8:8: wait: a UDP port can't be waited for; name a TCP port, as in \"22/tcp\"
hosts.toml:9:9: retry: this number is out of range; write a whole number from 0 to 1000
hosts.toml:10:8: host \"example\" has no sequence; write sequence = [...] with its ports, or one_time = \"FILE\"
hosts.toml:10:16: unknown key \"net\" in [hosts.example]; put a name with dots in quotes, as in [hosts.\"example.net\"]
hosts.toml:12:8: host \"c\" has no sequence; write sequence = [...] with its ports, or one_time = \"FILE\"
hosts.toml:13:11: address: this is no host's name or address; write \"server.example.net\" or \"192.0.2.1\"
hosts.toml:14:2: unknown section \"web\"; write [hosts.web]";
    assert_eq!(errors_of(text, 0o600), expected);
}

#[test]
fn a_file_that_others_may_read_is_refused_with_the_command_to_run() {
    for mode in [0o644, 0o640, 0o602, 0o666] {
        let message = errors_of(SOUND, mode);
        let expected = format!(
            "hosts.toml: this file holds sequences, and others than its owner may read it (mode {mode:04o}); \
             run: chmod 600 hosts.toml"
        );
        assert_eq!(message, expected);
    }
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("hosts.toml");
    write_private(&file, SOUND);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o400)).unwrap();
    assert_eq!(load(&file).unwrap().len(), 1, "stricter is as good");
}

#[test]
fn a_file_of_somebody_else_is_refused() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("hosts.toml");
    write_private(&file, SOUND);
    if std::os::unix::fs::chown(&file, Some(65_533), None).is_err() {
        eprintln!("skipped: only root can give a file away");
        return;
    }
    let message = load(&file).unwrap_err().to_string();
    assert!(
        message.contains("belongs to another user (uid 65533); make it yours, then run: chmod 600 "),
        "{message}"
    );
}
