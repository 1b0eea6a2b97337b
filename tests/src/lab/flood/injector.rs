//! An XDP program that gives each frame a source port at random and sends it out of an interface.

use anyhow::{Context, Result};
use aya::Ebpf;
use aya::programs::{TestRun, TestRunAttrs, TestRunOptions, Xdp};

use crate::assembly::{instruction, xdp_object};

const NAME: &str = "inject";
/// Frames that the kernel handles at once.
const BATCH: u32 = 64;

/// Source port, and two bytes that are data to the checksum: of TCP's acknowledgment, or the first of a datagram.
const SOURCE_PORT: i16 = 0;
const BALANCE: i16 = 8;
/// What the program wants of a frame behind its IP header.
const LEAST: i16 = BALANCE + 2;

/// The loaded program.
pub struct Injector {
    ebpf: Ebpf,
}

impl Injector {
    /// For untagged frames of one family whose IP header has no options; they leave by the interface of this index in the
    /// calling thread's namespace.
    pub fn load(is_v4: bool, interface: u32) -> Result<Self> {
        let transport = if is_v4 { 14 + 20 } else { 14 + 40 };
        let mut ebpf = Ebpf::load(&xdp_object(NAME, &code(transport, interface.cast_signed()))?)?;
        program(&mut ebpf)?.load()?;
        Ok(Self { ebpf })
    }

    /// Sends `count` copies of a frame whose source port and two bytes for the checksum's balance are 0.
    pub fn inject(&mut self, frame: &[u8], count: u32) -> Result<()> {
        let options = TestRunOptions {
            data_in: Some(frame),
            repeat: count,
            attrs: TestRunAttrs::new().xdp_live_frames(BATCH),
            ..TestRunOptions::default()
        };
        program(&mut self.ebpf)?.test_run(options).context("injecting frames")?;
        Ok(())
    }
}

fn program(ebpf: &mut Ebpf) -> Result<&mut Xdp> {
    Ok(ebpf.program_mut(NAME).context("the program is not in its object")?.try_into()?)
}

/// A port and its complement sum up to nothing in a checksum.
fn code(transport: i16, interface: i32) -> [[u8; 8]; 13] {
    const GET_PRANDOM_U32: i32 = 7;
    const REDIRECT: i32 = 23;
    let end = i32::from(transport + LEAST);
    [
        // r6 and r7: where the frame begins and ends.
        instruction(0x61, 6, 1, 0, 0),
        instruction(0x61, 7, 1, 4, 0),
        // To the end, unless it is long enough.
        instruction(0xbf, 2, 6, 0, 0),
        instruction(0x07, 2, 0, 0, end),
        instruction(0x2d, 2, 7, 4, 0),
        instruction(0x85, 0, 0, 0, GET_PRANDOM_U32),
        instruction(0x6b, 6, 0, transport + SOURCE_PORT, 0),
        instruction(0xa7, 0, 0, 0, -1),
        instruction(0x6b, 6, 0, transport + BALANCE, 0),
        // The end: out of the interface.
        instruction(0xb7, 1, 0, 0, interface),
        instruction(0xb7, 2, 0, 0, 0),
        instruction(0x85, 0, 0, 0, REDIRECT),
        instruction(0x95, 0, 0, 0, 0),
    ]
}
