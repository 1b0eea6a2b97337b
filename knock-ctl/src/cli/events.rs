//! `knock-ctl events`

use std::io::Write;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde_json::Value;

use crate::controller;
use crate::runtime::RuntimeDirectory;

/// Follows what happens, a line for each event
#[derive(Args, Debug)]
pub struct EventsArguments {
    /// A JSON object for each event
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: EventsArguments) -> Result<ExitCode> {
    let mut output = std::io::stdout();
    controller::follow_events(&RuntimeDirectory::of_this_namespace()?, |line| {
        let text = if arguments.json { line.to_owned() } else { in_words(line) };
        // Whoever read along has had enough.
        writeln!(output, "{text}").and_then(|()| output.flush()).is_ok()
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Time, event and what it is about; then whatever else is known.
pub(super) fn in_words(line: &str) -> String {
    let Ok(Value::Object(mut event)) = serde_json::from_str(line) else {
        return line.to_owned();
    };
    event.remove("version");
    let mut words: Vec<String> = ["time", "event", "interface", "address", "door"]
        .iter()
        .filter_map(|key| event.remove(*key))
        .map(|value| plain(&value))
        .collect();
    words.extend(event.iter().map(|(key, value)| format!("{key}: {}", plain(value))));
    words.join("  ")
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_reads_as_a_line() {
        let line = r#"{"version":1,"time":"2026-11-21T06:37:00.000Z","event":"stage","address":"192.0.2.7","door":"ssh","stage":2}"#;
        assert_eq!(in_words(line), "2026-11-21T06:37:00.000Z  stage  192.0.2.7  ssh  stage: 2");
    }
}
