use std::path::Path;

use proptest::prelude::*;

use super::super::{describe::describe, parse};
use super::NOWHERE;

/// Pieces of a configuration in any order reach further than arbitrary text.
const PIECES: &[&str] = &[
    "[filter]\n",
    "[doors.a]\n",
    "[doors.\"é\n\"]\n",
    "[doors.b]\n",
    "[door_defaults]\n",
    "[limits]\n",
    "[timeouts]\n",
    "[scanners]\n",
    "[metrics]\n",
    "policy = \"drop\"\n",
    "protocols = [",
    "destinations = [",
    "\"local\"",
    "\"esp\"",
    "ping = ",
    "ports = ",
    "sequence = [",
    "sequence_file = \"x\"\n",
    "opens = [",
    "public = [",
    "trusted = [{ from = ",
    "target = [",
    "tcpflags = ",
    "open_for = ",
    "grants = ",
    "start_command = ",
    "revokes = [\"a\"]\n",
    "include = [\"*\"]\n",
    "\"22/tcp\"",
    "\"1-65535/udp\"",
    "\"0-/tcp\"",
    "\"10.0.0.0/8\"",
    "\"::ffff:0.0.0.0/0\"",
    "\"any\"",
    "\"forever\"",
    "7000",
    "-9223372036854775808",
    "1e400",
    "nan",
    "\"99999999999d\"",
    "1979-05-27",
    "\u{feff}",
    "true",
    "#é",
    ", ",
    "] ",
    "}]",
    "\n",
    "\r\n",
    "\"",
    "\"\"\"",
];

fn judge(text: &str) {
    match parse(text, "knock.toml", Path::new(NOWHERE)) {
        Ok(loaded) => assert!(describe(&loaded.config, u64::MAX).ends_with("limits.\n")),
        Err(errors) => {
            assert!(!errors.diagnostics().is_empty());
            for error in errors.diagnostics() {
                assert!(!error.message.is_empty() && !error.help.is_empty());
                assert!(!error.to_string().contains('\n'), "{error}");
            }
        }
    }
}

proptest! {
    #[test]
    fn arbitrary_text_is_judged(text in any::<String>()) {
        judge(&text);
    }

    #[test]
    fn arbitrary_configurations_are_judged(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..40)) {
        judge(&pieces.concat());
    }
}
