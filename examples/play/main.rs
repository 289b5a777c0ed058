//! Plays cases: a conversation with scripted answers, without network and on a virtual clock.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program")]

#[path = "../common/mod.rs"]
mod common;
mod player;

use common::{bad_argument, bad_usage};
use lexopt::prelude::*;
use std::{
    io::{BufRead, Write},
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
};
use unifiedai::Error;

const HELP: &str = "\
Plays cases: conversations whose answers are scripted, without network, waits on a virtual clock.

Usage: play CASE.json    plays one case and prints one JSON document on one line
       play -            reads one case a line from stdin and prints one document a line

The document has `sent`, every request, and `answers`, what came of each step. A step whose
stream says something else in its events than in its response has `event_differences`.
A case that cannot be played gives a document with `error`, and a line on stderr that names the
file or line and the member. All went well if every case was played and no stream differed.";

fn main() -> ExitCode {
    match arguments().and_then(|name| run(&name)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            common::print_line::<()>(&Err(error))
        }
    }
}

fn arguments() -> Result<String, Error> {
    let mut parser = lexopt::Parser::from_env();
    let mut name = None;
    while let Some(argument) = parser.next().map_err(bad_argument)? {
        match argument {
            Long("help") | Short('h') => {
                common::print_help(HELP);
                std::process::exit(0);
            }
            Value(value) if name.is_none() => name = Some(value.string().map_err(bad_argument)?),
            other => return Err(bad_argument(other.unexpected())),
        }
    }
    name.ok_or_else(|| bad_usage("name a file: play CASE.json, or `play -` for one case a line on stdin; `play --help` says more"))
}

/// Whether all went well.
#[expect(clippy::disallowed_methods, reason = "a program")]
fn run(name: &str) -> Result<bool, Error> {
    if name != "-" {
        let text = std::fs::read_to_string(name)
            .map_err(|e| bad_usage(format!("`{name}` cannot be read: {e}")))?;
        return Ok(one(name, &text));
    }
    let mut all_well = true;
    for (number, line) in (1_usize..).zip(std::io::stdin().lock().lines()) {
        let line = line.map_err(|e| bad_usage(format!("stdin cannot be read: {e}")))?;
        if !line.trim().is_empty() {
            all_well &= one(&format!("stdin, case {number}"), &line);
        }
    }
    Ok(all_well)
}

fn one(name: &str, text: &str) -> bool {
    let played = catch_unwind(AssertUnwindSafe(|| player::play(text)))
        .unwrap_or_else(|_| Err(bad_usage("the library panicked; its message is on stderr")));
    let (line, well) = match &played {
        Ok(play) => {
            for note in &play.notes {
                eprintln!("{name}: {note}");
            }
            let mut well = true;
            for difference in play.document.differences() {
                eprintln!("{name}: {difference}");
                well = false;
            }
            (serde_json::to_string(&play.document), well)
        }
        Err(error) => {
            eprintln!("{name}: {}", error.message());
            let line = serde_json::json!({ "error": error });
            (serde_json::to_string(&line), false)
        }
    };
    match line {
        Ok(line) => {
            let mut out = std::io::stdout().lock();
            let _ = writeln!(out, "{line}");
            well
        }
        Err(error) => {
            eprintln!("{name}: the document cannot be written: {error}");
            false
        }
    }
}
