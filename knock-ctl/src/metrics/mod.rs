//! What monitoring asks of the filter, in Prometheus' text format 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>).

mod counts;
mod sample;
mod text;

pub use counts::{CommandEnd, Counts};
pub use sample::{Sample, Table};
pub use text::{CONTENT_TYPE, MetricsError, to_text};
