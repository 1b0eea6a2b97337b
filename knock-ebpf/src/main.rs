//! The XDP program: reads packets, looks maps up, asks knock-common, applies the answer.

#![no_std]
#![no_main]

mod account;
mod frame;
mod grants;
mod maps;
mod report;
mod tables;
mod word;

use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS};
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;
use knock_common::judge::judge;
use knock_common::packet::parse;
use knock_common::reason::Verdict;

use crate::frame::{LinearFrame, MultiBufferFrame, PacketFrame};
use crate::tables::KernelTables;

/// For frames that lie in one buffer.
#[xdp]
pub fn knock(context: XdpContext) -> u32 {
    filter::<LinearFrame>(&context)
}

/// For drivers that spread large frames over several buffers (Linux 5.18).
#[xdp(frags)]
pub fn knock_frags(context: XdpContext) -> u32 {
    filter::<MultiBufferFrame>(&context)
}

#[inline(always)]
fn filter<F: PacketFrame>(context: &XdpContext) -> u32 {
    let parsed = parse(&F::of(context));
    // Without its maps the program can't tell anyone apart. They are part of it: this does not happen.
    let Some(tables) = KernelTables::of(context) else {
        return XDP_DROP;
    };
    let judgement = judge(&tables, &parsed);
    account::count(&parsed, &judgement);
    #[cfg(feature = "trace")]
    trace(context, &parsed, &judgement);
    match judgement.reason().verdict() {
        Verdict::Pass => XDP_PASS,
        Verdict::Drop => XDP_DROP,
    }
}

#[cfg(feature = "trace")]
#[inline(always)]
fn trace(
    context: &XdpContext,
    parsed: &knock_common::packet::Parsed,
    judgement: &knock_common::judge::Judgement,
) {
    use knock_common::packet::Content;

    let (source, port) = match parsed {
        Ok(packet) => match packet.content {
            Content::Segment(segment) => (packet.source.octets(), segment.destination_port),
            _ => (packet.source.octets(), 0),
        },
        _ => ([0; 16], 0),
    };
    aya_log_ebpf::info!(
        context,
        "{:i} to port {} of protocol {}: reason {}",
        source,
        port,
        protocol_number(parsed),
        judgement.reason() as u8
    );
}

#[cfg(feature = "trace")]
#[inline(always)]
fn protocol_number(parsed: &knock_common::packet::Parsed) -> u8 {
    use knock_common::packet::Content;
    use knock_common::port::Protocol;

    match parsed {
        Ok(packet) => match packet.content {
            Content::Segment(segment) => match segment.protocol {
                Protocol::Tcp => 6,
                Protocol::Udp => 17,
            },
            Content::Other(number) => number,
            Content::Icmp => 1,
            Content::LaterFragment => 0,
        },
        _ => 0,
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
