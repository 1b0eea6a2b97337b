//! How a failure is told.

/// The error and its causes in one line, without those that the one before already tells.
pub(super) fn describe(error: &anyhow::Error) -> String {
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
        let source = io::Error::from_raw_os_error(libc::E2BIG);
        let error = anyhow::Error::from(MapError { source }).context("cannot grant");
        assert_eq!(describe(&error), "cannot grant: map GRANTS: Argument list too long (os error 7)");
    }
}
