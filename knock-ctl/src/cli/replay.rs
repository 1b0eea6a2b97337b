//! `replay`: what the rules would do with each packet of a capture.

mod output;

use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use knock_common::port::Port;

use super::door_or_port::port_argument;
use crate::config;
use crate::replay::{Capture, CaptureError, Host, Replay, ReplayError};
use output::Summary;

/// Shows what the rules would do with each packet of a capture; needs no privilege
///
/// Reads pcap and pcapng files of Ethernet interfaces and of `tcpdump -i any`. The packets' own times are the clock. One line
/// a packet: time, source, destination, port, verdict, reason, and what it did to its source's attempt or to doors.
#[derive(Args, Debug)]
pub struct ReplayArguments {
    #[arg(value_name = "PCAP")]
    capture: PathBuf,

    #[arg(long, value_name = "F", default_value = super::DEFAULT_CONFIG)]
    config: PathBuf,

    /// An address of the machine that the capture was taken on, several times for several: packets from it leave, and are
    /// noted as the filter notes them. Without any, all packets are judged as arriving, but for those that a capture of all
    /// interfaces marks as sent
    #[arg(long, value_name = "ADDR")]
    local: Vec<IpAddr>,

    /// A port that something listened on there: a packet to it resets no attempt under the policy "pass"
    #[arg(long, value_name = "PORT/PROTO", value_parser = port_argument)]
    listening: Vec<Port>,

    /// Print a JSON object for each packet, and one for the summary
    #[arg(long)]
    json: bool,

    /// Print the summary alone
    #[arg(long)]
    quiet: bool,
}

/// Why it ended before the capture did.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error(transparent)]
    Capture(#[from] CaptureError),
    #[error(transparent)]
    Replay(#[from] ReplayError),
    #[error("cannot write to stdout: {0}")]
    Output(#[from] io::Error),
}

pub(super) fn run(arguments: &ReplayArguments) -> anyhow::Result<ExitCode> {
    let loaded = config::load(&arguments.config)?;
    let host = Host {
        addresses: arguments.local.iter().map(IpAddr::to_canonical).collect(),
        listening: arguments.listening.clone(),
    };
    let name = arguments.capture.display();
    let mut replay =
        Replay::new(&loaded.config, &host).with_context(|| arguments.config.display().to_string())?;
    let file = File::open(&arguments.capture).with_context(|| name.to_string())?;
    let mut stdout = BufWriter::new(io::stdout().lock());
    let mut summary = Summary::default();
    let read = Capture::new(file).read(|record| {
        let replayed = replay.packet(record)?;
        summary.count(&replayed);
        if !arguments.quiet {
            output::write_packet(&mut stdout, &replayed, arguments.json)?;
        }
        Ok::<(), End>(())
    });
    summary.backwards = replay.backwards;
    // What was read before an error was read all the same.
    let written = match &read {
        Err(End::Output(_)) => Ok(()),
        _ => summary.write(&mut stdout, arguments.json).and_then(|()| stdout.flush()),
    };
    match read.and_then(|()| Ok(written?)) {
        // A reader that has seen enough is no failure.
        Err(End::Output(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        result => result.with_context(|| name.to_string()).map(|()| ExitCode::SUCCESS),
    }
}
