//! One question to several models at once, drawn live.
//!
//! ```text
//! cargo run --example compare --all-features -- --models cerebras.gpt-oss-120b,bedrock.amazon.nova-lite-v1:0
//! ```
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    reason = "a program"
)]

mod arguments;
#[path = "../common/mod.rs"]
mod common;
mod plot;
mod progress;
mod stats;
mod targets;

use arguments::Arguments;
use common::TransportName;
use progress::ProgressBars;
use std::{
    fs::File,
    io::{self, Write},
    path::Path,
    process::ExitCode,
};
use targets::Targets;
use unifiedai::{
    AsyncClient, CallOptions, Client, Error, StreamEvent, compare::Comparison,
    transport::AsyncTransport,
};

fn main() -> ExitCode {
    let result = Arguments::parse().and_then(|arguments| match arguments {
        Some(arguments) => run(&arguments),
        None => Ok(ExitCode::SUCCESS),
    });
    result.unwrap_or_else(|error| {
        eprintln!("{error}");
        ExitCode::FAILURE
    })
}

fn run(arguments: &Arguments) -> Result<ExitCode, Error> {
    // Before anything is asked: who cannot have the picture need not pay for it.
    let picture = arguments.plot.as_deref().map(Picture::create).transpose()?;
    let entrants = Targets::new(&arguments.models)?;
    let names: Vec<&str> = entrants.models.iter().map(String::as_str).collect();
    let mut bars = ProgressBars::new(&names, !arguments.json);
    let comparison = compare(arguments, &entrants, &names, |place, event| {
        bars.event(place, event);
    })?;
    bars.end();
    if arguments.json {
        println!("{}", stats::json(&comparison, arguments.by));
    } else {
        stats::table(&comparison, arguments.by);
    }
    if let Some(picture) = picture {
        picture.write(&plot::svg(&comparison, &arguments.prompt))?;
    }
    let answered = comparison.results.iter().any(|one| one.result.is_ok());
    Ok(if answered {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The file of a picture.
struct Picture<'a> {
    path: &'a Path,
    file: File,
}

impl<'a> Picture<'a> {
    fn create(path: &'a Path) -> Result<Self, Error> {
        let file = File::create(path).map_err(|e| unwritable(path, &e))?;
        Ok(Picture { path, file })
    }

    fn write(mut self, svg: &str) -> Result<(), Error> {
        let written = self.file.write_all(svg.as_bytes());
        written.map_err(|e| unwritable(self.path, &e))?;
        eprintln!("Picture written to {}.", self.path.display());
        Ok(())
    }
}

fn unwritable(path: &Path, error: &io::Error) -> Error {
    common::bad_usage(format!("cannot write {}: {error}", path.display()))
}

fn compare(
    arguments: &Arguments,
    entrants: &Targets,
    names: &[&str],
    watch: impl FnMut(usize, &StreamEvent),
) -> Result<Comparison, Error> {
    let request = arguments.request();
    let mut options = CallOptions::default();
    options.timeouts.total = arguments.timeout;
    match arguments.transport {
        TransportName::Ureq => {
            let mut providers = entrants.providers.iter().cloned();
            let first = providers.next().ok_or_else(arguments::no_models)?;
            let client = Client::shared(unifiedai::transport::UreqTransport::new(), first);
            let client = providers.try_fold(client, Client::with_shared_provider)?;
            Ok(client.with_options(options).compare(&request, names, watch))
        }
        TransportName::Hyper => {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|e| common::bad_usage(format!("no tokio runtime: {e}")))?;
            runtime.block_on(async {
                let client = nonblocking(unifiedai::transport::HyperTransport::new(), entrants)?;
                let client = client.with_options(options);
                Ok(client.compare(&request, names, watch).await)
            })
        }
        TransportName::Smol => smol::block_on(async {
            let client = nonblocking(unifiedai::transport::SmolTransport::new(), entrants)?;
            let client = client.with_options(options);
            Ok(client.compare(&request, names, watch).await)
        }),
    }
}

fn nonblocking<T: AsyncTransport + 'static>(
    transport: T,
    entrants: &Targets,
) -> Result<AsyncClient, Error> {
    let mut providers = entrants.providers.iter().cloned();
    let first = providers.next().ok_or_else(arguments::no_models)?;
    let client = AsyncClient::shared(transport, first);
    providers.try_fold(client, AsyncClient::with_shared_provider)
}
