//! The controller and command line of knock-ctl: port knocking at the network card.
//!
//! Without the feature `controller` it is the knocking client alone, on any system.

#[cfg(all(feature = "controller", not(target_os = "linux")))]
compile_error!("only the client works here: build with --no-default-features --features client");

#[cfg(feature = "controller")]
pub mod cli;
pub mod client;
#[cfg(feature = "controller")]
pub mod clock;
pub mod commands;
pub mod config;
#[cfg(feature = "controller")]
pub mod controller;
#[cfg(feature = "controller")]
pub mod datapath;
mod failure;
#[cfg(feature = "controller")]
pub mod generate;
#[cfg(feature = "controller")]
pub mod import;
#[cfg(feature = "controller")]
pub mod interface;
#[cfg(feature = "controller")]
pub mod journal;
#[cfg(feature = "controller")]
pub mod logging;
#[cfg(feature = "controller")]
pub mod metrics;
#[cfg(feature = "controller")]
pub mod namespace;
#[cfg(feature = "controller")]
pub mod netlink;
#[cfg(feature = "controller")]
pub mod replay;
pub mod rules;
#[cfg(feature = "controller")]
pub mod runtime;
#[cfg(feature = "controller")]
pub mod sessions;
#[cfg(feature = "controller")]
pub mod sockets;
pub mod version;
