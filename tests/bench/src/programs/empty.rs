//! The floor: a program that looks at nothing, or at the least.

use anyhow::{Context, Result};
use aya::Ebpf;
use aya::programs::{ProgramFd, Xdp, XdpMode};
use knock_tests::assembly::{instruction, xdp_object};

use super::cost_of;

const NAME: &str = "empty";

/// What it does with every packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Drop,
    /// Lets those over IPv4 pass whose TCP ports are both 0.
    DropAfterReading,
    Pass,
}

impl Action {
    fn code(self) -> Vec<[u8; 8]> {
        /// Of linux/bpf.h.
        const XDP_DROP: i32 = 1;
        const XDP_PASS: i32 = 2;
        /// Offsets of the ports of a TCP segment in an IPv4 packet without options, and behind them.
        const PORTS: i16 = 34;
        const BEHIND: i32 = 38;

        let finish = |action| instruction(0xb7, 0, 0, 0, action);
        let exit = instruction(0x95, 0, 0, 0, 0);
        match self {
            Self::Drop => vec![finish(XDP_DROP), exit],
            Self::Pass => vec![finish(XDP_PASS), exit],
            Self::DropAfterReading => vec![
                finish(XDP_DROP),
                // r2 = data_end, r1 = data
                instruction(0x61, 2, 1, 4, 0),
                instruction(0x61, 1, 1, 0, 0),
                // To the exit, where the frame is too short or has ports.
                instruction(0xbf, 3, 1, 0, 0),
                instruction(0x07, 3, 0, 0, BEHIND),
                instruction(0x2d, 3, 2, 3, 0),
                instruction(0x61, 1, 1, PORTS, 0),
                instruction(0x55, 1, 0, 1, 0),
                finish(XDP_PASS),
                exit,
            ],
        }
    }
}

/// Treats every packet alike.
pub struct Empty {
    ebpf: Ebpf,
}

impl Empty {
    /// # Errors
    /// When the kernel refuses it.
    pub fn load(action: Action) -> Result<Self> {
        let mut empty = Self { ebpf: Ebpf::load(&xdp_object(NAME, &action.code())?)? };
        empty.program()?.load()?;
        Ok(empty)
    }

    /// Nanoseconds of a run.
    ///
    /// # Errors
    /// When the kernel can't run it over such a frame.
    pub fn cost(&mut self, frame: &[u8], runs: u32) -> Result<f64> {
        Ok(cost_of(self.program()?, frame, runs)?.1)
    }

    /// # Errors
    /// When it is not loaded.
    pub fn fd(&mut self) -> Result<&ProgramFd> {
        Ok(self.program()?.fd()?)
    }

    /// Attaches it to an interface of the calling thread's namespace, until it is dropped.
    ///
    /// # Errors
    /// When the interface does not take it.
    pub fn attach(&mut self, interface: &str, mode: XdpMode) -> Result<()> {
        self.program()?.attach(interface, mode)?;
        Ok(())
    }

    fn program(&mut self) -> Result<&mut Xdp> {
        Ok(self.ebpf.program_mut(NAME).context("the program is not in its object")?.try_into()?)
    }
}
