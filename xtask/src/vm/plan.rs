//! What is run under a kernel. Emulation is slow: unless all is asked for, it is what depends on the kernel.

use std::fmt;
use std::time::Duration;

use knock_guest::Step;
use knock_lab::KernelRelease;

use super::root::test_path;

/// How much of the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Loading, attaching, one door.
    Quick,
    Usual,
    All,
}

impl Extent {
    /// The files of tests that are needed.
    pub fn files(self) -> &'static [&'static str] {
        match self {
            Self::Quick | Self::Usual => &[AGAINST_MODEL, NAMESPACES],
            Self::All => &[AGAINST_MODEL, NAMESPACES, BUSY_LOCKS, MEMORY],
        }
    }
}

/// Some of a file of tests, run in one process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tests {
    file: &'static str,
    /// Without any: all of the file.
    names: Vec<String>,
}

impl Tests {
    fn all(file: &'static str) -> Self {
        Self { file, names: Vec::new() }
    }

    fn some(file: &'static str, names: &[&str]) -> Self {
        Self { file, names: names.iter().map(ToString::to_string).collect() }
    }

    pub fn step(&self) -> Step {
        let mut words = vec![test_path(self.file).display().to_string()];
        words.extend(["--show-output", "--test-threads=1"].map(str::to_owned));
        if !self.names.is_empty() {
            words.push("--exact".to_owned());
            words.extend(self.names.iter().cloned());
        }
        Step { limit: LIMIT, words }
    }
}

impl fmt::Display for Tests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.file)?;
        self.names.iter().try_for_each(|name| write!(f, " {name}"))
    }
}

/// A step's longest time.
pub const LIMIT: Duration = Duration::from_secs(900);

pub const NAMESPACES: &str = "namespaces";
const AGAINST_MODEL: &str = "kernel_against_model";
const BUSY_LOCKS: &str = "kernel_with_busy_locks";
const MEMORY: &str = "memory";

/// Loads every program, and says what that cost the verifier.
pub const LOADS: &str = "the_verifier_has_no_more_to_do_than_it_may";
pub const NATIVE: &str = "doors::a_door_opens_and_closes::native";
pub const GENERIC: &str = "doors::a_door_opens_and_closes::generic";
/// Among others, that native mode is refused where the driver has none.
pub const REFUSAL: &str = "refusals::an_interface_without_native_mode_gets_the_generic_one";

const IN_KERNEL: [&str; 2] = [
    "a_grant_ends_at_its_deadline_and_gives_its_place_to_the_next",
    "each_of_a_thousand_doors_opens_with_its_own_sequence",
];

/// Each frame of some thousands.
const FIXTURES: [&str; 2] = [
    "every_fixture_is_judged_as_it_says_however_it_is_cut",
    "every_fixture_that_leaves_is_noted_as_the_model_does_however_it_is_cut",
];

/// These want whole packets judged between two ticks of a clock, or a controller that is back within a second.
const TOO_FAST: [&str; 4] = [
    "outcome_and_state_agree_after_every_packet_of_random_streams",
    "outcome_and_state_agree_when_a_change_of_rules_is_not_confirmed",
    "strangers_fragments_pass_at_a_rate",
    "interfaces::one_that_returns_is_filtered_within_a_second",
];

const USUAL: [&str; 13] = [
    "without_controller::doors_work_while_it_is_dead_and_its_grants_outlive_it",
    "without_controller::no_stranger_gets_through_while_a_controller_takes_over::native",
    "without_controller::no_stranger_gets_through_while_a_controller_takes_over::generic",
    "reload::grants_connections_and_attempts_go_on",
    "confirm::what_is_not_confirmed_is_undone",
    "whole_machine::outgoing::connections_datagrams_and_pings::native",
    "whole_machine::outgoing::connections_datagrams_and_pings::generic",
    "established::connections_from_before_live_through_attach",
    "egress::it_outlives_its_controller_is_taken_over_and_goes_with_the_filter",
    "egress::by_clsact_it_does_the_same",
    "egress::what_others_have_at_tcx_stays_behind_it",
    "interfaces::one_that_goes_and_returns_is_filtered_again",
    "systems::without_the_kernels_btf_doors_open_all_the_same",
];

/// Tests of what older kernels do not have.
const NEEDS: [(&str, KernelRelease, &str); 3] = [
    ("egress::what_others_have_at_tcx_stays_behind_it", KernelRelease(6, 6), "TCX"),
    ("egress::it_outlives_its_controller_is_taken_over_and_goes_with_the_filter", KernelRelease(6, 6), "TCX"),
    ("egress::under_the_qdisc_ingress_there_is_no_place_but_that_of_tcx", KernelRelease(6, 6), "TCX"),
];

/// What is run, and what is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub tests: Vec<Tests>,
    /// Each with the reason.
    pub skipped: Vec<(String, String)>,
}

impl Plan {
    /// `all`: the names of all tests in namespaces.
    pub fn new(extent: Extent, release: KernelRelease, all: &[String]) -> Self {
        let in_kernel = match extent {
            Extent::Quick => vec![LOADS],
            Extent::Usual => [&[LOADS], &IN_KERNEL[..]].concat(),
            Extent::All => [&[LOADS], &IN_KERNEL[..], &FIXTURES].concat(),
        };
        let too_fast = TOO_FAST.map(|test| (test.to_owned(), "emulation is too slow for it".to_owned()));
        let mut plan = Self { tests: vec![Tests::some(AGAINST_MODEL, &in_kernel)], skipped: too_fast.into() };
        let first = [NATIVE, GENERIC, REFUSAL];
        plan.add_in_namespaces(first, release);
        match extent {
            Extent::Quick => {}
            Extent::Usual => plan.add_in_namespaces(USUAL, release),
            Extent::All => {
                plan.tests.extend([BUSY_LOCKS, MEMORY].map(Tests::all));
                let others = all.iter().map(String::as_str);
                let others = others.filter(|name| !first.contains(name) && !TOO_FAST.contains(name));
                plan.add_in_namespaces(others, release);
            }
        }
        plan
    }

    fn add_in_namespaces<'a>(&mut self, names: impl IntoIterator<Item = &'a str>, release: KernelRelease) {
        for name in names {
            match NEEDS.iter().find(|(test, since, _)| *test == name && release < *since) {
                Some((_, since, what)) => {
                    self.skipped.push((name.to_owned(), format!("{what} is in Linux {since} or newer")));
                }
                None => self.tests.push(Tests::some(NAMESPACES, &[name])),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn names(plan: &Plan) -> Vec<String> {
        plan.tests.iter().flat_map(|tests| tests.names.clone()).collect()
    }

    #[test]
    fn more_is_run_the_more_is_asked_for_and_nothing_twice() {
        let all = [NATIVE, GENERIC, USUAL[0], "doors::another"].map(str::to_owned);
        let plans = [Extent::Quick, Extent::Usual, Extent::All]
            .map(|extent| Plan::new(extent, KernelRelease(6, 18), &all));
        for plan in &plans {
            let names = names(plan);
            assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{names:?}");
            assert_eq!(plan.skipped.len(), TOO_FAST.len());
        }
        let [quick, usual, all] = plans.map(|plan| names(&plan));
        assert!(quick.iter().all(|name| usual.contains(name)));
        assert!(usual.len() > quick.len());
        assert!(all.contains(&"doors::another".to_owned()));
    }

    #[test]
    fn what_a_kernel_lacks_is_skipped_with_the_reason() {
        let plan = Plan::new(Extent::Usual, KernelRelease(6, 1), &[]);
        let (test, reason) = plan.skipped.last().expect("it has no TCX");
        assert_eq!(test, "egress::what_others_have_at_tcx_stays_behind_it");
        assert_eq!(reason, "TCX is in Linux 6.6 or newer");
        assert!(!names(&plan).contains(test));
    }
}
