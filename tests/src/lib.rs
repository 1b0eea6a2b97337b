//! Packet builder, reference model and network namespace lab.

pub mod fixtures;
pub mod lab;
pub mod model;
pub mod packet;
pub mod stream;
