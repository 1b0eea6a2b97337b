//! A builder of Ethernet frames, honest by default and able to lie in every field that a parser must check.

mod checksum;
mod frame;
mod ip;
pub mod numbers;
mod transport;

pub use frame::{DESTINATION_MAC, Frame, SOURCE_MAC};

#[cfg(test)]
mod tests;
