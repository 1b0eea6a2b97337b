//! The kernel programs: they read packets, look maps up, ask knock-common and apply its answer.

#![no_std]
#![no_main]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]

mod account;
mod evenness;
mod frame;
mod grants;
mod maps;
mod report;
mod tables;
#[cfg(feature = "trace")]
mod trace;
mod verifier;
mod word;

use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS};
use aya_ebpf::bindings::{__sk_buff, xdp_md};
use aya_ebpf::macros::{classifier, xdp};
use aya_ebpf::programs::{TcContext, XdpContext};
use knock_common::address::Address;
use knock_common::completion::complete;
use knock_common::evenness::probed_at;
use knock_common::frame::Frame;
use knock_common::judge::judge;
use knock_common::leaving::note_leaving;
use knock_common::packet::{self, NoPacket, Packet, Unfit};
use knock_common::reason::{Reason, Verdict};

use crate::frame::{LinearFrame, MultiBufferFrame, PacketFrame};
use crate::maps::Scratch;
use crate::tables::KernelTables;

/// For frames that lie in one buffer.
#[xdp]
pub fn knock(context: XdpContext) -> u32 {
    filter::<LinearFrame>(&context)
}

/// For drivers that spread large frames over several buffers (Linux 5.18).
#[xdp(frags)]
pub fn knock_frags(context: XdpContext) -> u32 {
    filter::<MultiBufferFrame<*mut xdp_md>>(&context)
}

/// Notes what this machine begins, as it leaves. Whatever comes of that, the packet goes on its way.
#[classifier]
pub fn knock_egress(context: TcContext) -> i32 {
    /// What else hangs on the hook decides about the packet (`TC_ACT_UNSPEC`).
    const NEXT: i32 = -1;

    let Some((scratch, packet)) = workspace() else {
        return NEXT;
    };
    if let Ok(tables) = KernelTables::of_leaving(&context, scratch)
        && parse_into(&MultiBufferFrame::<*mut __sk_buff>::of(&context, scratch), packet) == 0
    {
        note_leaving(&tables, packet);
    }
    NEXT
}

#[inline(always)]
fn filter<F: PacketFrame<'static, XdpContext>>(context: &XdpContext) -> u32 {
    // Without its maps the program can't tell anyone apart. They are part of it: this does not happen.
    let Some((scratch, packet)) = workspace() else {
        return XDP_DROP;
    };
    let Ok(tables) = KernelTables::of(context, scratch) else {
        return XDP_DROP;
    };
    let Some(tables) = tables else {
        account::count_reason(context, Reason::Unconfirmed);
        return XDP_PASS;
    };
    let parsed = match parse_into(&F::of(context, scratch), packet) {
        0 => Ok(&*packet),
        1 => Err(NoPacket::NotIp),
        2 => Err(NoPacket::Malformed(packet.destination)),
        _ => Err(NoPacket::Malformed(Address::UNSPECIFIED)),
    };
    let judgement = judge(&tables, parsed);
    account::count(context, &tables, parsed, &judgement);
    #[cfg(feature = "trace")]
    trace::log(context, parsed, &judgement);
    let action = match judgement.reason().verdict() {
        Verdict::Pass => XDP_PASS,
        Verdict::Drop => XDP_DROP,
    };
    if let Some(probed_at) = probed_at(&tables, judgement.decided) {
        evenness::wait(probed_at);
    }
    let Some(door) = judgement.completed else {
        return action;
    };
    let action = scratch.unfollowed(action as u64) as u32;
    complete(&tables, &packet.source, door.get());
    action
}

/// Where this CPU judges packets.
#[inline(always)]
fn workspace() -> Option<(&'static Scratch, &'static mut Packet)> {
    let workspace = maps::WORKSPACE.get_ptr_mut(0)?;
    // SAFETY: the value is this CPU's own, and its programs don't interrupt each other: arriving and leaving packets are both
    // handled in, or without, soft interrupts. Each program asks for it once, and the two fields don't overlap.
    Some(unsafe { (&(*workspace).scratch, &mut (*workspace).packet) })
}

/// Parses the frame into `packet`. 0: done; 1: not IP; 2: malformed, with the destination there; 3: without it.
// Into a map, and the result too: the verifier examines what follows once instead of once per way through the parser.
#[inline(always)]
fn parse_into<F: Frame>(frame: &F, packet: &mut Packet) -> u64 {
    let result = match packet::parse_into(frame, packet) {
        Ok(()) => 0,
        Err(Unfit::NotIp) => 1,
        Err(Unfit::Malformed) => 2,
        Err(Unfit::CutShort) => 3,
    };
    frame.unfollowed(result)
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
