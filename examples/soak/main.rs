//! Many calls at once against a provider of which some share breaks in every way: does each end in a right answer or a
//! right error, and is nothing left over? Prints one JSON line a transport.
//!
//! ```text
//! cargo run --release --example soak --all-features -- hyper|smol|ureq [CONCURRENCY] [ROUNDS]
//! ```
//!
//! The provider runs in a process of its own, so that the memory and the open files are the client's.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    reason = "a program that measures and prints"
)]

#[path = "../common/mod.rs"]
mod common;
#[allow(dead_code, reason = "the CPU time is not of interest here")]
#[path = "../load/process.rs"]
mod process;
mod server;

use serde::Serialize;
use server::Server;
use std::{
    collections::BTreeMap,
    process::ExitCode,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use unifiedai::{
    AsyncClient, CallOptions, ChatRequest, Client, Error, ErrorKind, RetryPolicy,
    UnifiedChatResponse,
    policy::ProviderLimits,
    provider::{self, Provider},
    transport::AsyncTransport,
};

const HELP: &str = "\
Makes many calls at once to a provider on loopback that breaks in every way, and prints one line of JSON.

Usage: soak [TRANSPORT [CONCURRENCY [ROUNDS]]]

TRANSPORT is hyper (default), smol or ureq. All went well if each call ended in a right answer or a right
error, and nothing was left over.";

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    if common::help_asked(HELP) {
        return ExitCode::SUCCESS;
    }
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.first().is_some_and(|word| word == "serve") {
        return server::serve();
    }
    match soak(&words) {
        Ok(report) => {
            println!("{}", serde_json::to_string(&report).unwrap_or_default());
            ExitCode::from(u8::from(!report.is_clean()))
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

#[derive(Serialize)]
struct Report {
    transport: String,
    concurrency: usize,
    rounds: usize,
    /// Answers that were right.
    ok: usize,
    /// Errors by kind, all of them such as the faults must give.
    errors: BTreeMap<&'static str, usize>,
    /// Answers and errors that should not have been.
    wrong: Vec<String>,
    attempts: usize,
    peak_in_flight: usize,
    permits_left: usize,
    connections_left: u64,
    /// After each round, when all is let go.
    rss_kb: Vec<u64>,
    peak_kb: u64,
    wall_s: f64,
}

impl Report {
    fn is_clean(&self) -> bool {
        self.wrong.is_empty()
            && self.permits_left == 0
            && self.connections_left == 0
            && self.ok > 0
            && !self.errors.is_empty()
    }
}

/// What all calls of a soak share.
struct Soak {
    guard: Arc<ProviderLimits>,
    /// The text that the provider says when nothing is wrong.
    expected: String,
    tally: Mutex<Tally>,
    peak: AtomicUsize,
}

#[derive(Default)]
struct Tally {
    ok: usize,
    attempts: usize,
    errors: BTreeMap<&'static str, usize>,
    wrong: Vec<String>,
}

fn soak(words: &[String]) -> Result<Report, Failure> {
    let transport = words.first().map_or("hyper", String::as_str).to_owned();
    let number = |at: usize, default: usize| match words.get(at) {
        Some(word) => word.parse::<usize>().map_err(Failure::from),
        None => Ok(default),
    };
    let concurrency = number(1, if transport == "ureq" { 1000 } else { 10_000 })?;
    let rounds = number(2, 2)?;
    let mut server = Server::start()?;
    let provider = provider::from_env("cerebras", Some(server.base_url()))?;
    let began = Instant::now();
    let soak = Arc::new(Soak {
        guard: Arc::new(ProviderLimits::new()),
        expected: expected(&provider)?,
        tally: Mutex::default(),
        peak: AtomicUsize::new(0),
    });
    let mut rss_kb = vec![process::memory_kb("VmRSS")];
    for _ in 0..rounds {
        match transport.as_str() {
            "ureq" => blocking(&soak, &provider, concurrency)?,
            "hyper" => of_hyper(&soak, &provider, concurrency)?,
            "smol" => of_smol(&soak, &provider, concurrency),
            other => return Err(format!("there is no transport `{other}`").into()),
        }
        rss_kb.push(process::memory_kb("VmRSS"));
    }
    let connections_left = server.connections_left()?;
    let tally = std::mem::take(&mut *soak.tally());
    Ok(Report {
        transport,
        concurrency,
        rounds,
        ok: tally.ok,
        errors: tally.errors,
        wrong: tally.wrong,
        attempts: tally.attempts,
        peak_in_flight: soak.peak.load(Relaxed),
        permits_left: soak.guard.in_flight(),
        connections_left,
        rss_kb,
        peak_kb: process::memory_kb("VmHWM"),
        wall_s: began.elapsed().as_secs_f64(),
    })
}

/// The answer to the one request, asked for until no fault gets in the way.
fn expected(provider: &Arc<dyn Provider>) -> Result<String, Failure> {
    let client = Client::shared(unifiedai::transport::UreqTransport::new(), provider.clone());
    for _ in 0..20 {
        if let Ok(response) = client.chat(request()) {
            return Ok(response.text().into_owned());
        }
    }
    Err("the provider gives no answer".into())
}

fn blocking(soak: &Arc<Soak>, provider: &Arc<dyn Provider>, threads: usize) -> Result<(), Failure> {
    let client = Client::shared(unifiedai::transport::UreqTransport::new(), provider.clone())
        .with_options(options())
        .with_provider_limits(provider.name(), soak.guard.clone())?;
    std::thread::scope(|scope| {
        for _ in 0..threads {
            std::thread::Builder::new()
                .stack_size(256 << 10)
                .spawn_scoped(scope, || {
                    let mut text = String::new();
                    let result = client.stream(request()).and_then(|mut stream| {
                        for event in stream.by_ref() {
                            soak.note_peak();
                            text.push_str(event?.text().unwrap_or_default());
                        }
                        stream.into_response()
                    });
                    soak.judge(result, &text);
                })?;
        }
        Ok(())
    })
}

fn of_hyper(soak: &Arc<Soak>, provider: &Arc<dyn Provider>, streams: usize) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let client = client(unifiedai::transport::HyperTransport::new(), soak, provider);
    runtime.block_on(async {
        let calls: Vec<_> = (0..streams)
            .map(|_| tokio::spawn(one(client.clone(), soak.clone())))
            .collect();
        for call in calls {
            let _ = call.await;
        }
    });
    Ok(())
}

fn of_smol(soak: &Arc<Soak>, provider: &Arc<dyn Provider>, streams: usize) {
    let executor = smol::LocalExecutor::new();
    let client = client(unifiedai::transport::SmolTransport::new(), soak, provider);
    smol::block_on(executor.run(async {
        let calls: Vec<_> = (0..streams)
            .map(|_| executor.spawn(one(client.clone(), soak.clone())))
            .collect();
        for call in calls {
            call.await;
        }
    }));
}

fn client<T: AsyncTransport + 'static>(
    transport: T,
    soak: &Soak,
    provider: &Arc<dyn Provider>,
) -> AsyncClient {
    let client = AsyncClient::shared(transport, provider.clone()).with_options(options());
    match client
        .clone()
        .with_provider_limits(provider.name(), soak.guard.clone())
    {
        Ok(guarded) => guarded,
        Err(_) => client,
    }
}

async fn one(client: AsyncClient, soak: Arc<Soak>) {
    let mut text = String::new();
    let result = async {
        let mut stream = client.stream(request())?;
        while let Some(event) = stream.next().await {
            soak.note_peak();
            text.push_str(event?.text().unwrap_or_default());
        }
        stream.into_response().await
    }
    .await;
    soak.judge(result, &text);
}

impl Soak {
    fn note_peak(&self) {
        self.peak.fetch_max(self.guard.in_flight(), Relaxed);
    }

    fn judge(&self, result: Result<UnifiedChatResponse, Error>, text: &str) {
        let mut tally = self.tally();
        match result {
            Ok(response) if response.text() == self.expected && text == self.expected => {
                tally.ok += 1;
                tally.attempts += response.metrics.attempts.len();
            }
            Ok(response) => tally.wrong.push(response.text().into_owned()),
            Err(error) if can_be(&error) && self.expected.starts_with(text) => {
                *tally.errors.entry(error.kind().as_str()).or_default() += 1;
                tally.attempts += error.attempts().len();
            }
            Err(error) => tally.wrong.push(error.to_string()),
        }
    }

    fn tally(&self) -> std::sync::MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether one of the faults can end in this.
fn can_be(error: &Error) -> bool {
    use ErrorKind::*;
    let expected = matches!(
        error.kind(),
        Authentication
            | Connection
            | InternalServer
            | Overloaded
            | Protocol
            | RateLimit
            | Redirect
            | ServiceUnavailable
            | Timeout
            | Truncated
    );
    // Nobody refuses connections here: one that was refused is the client's own shortage.
    let shortage = error.transport().is_some_and(|failure| {
        failure.delivery() == unifiedai::transport::RequestDelivery::NotSent
    });
    expected && !shortage
}

fn request() -> ChatRequest {
    ChatRequest::new("gpt-oss-120b").user("Why is fast inference important?")
}

fn options() -> CallOptions {
    let mut options = CallOptions::default();
    options.retry = RetryPolicy::default();
    let timeouts = &mut options.timeouts;
    timeouts.connect = Some(Duration::from_secs(90));
    timeouts.first_byte_stream = Some(Duration::from_secs(90));
    timeouts.idle = Some(Duration::from_secs(30));
    options
}
