//! A generated file, and the ways to knock that it tells.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use knock_tests::lab::{Machine, privileged};

use crate::site::*;

/// A site whose generated door is in force, with everything else dropped; and what `generate` printed.
fn generated_site() -> (Site, Controller, String) {
    let site = Site::new("");
    let path = site.file("generated.toml");
    let output = site.knock_ctl(&["generate", "22/tcp", "-o", text(&path)]);
    assert!(output.status.success(), "{output:?}");
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    assert!(site.knock_ctl(&["check", text(&path), "--strict"]).status.success());

    let before = fs::read(&path).unwrap();
    let again = site.knock_ctl(&["generate", "22/tcp", "-o", text(&path)]);
    assert_eq!((again.status.code(), again.stdout.as_slice()), (Some(1), &b""[..]));
    assert_eq!(fs::read(&path).unwrap(), before);

    let door = String::from_utf8(before).unwrap();
    site.configure(&format!("{door}open_for = \"1s\"\n[filter]\npolicy = \"drop\"\n").replacen(
        "open_for = \"30s\"\n",
        "",
        1,
    ));
    let controller = site.attach(&[]);
    (site, controller, told.replace("HOST", &Machine::Server.v4().to_string()))
}

/// The line that begins so.
fn line<'a>(told: &'a str, begin: &str) -> &'a str {
    told.lines().find(|line| line.starts_with(begin)).unwrap_or_else(|| panic!("{begin}: {told}"))
}

#[test]
fn each_line_of_the_instructions_opens_the_door() {
    if !privileged() {
        return;
    }
    let (site, mut controller, told) = generated_site();
    let _service = Service::start(&site.lab, SSH);
    let is_let_in = |machine| connect(&site.lab, machine, Machine::Server.v4(), SSH).is_accepted();
    let program = program();
    let told = told.replace("knock-ctl", text(&program));

    for begin in [text(&program), "knock ", "for "] {
        assert!(!is_let_in(Machine::Client));
        // A knock that is not answered is no success to timeout(1).
        let command = format!("{}; true", line(&told, begin));
        site.run(Machine::Client, &["bash", "-c", &command]);
        assert!(is_let_in(Machine::Client), "{begin}");
        assert!(!is_let_in(Machine::Stranger));
        controller.expect("ssh: closed");
    }

    // What ssh does before it connects.
    let config = site.file("ssh_config");
    fs::write(&config, format!("{}\n", line(&told, "Match "))).unwrap();
    fs::set_permissions(&config, Permissions::from_mode(0o600)).unwrap();
    assert!(!is_let_in(Machine::Client));
    site.run(Machine::Client, &["ssh", "-F", text(&config), "-G", &Machine::Server.v4().to_string()]);
    assert!(is_let_in(Machine::Client));
}
