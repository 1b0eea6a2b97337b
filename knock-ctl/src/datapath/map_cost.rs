//! What the kernel takes for a map, besides keys and values (array_map_mem_usage() in kernel/bpf/arraymap.c, and
//! htab_map_mem_usage() in kernel/bpf/hashtab.c).

/// Bytes of kernel memory, on a machine with so many CPUs.
pub(super) struct MapCost {
    pub(super) cpus: u64,
}

/// `struct bpf_array` and `struct bpf_htab`.
const TABLE: u64 = 1024;
const PAGE: u64 = 4096;
/// `struct htab_elem`, before the key.
const HASH_ENTRY: u64 = 48;
/// `struct llist_node`, of an entry that is not made beforehand.
const FREE_LIST: u64 = 8;
const HASH_BUCKET: u64 = 16;

impl MapCost {
    pub(super) fn array(&self, entries: u32, value: usize) -> u64 {
        TABLE + u64::from(entries) * padded(value)
    }

    /// One that user space can map into its memory.
    pub(super) fn mapped_array(&self, entries: u32, value: usize) -> u64 {
        PAGE + (u64::from(entries) * padded(value)).next_multiple_of(PAGE)
    }

    pub(super) fn per_cpu_array(&self, entries: u32, value: usize) -> u64 {
        TABLE + u64::from(entries) * (8 + padded(value) * self.cpus)
    }

    /// One whose entries are made beforehand, and a spare one for each CPU.
    pub(super) fn hash(&self, entries: u32, key: usize, value: usize) -> u64 {
        let entry = HASH_ENTRY + padded(key) + padded(value);
        buckets(entries) + 8 * self.cpus + (u64::from(entries) + self.cpus) * entry
    }

    /// One with room for `entries` that has `used` of them.
    pub(super) fn growing_hash(&self, entries: u32, used: u64, key: usize, value: usize) -> u64 {
        buckets(entries) + used * (HASH_ENTRY + FREE_LIST + padded(key) + padded(value))
    }
}

fn buckets(entries: u32) -> u64 {
    TABLE + u64::from(entries.next_power_of_two()) * HASH_BUCKET
}

fn padded(bytes: usize) -> u64 {
    bytes.next_multiple_of(8) as u64
}
