//! The alerts for Prometheus fire when they should, and only then.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::path::Path;
use std::process::Command;

use knock_tests::lab::equipped_with;

fn promtool(words: &[&str]) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../knock-ctl/contrib/prometheus");
    let output = Command::new("promtool").args(words).current_dir(directory).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn each_fires_when_it_should() {
    if equipped_with("promtool") {
        promtool(&["check", "rules", "alerts.yml"]);
        promtool(&["test", "rules", "alerts.test.yml"]);
    }
}
