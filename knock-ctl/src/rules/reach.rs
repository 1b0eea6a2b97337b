//! Who can come in at all.

use std::net::IpAddr;

use knock_common::port::{Port, PortRange};

use super::{Opens, Policy, RuleSet};

impl RuleSet {
    /// Whether somebody at `remote` can begin a connection to `port` of `local`, at once or after a knock.
    pub fn lets_in(&self, remote: IpAddr, local: IpAddr, port: Port) -> bool {
        let has = |ranges: &[PortRange]| ranges.iter().any(|range| range.contains(port));
        let is_filtered = self.enforce
            && self.destinations.as_ref().is_none_or(|destinations| destinations.contains(&local))
            && !has(&self.public);
        let is_closed = self.policy == Policy::Drop
            || has(&self.protected)
            || self.doors.iter().any(|door| has(door.opens.named()));
        let opens = |opens: &Opens| *opens == Opens::Any || has(opens.named());
        !is_filtered
            || !is_closed
            || self.doors.iter().any(|door| opens(&door.opens))
            || self
                .trusted
                .iter()
                .any(|trust| trust.from.contains(&remote) && trust.to.as_deref().is_none_or(has))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;
    use crate::config;

    const REMOTE: &str = "192.0.2.7";

    fn lets_in(text: &str) -> bool {
        let config = config::parse(text, "test", Path::new("")).unwrap().config;
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let rules = RuleSet::from_config(&config, &BTreeSet::from([address("192.0.2.1")]));
        rules.lets_in(address(REMOTE), address("192.0.2.1"), Port::tcp(22).unwrap())
    }

    fn door(opens: &str) -> String {
        format!("[doors.a]\nsequence = [31207, 5481, 60123]\nopens = [\"{opens}\"]\n")
    }

    #[test]
    fn nobody_is_shut_out_who_has_a_way() {
        for text in [
            String::new(),
            door("443/tcp"),
            door("22/tcp"),
            door("20-30/tcp"),
            format!("[filter]\npolicy = \"drop\"\n{}", door("any")),
            format!("[filter]\npolicy = \"drop\"\n{}", door("22/tcp")),
            "[filter]\npolicy = \"drop\"\npublic = [\"22/tcp\"]\n".to_owned(),
            "[filter]\nprotected = [\"22/tcp\"]\nenforce = false\n".to_owned(),
            "[filter]\nprotected = [\"22/tcp\"]\ndestinations = [\"192.0.2.2\"]\n".to_owned(),
            "[filter]\nprotected = [\"22/tcp\"]\ntrusted = [\"192.0.2.0/24\"]\n".to_owned(),
            "[filter]\nprotected = [\"22/tcp\"]\ntrusted = [{ from = \"192.0.2.7\", to = [\"22/tcp\"] }]\n"
                .to_owned(),
        ] {
            assert!(lets_in(&text), "{text}");
        }
    }

    #[test]
    fn a_closed_port_without_a_way_shuts_out() {
        for text in [
            "[filter]\nprotected = [\"22/tcp\"]\n".to_owned(),
            "[filter]\nprotected = [\"22/tcp\"]\ndestinations = [\"local\"]\n".to_owned(),
            format!("[filter]\nprotected = [\"22/tcp\"]\n{}", door("443/tcp")),
            format!("[filter]\npolicy = \"drop\"\n{}", door("22/udp")),
            "[filter]\nprotected = [\"22/tcp\"]\ntrusted = [\"192.0.2.8\"]\n".to_owned(),
            "[filter]\nprotected = [\"22/tcp\"]\ntrusted = [{ from = \"192.0.2.7\", to = [\"9100/tcp\"] }]\n"
                .to_owned(),
        ] {
            assert!(!lets_in(&text), "{text}");
        }
    }
}
