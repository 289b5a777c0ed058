//! Runs every fuzz target's body on its seeds, with the stable compiler and without a fuzzer.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    unreachable_pub,
    reason = "what goes wrong is to stop"
)]

#[path = "../fuzz/src/lib.rs"]
mod fuzz;

use std::{fs, path::Path};

#[test]
#[expect(clippy::disallowed_methods, reason = "the test reads the seeds")]
fn every_seed_and_every_beginning_of_it_holds() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let (mut seeds, mut runs) = (0, 0);
    for (name, body) in fuzz::TARGETS {
        let target = fuzz.join("fuzz_targets").join(name).with_extension("rs");
        assert!(target.exists(), "{name} has no target");
        let folder = fs::read_dir(fuzz.join("seeds").join(name)).expect(name);
        let before = seeds;
        for seed in folder {
            let bytes = fs::read(seed.unwrap().path()).unwrap();
            seeds += 1;
            for end in (0..bytes.len())
                .step_by(bytes.len() / 64 + 1)
                .chain([bytes.len()])
            {
                body(&bytes[..end]);
                runs += 1;
            }
        }
        assert!(seeds > before, "{name} has no seed");
    }
    println!(
        "{seeds} seeds of {} targets, {runs} runs",
        fuzz::TARGETS.len()
    );
}

#[test]
fn every_target_is_in_the_table() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/fuzz_targets");
    for target in fs::read_dir(folder).unwrap() {
        let path = target.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(
            fuzz::TARGETS.iter().any(|(known, _)| *known == name),
            "{name}"
        );
    }
}
