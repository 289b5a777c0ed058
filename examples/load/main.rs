//! Puts a load on a server and prints what it costs this process.
//!
//! ```text
//! cargo run --release --example load --all-features -- BASE_URL chat|stream N CONCURRENCY MODEL [--transport T] [--provider P]
//!     [--tls CA_FILE] [--http2]
//! ```
//!
//! `--tls` trusts the certificates in a PEM file, for an https server with one of its own; HTTP/2 is then offered with `--http2` alone.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program")]

#[path = "../common/mod.rs"]
mod common;
mod process;

use common::{TransportName, bad_argument, bad_usage, text};
use lexopt::prelude::*;
use serde::Serialize;
use std::{
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};
use unifiedai::{
    AsyncClient, ChatRequest, Client, Error, StreamEvent,
    provider::{self, Provider},
    transport::AsyncTransport,
};

const HELP: &str = "\
Puts a load on a server and prints what it costs this process, as one line of JSON.

Usage: load [OPTIONS] BASE_URL chat|stream N CONCURRENCY MODEL

  --provider NAME   cerebras (default), or another provider's name
  --transport NAME  ureq, hyper (default) or smol
  --tls CA_FILE     trust the certificates in a PEM file
  --http2           offer HTTP/2 with --tls, too

N calls are made, CONCURRENCY at once.";

struct Arguments {
    base_url: String,
    stream: bool,
    calls: u64,
    concurrency: u64,
    model: String,
    transport: TransportName,
    provider: String,
    root_pem: Option<Vec<u8>>,
    http2: bool,
}

/// What the calls brought. Shared by all that make calls.
#[derive(Default)]
struct Tally {
    started: AtomicU64,
    done: AtomicU64,
    failed: AtomicU64,
    events: AtomicU64,
    text: AtomicU64,
}

#[derive(Serialize)]
struct Report {
    n: u64,
    failed: u64,
    events: u64,
    text: u64,
    wall_s: f64,
    cpu_s: f64,
    cpu_us_per_req: f64,
    cpu_us_per_event: Option<f64>,
    rss0_kb: u64,
    peak_kb: u64,
}

fn main() -> ExitCode {
    if common::help_asked(HELP) {
        return ExitCode::SUCCESS;
    }
    let result = arguments().and_then(|arguments| {
        let provider = provider::from_env(&arguments.provider, Some(&arguments.base_url))?;
        let options = options(&arguments)?;
        let arguments = Arc::new(arguments);
        match arguments.transport {
            TransportName::Ureq => {
                let agent =
                    unifiedai::transport::UreqTransport::with_options(options).map_err(unusable)?;
                let client = Client::shared(agent, provider);
                blocking(&client, &arguments)
            }
            TransportName::Hyper => {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .map_err(|e| bad_usage(format!("no tokio runtime: {e}")))?;
                let transport = unifiedai::transport::HyperTransport::with_options(options)
                    .map_err(unusable)?;
                runtime.block_on(tokio::task::LocalSet::new().run_until(async {
                    nonblocking(transport, provider, &arguments, |task| {
                        drop(tokio::task::spawn_local(task));
                    })
                    .await
                }))
            }
            TransportName::Smol => {
                let executor = smol::LocalExecutor::new();
                let transport =
                    unifiedai::transport::SmolTransport::with_options(options).map_err(unusable)?;
                smol::block_on(
                    executor.run(nonblocking(transport, provider, &arguments, |task| {
                        executor.spawn(task).detach();
                    })),
                )
            }
        }
    });
    match result {
        Ok(report) => {
            println!("{}", serde_json::to_string(&report).unwrap_or_default());
            if report.failed == 0 {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a program")]
fn arguments() -> Result<Arguments, Error> {
    let usage = || {
        bad_usage("this takes BASE_URL chat|stream N CONCURRENCY MODEL; `load --help` says more")
    };
    let mut parser = lexopt::Parser::from_env();
    let (mut transport, mut provider, mut words) =
        (TransportName::Hyper, "cerebras".to_owned(), Vec::new());
    let (mut root_pem, mut http2) = (None, false);
    while let Some(argument) = parser.next().map_err(bad_argument)? {
        match argument {
            Long("transport") => transport = TransportName::parse(&text(&mut parser)?)?,
            Long("provider") => provider = text(&mut parser)?,
            Long("tls") => {
                let path = text(&mut parser)?;
                let pem = std::fs::read(&path).map_err(|e| bad_usage(format!("{path}: {e}")))?;
                root_pem = Some(pem);
            }
            Long("http2") => http2 = true,
            Value(word) => words.push(word.string().map_err(bad_argument)?),
            other => return Err(bad_argument(other.unexpected())),
        }
    }
    let [base_url, mode, calls, concurrency, model] =
        <[String; 5]>::try_from(words).map_err(|_| usage())?;
    let number = |text: &str| {
        text.parse::<u64>()
            .ok()
            .filter(|n| *n > 0)
            .ok_or_else(usage)
    };
    Ok(Arguments {
        stream: match mode.as_str() {
            "stream" => true,
            "chat" => false,
            _ => return Err(usage()),
        },
        calls: number(&calls)?,
        concurrency: number(&concurrency)?,
        base_url,
        model,
        transport,
        provider,
        root_pem,
        http2,
    })
}

/// The options of every transport: they are the same type.
fn options(arguments: &Arguments) -> Result<unifiedai::transport::Options, Error> {
    if arguments.http2 && arguments.transport == TransportName::Ureq {
        return Err(bad_usage(
            "--http2 needs --transport hyper or smol: ureq speaks HTTP/1.1 alone",
        ));
    }
    let options =
        unifiedai::transport::Options::new().http2(arguments.http2 || arguments.root_pem.is_none());
    match &arguments.root_pem {
        None => Ok(options),
        Some(pem) => options.extra_roots_pem(pem).map_err(unusable),
    }
}

fn unusable(error: unifiedai::transport::ConfigError) -> Error {
    bad_usage(error.to_string())
}

fn blocking(client: &Client, arguments: &Arguments) -> Result<Report, Error> {
    one_blocking(client, arguments, &Tally::default())?;
    let (tally, measured) = (Tally::default(), Measured::begin());
    std::thread::scope(|scope| {
        for _ in 0..arguments.concurrency.min(arguments.calls) {
            std::thread::Builder::new()
                .stack_size(256 << 10)
                .spawn_scoped(scope, || {
                    while tally.started.fetch_add(1, Relaxed) < arguments.calls {
                        tally.count(one_blocking(client, arguments, &tally));
                    }
                })
                .map_err(|e| bad_usage(format!("no thread: {e}")))?;
        }
        Ok::<(), Error>(())
    })?;
    Ok(measured.end(&tally))
}

fn one_blocking(client: &Client, arguments: &Arguments, tally: &Tally) -> Result<(), Error> {
    if !arguments.stream {
        tally.text.fetch_add(
            client.chat(request(arguments))?.text().chars().count() as u64,
            Relaxed,
        );
        return Ok(());
    }
    for event in client.stream(request(arguments))? {
        tally.event(&event?);
    }
    Ok(())
}

type Task = std::pin::Pin<Box<dyn Future<Output = ()>>>;

async fn nonblocking<T: AsyncTransport + 'static>(
    transport: T,
    provider: Arc<dyn Provider>,
    arguments: &Arc<Arguments>,
    spawn: impl Fn(Task),
) -> Result<Report, Error> {
    let client = AsyncClient::shared(transport, provider);
    one_nonblocking(&client, arguments, &Tally::default()).await?;
    let (tally, measured) = (Arc::new(Tally::default()), Measured::begin());
    let all_done = Arc::new(event_listener::Event::new());
    for _ in 0..arguments.concurrency.min(arguments.calls) {
        let (client, arguments, tally, all_done) = (
            client.clone(),
            arguments.clone(),
            tally.clone(),
            all_done.clone(),
        );
        spawn(Box::pin(async move {
            while tally.started.fetch_add(1, Relaxed) < arguments.calls {
                let result = one_nonblocking(&client, &arguments, &tally).await;
                tally.count(result);
            }
            all_done.notify(usize::MAX);
        }));
    }
    while tally.done.load(Relaxed) < arguments.calls {
        let listener = all_done.listen();
        if tally.done.load(Relaxed) < arguments.calls {
            listener.await;
        }
    }
    Ok(measured.end(&tally))
}

async fn one_nonblocking(
    client: &AsyncClient,
    arguments: &Arguments,
    tally: &Tally,
) -> Result<(), Error> {
    if !arguments.stream {
        tally.text.fetch_add(
            client
                .chat(request(arguments))
                .await?
                .text()
                .chars()
                .count() as u64,
            Relaxed,
        );
        return Ok(());
    }
    let mut stream = client.stream(request(arguments))?;
    while let Some(event) = stream.next().await {
        tally.event(&event?);
    }
    Ok(())
}

fn request(arguments: &Arguments) -> ChatRequest {
    ChatRequest::new(&arguments.model).user("Why is fast inference important?")
}

impl Tally {
    fn event(&self, event: &StreamEvent) {
        self.events.fetch_add(1, Relaxed);
        if let Some(text) = event.text() {
            self.text.fetch_add(text.chars().count() as u64, Relaxed);
        }
    }

    fn count(&self, result: Result<(), Error>) {
        if let Err(error) = result {
            if self.failed.fetch_add(1, Relaxed) == 0 {
                eprintln!("{error}");
            }
        }
        self.done.fetch_add(1, Relaxed);
    }
}

struct Measured {
    wall: Instant,
    cpu: f64,
    rss: u64,
}

impl Measured {
    fn begin() -> Self {
        #[expect(clippy::disallowed_methods, reason = "a program that measures")]
        Measured {
            wall: Instant::now(),
            cpu: process::cpu_seconds(),
            rss: process::memory_kb("VmRSS"),
        }
    }

    fn end(self, tally: &Tally) -> Report {
        #[expect(clippy::disallowed_methods, reason = "a program that measures")]
        let wall_s = self.wall.elapsed().as_secs_f64();
        let cpu_s = process::cpu_seconds() - self.cpu;
        let (n, events) = (tally.done.load(Relaxed), tally.events.load(Relaxed));
        Report {
            n,
            failed: tally.failed.load(Relaxed),
            events,
            text: tally.text.load(Relaxed),
            wall_s,
            cpu_s,
            cpu_us_per_req: cpu_s * 1e6 / n as f64,
            cpu_us_per_event: (events > 0).then(|| cpu_s * 1e6 / events as f64),
            rss0_kb: self.rss,
            peak_kb: process::memory_kb("VmHWM"),
        }
    }
}
