//! What the machine says of its work.

use std::fmt;
use std::time::Duration;

/// One line on the serial port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// The first process runs, on this kernel.
    Booted {
        release: String,
    },
    /// A step of the plan begins, by its number from 0.
    Begins(usize),
    /// A line that the step's program wrote.
    Said(String),
    Ended {
        step: usize,
        end: End,
        took: Duration,
    },
    /// All steps are over. Without it the machine has failed, whatever else it said.
    Done,
    /// It can't go on.
    Failed(String),
}

/// How a program came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Exit(i32),
    Signal(i32),
    /// It took longer than its limit and was killed.
    Overtime,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit(status) => write!(f, "exit {status}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
            Self::Overtime => f.write_str("overtime 0"),
        }
    }
}

impl End {
    fn parse(words: [&str; 2]) -> Option<Self> {
        match words {
            ["exit", status] => status.parse().ok().map(Self::Exit),
            ["signal", signal] => signal.parse().ok().map(Self::Signal),
            ["overtime", _] => Some(Self::Overtime),
            _ => None,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Booted { release } => write!(f, "booted {release}"),
            Self::Begins(step) => write!(f, "begins {step}"),
            Self::Said(line) => write!(f, "| {line}"),
            Self::Ended { step, end, took } => write!(f, "ended {step} {end} {}", took.as_millis()),
            Self::Done => f.write_str("done"),
            Self::Failed(why) => write!(f, "failed {why}"),
        }
    }
}

impl Report {
    /// `None` for what is no report: firmware or the kernel may write there too.
    pub fn parse(line: &str) -> Option<Self> {
        let line = line.trim_end();
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "booted" => Some(Self::Booted { release: rest.to_owned() }),
            "begins" => rest.parse().ok().map(Self::Begins),
            "|" => Some(Self::Said(rest.to_owned())),
            "ended" => {
                let words: Vec<&str> = rest.split(' ').collect();
                let [step, how, number, milliseconds] = words[..] else { return None };
                let took = Duration::from_millis(milliseconds.parse().ok()?);
                Some(Self::Ended { step: step.parse().ok()?, end: End::parse([how, number])?, took })
            }
            "done" if rest.is_empty() => Some(Self::Done),
            "failed" => Some(Self::Failed(rest.to_owned())),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_as_it_was_written() {
        let took = Duration::from_millis(1234);
        for report in [
            Report::Booted { release: "6.1.0-1-amd64".to_owned() },
            Report::Begins(3),
            Report::Said("test doors::one ... ok".to_owned()),
            Report::Said(String::new()),
            Report::Ended { step: 3, end: End::Exit(101), took },
            Report::Ended { step: 3, end: End::Signal(6), took },
            Report::Ended { step: 3, end: End::Overtime, took },
            Report::Done,
            Report::Failed("there is no plan".to_owned()),
        ] {
            // A terminal ends lines with a carriage return too.
            assert_eq!(Report::parse(&format!("{report}\r\n")), Some(report));
        }
    }

    #[test]
    fn anything_else_is_no_report() {
        for line in ["", "SeaBIOS (version 1.16)", "begins", "ended 1 exit 0", "ended 1 well 0 5", "done it"]
        {
            assert_eq!(Report::parse(line), None, "{line}");
        }
    }
}
