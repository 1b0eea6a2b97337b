//! What the tables cost in the kernel. Needs root.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use aya::Ebpf;
use aya::maps::MapData;
use aya::programs::{ProgramInfo, SchedClassifier, Xdp};
use knock_common::hash::{HashKey, KEY_WORDS};
use knock_ctl::datapath::{Program, TableSizes, Variant};
use knock_ctl::rules::{PreviousStates, RuleSet, ScannersRule, compile};
use knock_tests::lab::privileged;
use knock_tests::model::{Door, Port, Rules};
use knock_tests::rule_set::rule_set;
use std::collections::BTreeSet;
use std::fs;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

#[test]
fn the_default_tables_cost_what_is_said_of_them() {
    assert_sum_fits(&rule_set(&one_door()));
}

#[test]
fn the_tables_of_a_filter_that_holds_scanners_cost_what_is_said_of_them() {
    let scanners = ScannersRule {
        ports: 20,
        within: Duration::from_secs(10),
        hold: Duration::from_secs(600),
        include_public: false,
    };
    assert_sum_fits(&RuleSet { scanners: Some(scanners), ..rule_set(&one_door()) });
}

#[test]
fn the_tables_of_many_doors_cost_what_is_said_of_them() {
    let door = |number: u16| {
        let sequence = [7, 11_000 + number, 12_000 + number, 13_000 + number].map(Port::tcp);
        Door { connections: 1, ..Door::new(sequence.to_vec(), vec![Port::tcp(20_000 + number)]) }
    };
    assert_sum_fits(&rule_set(&Rules { doors: (0..1000).map(door).collect(), ..Rules::default() }));
}

#[test]
fn each_loading_makes_one_map_of_constants() {
    if !privileged() {
        return;
    }
    let compiled = compile(&rule_set(&one_door()), &PreviousStates::new()).unwrap();
    let sizes = TableSizes::new(1024, 1024, 64, &compiled, 1);
    let (mut program, _maps) = Program::load(Variant::Plain, &sizes, HashKey([1; KEY_WORDS]), None).unwrap();
    let names: Vec<_> = program.ebpf_mut().maps().map(|(name, _)| name.to_owned()).collect();
    let constants: Vec<_> = names.iter().filter(|name| name.starts_with(".rodata")).collect();
    assert_eq!(constants, [".rodata"]);
}

fn one_door() -> Rules {
    let door = Door::new([7000, 8000, 9000].map(Port::tcp).to_vec(), vec![Port::tcp(22)]);
    Rules { doors: vec![door], ..Rules::default() }
}

/// That the sum for the default limits is what the kernel says, or somewhat more.
fn assert_sum_fits(rules: &RuleSet) {
    if !privileged() {
        return;
    }
    let compiled = compile(rules, &PreviousStates::new()).unwrap();
    let cpus = aya::util::nr_cpus().unwrap() as u32;
    let sizes = TableSizes::new(2_097_152, 262_144, 65_536, &compiled, cpus);
    let (mut program, mut maps) =
        Program::load(Variant::Plain, &sizes, HashKey([1; KEY_WORDS]), None).unwrap();
    // In both slots.
    maps.put_into_force(&compiled).unwrap();
    maps.put_into_force(&compiled).unwrap();
    program.load_all().unwrap();
    let (said, charged) = (sizes.memory(&compiled), charged(program.ebpf_mut()));
    assert!(said >= charged, "{said} bytes are less than {charged}");
    assert!(said - charged <= charged / 10, "{said} bytes are many more than {charged}");
}

/// What the kernel has charged for all maps, in bytes.
fn charged(ebpf: &mut Ebpf) -> u64 {
    let xdp: &mut Xdp = ebpf.program_mut("knock").unwrap().try_into().unwrap();
    let arriving = xdp.info().unwrap();
    let classifier: &mut SchedClassifier = ebpf.program_mut("knock_egress").unwrap().try_into().unwrap();
    let leaving = classifier.info().unwrap();
    let maps =
        |program: &ProgramInfo| program.map_ids().unwrap().expect("a kernel that tells a program's maps");
    let ids: BTreeSet<u32> = [arriving, leaving].iter().flat_map(maps).collect();
    assert!(ids.len() > 30, "{ids:?}");
    ids.into_iter().map(|id| charged_for(&MapData::from_id(id).unwrap())).sum()
}

fn charged_for(map: &MapData) -> u64 {
    let path = format!("/proc/thread-self/fdinfo/{}", map.fd().as_fd().as_raw_fd());
    let facts = fs::read_to_string(path).unwrap();
    facts.lines().find_map(|line| line.strip_prefix("memlock:")).unwrap().trim().parse().unwrap()
}
