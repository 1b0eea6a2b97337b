//! Sends one frame again and again, as fast as the kernel can.

use anyhow::{Context, Result};
use aya::Ebpf;
use aya::programs::{TestRun, TestRunAttrs, TestRunOptions, Xdp};
use knock_tests::assembly::{instruction, xdp_object};

const NAME: &str = "inject";
/// Frames that the kernel handles at once.
const BATCH: u32 = 64;

/// Redirects each frame out of an interface.
pub struct Injector {
    ebpf: Ebpf,
}

impl Injector {
    /// Frames leave by the interface of this index in the calling thread's namespace.
    ///
    /// # Errors
    /// When the kernel refuses the program.
    pub fn load(interface: u32) -> Result<Self> {
        const REDIRECT: i32 = 23;
        let code = [
            instruction(0xb7, 1, 0, 0, interface.cast_signed()),
            instruction(0xb7, 2, 0, 0, 0),
            instruction(0x85, 0, 0, 0, REDIRECT),
            instruction(0x95, 0, 0, 0, 0),
        ];
        let mut injector = Self { ebpf: Ebpf::load(&xdp_object(NAME, &code)?)? };
        injector.program()?.load()?;
        Ok(injector)
    }

    /// Sends so many copies; returns nanoseconds for each.
    ///
    /// # Errors
    /// When the kernel can't inject frames (Linux 5.18).
    pub fn inject(&mut self, frame: &[u8], count: u32) -> Result<f64> {
        let options = TestRunOptions {
            data_in: Some(frame),
            repeat: count,
            attrs: TestRunAttrs::new().xdp_live_frames(BATCH),
            ..TestRunOptions::default()
        };
        let result = self.program()?.test_run(options).context("injecting frames")?;
        Ok(result.duration.as_nanos() as f64)
    }

    fn program(&mut self) -> Result<&mut Xdp> {
        Ok(self.ebpf.program_mut(NAME).context("the program is not in its object")?.try_into()?)
    }
}
