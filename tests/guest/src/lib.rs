//! What the host and the virtual machine say to each other: the host a plan, in files of the first file system; the
//! machine a report, line by line on its second serial port.

mod plan;
mod report;

pub use plan::{MODULES, PLAN, Step};
pub use report::{End, Report};
