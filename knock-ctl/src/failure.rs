//! How a failure is told.

use std::process::ExitCode;

/// Tells it on stderr; the exit status of what has failed.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    eprintln!("knock-ctl: {}", describe(error));
    ExitCode::FAILURE
}

/// The error and its causes in one line, without those that the one before already tells.
fn describe(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    let mut last = text.clone();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !last.contains(&cause) {
            text += &format!(": {cause}");
        }
        last = cause;
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("map GRANTS: {source}")]
    struct MapError {
        source: io::Error,
    }

    #[test]
    fn each_cause_is_told_once() {
        let source = io::Error::other("no room is left");
        let error = anyhow::Error::from(MapError { source }).context("cannot grant");
        assert_eq!(describe(&error), "cannot grant: map GRANTS: no room is left");
    }
}
