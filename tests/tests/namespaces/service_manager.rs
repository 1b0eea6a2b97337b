//! What the controller tells the service manager that has started it: sd_notify(3).

use std::os::unix::net::UnixDatagram;
use std::path::Path;

use knock_tests::lab::{INTERFACE, Machine, Process, privileged};
use nix::sys::signal::Signal;

use crate::site::*;

/// A service manager's ear.
struct Manager(UnixDatagram);

impl Manager {
    fn listen(at: &Path) -> Self {
        let socket = UnixDatagram::bind(at).unwrap();
        socket.set_read_timeout(Some(limit())).unwrap();
        Self(socket)
    }

    /// The assignments of the next message.
    fn hear(&self) -> Vec<String> {
        let mut buffer = [0; 4096];
        let length = self.0.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).lines().map(str::to_owned).collect()
    }

    /// Skips what comes before a message with this assignment.
    fn hear_until(&self, assignment: &str) -> Vec<String> {
        loop {
            let message = self.hear();
            if message.iter().any(|said| said == assignment) {
                return message;
            }
        }
    }

    /// The next message that is no watchdog's.
    fn hear_news(&self) -> Vec<String> {
        loop {
            let message = self.hear();
            if message != ["WATCHDOG=1"] {
                return message;
            }
        }
    }
}

/// With more variables in its environment.
fn start(site: &Site, manager: &Path, variables: &[&str]) -> Process {
    start_attaching(site, manager, variables, &[INTERFACE])
}

fn start_attaching(site: &Site, manager: &Path, variables: &[&str], arguments: &[&str]) -> Process {
    let socket = format!("NOTIFY_SOCKET={}", text(manager));
    let (program, config) = (program(), site.config());
    let attach = [text(&program), "attach", "--config", text(&config)];
    let words = [&["env", &socket], variables, &attach, arguments].concat();
    site.lab.spawn_in(Machine::Server, &words).unwrap()
}

#[test]
fn it_is_ready_once_the_filter_is_on_and_again_after_each_reload() {
    if !privileged() {
        return;
    }
    let site = Site::new(SSH_DOOR);
    let socket = site.file("notify");
    let manager = Manager::listen(&socket);
    let mut controller = start(&site, &socket, &[]);
    let ready = ["READY=1", "STATUS=Filtering eth0; doors: 1"];
    assert_eq!(manager.hear(), ready);
    assert!(site.attached_mode(INTERFACE).is_some());

    for (config, code) in [("doors = 1\n", 1), (SSH_DOOR, 0)] {
        site.configure(config);
        assert_eq!(site.knock_ctl(&["reload"]).status.code(), Some(code), "{config}");
        let reloading = manager.hear();
        assert_eq!(reloading[0], "RELOADING=1");
        let since = reloading[1].strip_prefix("MONOTONIC_USEC=").and_then(|time| time.parse::<u64>().ok());
        assert!(since.is_some_and(|since| since > 0), "{reloading:?}");
        assert_eq!(manager.hear(), ready, "{config}");
    }
    assert_eq!(site.knock_ctl(&["reload", "--dry-run"]).status.code(), Some(0));
    controller.signal(Signal::SIGTERM).unwrap();
    assert_eq!(manager.hear(), ["STOPPING=1"], "a dry run is no reload");
    assert_eq!(controller.wait(limit()).unwrap().code(), Some(0));
}

#[test]
fn it_is_alive_twice_as_often_as_it_has_to_be() {
    if !privileged() {
        return;
    }
    let site = Site::new(SSH_DOOR);
    let socket = site.file("notify");
    let manager = Manager::listen(&socket);
    let controller = start(&site, &socket, &["WATCHDOG_USEC=400000"]);
    assert_eq!(manager.hear_news()[0], "READY=1");
    let begun = std::time::Instant::now();
    for _ in 0..5 {
        assert_eq!(manager.hear(), ["WATCHDOG=1"]);
    }
    // The first comes at once.
    assert!(begun.elapsed() >= std::time::Duration::from_millis(700), "{:?}", begun.elapsed());
    // One that stands still is silent.
    controller.signal(Signal::SIGSTOP).unwrap();
    manager.0.set_read_timeout(Some(std::time::Duration::from_millis(300))).unwrap();
    while manager.0.recv(&mut [0; 64]).is_ok() {}
    manager.0.set_read_timeout(Some(std::time::Duration::from_millis(800))).unwrap();
    assert!(manager.0.recv(&mut [0; 64]).is_err());
    controller.signal(Signal::SIGCONT).unwrap();
    manager.0.set_read_timeout(Some(limit())).unwrap();
    assert_eq!(manager.hear(), ["WATCHDOG=1"]);
}

#[test]
fn its_commands_can_not_speak_for_it() {
    if !privileged() {
        return;
    }
    let site = Site::new("");
    let seen = site.file("seen");
    site.configure(&format!("{SSH_DOOR}start_command = \"env > {0}.next; mv {0}.next {0}\"\n", text(&seen)));
    let socket = site.file("notify");
    let manager = Manager::listen(&socket);
    let _controller = start(&site, &socket, &["WATCHDOG_USEC=60000000"]);
    assert_eq!(manager.hear_news()[0], "READY=1");
    stock_knock(&site.lab, Machine::Client, &["-d", "5"], Machine::Server.v4(), SSH_SEQUENCE);
    eventually("the command has run", || seen.exists());
    let environment = std::fs::read_to_string(&seen).unwrap();
    assert!(environment.contains("KNOCK_DOOR=ssh"), "{environment}");
    assert!(!environment.contains("NOTIFY_SOCKET") && !environment.contains("WATCHDOG"), "{environment}");
}

#[test]
fn it_begins_before_its_interfaces_are_there() {
    if !privileged() {
        return;
    }
    let site = Site::new(&format!("[filter]\ninterfaces = [\"late0\", \"default\"]\n{SSH_DOOR}"));
    let ip = |arguments: &str| {
        let words: Vec<&str> = ["ip"].into_iter().chain(arguments.split(' ')).collect();
        site.run(Machine::Server, &words);
    };
    let socket = site.file("notify");
    let manager = Manager::listen(&socket);
    let mut impatient = start_attaching(&site, &socket, &[], &[]);
    assert_eq!(impatient.wait(limit()).unwrap().code(), Some(1), "only who asks for it goes without");
    assert!(site.is_without_filter());

    let _controller = start_attaching(&site, &socket, &[], &["--await-interfaces"]);
    let ready = manager.hear_until("READY=1");
    assert_eq!(ready[1], "STATUS=Filtering nothing; awaiting late0; doors: 1");
    ip("link add late0 type veth peer name far0");
    ip("link set late0 up");
    ip("link set far0 up");
    manager.hear_until("STATUS=Filtering late0; doors: 1");
    assert!(site.attached_mode("late0").is_some());
    assert_eq!(site.attached_mode(INTERFACE), None);
    ip(&format!("route add default dev {INTERFACE}"));
    manager.hear_until("STATUS=Filtering eth0, late0; doors: 1");
    assert!(site.attached_mode(INTERFACE).is_some());
    ip("link delete late0");
    manager.hear_until("STATUS=Filtering eth0; awaiting late0; doors: 1");
}
