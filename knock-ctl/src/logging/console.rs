//! Standard error, for a reader or for the journal.

use std::io::{Write, stderr};

use env_logger::{Builder, Env, Logger};
use nix::sys::stat::fstat;

use super::severity::Severity;

/// What logs to standard error, as RUST_LOG wants it.
pub(super) fn logger() -> Logger {
    let mut builder = Builder::from_env(Env::default().default_filter_or("info"));
    let stream = std::env::var("JOURNAL_STREAM").ok();
    if stream.is_some_and(|stream| identity_of_stderr().is_some_and(|own| own == stream)) {
        builder.format(|buffer, record| {
            buffer.write_all(
                for_journal(Severity::of(record.metadata()), &record.args().to_string()).as_bytes(),
            )
        });
    } else {
        builder.format_target(false);
    }
    builder.build()
}

/// Device and inode, as the journal names its stream: see systemd.exec(5).
fn identity_of_stderr() -> Option<String> {
    let status = fstat(stderr()).ok()?;
    Some(format!("{}:{}", status.st_dev, status.st_ino))
}

/// With the prefixes of sd-daemon(3). The journal has its own times.
fn for_journal(severity: Severity, message: &str) -> String {
    message.lines().map(|line| format!("<{}>{line}\n", severity as u8)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_for_the_journal_has_its_prefix() {
        assert_eq!(for_journal(Severity::Notice, "a"), "<5>a\n");
        assert_eq!(for_journal(Severity::Error, "a\nb"), "<3>a\n<3>b\n");
    }
}
