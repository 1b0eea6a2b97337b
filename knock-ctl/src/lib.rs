//! The controller and command line of knock-ctl: port knocking at the network card.

pub mod client;
pub mod commands;
pub mod config;
pub mod datapath;
pub mod interface;
pub mod journal;
pub mod netlink;
pub mod rules;
pub mod sockets;
