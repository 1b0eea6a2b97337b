//! What becomes of packets that a machine passes on for others.

use std::fmt::Display;

use super::diagnostic::Diagnostic;
use super::filter::Filter;
use super::{Loaded, Location};
use crate::rules::Policy;

impl Filter {
    /// Whether packets are dropped that are neither for this machine nor for a port that the file names.
    pub fn closes_for_others(&self) -> bool {
        self.policy == Policy::Drop && self.destinations.is_empty()
    }
}

/// What is wrong with a policy that [closes for others](Filter::closes_for_others) on a machine with others behind it; `how`
/// it forwards for them is put as in "net.ipv4.ip_forward = 1".
pub fn closed_for_others(loaded: &Loaded, how: &dyn Display) -> Diagnostic {
    let Location { file, position } = loaded.policy_location.clone();
    Diagnostic {
        file,
        position,
        message: format!(
            "this machine forwards packets for others ({how}), and policy = \"drop\" without \"destinations\" would \
             drop those too"
        ),
        help: "write destinations = [\"local\"] to filter only what is sent to this machine itself; \
               ports that Docker publishes are then closed like any other, unless \"public\" or a door opens them"
            .to_owned(),
    }
}
