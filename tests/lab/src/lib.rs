//! Machines on a network that exists for a moment: what the tests and the demo have in common.

mod namespace;
mod openssh;

pub use namespace::Namespace;
pub use openssh::OpenSsh;
