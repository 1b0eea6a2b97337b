//! Systems that lack something.

use knock_tests::lab::{INTERFACE, Machine, Process, privileged};

use crate::site::*;

/// Starts a controller on the server with mounts of its own, after `script` has changed them.
fn attach_after(site: &Site, script: &str) -> Process {
    let (program, config) = (program(), site.config());
    let script = format!("{script}; exec {} attach {INTERFACE} --config {}", text(&program), text(&config));
    site.lab.spawn_in(Machine::Server, &["unshare", "--mount", "sh", "-ec", &script]).unwrap()
}

#[test]
fn without_a_bpf_file_system_one_is_mounted() {
    if !privileged() {
        return;
    }
    let site = Site::new(SSH_DOOR);
    let _service = Service::start(&site.lab, SSH);
    let mut controller = attach_after(&site, "umount --all-targets --recursive /sys/fs/bpf");
    controller.expect_line("mounted a BPF file system at /sys/fs/bpf", limit()).unwrap();
    controller.expect_line("watching;", limit()).unwrap();
    assert!(connect(&site.lab, Machine::Client, Machine::Server.v4(), SSH).is_silence());
    assert!(!site.pins().exists(), "it is a file system of its own");
}

#[test]
fn without_the_kernels_btf_doors_open_all_the_same() {
    if !privileged() {
        return;
    }
    let site = Site::new(SSH_DOOR);
    let lab = &site.lab;
    let _service = Service::start(lab, SSH);
    let nothing = site.file("nothing");
    std::fs::create_dir(&nothing).unwrap();
    // A kernel that was built without has no such directory.
    let hide = format!(
        "if test -d /sys/kernel/btf; then mount --bind {} /sys/kernel/btf; fi; test ! -e /sys/kernel/btf/vmlinux",
        text(&nothing)
    );
    let mut controller = attach_after(&site, &hide);
    controller.expect_line("watching;", limit()).unwrap();
    for server in [Machine::Server.v4(), Machine::Server.v6()] {
        assert!(connect(lab, Machine::Client, server, SSH).is_silence());
        stock_knock(lab, Machine::Client, &["-d", "5"], server, SSH_SEQUENCE);
        assert!(connect(lab, Machine::Client, server, SSH).is_accepted());
        controller.expect_line("OPEN SESAME", limit()).unwrap();
        assert!(connect(lab, Machine::Stranger, server, SSH).is_silence());
    }
}
