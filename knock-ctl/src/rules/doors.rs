//! Identities of doors.

use std::collections::HashSet;

use knock_common::rules::DoorId;

/// An identity for each name, in their order: a hash of the name, so that a door keeps its grants when others come and go.
pub fn door_ids<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<DoorId> {
    let mut taken = HashSet::from([0]);
    names
        .into_iter()
        .map(|name| {
            let mut id = fnv1a(name.as_bytes());
            while !taken.insert(id) {
                id = fnv1a(&id.to_be_bytes());
            }
            id
        })
        .collect()
}

/// FNV-1a of 32 bits (Fowler, Noll, Vo).
fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_identity_whoever_its_neighbours_are() {
        let alone = door_ids(["ssh"]);
        let among = door_ids(["web", "ssh", "mail"]);
        assert_eq!(alone[0], among[1]);
    }

    #[test]
    fn identities_differ_even_where_hashes_fall_together() {
        // Both are 0x1d4b5fee under FNV-1a.
        let ids = door_ids(["costarring", "liquid"]);
        assert_eq!(fnv1a(b"costarring"), fnv1a(b"liquid"));
        assert_ne!(ids[0], ids[1]);
    }
}
