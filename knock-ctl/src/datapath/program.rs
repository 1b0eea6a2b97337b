//! Loads the kernel programs and their maps, and runs them without any interface.

use std::collections::BTreeSet;

use aya::maps::{MapData, PerfEventArray};
use aya::programs::{
    Program as Any, ProgramError, SchedClassifier, TestRun, TestRunOptions, TestRunResult, Xdp,
};
use aya::{Ebpf, EbpfError, EbpfLoader};
use knock_common::event::RING_EVENTS;
use knock_common::hash::HashKey;
use knock_common::rules::{Control, LAYOUT_VERSION, NO_RULES};
use sha2::{Digest, Sha256};

use super::maps::{Maps, perf_events};
use super::object::object;
use super::pins::Pins;
use super::sizes::PORTS_PER_SCAN;
use super::{DatapathError, TableSizes};
use crate::version::version;

/// Names of all maps, as pinned.
const PINNED_MAPS: &[&str] = &[
    "CONTROL",
    "RULES",
    "PORTS",
    "HITS",
    "EDGES",
    "STATES",
    "OCCURRENCES",
    "DOORS",
    "RELATIONS",
    "TARGETS",
    "DESTINATIONS",
    "TRUSTED",
    "LISTENERS",
    "ATTEMPTS",
    "ATTEMPT_TAGS",
    "TAKEN",
    "USED",
    "FLOWS",
    "OUTGOING",
    "SCANS",
    "SCANNED",
    "PROTOCOLS",
    "GRANTS",
    "GRANT_SOURCES",
    "GRANT_CURSOR",
    "CONNECTIONS",
    "LOCKS",
    "COMPLETIONS",
    "SERIALS",
    "EVENTS",
    "COUNTERS",
    "GRANTED",
    "DROPS",
    "BUDGET",
    "GRANTS_SCRATCH",
    "CONNECTIONS_SCRATCH",
    "WORKSPACE",
    "OPENINGS",
];

/// Which of the embedded programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    Plain,
    /// Logs every packet's verdict.
    Trace,
}

/// The kernel programs over one set of maps. An XDP program is loaded once it is needed: that takes the verifier a second.
pub struct Program {
    variant: Variant,
    ebpf: Ebpf,
    /// Programs of the kernel that are the same, over the same maps.
    running: BTreeSet<u32>,
}

/// The XDP program for frames in one buffer, that for several, and the classifier of packets that leave.
pub(super) const LINEAR: &str = "knock";
pub(super) const MULTI_BUFFER: &str = "knock_frags";
pub(super) const EGRESS: &str = "knock_egress";

impl Program {
    /// Loads the program with its maps: those that are pinned, if `pins` are given and exist, else new ones of `sizes`, which
    /// are then pinned.
    pub fn load(
        variant: Variant,
        sizes: &TableSizes,
        hash_key: HashKey,
        pins: Option<&Pins>,
    ) -> Result<(Self, Maps), DatapathError> {
        let exist = pins.is_some_and(Pins::exist);
        let sizes = match pins {
            Some(pins) if exist => Maps::open(pins)?.sizes(),
            _ => *sizes,
        };
        let mut loader = EbpfLoader::new();
        let sized = [
            ("HITS", sizes.rules),
            ("EDGES", sizes.rules),
            ("STATES", sizes.rules),
            ("OCCURRENCES", sizes.rules),
            ("DOORS", sizes.rules),
            ("RELATIONS", sizes.rules),
            ("TARGETS", sizes.rules),
            ("DESTINATIONS", sizes.rules),
            ("TRUSTED", sizes.rules),
            ("OPENINGS", sizes.rules),
            ("ATTEMPTS", sizes.attempt_sets),
            ("ATTEMPT_TAGS", sizes.attempt_sets),
            ("TAKEN", sizes.taken),
            ("FLOWS", sizes.flow_sets),
            ("OUTGOING", sizes.flow_sets),
            ("SCANS", sizes.scans),
            ("SCANNED", sizes.scans * PORTS_PER_SCAN),
            ("GRANTS", sizes.grants),
            ("GRANT_SOURCES", sizes.grants),
            ("CONNECTIONS", sizes.connections),
            ("COMPLETIONS", sizes.cpus * RING_EVENTS),
        ];
        for (name, entries) in sized {
            loader.map_max_entries(name, entries);
        }
        loader
            .override_global("ATTEMPT_SETS", &sizes.attempt_sets, true)
            .override_global("FLOW_SETS", &sizes.flow_sets, true)
            .override_global("GRANT_CAPACITY", &sizes.grants, true);
        if let Some(pins) = pins {
            pins.create()?;
            for name in PINNED_MAPS {
                loader.map_pin_path(name, pins.map(name));
            }
        }
        let ebpf = loader.load(object(variant)?).map_err(Box::new)?;
        let mut program = Self { variant, ebpf, running: BTreeSet::new() };
        let mut maps = Maps::collect(|name| {
            program.ebpf.take_map(name).ok_or_else(|| DatapathError::NoMap(name.to_owned()))
        })?;
        if !exist {
            maps.set_control(Control {
                active_slot: 0,
                layout_version: LAYOUT_VERSION,
                generation: 0,
                confirm_by: 0,
                fallback: NO_RULES,
                padding: 0,
                hash_key,
            })?;
        }
        Ok((program, maps))
    }

    /// Loads every program, also those that are not going to be attached. Kernels without programs for several buffers
    /// (before Linux 5.18) do without that one.
    ///
    /// # Errors
    /// [`DatapathError::Verifier`] when the kernel refuses a program.
    pub fn load_all(&mut self) -> Result<(), DatapathError> {
        let _ = self.xdp(MULTI_BUFFER);
        self.xdp(LINEAR)?;
        self.classifier().map(|_| ())
    }

    /// SHA-256 of this version and the object file, in hexadecimal. Another version's programs are never taken for one's
    /// own, so that what judges packets is of the version that the controller says it is.
    ///
    /// # Errors
    /// [`DatapathError::NoProgram`] when none is embedded.
    pub fn object_hash(variant: Variant) -> Result<String, DatapathError> {
        let hash = Sha256::new().chain_update(version()).chain_update(object(variant)?);
        Ok(format!("{:x}", hash.finalize()))
    }

    /// Programs of the kernel that were loaded from this object over these maps: where one of them is attached already, nothing
    /// is loaded.
    pub fn recognise(&mut self, running: BTreeSet<u32>) {
        self.running = running;
    }

    pub(super) fn is_running(&self, id: u32) -> bool {
        self.running.contains(&id)
    }

    /// The programs of the kernel that are loaded from this object, here or before.
    pub fn ids(&self) -> BTreeSet<u32> {
        let loaded = self.ebpf.programs().filter_map(|(_, program)| Some(program.info().ok()?.id()));
        self.running.iter().copied().chain(loaded).collect()
    }

    pub fn take_perf_events(&mut self) -> Result<PerfEventArray<MapData>, DatapathError> {
        perf_events(self.ebpf.take_map("EVENTS").ok_or_else(|| DatapathError::NoMap("EVENTS".into()))?)
    }

    pub fn variant(&self) -> Variant {
        self.variant
    }

    pub fn ebpf_mut(&mut self) -> &mut Ebpf {
        &mut self.ebpf
    }

    /// Runs the program over a frame, `repeat` times, without any interface. Returns its action and the nanoseconds of a run.
    pub fn test_run(&mut self, frame: &[u8], repeat: u32) -> Result<(u32, u32), DatapathError> {
        run(self.xdp(LINEAR)?, frame, repeat)
    }

    /// As [`Program::test_run`], for the program that takes frames in several buffers.
    pub fn test_run_multi_buffer(&mut self, frame: &[u8], repeat: u32) -> Result<(u32, u32), DatapathError> {
        run(self.xdp(MULTI_BUFFER)?, frame, repeat)
    }

    /// As [`Program::test_run`], for the program on packets that leave. The kernel runs it over no frame that lacks a part of
    /// the Ethernet header or, for its EtherType, of the fixed IP header.
    ///
    /// # Errors
    /// [`DatapathError::Program`] (EINVAL) for such a frame.
    pub fn test_run_egress(&mut self, frame: &[u8], repeat: u32) -> Result<(i32, u32), DatapathError> {
        let (action, nanoseconds) = run(self.classifier()?, frame, repeat)?;
        Ok((action.cast_signed(), nanoseconds))
    }

    /// Instructions that the verifier looked at, for each program that is loaded.
    pub fn verified_instructions(&self) -> Vec<(String, u32)> {
        let count = |program: &Any| program.info().ok()?.verified_instruction_count();
        self.ebpf.programs().filter_map(|(name, program)| Some((name.to_owned(), count(program)?))).collect()
    }

    /// The XDP program of this name, loaded.
    pub(super) fn xdp(&mut self, name: &'static str) -> Result<&mut Xdp, DatapathError> {
        let program: &mut Xdp = self.program(name)?.try_into().map_err(Box::new)?;
        if program.fd().is_err() {
            program.load().map_err(refused(name))?;
        }
        Ok(program)
    }

    /// The program on packets that leave, loaded.
    pub(super) fn classifier(&mut self) -> Result<&mut SchedClassifier, DatapathError> {
        let program: &mut SchedClassifier = self.program(EGRESS)?.try_into().map_err(Box::new)?;
        if program.fd().is_err() {
            program.load().map_err(refused(EGRESS))?;
        }
        Ok(program)
    }

    fn program(&mut self, name: &str) -> Result<&mut Any, DatapathError> {
        let missing = || Box::new(EbpfError::ProgramError(ProgramError::NotLoaded));
        Ok(self.ebpf.program_mut(name).ok_or_else(missing)?)
    }
}

fn refused(program: &'static str) -> impl FnOnce(ProgramError) -> DatapathError {
    move |source| DatapathError::Verifier { program, source: Box::new(source) }
}

fn run<P>(program: &P, frame: &[u8], repeat: u32) -> Result<(u32, u32), DatapathError>
where
    P: for<'a> TestRun<Opts<'a> = TestRunOptions<'a>, Result = TestRunResult>,
{
    let mut out = vec![0; frame.len() + 512];
    let options =
        TestRunOptions { data_in: Some(frame), data_out: Some(&mut out), repeat, ..Default::default() };
    let result = program.test_run(options).map_err(Box::new)?;
    Ok((result.return_value, result.duration.as_nanos() as u32))
}
