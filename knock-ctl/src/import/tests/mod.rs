//! From knockd's file to the configuration that our loader makes of the text.

mod errors;
mod every_key;
mod never_panics;
mod offers;
mod tutorials;
mod warnings;

use std::path::Path;

use super::{Imported, import};
use crate::config::{self, Config, Door};

const OPEN_CLOSE: &str = include_str!("fixtures/open_close.conf");
const TIMED: &str = include_str!("fixtures/timed.conf");
const ONE_TIME: &str = include_str!("fixtures/one_time.conf");
const EVERY_KEY: &str = include_str!("fixtures/every_key.conf");

fn imported(text: &str) -> Imported {
    import(text.as_bytes(), "knockd.conf").unwrap_or_else(|errors| panic!("{text}\n{errors}"))
}

fn config_of(toml: &str) -> Config {
    match config::parse(toml, "knock.toml", Path::new("/nonexistent")) {
        Ok(loaded) => loaded.config,
        Err(errors) => panic!("{toml}\n{errors}"),
    }
}

/// What the import of a text loads as.
fn meant(text: &str) -> Config {
    config_of(&imported(text).text)
}

/// The only door of a text with one.
fn door(lines: &str) -> Door {
    let mut doors = meant(&format!("[door]\nsequence = 5001,5003,5002\n{lines}")).doors;
    assert_eq!(doors.len(), 1);
    doors.remove(0)
}

/// All messages of a text that is refused, one a line.
fn errors_of(text: &str) -> String {
    match import(text.as_bytes(), "knockd.conf") {
        Ok(imported) => panic!("{text}\n{}", imported.text),
        Err(errors) => errors.to_string(),
    }
}

fn warnings_of(text: &str) -> Vec<String> {
    imported(text).warnings.iter().map(ToString::to_string).collect()
}

/// The text as it is when the settings that are switched off, of one door, are taken in place of others.
fn take_offers(toml: &str, replaced: &[&str]) -> String {
    let is_replaced = |line: &str| replaced.iter().any(|key| line.starts_with(&format!("{key} = ")));
    let lines = toml.lines().filter(|line| !is_replaced(line)).map(|line| match line.strip_prefix('#') {
        Some(setting) if !setting.starts_with([' ', '#']) => setting,
        _ => line,
    });
    lines.map(|line| format!("{line}\n")).collect()
}
