//! What the tracing variant of the kernel program logs.

use std::io;

use aya::Ebpf;
use aya_log::EbpfLogger;
use knock_common::reason::Reason;
use log::{Log, Metadata, Record};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Prints the kernel program's lines through this process's logger, reasons by their names.
pub(super) fn print(program: &mut Ebpf) -> io::Result<()> {
    let logger = EbpfLogger::init_with_logger(program, ByName).map_err(io::Error::other)?;
    // SAFETY: the logger owns its descriptor, never replaces it, and closes it when it is dropped: with the `AsyncFd`, which
    // takes its registration back first.
    let mut logger = unsafe { AsyncFd::register_with_interest(logger, Interest::READABLE) }?;
    tokio::spawn(async move {
        while let Ok(mut ready) = logger.readable_mut().await {
            ready.get_inner_mut().flush();
            ready.clear_ready();
        }
    });
    Ok(())
}

struct ByName;

impl Log for ByName {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        log::logger().enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        // IPv4 sources come in their mapped form.
        let line = with_name(&record.args().to_string()).replace("::ffff:", "");
        log::logger().log(
            &Record::builder()
                .args(format_args!("{line}"))
                .metadata(record.metadata().clone())
                .module_path(record.module_path())
                .file(record.file())
                .line(record.line())
                .build(),
        );
    }

    fn flush(&self) {
        log::logger().flush();
    }
}

/// The kernel program logs a reason's number, which costs it less than the name.
fn with_name(line: &str) -> String {
    let named = line.rsplit_once("reason ").and_then(|(before, number)| {
        let reason = Reason::ALL.get(number.parse::<usize>().ok()?)?;
        Some(format!("{before}{}", reason.name()))
    });
    named.unwrap_or_else(|| line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_named() {
        assert_eq!(
            with_name("192.0.2.7 to port 22 of protocol 6: reason 14"),
            "192.0.2.7 to port 22 of protocol 6: no_grant"
        );
        assert_eq!(with_name("reason 99"), "reason 99");
        assert_eq!(with_name("something else"), "something else");
    }
}
