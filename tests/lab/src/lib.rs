//! Machines on a network that exists for a moment: what the tests and the demo have in common.

mod kernel_release;
mod namespace;
mod openssh;

pub use kernel_release::KernelRelease;
pub use namespace::Namespace;
pub use openssh::OpenSsh;
