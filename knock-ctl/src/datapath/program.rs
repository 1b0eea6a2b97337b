//! Loads the kernel program, and attaches it to interfaces.

use std::fmt;
use std::path::Path;

use aya::maps::{MapData, PerfEventArray};
use aya::programs::links::{FdLink, LinkError, PinnedLink};
use aya::programs::xdp::{XdpLink, XdpMode};
use aya::programs::{ProgramError, TestRun, TestRunOptions, Xdp, loaded_programs};
use aya::{Ebpf, EbpfError, EbpfLoader};
use knock_common::event::RING_EVENTS;
use knock_common::hash::HashKey;
use knock_common::rules::{Control, LAYOUT_VERSION, NO_RULES};

use super::egress::{self, EgressHook};
use super::maps::{Maps, perf_events};
use super::object::object;
use super::pins::Pins;
use super::sizes::PORTS_PER_SCAN;
use super::{DatapathError, TableSizes};

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
    "TAKEN",
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
    "DROPS",
    "BUDGET",
    "GRANTS_SCRATCH",
    "CONNECTIONS_SCRATCH",
    "SCRATCH",
    "PACKET",
    "OPENINGS",
    "UNFOLLOWED",
];

/// Which of the embedded programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    Plain,
    /// Logs every packet's verdict.
    Trace,
}

/// Where on its way a packet meets the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// In the network driver.
    Native,
    /// In the kernel's network stack, behind the allocation of a socket buffer.
    Generic,
}

impl Mode {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
        }
    }

    const fn xdp_mode(self) -> XdpMode {
        match self {
            Self::Native => XdpMode::Driver,
            Self::Generic => XdpMode::Skb,
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An interface that the filter is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttachedInterface {
    pub index: u32,
    pub program_id: u32,
}

/// The loaded kernel program.
pub struct Program {
    variant: Variant,
    ebpf: Ebpf,
}

/// The program for frames in one buffer, and that for several.
const LINEAR: &str = "knock";
const MULTI_BUFFER: &str = "knock_frags";

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
        let mut ebpf = loader.load(object(variant)?).map_err(Box::new)?;
        egress::load(&mut ebpf)?;
        let mut maps =
            Maps::collect(|name| ebpf.take_map(name).ok_or_else(|| DatapathError::NoMap(name.to_owned())))?;
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
        Ok((Self { variant, ebpf }, maps))
    }

    /// Attaches to packets that leave an interface, in the place of an earlier controller's program if there is one.
    pub fn attach_egress(&mut self, index: u32, hook: EgressHook, pins: &Pins) -> Result<(), DatapathError> {
        egress::attach(&mut self.ebpf, index, hook, pins)
    }

    /// Attaches to an interface that has no XDP program, and pins the link.
    pub fn attach(&mut self, index: u32, mode: Mode, pins: &Pins) -> Result<(), DatapathError> {
        // A generic program sees frames made linear; natively, what takes frames in several buffers goes on more drivers.
        let names: &[&str] = if mode == Mode::Native { &[MULTI_BUFFER, LINEAR] } else { &[LINEAR] };
        let mut result = Err(DatapathError::NoProgram);
        for name in names {
            result = self.attach_one(name, index, mode, pins);
            if result.is_ok() {
                break;
            }
        }
        result
    }

    fn attach_one(&mut self, name: &str, index: u32, mode: Mode, pins: &Pins) -> Result<(), DatapathError> {
        let program = self.loaded(name)?;
        let id = program.attach_to_if_index(index, mode.xdp_mode()).map_err(Box::new)?;
        let link = program.take_link(id).map_err(Box::new)?;
        // A link of the old kind, which can't be pinned, detaches as it is dropped here.
        let link: FdLink = link.try_into().map_err(|_| {
            DatapathError::Link("this kernel has no links for XDP programs; Linux 5.10 or newer has".into())
        })?;
        let path = pins.link(index);
        link.pin(&path)
            .map_err(|error| DatapathError::Link(format!("cannot pin {}: {error}", path.display())))?;
        Ok(())
    }

    /// Puts this program in the place of the one that an earlier controller attached, from one packet to the next.
    pub fn take_over(&mut self, index: u32, pins: &Pins) -> Result<(), DatapathError> {
        let path = pins.link(index);
        let link = FdLink::from(open_link(&path)?);
        // The kernel replaces a program only by one of its kind.
        let failed = |error| DatapathError::Link(format!("{}: {error}", path.display()));
        let attached = link.info().map_err(failed)?.program_id();
        let name = if is_named(attached, MULTI_BUFFER) { MULTI_BUFFER } else { LINEAR };
        let link = XdpLink::try_from(link).map_err(failed)?;
        let program = self.loaded(name)?;
        let id = program.attach_to_link(link).map_err(Box::new)?;
        // The pin alone is to keep the link, so that removing it detaches.
        drop(program.take_link(id).map_err(Box::new)?);
        Ok(())
    }

    /// Loads what [`Program::attach`] or [`Program::take_over`] is going to attach to an interface: to have it refused, and to
    /// have waited for the verifier, before anything is changed.
    pub fn prepare(&mut self, index: u32, mode: Mode, pins: &Pins) -> Result<(), DatapathError> {
        let path = pins.link(index);
        let name = if path.exists() {
            kind_of(&FdLink::from(open_link(&path)?))
                .map_err(|error| DatapathError::Link(format!("{}: {error}", path.display())))?
        } else if mode == Mode::Native {
            MULTI_BUFFER
        } else {
            LINEAR
        };
        match self.loaded(name) {
            // A kernel before 5.18 knows no frames in several buffers.
            Err(_) if name == MULTI_BUFFER => self.loaded(LINEAR).map(|_| ()),
            loaded => loaded.map(|_| ()),
        }
    }

    /// Loads every program, also those that are not going to be attached.
    pub fn load_all(&mut self) -> Result<(), DatapathError> {
        for name in [LINEAR, MULTI_BUFFER] {
            self.loaded(name)?;
        }
        Ok(())
    }

    /// The XDP program of this name. It is loaded once it is needed: that takes the verifier a second.
    fn loaded(&mut self, name: &str) -> Result<&mut Xdp, DatapathError> {
        let program = xdp(&mut self.ebpf, name)?;
        if program.fd().is_err() {
            program.load().map_err(Box::new)?;
        }
        Ok(program)
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
        self.test_run_of(LINEAR, frame, repeat)
    }

    /// As [`Program::test_run`], for the program that takes frames in several buffers.
    pub fn test_run_multi_buffer(&mut self, frame: &[u8], repeat: u32) -> Result<(u32, u32), DatapathError> {
        self.test_run_of(MULTI_BUFFER, frame, repeat)
    }

    fn test_run_of(&mut self, name: &str, frame: &[u8], repeat: u32) -> Result<(u32, u32), DatapathError> {
        let mut out = vec![0; frame.len() + 512];
        let program = self.loaded(name)?;
        let options =
            TestRunOptions { data_in: Some(frame), data_out: Some(&mut out), repeat, ..Default::default() };
        let result = program.test_run(options).map_err(Box::new)?;
        Ok((result.return_value, result.duration.as_nanos() as u32))
    }

    /// Shows the program on packets that leave a frame, without any interface.
    pub fn test_run_egress(&mut self, frame: &[u8]) -> Result<u32, DatapathError> {
        let mut out = vec![0; frame.len() + 512];
        let options = TestRunOptions { data_in: Some(frame), data_out: Some(&mut out), ..Default::default() };
        let result = egress::program(&mut self.ebpf)?.test_run(options).map_err(Box::new)?;
        Ok(result.return_value)
    }

    /// Instructions that the verifier looked at, for each program that is loaded.
    pub fn verified_instructions(&self) -> Vec<(String, u32)> {
        let count = |program: &aya::programs::Program| program.info().ok()?.verified_instruction_count();
        self.ebpf.programs().filter_map(|(name, program)| Some((name.to_owned(), count(program)?))).collect()
    }
}

/// The interface behind a pinned link and the program on it. `None`: the link is dead, because its interface is gone.
pub fn attached(pins: &Pins, index: u32) -> Option<AttachedInterface> {
    let info = FdLink::from(open_link(&pins.link(index)).ok()?).info().ok()?;
    Some(AttachedInterface { index, program_id: info.program_id() })
}

/// Takes the filter off one interface, or what of it is there.
pub fn detach(pins: &Pins, index: u32) -> Result<(), DatapathError> {
    egress::detach(pins, index)?;
    let path = pins.link(index);
    if !path.exists() {
        return Ok(());
    }
    let link = open_link(&path)?;
    drop(link.unpin().map_err(DatapathError::io(&path))?);
    Ok(())
}

pub(super) fn open_link(path: &Path) -> Result<PinnedLink, DatapathError> {
    PinnedLink::from_pin(path).map_err(|error| DatapathError::Link(format!("{}: {error}", path.display())))
}

/// The name of the program behind a link: the kernel replaces one only by one of its kind.
fn kind_of(link: &FdLink) -> Result<&'static str, LinkError> {
    let attached = link.info()?.program_id();
    Ok(if is_named(attached, MULTI_BUFFER) { MULTI_BUFFER } else { LINEAR })
}

/// Whether the loaded program of this number has this name.
fn is_named(program_id: u32, name: &str) -> bool {
    loaded_programs()
        .filter_map(Result::ok)
        .any(|program| program.id() == program_id && program.name_as_str() == Some(name))
}

fn xdp<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Xdp, DatapathError> {
    let missing = || Box::new(EbpfError::ProgramError(ProgramError::NotLoaded));
    let program = ebpf.program_mut(name).ok_or_else(missing)?;
    program.try_into().map_err(|error| DatapathError::Program(Box::new(error)))
}
