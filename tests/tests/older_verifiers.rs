//! What verifiers of older kernels refuse and newer ones take, as far as the object itself shows it. Needs no privilege.

use knock_ctl::datapath::{Variant, object};
use knock_tests::bpf_object::BpfObject;
use knock_tests::lab::with_kernel_program;

/// Of all frames of a chain of calls.
const STACK: u64 = 512;

/// A frame is rounded up to it before Linux 6.9.
const UNIT: u64 = 32;

fn objects() -> Vec<BpfObject> {
    if !with_kernel_program() {
        return Vec::new();
    }
    let parse =
        |variant| BpfObject::parse(object(variant).expect("it is embedded")).expect("it is an object file");
    [Variant::Plain, Variant::Trace].map(parse).into()
}

#[test]
fn no_loop_falls_through_to_its_beginning() {
    for object in objects() {
        assert_eq!(object.loops_by_falling_through(), [""; 0]);
    }
}

#[test]
fn the_deepest_chain_of_calls_has_room_on_the_stack() {
    for object in objects() {
        let depths = object.stack_depths(UNIT);
        println!("{depths:?}");
        for program in ["knock", "knock_frags", "knock_egress"] {
            assert!((1..=STACK).contains(&depths[program]), "{program}: {depths:?}");
        }
    }
}
