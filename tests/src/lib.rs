//! Packet builder, reference model, network namespace lab, and the kernel program without a network.

pub mod fixtures;
pub mod kernel;
pub mod lab;
pub mod model;
pub mod packet;
pub mod stream;
