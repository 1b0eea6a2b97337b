//! What a packet is, what a sequence is, and what follows from both.
//!
//! This crate is the whole policy of knock-ctl and nothing else: it has no clock, no map, no allocation and no
//! `unsafe`. The kernel program, the command line and the tests look things up and ask it what to do.
//!
//! A packet's way: [`packet::parse`] describes a frame, [`judge::judge`] takes the description and [`tables::Tables`]
//! and returns a [`reason::Reason`]; on the way [`matcher`] takes the source's step through a sequence. What leaves this
//! machine goes to [`leaving::note_leaving`].

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod access;
pub mod address;
pub mod attempt;
pub mod completion;
pub mod connection;
pub mod drops;
pub mod evenness;
pub mod event;
pub mod flags;
pub mod flow;
pub mod frame;
pub mod grant;
pub mod hash;
pub mod judge;
pub mod leaving;
pub mod lock;
pub mod matcher;
pub mod packet;
pub mod port;
pub mod reason;
pub mod rules;
pub mod scanner;
pub mod search;
pub mod source;
pub mod tables;
pub mod time;
mod tracking;
pub mod word;
