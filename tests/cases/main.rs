//! Faults that users of other clients reported, played as conversations with scripted responses.
//!
//! The cases are in this folder, at least one for each kind of fault, and in `../shared/cases` (`UNIFIEDAI_CASES`),
//! if that folder exists.
#![cfg(feature = "bedrock")]
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    reason = "a test that goes wrong is to stop"
)]

mod claims;
#[path = "../../examples/play/player/mod.rs"]
mod player;
mod pointer;
mod value;

use std::{
    fs,
    path::{Path, PathBuf},
};
use value::Value;

#[test]
fn cases_of_this_repository_pass() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let played = play_all(&folder);
    assert!(played > 0, "no cases in {}", folder.display());
}

#[test]
fn shared_cases_pass() {
    let folder = std::env::var_os("UNIFIEDAI_CASES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/cases"),
        PathBuf::from,
    );
    if play_all(&folder) == 0 {
        println!("skipped: no cases in {}", folder.display());
    }
}

/// Plays all cases of a folder and returns their number.
fn play_all(folder: &Path) -> usize {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        })
        .collect();
    files.sort();
    let mut wrong = Vec::new();
    for file in &files {
        let name = file.file_stem().unwrap().to_str().unwrap();
        let text = fs::read_to_string(file).unwrap();
        if let Err(what) = play(&text) {
            wrong.push(format!("{name}: {}", what.join("\n    or: ")));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} cases:\n{}",
        wrong.len(),
        files.len(),
        wrong.join("\n")
    );
    files.len()
}

fn play(text: &str) -> Result<(), Vec<String>> {
    let case = Value::parse(text);
    let play = player::play(text).map_err(|error| vec![error.to_string()])?;
    let oddities: Vec<String> = play
        .document
        .differences()
        .map(str::to_owned)
        .chain(play.notes)
        .collect();
    let document = Value::parse(&serde_json::to_string(&play.document).unwrap());
    let expect = case.get("expect").expect("`expect`");
    match claims::check(&document, expect) {
        Ok(()) if oddities.is_empty() => Ok(()),
        Ok(()) => Err(oddities),
        Err(mut failures) => {
            failures.extend(oddities);
            Err(failures)
        }
    }
}
