//! What packets leave in the program's maps, word by word: for making it forget, and for turning time back.

use aya::Ebpf;
use aya::maps::{Array, HashMap, Map, MapData, MapInfo};
use aya::programs::Xdp;
use knock_common::address::Address;
use knock_common::attempt::AttemptSet;
use knock_common::connection::ConnectionsKey;
use knock_common::flow::FlowSet;
use knock_common::grant::{GRANTS_PER_SOURCE, SourceGrants};
use knock_common::scanner::Scan;
use knock_common::source::SourceIdentity;
use knock_ctl::datapath::Shared;

use super::KEY;

const ATTEMPT_WORDS: usize = size_of::<AttemptSet<u64>>() / 8;
const FLOW_WORDS: usize = size_of::<FlowSet<u64>>() / 8;
const SCAN_WORDS: usize = size_of::<Scan>() / 8;
const GRANT_WORDS: usize = size_of::<SourceGrants>() / 8;
/// Words of the source before its grants, and of each grant; its deadline, but for the lowest six bits, is the first.
const SOURCE_WORDS: usize = 2;
const ONE_GRANT_WORDS: usize = 2;

const _: () = assert!(GRANT_WORDS == SOURCE_WORDS + GRANTS_PER_SOURCE * ONE_GRANT_WORDS);

pub(super) struct Memory {
    attempts: Array<MapData, [u64; ATTEMPT_WORDS]>,
    flows: [Array<MapData, [u64; FLOW_WORDS]>; 2],
    scans: HashMap<MapData, [u64; 2], [u64; SCAN_WORDS]>,
    scanned: HashMap<MapData, [u64; 3], u64>,
    grants: HashMap<MapData, [u64; 2], [u64; GRANT_WORDS]>,
    grant_cursor: Array<MapData, u32>,
    granted: Array<MapData, u64>,
    locks: HashMap<MapData, Shared<ConnectionsKey>, u64>,
}

impl Memory {
    /// The maps of the loaded program.
    pub(super) fn of(ebpf: &mut Ebpf) -> Self {
        let program: &mut Xdp =
            ebpf.program_mut("knock").and_then(|program| program.try_into().ok()).expect("the program");
        let ids = program.info().and_then(|info| info.map_ids()).expect("the program's maps");
        let ids = ids.expect("a kernel that tells a program's maps");
        let map = |name: &str| {
            let named = |id: &&u32| MapInfo::from_id(**id).is_ok_and(|info| info.name_as_str() == Some(name));
            let id = ids.iter().find(named).unwrap_or_else(|| panic!("no map {name}"));
            Map::from_map_data(MapData::from_id(*id).expect("a map")).expect("a map of a known type")
        };
        Self {
            attempts: map("ATTEMPTS").try_into().expect("an array of sets"),
            flows: ["FLOWS", "OUTGOING"].map(|name| map(name).try_into().expect("an array of sets")),
            scans: map("SCANS").try_into().expect("a hash map of scans"),
            scanned: map("SCANNED").try_into().expect("a hash map of scanned ports"),
            grants: map("GRANTS").try_into().expect("a hash map of grants"),
            grant_cursor: map("GRANT_CURSOR").try_into().expect("one number"),
            granted: map("GRANTED").try_into().expect("an array of marks"),
            locks: map("LOCKS").try_into().expect("a hash map of locks"),
        }
    }

    pub(super) fn forget(&mut self) {
        for set in 0..self.attempts.len() {
            self.attempts.set(set, [0; ATTEMPT_WORDS], 0).expect("a set of attempts");
        }
        for flows in &mut self.flows {
            for set in 0..flows.len() {
                flows.set(set, [0; FLOW_WORDS], 0).expect("a set of flows");
            }
        }
        let scans: Vec<_> = self.scans.keys().collect::<Result<_, _>>().expect("scans can be listed");
        for source in scans {
            self.scans.remove(&source).expect("a source that hit closed ports");
        }
        for source in self.sources() {
            self.grants.remove(&source).expect("a source with grants");
            let [high, low] = source;
            let marks = SourceIdentity::of(&KEY, &Address::from_words(high, low)).mark() / 8;
            self.granted.set(marks, 0, 0).expect("the source's mark");
        }
        // Else a full table would be searched for sources that are in it no more.
        self.grant_cursor.set(0, 0, 0).expect("the place of the next source");
    }

    pub(super) fn forget_scanned_ports(&mut self) {
        let ports: Vec<_> = self.scanned.keys().collect::<Result<_, _>>().expect("ports can be listed");
        for port in ports {
            self.scanned.remove(&port).expect("a port that was hit");
        }
    }

    pub(super) fn age_grants(&mut self, nanoseconds: u64) {
        for source in self.sources() {
            let mut grants = self.grants.get(&source, 0).expect("a source with grants");
            for grant in grants[SOURCE_WORDS..].chunks_mut(ONE_GRANT_WORDS) {
                grant[0] = grant[0].saturating_sub(nanoseconds);
            }
            self.grants.insert(source, grants, 0).expect("a source with grants");
        }
    }

    /// As if another CPU had taken the lock, and kept it.
    pub(super) fn lock(&mut self, key: ConnectionsKey) {
        let from_now_on = u64::MAX;
        self.locks.insert(Shared(key), from_now_on, 0).expect("room for a lock");
    }

    pub(super) fn unlock(&mut self, key: ConnectionsKey) {
        self.locks.remove(&Shared(key)).expect("a lock that is held");
    }

    fn sources(&self) -> Vec<[u64; 2]> {
        self.grants.keys().collect::<Result<_, _>>().expect("grants can be listed")
    }
}
