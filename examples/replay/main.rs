//! Feeds recorded exchanges through the core: no socket, no clock, no runtime.
//!
//! ```text
//! cargo run --example replay -- FILE [--chunk BYTES] [--cut BYTES]
//! ```
//! A file can have many, as a `Recorder` writes them; `-` reads them from stdin.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program"
)]

mod batches;
#[path = "../common/mod.rs"]
mod common;
mod recording;
mod small_calls;

use common::{bad_argument, bad_usage};
use lexopt::prelude::*;
use recording::{Outcome, Recording};
use serde::Serialize;
use serde_json::value::RawValue;
use std::{
    io::{BufRead, Write},
    process::ExitCode,
};
use unifiedai::Error;

const HELP: &str = "\
Feeds recorded exchanges through the core, without a network, and prints one line of JSON for each.

Usage: replay [OPTIONS] FILE

  --chunk BYTES  the body arrives in pieces of so many bytes
  --cut BYTES    only so many bytes of the body arrive

FILE has one JSON object for each exchange, as `Recorder::to_lines` writes them; `-` is stdin.";

struct Arguments {
    file: String,
    /// Bytes a piece; `None` for all at once.
    chunk: Option<usize>,
    /// How many bytes arrive at all.
    cut: Option<usize>,
}

fn main() -> ExitCode {
    let result = arguments().and_then(|arguments| match arguments {
        Some(arguments) => run(&arguments),
        None => Ok(ExitCode::SUCCESS),
    });
    result.unwrap_or_else(|error| {
        eprintln!("{error}");
        common::print_line::<()>(&Err(error))
    })
}

/// `None` if only help was asked for.
fn arguments() -> Result<Option<Arguments>, Error> {
    let mut parser = lexopt::Parser::from_env();
    let (mut file, mut chunk, mut cut) = (None, None, None);
    while let Some(argument) = parser.next().map_err(bad_argument)? {
        match argument {
            Long("chunk") => {
                chunk = Some(
                    parser
                        .value()
                        .and_then(|v| v.parse())
                        .map_err(bad_argument)?,
                )
            }
            Long("cut") => {
                cut = Some(
                    parser
                        .value()
                        .and_then(|v| v.parse())
                        .map_err(bad_argument)?,
                )
            }
            Long("help") | Short('h') => {
                common::print_help(HELP);
                return Ok(None);
            }
            Value(name) if file.is_none() => file = Some(name.string().map_err(bad_argument)?),
            other => return Err(bad_argument(other.unexpected())),
        }
    }
    let file =
        file.ok_or_else(|| bad_usage("name a file: replay FILE; `replay --help` says more"))?;
    if chunk == Some(0) {
        return Err(bad_usage("--chunk takes a number from 1"));
    }
    Ok(Some(Arguments { file, chunk, cut }))
}

#[expect(clippy::disallowed_methods, reason = "a program")]
fn run(arguments: &Arguments) -> Result<ExitCode, Error> {
    let unreadable = |e| bad_usage(format!("`{}` cannot be read: {e}", arguments.file));
    let all_ok = if arguments.file == "-" {
        let mut all_ok = true;
        for line in std::io::stdin().lock().lines() {
            let line = line.map_err(unreadable)?;
            all_ok &= line.trim().is_empty() || one(&line, arguments);
        }
        all_ok
    } else {
        let text = std::fs::read_to_string(&arguments.file).map_err(unreadable)?;
        // One object over many lines, or one on each: each ends where its JSON does.
        let objects: Result<Vec<&RawValue>, _> = serde_json::Deserializer::from_str(&text)
            .into_iter()
            .collect();
        match objects {
            Ok(objects) if !objects.is_empty() => {
                let mut all_ok = true;
                for object in objects {
                    all_ok &= one(object.get(), arguments);
                }
                all_ok
            }
            _ => one(&text, arguments), // which says what is wrong
        }
    };
    Ok(if all_ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn one(text: &str, arguments: &Arguments) -> bool {
    #[derive(Serialize)]
    #[serde(rename_all = "snake_case")]
    enum Result<'a> {
        Ok(&'a recording::Answer),
        Error(&'a Error),
    }
    #[derive(Serialize)]
    struct Line<'a> {
        #[serde(flatten)]
        result: Result<'a>,
        events: usize,
    }
    let outcome = match Recording::parse(text) {
        Ok(recording) => recording.replay(arguments.chunk, arguments.cut),
        Err(error) => Outcome {
            result: Err(error),
            events: 0,
        },
    };
    let result = match &outcome.result {
        Ok(answer) => Result::Ok(answer),
        Err(error) => Result::Error(error),
    };
    let line = Line {
        result,
        events: outcome.events,
    };
    let mut out = std::io::stdout().lock();
    let _ = serde_json::to_writer(&mut out, &line);
    let _ = out.write_all(b"\n");
    outcome.result.is_ok()
}
