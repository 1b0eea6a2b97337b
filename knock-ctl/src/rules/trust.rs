//! Trusted prefixes, so that the longest match alone gives the whole answer.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use knock_common::address::Address;
use knock_common::port::PortRange;
use knock_common::rules::{TRUST_EVERY_PORT, TRUST_NOBODY, Trust};

use super::TrustRule;

/// Bits of the slot that come before the address in a key.
const SLOT_BITS: u32 = 32;
/// Bits before the IPv4 address in its mapped form.
const MAPPED_BITS: u8 = 96;

/// One prefix as the kernel's longest-prefix match takes it.
pub(super) struct TrustedPrefix {
    /// Counts the slot's bits.
    pub(super) length: u32,
    pub(super) address: [u8; 16],
    pub(super) trust: Trust,
}

/// The prefixes, and what ports each limited trust extends to.
pub(super) struct TrustTable {
    pub(super) prefixes: Vec<TrustedPrefix>,
    pub(super) limited: Vec<(Trust, Vec<PortRange>)>,
}

/// `first_holder` is the first number free for limited trusts.
pub(super) fn trust_table(rules: &[TrustRule], first_holder: u32) -> TrustTable {
    let mut table = TrustTable { prefixes: Vec::new(), limited: Vec::new() };
    let mut holders: BTreeMap<BTreeSet<usize>, Trust> = BTreeMap::new();
    let prefixes: BTreeSet<IpNet> = rules.iter().map(|rule| rule.from.trunc()).collect();
    for prefix in &prefixes {
        let covering: BTreeSet<usize> =
            (0..rules.len()).filter(|&index| rules[index].from.contains(prefix)).collect();
        let trust = if covering.iter().any(|&index| rules[index].to.is_none()) {
            TRUST_EVERY_PORT
        } else {
            let next = first_holder + holders.len() as u32;
            *holders.entry(covering).or_insert(next)
        };
        table.prefixes.push(trusted_prefix(prefix, trust));
    }
    for (covering, holder) in holders {
        let ports = covering.iter().filter_map(|&index| rules[index].to.clone()).flatten().collect();
        table.limited.push((holder, ports));
    }
    shield_ipv4(&mut table.prefixes);
    table
}

fn trusted_prefix(prefix: &IpNet, trust: Trust) -> TrustedPrefix {
    let mapped = if prefix.addr().is_ipv4() { MAPPED_BITS } else { 0 };
    TrustedPrefix {
        length: SLOT_BITS + u32::from(mapped + prefix.prefix_len()),
        address: Address::from(prefix.addr()).octets(),
        trust,
    }
}

/// An IPv6 prefix as wide as `::/0` holds the mapped IPv4 addresses too, which it does not speak of.
fn shield_ipv4(prefixes: &mut Vec<TrustedPrefix>) {
    let length = SLOT_BITS + u32::from(MAPPED_BITS);
    let address = Address::from(IpAddr::from([0, 0, 0, 0])).octets();
    if !prefixes.iter().any(|prefix| prefix.length == length && prefix.address == address) {
        prefixes.push(TrustedPrefix { length, address, trust: TRUST_NOBODY });
    }
}
