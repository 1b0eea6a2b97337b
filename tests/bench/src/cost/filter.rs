//! Our program, loaded under some rules, without any interface.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Result, ensure};
use aya::programs::{ProgramFd, Xdp};
use knock_common::reason::Reason;
use knock_ctl::config::Limits;
use knock_tests::kernel::{KernelFilter, now};
use knock_tests::model::{Door, Network, Policy, Port, PortRange, Rules, Trusted};
use knock_tests::rule_set::rule_set;

use super::packets::{PUBLIC, SEQUENCE, SSH, syn};
use crate::programs::EachSource;

/// What it is loaded with.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Of three steps; all open [`SSH`], the first by [`SEQUENCE`].
    pub doors: u16,
    /// Prefixes of 24 bits, none of which is anybody's who sends here.
    pub trusted: u32,
    pub policy: Policy,
    pub limits: Limits,
}

/// The loaded program.
pub struct Filter {
    kernel: KernelFilter,
}

impl Default for Spec {
    /// One door, and the defaults of a configuration file.
    fn default() -> Self {
        Self { doors: 1, trusted: 0, policy: Policy::Pass, limits: Limits::default() }
    }
}

impl Filter {
    /// # Errors
    /// When the kernel refuses it.
    pub fn load(spec: &Spec) -> Result<Self> {
        let Limits { attempts, grants, flows, .. } = spec.limits;
        Ok(Self { kernel: KernelFilter::with_limits(&rule_set(&rules(spec)), attempts, flows, grants)? })
    }

    /// Puts other rules into force and forgets what packets did under those before; the tables stay as large as they are.
    pub fn begin(&mut self, spec: &Spec) {
        self.kernel.begin(&rules(spec));
    }

    /// Nanoseconds of a run over a frame.
    ///
    /// # Errors
    /// When the program did not decide each time for this reason.
    pub fn cost(&mut self, frame: &[u8], runs: u32, reason: Reason) -> Result<f64> {
        self.counting(runs, reason, |kernel| Ok(f64::from(kernel.program.test_run(frame, runs)?.1)))
    }

    /// As [`Filter::cost`], with a program that is to call this one.
    ///
    /// # Errors
    /// As [`Filter::cost`].
    pub fn cost_through(
        &mut self,
        sources: &mut EachSource,
        frame: &[u8],
        runs: u32,
        reason: Reason,
    ) -> Result<f64> {
        self.counting(runs, reason, |_| sources.cost(frame, runs))
    }

    /// Lets a source in by its knocks, and has it begin a connection.
    ///
    /// # Errors
    /// When it has no grant afterwards.
    pub fn let_in(&mut self, source: IpAddr) -> Result<()> {
        for port in SEQUENCE.into_iter().chain([SSH]) {
            self.kernel.program.test_run(&syn(source, port).build(), 1)?;
        }
        ensure!(self.kernel.has_grant(&source.into()), "{source} has not been let in by its knocks");
        Ok(())
    }

    /// Shows it a frame that leaves this machine.
    ///
    /// # Errors
    /// When the kernel can't run the program over such a frame.
    pub fn leaving(&mut self, frame: &[u8]) -> Result<()> {
        self.kernel.program.test_run_egress(frame, 1)?;
        Ok(())
    }

    /// Sources under way, as far as the table holds them.
    ///
    /// # Errors
    /// When the table can't be read.
    pub fn attempts(&self) -> Result<usize> {
        Ok(self.kernel.maps.attempts_use(now())?.used)
    }

    /// # Errors
    /// When it is not loaded.
    pub fn fd(&mut self) -> Result<&ProgramFd> {
        let program: &mut Xdp = self
            .kernel
            .program
            .ebpf_mut()
            .program_mut("knock")
            .ok_or_else(|| anyhow::anyhow!("the program is not in its object"))?
            .try_into()?;
        Ok(program.fd()?)
    }

    fn counting(
        &mut self,
        runs: u32,
        reason: Reason,
        run: impl FnOnce(&mut KernelFilter) -> Result<f64>,
    ) -> Result<f64> {
        let before = self.kernel.maps.counters()?[&reason];
        let cost = run(&mut self.kernel)?;
        let counted = self.kernel.maps.counters()?[&reason] - before;
        ensure!(counted == u64::from(runs), "{counted} of {runs} packets were counted as {}", reason.name());
        Ok(cost)
    }
}

fn rules(spec: &Spec) -> Rules {
    let sequence = |door: u16| match door {
        0 => SEQUENCE,
        _ => [20_000 + door, 30_000 + door, 40_000 + door],
    };
    let door = |door| Door::new(sequence(door).map(Port::tcp).to_vec(), vec![Port::tcp(SSH)]);
    let trusted = |number: u32| Trusted {
        from: Network { address: Ipv4Addr::from_bits(0x6400_0000 + (number << 8)).into(), prefix_length: 24 },
        to: None,
    };
    Rules {
        doors: (0..spec.doors).map(door).collect(),
        public: vec![PortRange::from(Port::tcp(PUBLIC))],
        trusted: (0..spec.trusted).map(trusted).collect(),
        policy: spec.policy,
        ..Rules::default()
    }
}
