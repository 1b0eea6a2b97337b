//! A whole set of rules, ready to be written into maps.

use std::collections::{HashMap, HashSet};

use knock_common::address::Address;
use knock_common::port::{Port, Protocol};
use knock_common::rules::{
    Door, DoorId, DoorKey, Edge, EdgeKey, Hit, HitKey, OccurrenceKey, Occurrences, PortEntry, Relation,
    RelationKey, RuleOption, Rules, Scanners, SequenceId, State, StateKey, Trust,
};

use super::automaton::{Automaton, CompileError, PreviousStates, automaton, milliseconds};
use super::doors::door_ids;
use super::ports::PortTable;
use super::trust::{TrustTable, trust_table};
use super::{DoorRule, Opens, Policy, RuleSet};

/// The contents of every map of rules. Keys are of slot 0.
pub struct Compiled {
    pub rules: Rules,
    /// In the order of [`knock_common::rules::port_index`].
    pub ports: Vec<PortEntry>,
    pub hits: Vec<(HitKey, Hit)>,
    pub edges: Vec<(EdgeKey, Edge)>,
    pub states: Vec<(StateKey, State)>,
    pub occurrences: Vec<(OccurrenceKey, Occurrences)>,
    pub doors: Vec<(DoorKey, Door)>,
    pub relations: Vec<RelationKey>,
    pub targets: Vec<(Address, u32)>,
    pub destinations: Vec<Address>,
    /// Length in bits (with the 32 of the slot), address, trust.
    pub trusted: Vec<(u32, [u8; 16], Trust)>,
    pub names: HashMap<DoorId, String>,
    /// One-time sequences and their doors.
    pub one_time: Vec<(SequenceId, DoorId)>,
}

impl Compiled {
    /// Entries in each map of one slot.
    pub fn entries(&self) -> [(&'static str, usize); 9] {
        [
            ("HITS", self.hits.len()),
            ("EDGES", self.edges.len()),
            ("STATES", self.states.len()),
            ("OCCURRENCES", self.occurrences.len()),
            ("DOORS", self.doors.len()),
            ("RELATIONS", self.relations.len()),
            ("TARGETS", self.targets.len()),
            ("DESTINATIONS", self.destinations.len()),
            ("TRUSTED", self.trusted.len()),
        ]
    }

    /// Entries in the largest map of one slot.
    pub fn largest_map(&self) -> usize {
        self.entries().into_iter().map(|(_, entries)| entries).max().unwrap_or(0)
    }
}

/// Compiles `set`. States that `previous` knows keep their numbers.
pub fn compile(set: &RuleSet, previous: &PreviousStates) -> Result<Compiled, CompileError> {
    let ids = door_ids(set.doors.iter().map(|door| door.name.as_str()));
    let (paths, path_ids): (Vec<DoorRule>, Vec<u32>) =
        set.doors.iter().zip(&ids).flat_map(|(door, &id)| door.paths(id)).unzip();
    if let Some(door) = ambiguous(&set.doors, &ids) {
        return Err(CompileError::SameIdentity { door });
    }
    let automaton = automaton(&paths, &path_ids, previous)?;
    // Limited trusts are numbered apart from doors: their relations are of another kind.
    let trust = trust_table(&set.trusted, 1);
    let (ports, relations) = ports_and_relations(set, &ids, &automaton, &trust)?;
    Ok(Compiled {
        rules: rules(set, &automaton),
        ports,
        relations,
        hits: automaton.hits,
        edges: automaton.edges,
        states: automaton.states,
        occurrences: automaton.occurrences,
        doors: ids.iter().zip(&set.doors).flat_map(|(&id, door)| effects(door, id)).collect(),
        targets: automaton.targets,
        destinations: set.destinations.iter().flatten().map(|&address| address.into()).collect(),
        trusted: trust
            .prefixes
            .into_iter()
            .map(|prefix| (prefix.length, prefix.address, prefix.trust))
            .collect(),
        one_time: ids
            .iter()
            .zip(&set.doors)
            .flat_map(|(&id, door)| door.one_time.iter().flatten().map(move |sequence| (sequence.id, id)))
            .collect(),
        names: ids.into_iter().zip(set.doors.iter().map(|door| door.name.clone())).collect(),
    })
}

fn rules(set: &RuleSet, automaton: &Automaton) -> Rules {
    let mut rules = Rules::EMPTY;
    rules.longest_timeout = set.doors.iter().map(milliseconds).max().unwrap_or(0);
    rules.knock_flags = automaton.knock_flags;
    rules.flags_class = automaton.flags_class;
    rules.flow_established = set.flow_established.as_millis() as u64;
    rules.flow_closing = set.flow_closing.as_millis() as u64;
    rules.flow_udp = set.flow_udp.as_millis() as u64;
    rules.flow_icmp = set.flow_icmp.as_millis() as u64;
    for number in &set.protocols {
        rules.protocols[usize::from(number >> 6)] |= 1 << (number & 63);
    }
    if let Some(scanners) = &set.scanners {
        rules.scanners = Scanners {
            ports: scanners.ports,
            padding: 0,
            within: scanners.within.as_millis() as u64,
            hold: (scanners.hold.as_millis() as u64).min(Scanners::HOLD_MAX),
        };
        rules.set(RuleOption::Scanners, true);
        rules.set(RuleOption::HoldFromPublic, scanners.include_public);
    }
    rules.set(RuleOption::Drop, set.policy == Policy::Drop);
    rules.set(RuleOption::NoPing, !set.ping);
    rules.set(RuleOption::Destinations, set.destinations.is_some());
    rules.set(RuleOption::Enforce, set.enforce);
    rules.set(RuleOption::Strict, set.strict);
    rules.set(RuleOption::Trusted, !set.trusted.is_empty());
    rules.set(RuleOption::Targets, !automaton.targets.is_empty());
    rules.set(RuleOption::SameHopLimit, set.doors.iter().any(|door| door.same_ttl));
    rules.set(RuleOption::Cut, set.cut);
    rules.set(RuleOption::Stages, set.stages);
    rules.set(RuleOption::Drops, set.drops);
    rules
}

/// A door whose identity, or that of one of its one-time sequences, is something else's too: they are hashes.
fn ambiguous(doors: &[DoorRule], ids: &[DoorId]) -> Option<String> {
    let mut taken: HashSet<u32> = ids.iter().copied().collect();
    let mut sequences =
        doors.iter().flat_map(|door| door.one_time.iter().flatten().map(move |one| (door, one.id)));
    sequences.find(|(_, id)| !taken.insert(*id)).map(|(door, _)| door.name.clone())
}

/// Of the door and its one-time sequences.
fn effects(door: &DoorRule, id: DoorId) -> Vec<(DoorKey, Door)> {
    let own = effect(door);
    let mut effects = vec![(DoorKey { slot: 0, door: id }, own)];
    let mut after = 0;
    for sequence in door.one_time.iter().flatten() {
        effects.push((DoorKey { slot: 0, door: sequence.id }, Door { one_time_of: id, after, ..own }));
        after = sequence.id;
    }
    effects
}

fn effect(door: &DoorRule) -> Door {
    Door {
        open_for: door
            .open_for
            .map_or(u64::MAX, |open_for| u64::try_from(open_for.as_nanos()).unwrap_or(u64::MAX)),
        connections: door.connections,
        grants: u16::from(!door.opens.is_nothing() && !door.approved),
        revokes: u16::from(!door.revokes.is_empty()),
        one_time_of: 0,
        after: 0,
    }
}

/// Numbers doors and limited trusts in one row, so that ports can be grouped by both.
enum Holder {
    Door(DoorId),
    Trust(Trust),
}

fn ports_and_relations(
    set: &RuleSet,
    ids: &[DoorId],
    automaton: &Automaton,
    trust: &TrustTable,
) -> Result<(Vec<PortEntry>, Vec<RelationKey>), CompileError> {
    let mut table = PortTable::new();
    if set.policy == Policy::Drop {
        table.mark_all(PortEntry::CLOSED);
        for client in [68, 546].into_iter().filter_map(|number| Port::new(Protocol::Udp, number)) {
            table.mark_port(client, PortEntry::DHCP_CLIENT);
        }
    }
    let mut holders = Vec::new();
    for range in &set.public {
        table.mark(range, PortEntry::PUBLIC);
    }
    for range in &set.protected {
        table.mark(range, PortEntry::PROTECTED | PortEntry::CLOSED);
    }
    for (door, &id) in set.doors.iter().zip(ids) {
        for range in door.opens.named() {
            table.mark(range, PortEntry::PROTECTED | PortEntry::CLOSED | PortEntry::OPENED);
            table.hold(range, holders.len() as u32);
        }
        for step in door.paths(id).iter().flat_map(|(path, _)| &path.steps) {
            table.mark_port(*step, PortEntry::KNOCK);
        }
        holders.push(Holder::Door(id));
    }
    for port in &automaton.repeated {
        table.mark_port(*port, PortEntry::REPEATED);
    }
    for port in &automaton.targeted {
        table.mark_port(*port, PortEntry::TARGETED);
    }
    for (trust, ports) in &trust.limited {
        for range in ports {
            table.hold(range, holders.len() as u32);
        }
        holders.push(Holder::Trust(*trust));
    }
    let classes = table.classes().ok_or(CompileError::TooManyPortClasses)?;
    let mut relations = Vec::new();
    for (class, held_by) in (0u32..).zip(&classes.holders) {
        relations.extend(held_by.iter().map(|&holder| match holders[holder as usize] {
            Holder::Door(door) => relation(Relation::Opens, door, class),
            Holder::Trust(trust) => relation(Relation::Trusts, trust, class),
        }));
    }
    for (door, &id) in set.doors.iter().zip(ids) {
        if door.opens == Opens::Any {
            let every_class = 0..classes.holders.len() as u32;
            relations.extend(every_class.map(|class| relation(Relation::Opens, id, class)));
        }
        if door.connections != 0 {
            relations.push(relation(Relation::Limits, id, 0));
        }
        let revoked = door.revokes.iter().filter_map(|name| position(&set.doors, name));
        relations.extend(revoked.map(|revoked| relation(Relation::Revokes, id, ids[revoked])));
    }
    Ok((classes.entries, relations))
}

fn position(doors: &[DoorRule], name: &str) -> Option<usize> {
    doors.iter().position(|door| door.name == name)
}

fn relation(relation: Relation, holder: u32, subject: u32) -> RelationKey {
    RelationKey { slot: 0, relation: relation as u32, holder, subject }
}
