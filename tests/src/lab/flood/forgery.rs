//! Floods whose packets each come from another address.

use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use aya::Ebpf;
use aya::maps::{Array, Map, MapData};
use aya::programs::{TestRun, TestRunAttrs, TestRunOptions, Xdp};
use aya_obj::generated::bpf_map_type::BPF_MAP_TYPE_ARRAY;
use nix::time::{ClockId, clock_gettime};

use super::super::RawSocket;
use crate::assembly::{instruction, xdp_object};
use crate::packet::Frame;

const NAME: &str = "forge";

/// Up to so many a second a socket sends them, which leaves the CPU to others; more only the kernel itself can.
const BY_SOCKET: u32 = 100_000;
/// How often the socket sends what is due.
const TURN: Duration = Duration::from_millis(1);
/// Frames that the kernel handles at once, and between two looks at whether it is over: it goes through those that are not due
/// at some ten million a second.
const BATCH: u32 = 64;
const ROUND: u32 = 500_000;

/// A list of addresses: neighbours in it are far from each other, and as the factor is odd, every address comes once.
const STRIDE: u32 = 0x9e37_79b1;

/// Where IPv4's identification and source address are in an untagged frame, and behind its header TCP's destination port
/// and acknowledgement.
const IDENTIFICATION: i16 = 18;
const SOURCE_ADDRESS: i16 = 26;
const DESTINATION_PORT: i16 = 36;
const ACKNOWLEDGEMENT: i16 = 42;

/// What is forged, over IPv4.
#[derive(Clone, Debug)]
pub enum Forgery {
    /// SYNs to one port, or from each address first to one and then to the other.
    Syns { to: Ipv4Addr, ports: Vec<u16> },
    /// Datagrams, with a checksum that is wrong.
    Datagrams { to: Ipv4Addr, port: u16, payload: Vec<u8> },
}

impl Forgery {
    /// With what is filled in for each packet left 0.
    fn template(&self) -> Frame {
        self.frame(Ipv4Addr::UNSPECIFIED, 0).identification(0)
    }

    fn frame(&self, from: Ipv4Addr, port: u16) -> Frame {
        const SOURCE_PORT: u16 = 40_000;
        let from = IpAddr::V4(from);
        match self {
            Self::Syns { to, .. } => Frame::tcp(from, (*to).into()).ports(SOURCE_PORT, port),
            Self::Datagrams { to, payload, .. } => {
                Frame::udp(from, (*to).into()).ports(SOURCE_PORT, port).payload(payload)
            }
        }
    }

    fn ports(&self) -> &[u16] {
        match self {
            Self::Syns { ports, .. } => ports,
            Self::Datagrams { port, .. } => std::slice::from_ref(port),
        }
    }

    fn at(&self, place: u32) -> Frame {
        let ports = self.ports();
        let address = (place / ports.len() as u32).wrapping_mul(STRIDE).to_ne_bytes();
        self.frame(Ipv4Addr::from(address), ports[place as usize % ports.len()])
    }
}

/// Sends so many a second out of an interface of the calling thread's namespace, and says by `ready` when it begins; returns
/// how many there were.
pub fn send_until(
    over: &AtomicBool,
    ready: &Sender<()>,
    forgery: &Forgery,
    rate: u32,
    interface: &str,
) -> Result<f64> {
    ensure!((1..=2).contains(&forgery.ports().len()), "one port, or two");
    let first = fastrand::u32(..) & !1;
    if rate <= BY_SOCKET {
        by_socket(over, ready, forgery, rate, RawSocket::open(interface)?, first)
    } else {
        let interface = nix::net::if_::if_nametoindex(interface).context("the interface")?;
        in_kernel(over, ready, forgery, rate, interface, first)
    }
}

fn by_socket(
    over: &AtomicBool,
    ready: &Sender<()>,
    forgery: &Forgery,
    rate: u32,
    socket: RawSocket,
    first: u32,
) -> Result<f64> {
    ready.send(())?;
    let (mut sent, begun) = (0, Instant::now());
    while !over.load(Ordering::SeqCst) {
        let due = (begun.elapsed().as_secs_f64() * f64::from(rate)) as u32;
        for place in sent..due {
            socket.send(&forgery.at(first.wrapping_add(place)).build())?;
        }
        sent = due;
        thread::sleep(TURN);
    }
    Ok(f64::from(sent) / begun.elapsed().as_secs_f64())
}

fn in_kernel(
    over: &AtomicBool,
    ready: &Sender<()>,
    forgery: &Forgery,
    rate: u32,
    interface: u32,
    first: u32,
) -> Result<f64> {
    let state = aya_obj::Map::new_from_params(BPF_MAP_TYPE_ARRAY as u32, 4, 24, 1, 0);
    let state = MapData::create(state, "forge", None)?;
    let descriptor = state.fd().as_fd().as_raw_fd();
    let mut state: Array<MapData, [u64; 3]> = Map::Array(state).try_into()?;
    let mut ebpf = Ebpf::load(&xdp_object(NAME, &code(forgery, descriptor, interface.cast_signed()))?)?;
    let program: &mut Xdp = ebpf.program_mut(NAME).context("the program is not in its object")?.try_into()?;
    program.load()?;
    let now = Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC)?).as_nanos() as u64;
    state.set(0, [first.into(), now, 1_000_000_000 / u64::from(rate)], 0)?;
    let frame = forgery.template().build();
    ready.send(())?;
    let begun = Instant::now();
    while !over.load(Ordering::SeqCst) {
        let options = TestRunOptions {
            data_in: Some(&frame),
            repeat: ROUND,
            attrs: TestRunAttrs::new().xdp_live_frames(BATCH),
            ..TestRunOptions::default()
        };
        program.test_run(options).context("injecting frames")?;
    }
    let [place, ..] = state.get(&0, 0)?;
    let sent = (place as u32).wrapping_sub(first);
    Ok(f64::from(sent) / begun.elapsed().as_secs_f64())
}

/// What is not due is dropped, so that the frames come evenly. An address and a port and the complement of their sum add up to
/// nothing in a checksum.
fn code(forgery: &Forgery, state: i32, interface: i32) -> Vec<[u8; 8]> {
    const KTIME_GET_NS: i32 = 5;
    const REDIRECT: i32 = 23;
    const XDP_DROP: i32 = 1;
    let is_tcp = matches!(forgery, Forgery::Syns { .. });
    let ports: Vec<i32> = forgery.ports().iter().map(|port| i32::from(port.to_be())).collect();
    let due = [
        // r6: where the frame begins; r8: the place in the list, when the next frame is due, nanoseconds between two.
        instruction(0xbf, 9, 1, 0, 0),
        instruction(0x18, 8, 2, 0, state),
        instruction(0, 0, 0, 0, 0),
        instruction(0x85, 0, 0, 0, KTIME_GET_NS),
        instruction(0x79, 1, 8, 8, 0),
        // To the end, unless it is due.
        instruction(0x3d, 0, 1, 2, 0),
        instruction(0xb7, 0, 0, 0, XDP_DROP),
        instruction(0x95, 0, 0, 0, 0),
        instruction(0x79, 2, 8, 16, 0),
        instruction(0x0f, 1, 2, 0, 0),
        instruction(0x7b, 8, 1, 8, 0),
        instruction(0x61, 6, 9, 0, 0),
        instruction(0x61, 7, 9, 4, 0),
        // Never: the frame is long enough.
        instruction(0xbf, 2, 6, 0, 0),
        instruction(0x07, 2, 0, 0, i32::from(ACKNOWLEDGEMENT) + 2),
        instruction(0xbd, 2, 7, 2, 0),
        instruction(0xb7, 0, 0, 0, XDP_DROP),
        instruction(0x95, 0, 0, 0, 0),
        // r0: the place, which is counted up; r3: the port.
        instruction(0x79, 0, 8, 0, 0),
        instruction(0xbf, 1, 0, 0, 0),
        instruction(0x07, 1, 0, 0, 1),
        instruction(0x7b, 8, 1, 0, 0),
        instruction(0xb7, 3, 0, 0, ports[0]),
    ];
    let second = |port: i32| {
        [
            instruction(0xbf, 1, 0, 0, 0),
            instruction(0x57, 1, 0, 0, 1),
            instruction(0x15, 1, 0, 1, 0),
            instruction(0xb7, 3, 0, 0, port),
            // The address comes twice.
            instruction(0x74, 0, 0, 0, 1),
        ]
    };
    let address = [
        instruction(0x24, 0, 0, 0, STRIDE.cast_signed()),
        instruction(0x63, 6, 0, SOURCE_ADDRESS, 0),
        instruction(0x6b, 6, 3, DESTINATION_PORT, 0),
        // r0: the sum of its halves.
        instruction(0xbc, 1, 0, 0, 0),
        instruction(0x54, 1, 0, 0, 0xffff),
        instruction(0x74, 0, 0, 0, 16),
        instruction(0x0f, 0, 1, 0, 0),
    ];
    // With the carry, twice.
    let complement = |to: i16| {
        let fold = [
            instruction(0xbc, 1, 0, 0, 0),
            instruction(0x74, 1, 0, 0, 16),
            instruction(0x54, 0, 0, 0, 0xffff),
            instruction(0x0f, 0, 1, 0, 0),
        ];
        let store =
            [instruction(0xbf, 1, 0, 0, 0), instruction(0xa7, 1, 0, 0, -1), instruction(0x6b, 6, 1, to, 0)];
        [&fold[..], &fold, &store].concat()
    };
    let leave = [
        instruction(0xb7, 1, 0, 0, interface),
        instruction(0xb7, 2, 0, 0, 0),
        instruction(0x85, 0, 0, 0, REDIRECT),
        instruction(0x95, 0, 0, 0, 0),
    ];
    let mut code = due.to_vec();
    if let Some(&port) = ports.get(1) {
        code.extend(second(port));
    }
    code.extend(address);
    code.extend(complement(IDENTIFICATION));
    if is_tcp {
        code.push(instruction(0x0f, 0, 3, 0, 0));
        code.extend(complement(ACKNOWLEDGEMENT));
    }
    code.extend(leave);
    code
}
