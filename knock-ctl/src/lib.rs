//! The controller and command line of knock-ctl: port knocking at the network card.

pub mod cli;
pub mod client;
pub mod clock;
pub mod commands;
pub mod config;
pub mod controller;
pub mod datapath;
pub mod interface;
pub mod journal;
pub mod metrics;
pub mod namespace;
pub mod netlink;
pub mod replay;
pub mod rules;
pub mod runtime;
pub mod sessions;
pub mod sockets;
