//! What the demo and the evening have in common: programs that play their part, and what happens told line by line.

mod interrupt;
mod process;
mod session;
mod shell;
mod timeline;

pub use interrupt::Interrupt;
pub use process::{Background, ask};
pub use session::Session;
pub use shell::Shell;
pub use timeline::Timeline;
