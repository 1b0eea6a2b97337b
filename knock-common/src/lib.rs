//! What a packet is, what a sequence is, and what follows from both.
//!
//! This crate is the whole policy of knock-ctl and nothing else: it has no clock, no map, no allocation and no
//! `unsafe`. The kernel program, the command line and the tests look things up and ask it what to do.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod address;
pub mod flags;
pub mod port;
