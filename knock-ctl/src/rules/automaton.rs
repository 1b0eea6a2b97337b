//! All doors' sequences as one automaton.
//!
//! A state is a path of ports together with the doors that are still on it; a symbol is a port together with the doors
//! there whose flags and target a packet meets. So one packet takes one edge, whatever the number of doors.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use knock_common::address::Address;
use knock_common::port::Port;
use knock_common::rules::{
    DoorId, Edge, EdgeKey, Hit, HitKey, OTHER_HOP_LIMIT, OccurrenceKey, Occurrences, ROOT, STATE_STEP_SHIFT,
    State, StateId, StateKey,
};
use sha2::{Digest, Sha256};

use super::DoorRule;
use super::symbols::{DoorSet, FlagsClasses, Symbols, target_classes};

/// Number of each state's identity in the rules that hold now.
pub type PreviousStates = HashMap<u64, StateId>;

/// Why rules can't be compiled.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CompileError {
    #[error(
        "the doors {first} and {second} can be completed by the same knocks; change one of their sequences"
    )]
    SameSequence { first: String, second: String },
    #[error("by chance the door {door} can't be told from another; give it another name")]
    SameIdentity { door: String },
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
                hash.update(self.ids[door as usize].to_be_bytes());
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
