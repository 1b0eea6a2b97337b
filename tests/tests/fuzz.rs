//! What fuzzing began with, what it has kept and what it has found, without a fuzzer.

use cap::Cap;
use knock_tests::fuzz::{Body, TARGETS, seeds};
use std::alloc::System;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};

/// No input may take more memory: an allocation beyond it ends the tests.
#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, 512 << 20);

/// Of a target.
struct Input {
    name: String,
    bytes: Vec<u8>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

fn files(folder: &Path) -> Vec<Input> {
    let entries = folder.read_dir().unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = entries.map(|entry| entry.expect("the folder can be read").path());
    paths
        .map(|path| Input {
            name: path.display().to_string(),
            bytes: fs::read(&path).expect("the file can be read"),
        })
        .collect()
}

fn replay(inputs: Vec<Input>, body: Body) {
    for Input { name, bytes } in inputs {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| body(&bytes))) {
            eprintln!("this was {name}");
            resume_unwind(panic);
        }
    }
}

#[test]
fn every_seed_holds() {
    for (target, body) in TARGETS {
        let seeds = seeds(target).into_iter().enumerate();
        let inputs: Vec<_> =
            seeds.map(|(number, bytes)| Input { name: format!("{target}, seed {number}"), bytes }).collect();
        assert!(!inputs.is_empty(), "{target} has no seed");
        replay(inputs, body);
    }
}

#[test]
fn every_committed_input_holds() {
    for (target, body) in TARGETS {
        let [corpus, fixtures] = ["corpus", "fixtures"].map(|kind| folder().join(kind).join(target));
        let corpus = files(&corpus);
        assert!(!corpus.is_empty(), "{target} has no corpus");
        replay(corpus, body);
        // Only of a target that has found something.
        if fixtures.exists() {
            replay(files(&fixtures), body);
        }
    }
}
