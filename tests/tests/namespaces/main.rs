//! The program as its users run it, against real clients on a small network of namespaces. Needs root.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod addresses;
mod approval;
mod at_once;
mod client;
mod commands;
mod conditions;
mod confirm;
mod doors;
mod egress;
mod established;
mod evasion;
mod exceptions;
mod floods;
mod foreign_programs;
mod forgery;
mod forwarded;
mod full_of_grants;
mod generate;
mod import;
mod interfaces;
mod kills;
mod last_good;
mod lockout;
mod log_floods;
mod logging;
mod no_clue;
mod one_time;
mod recipe;
mod refusals;
mod reload;
mod reused_number;
mod scanners;
mod scans;
mod seeing;
mod service_manager;
mod ssh;
mod systems;
mod upgrade;
mod users;
mod whole_machine;
mod without_controller;

use knock_tests::site;
