//! Runs a program over packets of one source after the other, where it would forget or remember a repeated one.

use std::os::fd::{AsFd as _, AsRawFd as _};

use anyhow::{Context, Result, ensure};
use aya::Ebpf;
use aya::maps::{Map, MapData, ProgramArray};
use aya::programs::{ProgramFd, Xdp};
use aya_obj::generated::bpf_map_type::BPF_MAP_TYPE_PROG_ARRAY;
use knock_tests::assembly::{instruction, xdp_object};

use super::cost_of;

const NAME: &str = "each_source";
/// What it returns where the other program was not called.
const NOT_CALLED: u32 = 0;
/// Of an untagged frame over IPv4.
const SOURCE: i16 = 26;

/// Counts the source address of the frame up by one, and goes on with the other program by a tail call. The kernel runs the
/// program over one and the same frame again and again, so that the address itself is the counter.
pub struct EachSource {
    ebpf: Ebpf,
    _next: ProgramArray<MapData>,
}

impl EachSource {
    /// # Errors
    /// When the kernel refuses it, or to call that program from it.
    pub fn before(program: &ProgramFd) -> Result<Self> {
        let place = aya_obj::Map::new_from_params(BPF_MAP_TYPE_PROG_ARRAY as u32, 4, 4, 1, 0);
        let place = MapData::create(place, "next", None)?;
        let descriptor = place.fd().as_fd().as_raw_fd();
        let mut next: ProgramArray<MapData> = Map::ProgramArray(place).try_into()?;
        next.set(0, program, 0)?;
        let mut ebpf = Ebpf::load(&xdp_object(NAME, &code(descriptor))?)?;
        self::program(&mut ebpf)?.load()?;
        Ok(Self { ebpf, _next: next })
    }

    /// Nanoseconds of a run, with this program's own. The first source is the one behind the frame's.
    ///
    /// # Errors
    /// When the kernel can't run it over such a frame.
    pub fn cost(&mut self, frame: &[u8], runs: u32) -> Result<f64> {
        let (action, nanoseconds) = cost_of(program(&mut self.ebpf)?, frame, runs)?;
        ensure!(action != NOT_CALLED, "the program was not called");
        Ok(nanoseconds)
    }
}

fn program(ebpf: &mut Ebpf) -> Result<&mut Xdp> {
    Ok(ebpf.program_mut(NAME).context("the program is not in its object")?.try_into()?)
}

fn code(next: i32) -> [[u8; 8]; 18] {
    const TAIL_CALL: i32 = 12;
    [
        // r6: the context; r2 and r3: where the frame begins and ends.
        instruction(0xbf, 6, 1, 0, 0),
        instruction(0x61, 2, 1, 0, 0),
        instruction(0x61, 3, 1, 4, 0),
        // To the end, unless it is long enough.
        instruction(0xbf, 4, 2, 0, 0),
        instruction(0x07, 4, 0, 0, i32::from(SOURCE) + 4),
        instruction(0x2d, 4, 3, 10, 0),
        // One more, in network byte order.
        instruction(0x61, 5, 2, SOURCE, 0),
        instruction(0xdc, 5, 0, 0, 32),
        instruction(0x07, 5, 0, 0, 1),
        instruction(0xdc, 5, 0, 0, 32),
        instruction(0x63, 2, 5, SOURCE, 0),
        instruction(0xbf, 1, 6, 0, 0),
        // r2: the map of this descriptor, in two instructions.
        instruction(0x18, 2, 1, 0, next),
        instruction(0, 0, 0, 0, 0),
        instruction(0xb7, 3, 0, 0, 0),
        instruction(0x85, 0, 0, 0, TAIL_CALL),
        // The end, which is not reached otherwise.
        instruction(0xb7, 0, 0, 0, NOT_CALLED.cast_signed()),
        instruction(0x95, 0, 0, 0, 0),
    ]
}
