//! `fleet`: batches of LLM calls by many workers.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    unused_crate_dependencies,
    reason = "a program"
)]

mod cli;

use cli::Arguments;
use std::process::ExitCode;

fn main() -> ExitCode {
    let level = cli::variable("FLEET_LOG").and_then(|level| level.parse().ok());
    tracing_subscriber::fmt()
        .with_max_level(level.unwrap_or(tracing::Level::WARN))
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let result = match runtime {
        Ok(runtime) => {
            Arguments::parse().and_then(|arguments| runtime.block_on(cli::run(arguments)))
        }
        Err(error) => {
            eprintln!("no tokio runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    result.unwrap_or_else(|error| {
        eprintln!("{error}");
        ExitCode::FAILURE
    })
}
