//! The kernel programs: they read packets, looks maps up, asks knock-common, applies the answer.

#![no_std]
#![no_main]

mod account;
mod frame;
mod grants;
mod maps;
mod report;
mod tables;
#[cfg(feature = "trace")]
mod trace;
mod word;

use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS};
use aya_ebpf::macros::{classifier, xdp};
use aya_ebpf::programs::{TcContext, XdpContext};
use knock_common::completion::complete;
use knock_common::judge::judge;
use knock_common::packet::{NoPacket, Packet, parse};
use knock_common::reason::Verdict;

use crate::frame::{LinearFrame, MultiBufferFrame, PacketFrame, unfollowed};
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

/// What the other programs of the hook do decides about the packet.
const NEXT: i32 = -1;

/// Notes what this machine begins, as it leaves.
#[classifier]
pub fn knock_egress(_context: TcContext) -> i32 {
    NEXT
}

#[inline(always)]
fn filter<F: PacketFrame>(context: &XdpContext) -> u32 {
    // Without its maps the program can't tell anyone apart. They are part of it: this does not happen.
    let Some(packet) = maps::PACKET.get_ptr_mut(0) else {
        return XDP_DROP;
    };
    let Some(tables) = KernelTables::of(context) else {
        return XDP_DROP;
    };
    // SAFETY: the value is this CPU's own, and the program is not interrupted by itself.
    let packet = unsafe { &mut *packet };
    let parsed = match parse_into(&F::of(context), packet) {
        0 => Ok(&*packet),
        1 => Err(NoPacket::NotIp),
        _ => Err(NoPacket::Malformed),
    };
    let judgement = judge(&tables, parsed);
    account::count(parsed, &judgement);
    #[cfg(feature = "trace")]
    trace::log(context, parsed, &judgement);
    let action = match judgement.reason().verdict() {
        Verdict::Pass => XDP_PASS,
        Verdict::Drop => XDP_DROP,
    };
    let Some(door) = judgement.completed else {
        return action;
    };
    let action = unfollowed(action as u64) as u32;
    complete(&tables, &packet.source, door.get());
    action
}

/// Parses the frame into `packet`. 0: done; 1: not IP; 2: malformed.
// Not inlined, and into a map: behind the call the verifier knows nothing of how the packet was parsed, and examines what
// follows once instead of once per way through the parser.
#[inline(never)]
fn parse_into<F: PacketFrame>(frame: &F, packet: &mut Packet) -> u32 {
    match parse(frame) {
        Ok(parsed) => {
            *packet = parsed;
            0
        }
        Err(NoPacket::NotIp) => 1,
        Err(NoPacket::Malformed) => 2,
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
