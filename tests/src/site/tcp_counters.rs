//! What a machine's TCP has counted.

use std::fs;

use crate::lab::{Lab, Machine};

/// Of both families, from /proc/net/snmp (RFC 4022).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpCounters {
    pub segments_in: u64,
    pub segments_out: u64,
    pub resets_out: u64,
}

impl TcpCounters {
    pub fn of(lab: &Lab, machine: Machine) -> Self {
        let table = lab.enter(machine, || fs::read_to_string("/proc/thread-self/net/snmp")).unwrap().unwrap();
        let mut lines = table.lines().filter_map(|line| line.strip_prefix("Tcp: "));
        let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
        let value = |wanted: &str| {
            let index = names.split(' ').position(|name| name == wanted).unwrap();
            values.split(' ').nth(index).unwrap().parse().unwrap()
        };
        Self { segments_in: value("InSegs"), segments_out: value("OutSegs"), resets_out: value("OutRsts") }
    }
}
