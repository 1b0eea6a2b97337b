//! The floor: a program that looks at nothing.

use anyhow::{Context, Result};
use aya::Ebpf;
use aya::programs::{ProgramFd, Xdp, XdpMode};
use knock_tests::assembly::{instruction, xdp_object};

use super::cost_of;

const NAME: &str = "empty";

/// What it does with every packet; the numbers are those of linux/bpf.h.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Drop = 1,
    Pass = 2,
}

/// Treats every packet alike.
pub struct Empty {
    ebpf: Ebpf,
}

impl Empty {
    /// # Errors
    /// When the kernel refuses it.
    pub fn load(action: Action) -> Result<Self> {
        let code = [instruction(0xb7, 0, 0, 0, action as i32), instruction(0x95, 0, 0, 0, 0)];
        let mut empty = Self { ebpf: Ebpf::load(&xdp_object(NAME, &code)?)? };
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
