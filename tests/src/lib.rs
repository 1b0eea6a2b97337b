//! Packet builder, reference model and network namespace lab.

pub mod packet;
