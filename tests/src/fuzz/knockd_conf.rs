//! knockd's configuration.

use super::knock_toml::{assert_answer, assert_answers, assert_usable};
use knock_ctl::config::parse;
use knock_ctl::import::import;
use std::path::Path;

/// What import prints loads, and means the same with a comment more; what is refused is refused with an answer.
pub fn knockd_conf(bytes: &[u8]) {
    if names_a_file(bytes) {
        return;
    }
    match import(bytes, "knockd.conf") {
        Ok(imported) => {
            imported.warnings.iter().for_each(assert_answer);
            let loaded = parse(&imported.text, "knock.toml", Path::new("/nonexistent"))
                .unwrap_or_else(|errors| panic!("{}\n{errors}", imported.text));
            assert_usable(&loaded);
            let commented = [bytes, b"\n# a comment\n"].concat();
            let again = import(&commented, "knockd.conf").map(|again| again.text);
            assert!(again.as_ref() == Ok(&imported.text), "{again:?}\n{}", imported.text);
        }
        Err(errors) => assert_answers(&errors),
    }
}

/// A file of one-time sequences would be read, which may be a device that never ends.
fn names_a_file(bytes: &[u8]) -> bool {
    bytes.to_ascii_lowercase().windows(19).any(|window| window.starts_with(b"one_time_sequences"))
}
