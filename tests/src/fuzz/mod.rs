//! What is tried on arbitrary bytes: the fuzz targets of tests/fuzz call it, and so does the test that replays what they
//! have found.
//!
//! A body says by a panic that a property does not hold. Bytes that mean nothing to it are no failure.

mod capture;
mod folder;
mod journal;
mod knock_toml;
mod knockd_conf;
mod matcher;
mod one_time_file;
mod packet;
mod seeds;

pub use capture::capture;
pub use journal::journal;
pub use knock_toml::knock_toml;
pub use knockd_conf::knockd_conf;
pub use matcher::matcher;
pub use one_time_file::one_time_file;
pub use packet::packet;
pub use seeds::seeds;

/// Panics where something does not hold.
pub type Body = fn(&[u8]);

/// Name and body of every target.
pub const TARGETS: [(&str, Body); 7] = [
    ("packet", packet),
    ("matcher", matcher),
    ("knock_toml", knock_toml),
    ("knockd_conf", knockd_conf),
    ("one_time_file", one_time_file),
    ("capture", capture),
    ("journal", journal),
];
