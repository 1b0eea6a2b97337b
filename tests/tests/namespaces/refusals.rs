//! What can't be attached is refused with a reason, and nothing is left behind.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use knock_tests::lab::{INTERFACE, Machine, privileged};

use crate::site::*;

/// The error of an `attach` that must fail.
#[track_caller]
fn failed(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    let error = log.lines().find(|line| line.starts_with("knock-ctl: ")).unwrap_or_else(|| panic!("{log}"));
    log[log.find(error).unwrap()..].to_owned()
}

fn attach(site: &Site, interface: &str, config: &str) -> Output {
    site.knock_ctl(&["attach", interface, "--config", config])
}

#[test]
fn an_interface_that_does_not_exist() {
    if !privileged() {
        return;
    }
    let site = Site::new(SSH_DOOR);
    let error = failed(&attach(&site, "nosuch0", text(&site.config())));
    assert!(error.contains("there is no interface nosuch0"), "{error}");
    assert!(site.is_without_filter());
}

#[test]
fn no_interface_at_all() {
    if !privileged() {
        return;
    }
    let site = Site::new(SSH_DOOR);
    let error = failed(&site.knock_ctl(&["attach", "--config", text(&site.config())]));
    assert!(error.contains("no interface is named") && error.contains("knock-ctl attach eth0"), "{error}");
    let error = failed(&attach(&site, "default", text(&site.config())));
    assert!(error.contains("there is no default route"), "{error}");
    assert!(site.is_without_filter());
}

#[test]
fn configurations_that_are_missing_or_wrong() {
    if !privileged() {
        return;
    }
    let site = Site::new("[doors.ssh]\nsequence = [7000, 8000, 9000]\nopens = [22]\nopen_four = \"1s\"\n");
    let config = site.config();
    let error = failed(&attach(&site, INTERFACE, text(&config)));
    let path = text(&config);
    assert!(error.contains(&format!("{path}:3:")) && error.contains("22/tcp"), "{error}");
    assert!(error.contains(&format!("{path}:4:")) && error.contains("open_for"), "{error}");
    let missing = site.file("missing.toml");
    let error = failed(&attach(&site, INTERFACE, text(&missing)));
    assert!(error.contains(text(&missing)) && error.contains("no such file"), "{error}");
    assert!(site.is_without_filter());
}

#[test]
fn a_user_who_is_not_root() {
    if !privileged() {
        return;
    }
    let site = Site::new(SSH_DOOR);
    fs::set_permissions(site.config(), Permissions::from_mode(0o644)).unwrap();
    let config = site.config();
    for (arguments, reason) in [
        (
            &["attach", INTERFACE, "--config", text(&config)][..],
            "attaching needs root; run `sudo knock-ctl attach",
        ),
        (&["detach"], "detaching needs root; run `sudo knock-ctl detach"),
    ] {
        let error = failed(&as_nobody(&site, arguments));
        assert!(error.contains(reason), "{error}");
    }
    assert!(site.is_without_filter());
}

#[test]
fn files_that_the_user_may_not_read() {
    if !privileged() {
        return;
    }
    let site = Site::new(SSH_DOOR);
    let (secret, readable, closed) = (site.config(), site.file("readable.toml"), site.file("closed"));
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, Permissions::from_mode(0o700)).unwrap();
    let (secret, closed) = (text(&secret), text(&closed));
    let cure = |path: &str| {
        format!(
            "{path}: permission denied; run this as root, or as a user who may read it (ls -l {path} tells who)"
        )
    };
    let within = format!("{closed}/doors.toml");
    for path in [secret, &within] {
        let output = as_nobody(&site, &["check", path]);
        assert_eq!(failed(&output), "knock-ctl: 1 error found\n");
        assert_eq!(first_line(&output), cure(path));
    }
    let own = text(&readable);
    for (content, expected) in [
        (format!("include = [\"{secret}\"]"), format!("{own}:1:12: include: {}", cure(secret))),
        (
            format!("include = [\"{closed}/*.toml\"]"),
            format!(
                "{own}:1:12: include: {closed}: Permission denied (os error 13); \
                 run this as a user who may read that directory"
            ),
        ),
        (
            format!("[doors.ssh]\nsequence_file = \"{secret}\"\nopens = [\"22/tcp\"]"),
            format!("{own}:2:17: sequence_file: {}", cure(secret)),
        ),
    ] {
        fs::write(&readable, content).unwrap();
        let output = as_nobody(&site, &["check", own]);
        assert_eq!(failed(&output), "knock-ctl: 1 error found\n");
        assert_eq!(first_line(&output), expected);
    }
}

/// Runs `knock-ctl` as a user who is nobody in particular.
fn as_nobody(site: &Site, arguments: &[&str]) -> Output {
    // Where the program was built may be no place for others.
    let copy = site.file("knock-ctl");
    if !copy.exists() {
        // By a process of its own: a file that a fork of ours holds open for writing can't be run.
        site.run(Machine::Server, &["install", text(&program()), text(&copy)]);
    }
    let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", text(&copy)];
    site.lab.run_in(Machine::Server, &[&nobody, arguments].concat()).unwrap()
}

/// Of all that a command says.
fn first_line(output: &Output) -> String {
    let said = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8_lossy(&said).lines().next().unwrap_or_default().to_owned()
}

#[test]
fn pins_of_another_version() {
    if !privileged() {
        return;
    }
    let site = Site::new(SSH_DOOR);
    site.attach(&[]).kill();
    let own = fs::read_dir(site.pins()).unwrap().next().unwrap().unwrap().path();
    let other = site.pins().join("v999");
    fs::rename(&own, &other).unwrap();
    let said = failed(&attach(&site, INTERFACE, text(&site.config())));
    let expected = format!(
        "{0} is of another version of knock-ctl, whose tables this one can't read; run `knock-ctl detach` with that version \
         first, or, where that is gone, `rm -r {0}`, which takes its filter off",
        text(&other)
    );
    assert!(said.contains(&expected), "{said}");
    assert_eq!(site.attached_mode(INTERFACE).as_deref(), Some("xdp"), "that filter is still there");
    fs::remove_dir_all(&other).unwrap();
    eventually("it is off", || site.attached_mode(INTERFACE).is_none());
    drop(site.attach(&[]));
    assert_eq!(site.attached_mode(INTERFACE).as_deref(), Some("xdp"));
}

/// What `attach` says of a machine that forwards, and `check` warns of.
#[track_caller]
fn closes_for_others(site: &Site, interface: &str, how: &str) {
    let expected = format!(
        "this machine forwards packets for others ({how}), and policy = \"drop\" without \"destinations\" would drop those \
         too; write destinations = [\"local\"]"
    );
    let (path, program) = (site.config(), program());
    let error = failed(&attach(site, interface, text(&path)));
    assert!(error.contains(&format!("{}:3:1: {expected}", text(&path))), "{error}");
    assert!(error.contains("Docker"), "{error}");
    assert!(site.is_without_filter() && !site.runtime_directory().exists());
    let check = |arguments: &[&str]| {
        let words = [&[text(&program), "check", text(&path)], arguments].concat();
        site.lab.run_in(Machine::Server, &words).unwrap()
    };
    let warnings = String::from_utf8(check(&[]).stderr).unwrap();
    assert!(warnings.contains(&format!("warning: {}:3:1: {expected}", text(&path))), "{warnings}");
    assert_eq!(String::from_utf8(check(&["--offline"]).stderr).unwrap(), "");
}

/// Says that the interface is to be filtered.
fn closed_machine(interface: &str, destinations: &str) -> String {
    format!(
        "[filter]\ninterfaces = [\"{interface}\"]\npolicy = \"drop\"\ndestinations = [{destinations}]\n\
         [doors.ssh]\nsequence = [41207, 5481, 60122]\nopens = [\"22/tcp\"]\n"
    )
}

#[test]
fn a_closed_machine_that_routes_for_others() {
    if !privileged() {
        return;
    }
    let site = Site::new(&closed_machine(INTERFACE, ""));
    let set = |setting: &str, value: &str| {
        site.run(Machine::Server, &["sh", "-c", &format!("echo {value} > /proc/sys/net/{setting}")]);
    };
    for setting in ["ipv4/ip_forward", "ipv6/conf/all/forwarding", "ipv4/conf/eth0/forwarding"] {
        set(setting, "1");
        closes_for_others(&site, INTERFACE, &format!("net.{} = 1", setting.replace('/', ".")));
        set(setting, "0");
    }
    let controller = site.attach(&[]);
    assert_eq!(site.status()["policy"], "drop");
    drop(controller);
    site.knock_ctl(&["detach"]);

    set("ipv4/ip_forward", "1");
    site.configure(&closed_machine(INTERFACE, "\"local\""));
    let _controller = site.attach(&[]);
    assert_eq!(site.status()["policy"], "drop");
}

#[test]
fn a_closed_machine_that_bridges_for_others() {
    if !privileged() {
        return;
    }
    let site = Site::new(&closed_machine("port0", ""));
    for arguments in ["link add port0 type veth peer name guest0", "link add bridge0 type bridge"] {
        let words: Vec<&str> = ["ip"].into_iter().chain(arguments.split(' ')).collect();
        site.run(Machine::Server, &words);
    }
    site.run(Machine::Server, &["ip", "link", "set", "port0", "master", "bridge0"]);
    closes_for_others(&site, "port0", "port0 is a port of a bridge");
    site.configure(&closed_machine("bridge0", ""));
    closes_for_others(&site, "bridge0", "bridge0 is a bridge with ports");
    // Other interfaces of the same machine have nothing to do with it.
    site.configure(&closed_machine(INTERFACE, ""));
    drop(site.attach(&[]));
    site.run(Machine::Server, &["ip", "link", "set", "port0", "nomaster"]);
    site.configure(&closed_machine("bridge0", ""));
    let output = site.knock_ctl(&["check", text(&site.config())]);
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "",
        "a bridge without ports is an interface like any other"
    );
}

#[test]
fn a_second_controller() {
    if !privileged() {
        return;
    }
    let site = Site::new(SSH_DOOR);
    let controller = site.attach(&[]);
    let error = failed(&attach(&site, INTERFACE, text(&site.config())));
    assert!(
        error.contains(&format!("a controller runs here already, as process {}", controller.id())),
        "{error}"
    );
    let lab = &site.lab;
    let _service = Service::start(lab, SSH);
    stock_knock(lab, Machine::Client, &["-d", "5"], Machine::Server.v4(), SSH_SEQUENCE);
    assert!(connect(lab, Machine::Client, Machine::Server.v4(), SSH).is_accepted(), "the first works on");
}

#[test]
fn an_interface_without_native_mode_gets_the_generic_one() {
    if !privileged() {
        return;
    }
    let site = Site::new(SSH_DOOR);
    let lab = &site.lab;
    let config = site.config();
    // Loopback has no native mode.
    let error = failed(&site.knock_ctl(&["attach", "lo", "--mode", "native", "--config", text(&config)]));
    assert!(error.contains("lo: native mode is refused"), "{error}");
    assert!(site.attached_mode("lo").is_none() && !site.pins().exists());

    let program = program();
    let mut controller =
        lab.spawn_in(Machine::Server, &[text(&program), "attach", "lo", "--config", text(&config)]).unwrap();
    controller.expect_line("lo: native mode is refused", limit()).unwrap();
    controller.expect_line("lo: attached in generic mode", limit()).unwrap();
    controller.expect_line("watching;", limit()).unwrap();
    assert_eq!(site.status()["interfaces"][0]["mode"], "generic");
    let localhost = std::net::Ipv4Addr::LOCALHOST.into();
    let _service = Service::start(lab, SSH);
    assert!(connect(lab, Machine::Server, localhost, SSH).is_silence());
    stock_knock(lab, Machine::Server, &["-d", "5"], localhost, SSH_SEQUENCE);
    assert!(connect(lab, Machine::Server, localhost, SSH).is_accepted());
}
