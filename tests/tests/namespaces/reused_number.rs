//! What a network namespace has left behind is nothing to the next one that the kernel gives its number.

use std::fs;

use knock_tests::lab::{Machine, privileged};

use crate::site::*;

#[test]
fn neither_grants_nor_stop_commands_pass_to_another_namespace() {
    if !privileged() {
        return;
    }
    let gone = Site::new("");
    let stopped = gone.file("stopped");
    gone.configure(&format!(
        "{SSH_DOOR}open_for = \"forever\"\nstop_command = \"echo %IP% >> {}\"\n",
        text(&stopped)
    ));
    let mut controller = gone.attach(&[]);
    stock_knock(&gone.lab, Machine::Client, &["-d", "5"], Machine::Server.v4(), SSH_SEQUENCE);
    controller.expect("ssh: OPEN SESAME");
    controller.kill();
    assert_eq!(gone.grants().len(), 1);

    let site = Site::new(&fs::read_to_string(gone.config()).unwrap());
    let _service = Service::start(&site.lab, SSH);
    // As if this namespace had been given the other's number.
    let traces = |site: &Site| [site.pins(), site.runtime_directory(), site.journal()];
    for (left, own) in traces(&gone).into_iter().zip(traces(&site)) {
        fs::rename(left, own).unwrap();
    }
    assert_eq!(site.knock_ctl(&["status"]).status.code(), Some(3), "not attached");
    assert_eq!(site.knock_ctl(&["grants"]).status.code(), Some(1));
    assert_eq!(site.knock_ctl(&["detach"]).status.code(), Some(1));

    let mut controller = site.attach(&[]);
    assert_eq!(controller.count("a network namespace that is no more has left"), 1);
    assert_eq!(controller.count("forgetting 1 openings in a network namespace that is no more"), 1);
    assert_eq!(controller.count("took over"), 0);
    assert_eq!(site.grants(), []);
    assert!(connect(&site.lab, Machine::Client, Machine::Server.v4(), SSH).is_silence());
    stock_knock(&site.lab, Machine::Client, &["-d", "5"], Machine::Server.v4(), SSH_SEQUENCE);
    controller.expect("ssh: OPEN SESAME");
    assert!(connect(&site.lab, Machine::Client, Machine::Server.v4(), SSH).is_accepted());
    assert!(!stopped.exists());

    // The next controller here takes over as ever.
    controller.kill();
    let controller = site.attach(&[]);
    assert_eq!(site.grants().len(), 1);
    drop(controller);
}
