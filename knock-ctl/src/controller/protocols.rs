//! Tells of IP protocols that arrive and that `policy = "drop"` would not let in.

use std::collections::HashSet;

use knock_common::rules::RuleOption;

use crate::config::IpProtocol;
use crate::datapath::{DatapathError, Maps};

/// IGMP passes without being listed.
const IGMP: u8 = 2;

/// The protocols that were told of already.
#[derive(Default)]
pub(super) struct SeenProtocols(HashSet<u8>);

impl SeenProtocols {
    /// Names each protocol other than TCP, UDP and ICMP when it is first seen.
    pub(super) fn look(&mut self, maps: &Maps) -> Result<(), DatapathError> {
        let rules = maps.active_rules()?;
        for (number, _) in maps.protocols()? {
            let Some(protocol) = IpProtocol::new(number).filter(|_| self.0.insert(number)) else {
                continue;
            };
            if number == IGMP || rules.lists_protocol(number) || !rules.has(RuleOption::Drop) {
                log::info!("packets of IP protocol {protocol} arrive, and pass");
            } else if rules.has(RuleOption::Enforce) {
                log::warn!(
                    "packets of IP protocol {protocol} are dropped; list it under protocols if it is needed"
                );
            } else {
                log::warn!(
                    "packets of IP protocol {protocol} would be dropped; list it under protocols if it is needed"
                );
            }
        }
        Ok(())
    }
}
