//! Configurations.

use super::folder::Folder;
use knock_ctl::config::describe::describe;
use knock_ctl::config::{ConfigErrors, Diagnostic, Loaded, load, load_archived};
use knock_ctl::datapath::TableSizes;
use knock_ctl::rules::{CompileError, PreviousStates, RuleSet, compile};
use std::collections::BTreeSet;

/// The files of one input, which NUL bytes part: TOML has none.
const FILES: [&str; 5] = ["knock.toml", "doors.d/1.toml", "doors.d/2.toml", "secret", "once"];

/// What is accepted is described and compiled, and read again from its archive; what is refused is refused with an answer.
pub fn knock_toml(bytes: &[u8]) {
    if may_name_other_files(bytes) {
        return;
    }
    Folder::with(|folder| {
        let mut parts = bytes.splitn(FILES.len(), |&byte| byte == 0);
        FILES.iter().for_each(|name| folder.put(name, parts.next()));
        match load(&folder.path(FILES[0])) {
            Ok(loaded) => assert_usable(&loaded),
            Err(errors) => assert_answers(&errors),
        }
    });
}

/// Whether a path in it may lead out of its folder, where there may be a device that never ends. Ports have a digit before
/// their slash.
fn may_name_other_files(bytes: &[u8]) -> bool {
    let leads = |pair: &[u8]| match pair {
        b".." => true,
        // What escapes say is not looked at.
        [b'\\', escaped] => b"uUx".contains(escaped),
        [before, b'/'] => !before.is_ascii_alphanumeric() && !b".*?]".contains(before),
        _ => false,
    };
    bytes.windows(2).any(leads)
}

/// As `knock-ctl check` goes on with what it has loaded.
pub(super) fn assert_usable(loaded: &Loaded) {
    loaded.warnings.iter().for_each(assert_answer);
    let rules = RuleSet::from_config(&loaded.config, &BTreeSet::new());
    match compile(&rules, &PreviousStates::new()) {
        Ok(compiled) => {
            let limits = &loaded.config.limits;
            let sizes = TableSizes::new(limits.attempts, limits.flows, limits.grants, &compiled, 2);
            let text = describe(&loaded.config, sizes.memory(&compiled));
            assert!(text.ends_with(" MiB for these limits.\n"), "{text}");
            for door in &loaded.config.doors {
                assert!(text.contains(door.name.as_str()), "{} in {text}", door.name);
            }
        }
        Err(
            CompileError::TooManyStates { .. }
            | CompileError::TooManyEdges
            | CompileError::TooManyPortClasses,
        ) => {}
        Err(error) => panic!("{error}"),
    }
    if loaded.files.is_empty() {
        return;
    }
    let again = load_archived(&loaded.archive).unwrap_or_else(|errors| panic!("archived: {errors}"));
    assert_eq!((&again.config, &again.sha256), (&loaded.config, &loaded.sha256));
    assert!(again.archive == loaded.archive, "the archive of an archive");
}

pub(super) fn assert_answers(errors: &ConfigErrors) {
    assert!(!errors.diagnostics().is_empty());
    errors.diagnostics().iter().for_each(assert_answer);
}

/// It says what is wrong and what to do about it, in one line.
pub(super) fn assert_answer(diagnostic: &Diagnostic) {
    assert!(!diagnostic.message.is_empty() && !diagnostic.help.is_empty());
    assert!(!diagnostic.to_string().contains('\n'), "{diagnostic}");
}
