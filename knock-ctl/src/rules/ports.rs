//! What the rules say of each port, and which of them the same doors and trusts open.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use knock_common::port::{Port, PortRange, Protocol};
use knock_common::rules::{PORT_ENTRIES, PortEntry, port_index};

/// Marks and holders of all ports, in the making.
pub(super) struct PortTable {
    marks: Vec<u32>,
    /// Those that open a port, by the numbers that they were noted with; most ports have none.
    holders: BTreeMap<usize, BTreeSet<u32>>,
}

/// The ports, grouped.
pub(super) struct PortClasses {
    /// In the order of [`port_index`].
    pub(super) entries: Vec<PortEntry>,
    /// The holders of each class; class 0 has none.
    pub(super) holders: Vec<BTreeSet<u32>>,
}

impl PortTable {
    pub(super) fn new() -> Self {
        Self { marks: vec![0; PORT_ENTRIES as usize], holders: BTreeMap::new() }
    }

    pub(super) fn mark_all(&mut self, marks: u32) {
        for marked in &mut self.marks {
            *marked |= marks;
        }
    }

    pub(super) fn mark(&mut self, range: &PortRange, marks: u32) {
        for index in indices(range) {
            self.marks[index] |= marks;
        }
    }

    pub(super) fn mark_port(&mut self, port: Port, marks: u32) {
        self.mark(&port.into(), marks);
    }

    /// Notes that `holder` opens the range, or extends trust to it.
    pub(super) fn hold(&mut self, range: &PortRange, holder: u32) {
        for index in indices(range) {
            self.holders.entry(index).or_default().insert(holder);
        }
    }

    /// Groups the ports by their holders. `None`: there are more groups than a port's entry can name.
    pub(super) fn classes(self) -> Option<PortClasses> {
        let mut classes = HashMap::new();
        let mut holders = vec![BTreeSet::new()];
        let mut entries: Vec<PortEntry> = self.marks.iter().map(|marks| PortEntry::new(0, *marks)).collect();
        for (index, held_by) in self.holders {
            let class = match classes.get(&held_by) {
                Some(class) => *class,
                None => {
                    let class = u16::try_from(holders.len()).ok()?;
                    holders.push(held_by.clone());
                    classes.insert(held_by, class);
                    class
                }
            };
            entries[index] = PortEntry::new(class, self.marks[index]);
        }
        Some(PortClasses { entries, holders })
    }
}

fn indices(range: &PortRange) -> std::ops::RangeInclusive<usize> {
    let index = |number| port_index(0, range.protocol(), number) as usize;
    index(range.first())..=index(range.last())
}

const _: () = assert!(port_index(0, Protocol::Udp, u16::MAX) + 1 == PORT_ENTRIES);
