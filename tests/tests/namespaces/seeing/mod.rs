//! What is seen of the filter from outside agrees with what it does.

mod metrics;
mod replay;
mod top;
mod why;
