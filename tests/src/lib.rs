//! Packet builder, reference model, network namespace lab, the program on a server in it, and the kernel program without a network.

pub mod agreement;
pub mod assembly;
pub mod bpf_object;
pub mod core;
pub mod fixtures;
pub mod fuzz;
pub mod kernel;
pub mod lab;
pub mod model;
pub mod packet;
pub mod rule_set;
pub mod site;
pub mod state;
pub mod statistics;
pub mod stream;
