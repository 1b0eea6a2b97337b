//! The live view, on a terminal.

use std::fs;
use std::path::PathBuf;

use knock_tests::lab::{Machine, privileged};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::site::*;

/// `top` on a terminal of its own. The terminal goes away with it.
struct Terminal<'a> {
    site: &'a Site,
    socket: PathBuf,
}

impl<'a> Terminal<'a> {
    /// When the view ends, its exit status and the state of the terminal follow.
    fn start(site: &'a Site) -> Self {
        let terminal = Self { site, socket: site.file("tmux") };
        let script = format!("{} top; echo ended with $?; stty -a; exec sleep 1000", program().display());
        terminal.tmux(&["new-session", "-d", "-x", "120", "-y", "40", &script]);
        terminal
    }

    fn tmux(&self, words: &[&str]) -> String {
        let words = [&["tmux", "-f", "/dev/null", "-S", text(&self.socket)], words].concat();
        self.site.run(Machine::Server, &words)
    }

    fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    fn shows(&self, text: &str) {
        let mut screen = String::new();
        eventually(text, || {
            screen = self.screen();
            screen.contains(text)
        });
    }

    /// How many packets the screen counts for a reason.
    fn counted(&self, reason: &str) -> u64 {
        let screen = self.screen();
        let row = screen.lines().find(|line| line.starts_with(reason));
        row.and_then(|row| row.split_whitespace().nth(2)?.parse().ok()).unwrap_or(0)
    }

    /// The view is gone, and the terminal is as it was.
    fn is_given_back(&self) {
        self.shows("ended with 0");
        self.shows("iexten");
        let screen = self.screen();
        let modes: Vec<&str> = screen.split([' ', '\n', ';']).collect();
        for mode in ["icanon", "echo", "isig", "icrnl", "opost"] {
            assert!(modes.contains(&mode), "{mode}: {screen}");
        }
        assert!(!screen.contains("REASON"), "{screen}");
    }
}

impl Drop for Terminal<'_> {
    fn drop(&mut self) {
        let words = ["tmux", "-S", text(&self.socket), "kill-server"];
        // It may have ended with what it showed.
        let _ = self.site.lab.run_in(Machine::Server, &words);
    }
}

#[test]
fn the_live_view_counts_with_and_without_a_controller_until_q() {
    if !privileged() {
        return;
    }
    let site = Site::new(&format!("[log]\nstages = true\n{SSH_DOOR}"));
    let lab = &site.lab;
    let server = Machine::Server.v4();
    let mut controller = site.attach(&[]);
    let terminal = Terminal::start(&site);
    terminal.shows(&format!("controller {}", controller.id()));
    let rises = || {
        let before = terminal.counted("no_grant");
        assert!(connect(lab, Machine::Stranger, server, SSH).is_silence());
        eventually("the count rises", || terminal.counted("no_grant") > before);
    };
    rises();
    stock_knock(lab, Machine::Client, &["-d", "5"], server, SSH_SEQUENCE);
    terminal.shows("1 > 1 > 1");
    terminal.shows("In: 1");
    terminal.shows(&Machine::Client.v4().to_string());
    terminal.shows("open  10.77.0.2  ssh");

    controller.terminate();
    terminal.shows("no controller: doors still open");
    rises();
    let _controller = site.attach(&[]);
    stock_knock(lab, Machine::Stranger, &["-d", "5"], server, SSH_SEQUENCE);
    terminal.shows("In: 2");
    site.knock_ctl(&["detach"]);
    terminal.shows("the filter is not attached");
    terminal.tmux(&["send-keys", "q"]);
    terminal.is_given_back();
}

#[test]
fn a_signal_ends_the_live_view_as_q_does() {
    if !privileged() {
        return;
    }
    let site = Site::new(SSH_DOOR);
    let _controller = site.attach(&[]);
    let terminal = Terminal::start(&site);
    terminal.shows("REASON");
    let shell = terminal.tmux(&["list-panes", "-F", "#{pane_pid}"]);
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", shell.trim())).unwrap();
    kill(Pid::from_raw(children.trim().parse().unwrap()), Signal::SIGTERM).unwrap();
    terminal.is_given_back();
}

#[test]
fn what_is_no_terminal_is_refused() {
    if !privileged() {
        return;
    }
    let output = Site::new("").knock_ctl(&["top"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("draws on a terminal, and its output is none"), "{said}");
}
