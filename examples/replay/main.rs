//! Feeds recorded exchanges through the core: no socket, no clock, no runtime.
//!
//! ```text
//! cargo run --example replay -- FILE [--chunk BYTES] [--cut BYTES]
//! ```
//! `-` reads many, one JSON object a line.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program"
)]

#[path = "../common/mod.rs"]
mod common;
mod recording;

use common::{bad_argument, bad_usage};
use lexopt::prelude::*;
use recording::{Outcome, Recording};
use serde::Serialize;
use std::{
    io::{BufRead, Write},
    process::ExitCode,
};
use unifiedai::Error;

struct Arguments {
    file: String,
    /// Bytes a piece; `None` for all at once.
    chunk: Option<usize>,
    /// How many bytes arrive at all.
    cut: Option<usize>,
}

fn main() -> ExitCode {
    let result = arguments().and_then(|arguments| run(&arguments));
    result.unwrap_or_else(|error| {
        eprintln!("{error}");
        common::print_line::<()>(&Err(error))
    })
}

fn arguments() -> Result<Arguments, Error> {
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
            Value(name) if file.is_none() => file = Some(name.string().map_err(bad_argument)?),
            other => return Err(bad_argument(other.unexpected())),
        }
    }
    let file = file.ok_or_else(|| bad_usage("usage: replay FILE [--chunk BYTES] [--cut BYTES]"))?;
    if chunk == Some(0) {
        return Err(bad_usage("--chunk takes a number from 1"));
    }
    Ok(Arguments { file, chunk, cut })
}

fn run(arguments: &Arguments) -> Result<ExitCode, Error> {
    if arguments.file == "-" {
        let mut all_ok = true;
        for line in std::io::stdin().lock().lines() {
            let line = line.map_err(|e| bad_usage(format!("stdin cannot be read: {e}")))?;
            if !line.trim().is_empty() {
                all_ok &= one(&line, arguments);
            }
        }
        return Ok(if all_ok {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        });
    }
    let text = std::fs::read_to_string(&arguments.file)
        .map_err(|e| bad_usage(format!("`{}` cannot be read: {e}", arguments.file)))?;
    Ok(if one(&text, arguments) {
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
