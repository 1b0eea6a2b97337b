//! How durations are written: `500ms`, `5s`, `2m`, `1h`, `5d`.

use std::time::Duration;

/// A number and its unit, several of them, or a bare number of seconds. `None` when it is none of these.
pub fn parse_duration(text: &str) -> Option<Duration> {
    // humantime reads an "M" as months, which whoever wrote it hardly meant; and a bare number not at all.
    if text.contains('M') {
        return None;
    }
    match text.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => humantime::parse_duration(text).ok(),
    }
}

/// In the largest unit that needs no fraction, as `parse_duration` reads it; what is less than a millisecond is cut.
pub fn format_duration(duration: Duration) -> String {
    const UNITS: [(u128, &str); 5] =
        [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s"), (1, "ms")];
    let milliseconds = duration.as_millis();
    let whole =
        UNITS.into_iter().find(|(unit, _)| milliseconds >= *unit && milliseconds.is_multiple_of(*unit));
    whole.map_or_else(|| "0s".to_owned(), |(unit, name)| format!("{}{name}", milliseconds / unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_take_the_units_of_the_manual() {
        let cases = [
            ("500ms", Some(500)),
            ("5s", Some(5_000)),
            ("2m", Some(120_000)),
            ("1h", Some(3_600_000)),
            ("5d", Some(432_000_000)),
            ("1h 30m", Some(5_400_000)),
            ("30", Some(30_000)),
            ("5M", None),
            ("", None),
            ("-1s", None),
            ("5 apples", None),
            ("99999999999999999999s", None),
        ];
        for (text, milliseconds) in cases {
            assert_eq!(parse_duration(text), milliseconds.map(Duration::from_millis), "{text:?}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for text in ["0s", "1ms", "999ms", "90s", "2m", "25h", "365d", "61001ms"] {
            assert_eq!(parse_duration(text).map(format_duration).as_deref(), Some(text));
        }
        assert_eq!(format_duration(Duration::from_secs(86_400)), "1d");
    }
}
