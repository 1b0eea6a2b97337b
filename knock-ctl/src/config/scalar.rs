//! Single values: switches, words, numbers, durations.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::duration::{format_duration, parse_duration};
use super::report::Fault;
use super::tree::{Node, Value};

pub(super) const MILLISECOND: Duration = Duration::from_millis(1);
pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const DAY: Duration = Duration::from_secs(86_400);

pub(super) fn boolean(node: &Node) -> Result<bool, Fault> {
    match node.value {
        Value::Boolean(boolean) => Ok(boolean),
        _ => Err(node.not_a("true or false", "true or false, without quotes")),
    }
}

pub(super) fn text<'a>(node: &'a Node, what: &str, example: &str) -> Result<&'a str, Fault> {
    match &node.value {
        Value::Text(text) => Ok(text),
        _ => Err(node.not_a(what, example)),
    }
}

/// A whole number within `range`.
pub(super) fn count(range: RangeInclusive<u32>) -> impl Fn(&Node) -> Result<u32, Fault> {
    move |node| {
        let bounds = format!("a whole number from {} to {}", range.start(), range.end());
        match node.value {
            Value::Integer(number) => u32::try_from(number)
                .ok()
                .filter(|number| range.contains(number))
                .ok_or_else(|| node.fault("this number is out of range", format!("write {bounds}"))),
            _ => Err(node.not_a("a whole number", &bounds)),
        }
    }
}

/// `"500ms"`, `"5s"`, `"2m"`, `"1h"`, `"5d"`, or a bare number of seconds, within `range`.
pub(super) fn duration(range: RangeInclusive<Duration>) -> impl Fn(&Node) -> Result<Duration, Fault> {
    move |node| {
        const EXAMPLES: &str = "\"500ms\", \"5s\", \"2m\", \"1h\", \"5d\" or a number of seconds";
        let wrong = || node.fault("this is not a duration", format!("write {EXAMPLES}"));
        let duration = match &node.value {
            Value::Integer(seconds) => {
                u64::try_from(*seconds).map(Duration::from_secs).map_err(|_| wrong())?
            }
            Value::Float(seconds) => Duration::try_from_secs_f64(*seconds).map_err(|_| wrong())?,
            Value::Text(text) => parse_duration(text).ok_or_else(wrong)?,
            _ => return Err(node.not_a("a duration", EXAMPLES)),
        };
        if range.contains(&duration) {
            return Ok(duration);
        }
        let [low, high] = [range.start(), range.end()].map(|bound| format_duration(*bound));
        Err(node.fault("this duration is out of range", format!("write one from {low} to {high}")))
    }
}

/// One of the words on the left, for what stands on the right.
pub(super) fn choice<T: Copy>(choices: &[(&str, T)]) -> impl Fn(&Node) -> Result<T, Fault> {
    move |node| {
        let words: Vec<String> = choices.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        let words = words.join(" or ");
        let text = text(node, "a word", &words)?;
        choices
            .iter()
            .find(|(word, _)| *word == text)
            .map(|&(_, value)| value)
            .ok_or_else(|| node.fault(format!("{text:?} is not known here"), format!("write {words}")))
    }
}
