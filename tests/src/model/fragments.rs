//! Later fragments, which say no port.

use super::rules::{Policy, Rules};
use super::{Memory, standing};
use std::net::IpAddr;

/// Later fragments of strangers that pass in one second of the clock under `policy = "drop"`.
pub const FRAGMENTS_PER_SECOND: u32 = 1024;

/// How many strangers' fragments have passed in which second.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Passed {
    second: u64,
    count: u32,
}

pub(super) fn reason(memory: &mut Memory, rules: &Rules, now_ms: u64, source: IpAddr) -> &'static str {
    if rules.policy == Policy::Pass || standing::is_known(memory, rules, now_ms, source) {
        return "fragment";
    }
    let passed = &mut memory.fragments;
    if passed.second != now_ms / 1000 {
        *passed = Passed { second: now_ms / 1000, count: 0 };
    }
    if passed.count == FRAGMENTS_PER_SECOND {
        return "fragment_limit";
    }
    passed.count += 1;
    "fragment"
}
