//! One configuration: on its way into force, and what its controller keeps of it then.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use anyhow::{Result, anyhow};
use knock_common::address::Address;
use knock_common::rules::{DoorId, Rules, SequenceId};

use super::connections::{self, ClosedPorts, Imported};
use super::{notice, one_time};
use crate::config::{Archive, Config, Destination, Loaded};
use crate::datapath::{Maps, TableSizes, Unconfirmed};
use crate::interface::{self, InterfaceName};
use crate::rules::{Compiled, Policy, PreviousStates, RuleSet, compile, door_ids};
use crate::runtime::{ConfigState, DoorState, RunState, RuntimeDirectory};

/// A configuration that is ready to be put into force.
pub(super) struct Prepared {
    pub(super) config: Config,
    pub(super) rules: RuleSet,
    pub(super) compiled: Compiled,
    closed: ClosedPorts,
    files: Arc<InForceFiles>,
    state: RunState,
}

/// What a configuration was read from.
pub(super) struct InForceFiles {
    pub(super) archive: Archive,
    /// The files themselves were refused.
    pub(super) is_last_good: bool,
}

/// A configuration that is in force.
#[derive(Clone)]
pub(super) struct InForce {
    pub(super) config: Config,
    pub(super) closed: ClosedPorts,
    pub(super) rules: Rules,
    /// Those that the configuration or the command line names, with their indices.
    pub(super) interfaces: BTreeMap<InterfaceName, u32>,
    /// The one-time sequences in the kernel, and their doors.
    pub(super) one_time: HashMap<SequenceId, DoorId>,
    pub(super) files: Arc<InForceFiles>,
    state: RunState,
}

impl InForce {
    /// The `destinations`, where this machine's addresses are among them.
    pub(super) fn local_destinations(&self) -> Result<Option<Vec<Address>>> {
        if !self.config.filter.destinations.contains(&Destination::Local) {
            return Ok(None);
        }
        let destinations = rule_set(&self.config)?.destinations;
        Ok(destinations.map(|all| all.into_iter().map(Address::from).collect()))
    }
}

impl Prepared {
    /// `previous`: the states that attempts may be in.
    pub(super) fn new(loaded: Loaded, previous: &PreviousStates) -> Result<Self> {
        let rules = rule_set(&loaded.config)?;
        let state = run_state(&loaded, &rules);
        let files = InForceFiles { archive: loaded.archive, is_last_good: loaded.is_archived };
        Self::of(loaded.config, rules, Arc::new(files), state, previous)
    }

    /// What is in force, with the one-time sequences that are next now.
    pub(super) fn again(in_force: &InForce, previous: &PreviousStates) -> Result<Self> {
        let rules = rule_set(&in_force.config)?;
        let mut state = in_force.state.clone();
        for (door, rule) in state.doors.iter_mut().zip(&rules.doors) {
            door.steps = rule.next_steps().len();
        }
        Self::of(in_force.config.clone(), rules, Arc::clone(&in_force.files), state, previous)
    }

    fn of(
        config: Config,
        rules: RuleSet,
        files: Arc<InForceFiles>,
        state: RunState,
        previous: &PreviousStates,
    ) -> Result<Self> {
        let compiled =
            compile(&rules, previous).map_err(|error| anyhow!("{}: {error}", state.config.path.display()))?;
        Ok(Self { closed: ClosedPorts::of(&compiled), config, rules, compiled, files, state })
    }

    pub(super) fn table_sizes(&self) -> Result<TableSizes> {
        let cpus = aya::util::nr_cpus().map_err(|(path, error)| anyhow!("{path}: {error}"))?;
        let limits = &self.config.limits;
        Ok(TableSizes::new(limits.attempts, limits.flows, limits.grants, &self.compiled, cpus as u32))
    }

    /// Makes these the rules that hold, from one packet to the next. Connections to ports that they close go on. On an error the
    /// rules before go on to hold.
    pub(super) fn put_into_force(
        mut self,
        maps: &mut Maps,
        directory: &RuntimeDirectory,
        unconfirmed: Option<Unconfirmed>,
    ) -> Result<(InForce, Imported)> {
        let imported = connections::import(maps, &self.closed, &self.compiled.rules)?;
        one_time::note_preloaded(maps, &self.config, &self.rules)?;
        self.state.config.loaded_at = notice::now();
        self.state.save(directory, maps.idle_slot()?)?;
        maps.put_into_force_until(&self.compiled, unconfirmed)?;
        let Self { config, closed, compiled, files, state, .. } = self;
        let (rules, one_time) = (compiled.rules, compiled.one_time.into_iter().collect());
        let interfaces = BTreeMap::new();
        Ok((InForce { config, closed, rules, interfaces, one_time, files, state }, imported))
    }
}

/// The rules of a configuration, for this machine as it is now.
pub(super) fn rule_set(config: &Config) -> Result<RuleSet> {
    let local = if config.filter.destinations.contains(&Destination::Local) {
        interface::local_addresses()?
    } else {
        BTreeSet::new()
    };
    Ok(RuleSet::from_config(config, &local))
}

fn run_state(loaded: &Loaded, rules: &RuleSet) -> RunState {
    let ids = door_ids(rules.doors.iter().map(|door| door.name.as_str()));
    let path = std::path::absolute(&loaded.path).unwrap_or_else(|_| loaded.path.clone());
    let policy = match rules.policy {
        Policy::Pass => "pass",
        Policy::Drop => "drop",
    };
    RunState {
        policy: policy.to_owned(),
        enforce: rules.enforce,
        config: ConfigState { path, sha256: loaded.sha256.clone(), loaded_at: notice::now() },
        doors: ids
            .into_iter()
            .zip(&rules.doors)
            .map(|(id, door)| DoorState {
                name: door.name.clone(),
                id,
                steps: door.next_steps().len(),
                opens: door.opens.names(),
                open_for_ms: door.open_for.map(|open_for| open_for.as_millis() as u64),
                connections: door.connections,
            })
            .collect(),
    }
}
