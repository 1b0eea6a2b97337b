//! The kernel program, loaded without any interface and run over single frames.

use knock_common::address::Address;
use knock_common::hash::{HashKey, KEY_WORDS};
use knock_common::reason::Reason;
use knock_common::time::Boottime;
use knock_ctl::datapath::{DatapathError, Maps, Mode, PacketCounters, Program, TableSizes, Variant};
use knock_ctl::rules::{PreviousStates, RuleSet, compile};

/// `XDP_DROP` and `XDP_PASS` of linux/bpf.h.
const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;

/// A loaded program under a set of rules.
pub struct KernelFilter {
    pub program: Program,
    pub maps: Maps,
    counters: PacketCounters,
}

/// What became of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelOutcome {
    pub pass: bool,
    pub reason: Reason,
}

impl KernelFilter {
    /// With tables of at least so many entries.
    pub fn with_limits(
        rules: &RuleSet,
        attempts: u32,
        flows: u32,
        grants: u32,
    ) -> Result<Self, DatapathError> {
        let compiled = compile(rules, &PreviousStates::new())?;
        let cpus = std::thread::available_parallelism().map_or(1, |cpus| cpus.get() as u32);
        let sizes = TableSizes::new(attempts, flows, grants, &compiled, cpus);
        let key = HashKey([0x9e37_79b9_7f4a_7c15; KEY_WORDS]);
        let (program, mut maps) = Program::load(Variant::Plain, &sizes, key, None)?;
        maps.put_into_force(&compiled)?;
        let counters = maps.counters()?;
        Ok(Self { program, maps, counters })
    }

    pub fn new(rules: &RuleSet) -> Result<Self, DatapathError> {
        Self::with_limits(rules, 65_536, 16_384, 4096)
    }

    /// Runs the program over the frame once. Panics unless exactly one reason was counted, and fits the verdict.
    pub fn judge(&mut self, frame: &[u8]) -> KernelOutcome {
        let (action, _) = self.program.test_run(frame, 1).expect("the program runs");
        let counters = self.maps.counters().expect("counters can be read");
        let moved: Vec<Reason> = Reason::ALL
            .iter()
            .copied()
            .flat_map(|reason| {
                let times = counters[&reason] - self.counters[&reason];
                std::iter::repeat_n(reason, times as usize)
            })
            .collect();
        self.counters = counters;
        let [reason] = moved[..] else {
            panic!("one packet moved the counters {moved:?}");
        };
        let pass = match action {
            XDP_PASS => true,
            XDP_DROP => false,
            other => panic!("the program returned {other}"),
        };
        KernelOutcome { pass, reason }
    }

    /// Whether `source` holds a valid grant of any door.
    pub fn has_grant(&self, source: &Address) -> bool {
        let now = now();
        let grants = self.maps.grants_of(source).expect("grants can be read");
        grants.is_some_and(|grants| grants.all().iter().any(|grant| !grant.deadline().passed(now)))
    }
}

/// CLOCK_BOOTTIME, the clock of grants and attempts.
pub fn now() -> Boottime {
    knock_ctl::clock::boottime()
}

/// Both ways of attaching.
pub const MODES: [Mode; 2] = [Mode::Native, Mode::Generic];
