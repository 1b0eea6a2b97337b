//! All doors' sequences as one automaton.
//!
//! A state is a path of ports together with the doors that are still on it; a symbol is a port together with the doors
//! there whose flags and target a packet meets. So one packet takes one edge, whatever the number of doors.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;

use knock_common::address::Address;
use knock_common::flags::{FlagsCondition, TcpFlags};
use knock_common::port::{Port, Protocol};
use knock_common::rules::{
    DoorId, Edge, EdgeKey, Hit, HitKey, OTHER_HOP_LIMIT, OccurrenceKey, Occurrences, ROOT, STATE_STEP_SHIFT,
    State, StateId, StateKey,
};
use sha2::{Digest, Sha256};

use super::DoorRule;

/// Number of each state's identity in the rules that hold now.
pub type PreviousStates = HashMap<u64, StateId>;

/// Why rules can't be compiled.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CompileError {
    #[error(
        "the doors {first} and {second} can be completed by the same knocks; change one of their sequences"
    )]
    SameSequence { first: String, second: String },
    #[error("the doors' sequences make more than {} states of {step} steps; use fewer doors", LEVEL_MAX)]
    TooManyStates { step: usize },
    #[error(
        "the doors' sequences make more than {EDGES_MAX} transitions; use fewer doors with a `target` or different `tcpflags`"
    )]
    TooManyEdges,
    #[error(
        "the ports that doors open and trusts extend to make more than 65535 groups; use fewer different ranges"
    )]
    TooManyPortClasses,
}

const LEVEL_MAX: usize = (1 << STATE_STEP_SHIFT) - 1;
const EDGES_MAX: usize = 1 << 20;

/// The automaton, and the classes it tells flags and targets apart by. Keys are of slot 0.
pub(super) struct Automaton {
    pub(super) flags_class: [u8; 64],
    /// Bit `n`: flags of value `n` meet some door's condition.
    pub(super) knock_flags: u64,
    pub(super) targets: Vec<(Address, u32)>,
    pub(super) hits: Vec<(HitKey, Hit)>,
    pub(super) edges: Vec<(EdgeKey, Edge)>,
    pub(super) states: Vec<(StateKey, State)>,
    pub(super) occurrences: Vec<(OccurrenceKey, Occurrences)>,
    /// Ports that some sequence has more than once, and ports of doors with a target.
    pub(super) repeated: BTreeSet<Port>,
    pub(super) targeted: BTreeSet<Port>,
}

/// `ids` are the identities of `doors`, in their order.
pub(super) fn automaton(
    doors: &[DoorRule],
    ids: &[DoorId],
    previous: &PreviousStates,
) -> Result<Automaton, CompileError> {
    let flags = FlagsClasses::of(doors);
    let targets = target_classes(doors);
    let symbols = Symbols::of(doors, &flags, &targets);
    let mut builder = Builder {
        doors,
        ids,
        symbols: &symbols,
        previous,
        same_ttl: doors.iter().any(|door| door.same_ttl),
        levels: Vec::new(),
        edges: Vec::new(),
    };
    builder.build()?;
    let first_edges: HashMap<u32, Edge> = builder
        .edges
        .iter()
        .filter(|(key, _)| key.state == ROOT)
        .map(|(key, edge)| (key.symbol, *edge))
        .collect();
    let hit = |symbol: u32| Hit { symbol, first: first_edges.get(&symbol).copied().unwrap_or(Edge::NONE) };
    Ok(Automaton {
        flags_class: flags.classes,
        knock_flags: flags.met_by_some,
        targets: targets.iter().map(|(address, class)| (Address::from(*address), *class)).collect(),
        hits: symbols.hits.iter().map(|(key, symbol)| (*key, hit(*symbol))).collect(),
        states: builder.states(),
        edges: builder.edges.into_iter().filter(|(key, _)| key.state != ROOT).collect(),
        occurrences: occurrences(doors, ids),
        repeated: doors.iter().flat_map(|door| repeated_ports(&door.steps)).collect(),
        targeted: doors
            .iter()
            .filter(|door| !door.targets.is_empty())
            .flat_map(|door| door.steps.iter().copied())
            .collect(),
    })
}

/// TCP flags values grouped by the doors' conditions that they meet.
struct FlagsClasses {
    classes: [u8; 64],
    /// A flags value of each class.
    representatives: Vec<TcpFlags>,
    met_by_some: u64,
}

impl FlagsClasses {
    fn of(doors: &[DoorRule]) -> Self {
        let mut conditions: Vec<FlagsCondition> = Vec::new();
        for door in doors {
            if !conditions.contains(&door.flags) {
                conditions.push(door.flags);
            }
        }
        let mut signatures: Vec<Vec<bool>> = Vec::new();
        let mut result = Self { classes: [0; 64], representatives: Vec::new(), met_by_some: 0 };
        for bits in 0..64u8 {
            let flags = TcpFlags::from_header(bits);
            let signature: Vec<bool> = conditions.iter().map(|condition| condition.met_by(flags)).collect();
            let class = match signatures.iter().position(|known| *known == signature) {
                Some(class) => class,
                None => {
                    signatures.push(signature.clone());
                    result.representatives.push(flags);
                    signatures.len() - 1
                }
            };
            result.classes[usize::from(bits)] = class as u8;
            result.met_by_some |= u64::from(signature.contains(&true)) << bits;
        }
        result
    }
}

fn target_classes(doors: &[DoorRule]) -> BTreeMap<IpAddr, u32> {
    let addresses: BTreeSet<IpAddr> = doors.iter().flat_map(|door| door.targets.iter().copied()).collect();
    addresses.into_iter().zip(1..).collect()
}

/// Doors by their index, ascending.
type DoorSet = Vec<u32>;

/// Every port's symbols.
struct Symbols {
    hits: Vec<(HitKey, u32)>,
    by_port: BTreeMap<Port, Vec<u32>>,
    /// Doors whose conditions a symbol meets; symbols are numbered from 1.
    met: Vec<DoorSet>,
}

impl Symbols {
    fn of(doors: &[DoorRule], flags: &FlagsClasses, targets: &BTreeMap<IpAddr, u32>) -> Self {
        let mut doors_at: BTreeMap<Port, BTreeSet<u32>> = BTreeMap::new();
        for (index, door) in (0..).zip(doors) {
            for step in &door.steps {
                doors_at.entry(*step).or_default().insert(index);
            }
        }
        let mut symbols = Self { hits: Vec::new(), by_port: BTreeMap::new(), met: vec![Vec::new()] };
        for (port, at_port) in doors_at {
            symbols.add_port(port, &at_port, doors, flags, targets);
        }
        symbols
    }

    fn add_port(
        &mut self,
        port: Port,
        at_port: &BTreeSet<u32>,
        doors: &[DoorRule],
        flags: &FlagsClasses,
        targets: &BTreeMap<IpAddr, u32>,
    ) {
        let mut known: HashMap<DoorSet, u32> = HashMap::new();
        let sent_to: BTreeSet<Option<IpAddr>> = at_port
            .iter()
            .flat_map(|&door| doors[door as usize].targets.iter().map(|address| Some(*address)))
            .chain([None])
            .collect();
        // UDP has no flags: one class, whatever it is, meets every condition.
        let classes = match port.protocol {
            Protocol::Tcp => flags.representatives.as_slice(),
            Protocol::Udp => &[TcpFlags::NONE],
        };
        for (flags_class, flags) in (0u8..).zip(classes) {
            for target in &sent_to {
                let meets = |door: &DoorRule| {
                    let meets_flags = port.protocol == Protocol::Udp || door.flags.met_by(*flags);
                    let meets_target = door.targets.is_empty()
                        || target.is_some_and(|target| door.targets.contains(&target));
                    meets_flags && meets_target
                };
                let met: DoorSet =
                    at_port.iter().copied().filter(|&door| meets(&doors[door as usize])).collect();
                if met.is_empty() {
                    continue;
                }
                let symbol = *known.entry(met).or_insert_with_key(|met| {
                    self.met.push(met.clone());
                    self.met.len() as u32 - 1
                });
                let key = HitKey {
                    slot: 0,
                    port: port.number.get(),
                    protocol: port.protocol as u8,
                    flags_class,
                    target_class: target.and_then(|target| targets.get(&target).copied()).unwrap_or(0),
                };
                self.hits.push((key, symbol));
            }
        }
        let mut symbols: Vec<u32> = known.into_values().collect();
        symbols.sort_unstable();
        self.by_port.insert(port, symbols);
    }
}

/// A state in the making.
struct Node {
    id: StateId,
    identity: u64,
    path: Vec<Port>,
    doors: DoorSet,
}

struct Builder<'a> {
    doors: &'a [DoorRule],
    ids: &'a [DoorId],
    symbols: &'a Symbols,
    previous: &'a PreviousStates,
    /// Some door has `same_ttl`, so that the hop limit of a knock makes a difference.
    same_ttl: bool,
    /// States by the number of steps taken, from 1.
    levels: Vec<Vec<Node>>,
    edges: Vec<(EdgeKey, Edge)>,
}

impl Builder<'_> {
    fn build(&mut self) -> Result<(), CompileError> {
        let everyone: DoorSet = (0..self.doors.len() as u32).collect();
        let mut level = vec![Node { id: ROOT, identity: 0, path: Vec::new(), doors: everyone }];
        for step in 1.. {
            let next = self.extend(&level, step)?;
            if step > 1 {
                self.levels.push(level);
            }
            if next.is_empty() {
                return Ok(());
            }
            level = next;
        }
        Ok(())
    }

    /// The states one step behind those of `level`, with the edges to them.
    fn extend(&mut self, level: &[Node], step: usize) -> Result<Vec<Node>, CompileError> {
        let mut numbers = Numbers::new(step, self.previous);
        let mut nodes: Vec<Node> = Vec::new();
        let mut known: HashMap<u64, usize> = HashMap::new();
        for node in level {
            let mut by_port: BTreeMap<Port, DoorSet> = BTreeMap::new();
            for &door in &node.doors {
                if let Some(port) = self.doors[door as usize].steps.get(step - 1) {
                    by_port.entry(*port).or_default().push(door);
                }
            }
            for (port, doors) in by_port {
                let mut path = node.path.clone();
                path.push(port);
                for &symbol in &self.symbols.by_port[&port] {
                    let met = intersection(&doors, &self.symbols.met[symbol as usize]);
                    for (symbol, doors) in self.ways(symbol, met) {
                        if doors.is_empty() {
                            continue;
                        }
                        let identity = self.identity(&path, &doors);
                        let index = match known.get(&identity) {
                            Some(index) => *index,
                            None => {
                                let id = numbers.number(identity)?;
                                nodes.push(Node { id, identity, path: path.clone(), doors });
                                known.insert(identity, nodes.len() - 1);
                                nodes.len() - 1
                            }
                        };
                        let edge = self.edge_to(&nodes[index])?;
                        self.edges.push((EdgeKey { slot: 0, state: node.id, symbol }, edge));
                    }
                }
            }
            if self.edges.len() > EDGES_MAX {
                return Err(CompileError::TooManyEdges);
            }
        }
        Ok(nodes)
    }

    /// The symbol, and the same from another hop limit, each with the doors that go along.
    fn ways(&self, symbol: u32, met: DoorSet) -> Vec<(u32, DoorSet)> {
        if !self.same_ttl {
            return vec![(symbol, met)];
        }
        let patient = met.iter().copied().filter(|&door| !self.doors[door as usize].same_ttl).collect();
        vec![(symbol, met), (symbol | OTHER_HOP_LIMIT, patient)]
    }

    fn edge_to(&self, node: &Node) -> Result<Edge, CompileError> {
        let complete: Vec<u32> =
            node.doors.iter().copied().filter(|&door| self.is_complete(door, node)).collect();
        if let [first, ..] = complete.as_slice()
            && let Some(second) = node.doors.iter().find(|door| *door != first)
        {
            let name = |door: &u32| self.doors[*door as usize].name.clone();
            return Err(CompileError::SameSequence { first: name(first), second: name(second) });
        }
        let completes = complete.first().map_or(0, |&door| self.ids[door as usize]);
        Ok(Edge { next: node.id, completes, timeout: self.timeout(&node.doors) })
    }

    fn is_complete(&self, door: u32, node: &Node) -> bool {
        self.doors[door as usize].steps.len() == node.path.len()
    }

    fn timeout<'a>(&self, doors: impl IntoIterator<Item = &'a u32>) -> u32 {
        doors.into_iter().map(|&door| milliseconds(&self.doors[door as usize])).max().unwrap_or(0)
    }

    /// The path's hash. Where conditions have parted doors that share the path, the doors that are left count too.
    fn identity(&self, path: &[Port], doors: &DoorSet) -> u64 {
        let mut hash = Sha256::new();
        for port in path {
            hash.update([port.protocol as u8 + 1]);
            hash.update(port.number.get().to_be_bytes());
        }
        let all = self.doors.iter().filter(|door| door.steps.starts_with(path)).count();
        if doors.len() != all {
            for &door in doors {
                hash.update([0]);
                hash.update(self.doors[door as usize].name.as_bytes());
            }
        }
        let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(hash.finalize());
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }

    fn states(&self) -> Vec<(StateKey, State)> {
        let state = |node: &Node| State {
            identity: node.identity,
            representative: node.doors.first().map_or(0, |&door| self.ids[door as usize]),
            timeout: self.timeout(&node.doors),
            complete: u32::from(node.doors.iter().any(|&door| self.is_complete(door, node))),
            same_hop_limit: self
                .timeout(node.doors.iter().filter(|&&door| self.doors[door as usize].same_ttl)),
        };
        self.levels.iter().flatten().map(|node| (StateKey { slot: 0, state: node.id }, state(node))).collect()
    }
}

/// Gives the states of one level their numbers: those that were there before keep theirs, and no new state takes the number
/// of one that is gone, which attempts may still be in.
struct Numbers<'a> {
    step: usize,
    previous: &'a PreviousStates,
    taken: HashSet<StateId>,
    next: usize,
}

impl<'a> Numbers<'a> {
    fn new(step: usize, previous: &'a PreviousStates) -> Self {
        Self { step, previous, taken: previous.values().copied().collect(), next: 1 }
    }

    fn number(&mut self, identity: u64) -> Result<StateId, CompileError> {
        if let Some(&id) = self.previous.get(&identity) {
            return Ok(id);
        }
        while self.next <= LEVEL_MAX {
            let id = ((self.step - 1) << STATE_STEP_SHIFT | self.next) as StateId;
            self.next += 1;
            if self.taken.insert(id) {
                return Ok(id);
            }
        }
        Err(CompileError::TooManyStates { step: self.step })
    }
}

/// A door's `seq_timeout` in milliseconds.
pub(super) fn milliseconds(door: &DoorRule) -> u32 {
    u32::try_from(door.seq_timeout.as_millis()).unwrap_or(u32::MAX)
}

fn intersection(first: &DoorSet, second: &DoorSet) -> DoorSet {
    first.iter().copied().filter(|door| second.binary_search(door).is_ok()).collect()
}

fn repeated_ports(steps: &[Port]) -> Vec<Port> {
    let mut seen = HashSet::new();
    steps.iter().copied().filter(|step| !seen.insert(*step)).collect()
}

fn occurrences(doors: &[DoorRule], ids: &[DoorId]) -> Vec<(OccurrenceKey, Occurrences)> {
    let mut result: Vec<(OccurrenceKey, Occurrences)> = Vec::new();
    for (door, &id) in doors.iter().zip(ids) {
        let mut positions: BTreeMap<Port, Occurrences> = BTreeMap::new();
        for (position, step) in door.steps.iter().enumerate() {
            *positions.entry(*step).or_default() |= 1 << position;
        }
        result.extend(positions.into_iter().map(|(port, positions)| {
            let key = OccurrenceKey {
                slot: 0,
                door: id,
                port: port.number.get(),
                protocol: port.protocol as u8,
                padding: 0,
            };
            (key, positions)
        }));
    }
    result
}
