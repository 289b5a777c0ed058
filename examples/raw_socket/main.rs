//! A chat over a bare TCP socket: the core, its HTTP/1.1 codec, and nothing else.
//!
//! `cargo run --example raw_socket -- [BASE_URL] [MODEL]`. Without an address it starts a provider on
//! loopback.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::indexing_slicing,
    reason = "a driver has a clock and a socket, and prints"
)]

#[path = "../common/mod.rs"]
mod common;
mod peer;

use peer::Peer;
use std::{
    io::Write,
    sync::Arc,
    thread,
    time::{Duration, Instant, SystemTime},
};
use unifiedai::{
    CallOptions, ChatRequest, Error, UnifiedChatResponse,
    provider::OpenAiChat,
    sans_io::{CallStart, Exchange, Input, Step},
    transport::{Phase, RequestDelivery, Time, TransportError, TransportErrorKind},
};
use unifiedai_loopback::{Config, Loopback};

const HELP: &str = "\
Chats over a plain socket: the machine makes the bytes of HTTP/1.1 and reads them.

Usage: raw_socket [BASE_URL [MODEL]]

Without BASE_URL, that of a server that speaks OpenAI chat over http, a provider on loopback is asked.";

fn main() -> std::process::ExitCode {
    if common::help_asked(HELP) {
        return std::process::ExitCode::SUCCESS;
    }
    common::finish(run())
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (base_url, _server) = match arguments.next() {
        Some(url) => (url, None),
        None => {
            let server = Loopback::start(Config::default())?;
            eprintln!("Using a provider on loopback, {}.", server.base_url());
            (server.base_url(), Some(server))
        }
    };
    let model = arguments
        .next()
        .unwrap_or_else(|| "gpt-oss-120b".to_owned());
    let provider = Arc::new(OpenAiChat::custom(base_url).build()?);
    let request = ChatRequest::new(model)
        .user("Why is fast inference important?")
        .stream(true);
    let start = CallStart::new(Time::ZERO, SystemTime::now(), 42);
    let exchange = Exchange::new(
        provider,
        Arc::new(request),
        Arc::new(CallOptions::default()),
        start,
    )?;
    let response = drive(exchange, Instant::now())?;
    println!("\n{:?}", response.usage);
    Ok(())
}

fn drive(mut exchange: Exchange, began: Instant) -> Result<UnifiedChatResponse, Error> {
    let now = || Time::ZERO.saturating_add(began.elapsed());
    let mut peer = None;
    loop {
        let input = match exchange.poll(now()) {
            Step::Send {
                request,
                deadlines: limits,
            } => {
                let patience = wait(limits.headers, now());
                match Peer::send(&request, patience) {
                    Ok(sent) => receive(peer.insert(sent), patience).unwrap_or_else(no_response),
                    Err(error) => Input::TransportError(error),
                }
            }
            Step::Receive { deadline } => match peer
                .as_mut()
                .map(|peer| receive(peer, wait(deadline, now())))
            {
                Some(Some(input)) => input,
                _ => continue, // the next poll notices that the deadline has passed
            },
            // Files and processes for credentials: the next poll refuses them.
            Step::Supply { .. } => continue,
            Step::Sleep { until } => {
                peer = None;
                thread::sleep(wait(until, now()));
                continue;
            }
            Step::Event(event) => {
                print!("{}", event.text().unwrap_or_default());
                let _ = std::io::stdout().flush();
                continue;
            }
            Step::Done => return exchange.into_result(),
            step => unreachable!("a step of a later version: {step:?}"),
        };
        exchange.handle(input, now());
    }
}

fn wait(until: Time, now: Time) -> Duration {
    // A socket takes no timeout of zero.
    until.saturating_since(now).max(Duration::from_millis(1))
}

fn receive(peer: &mut Peer, patience: Duration) -> Option<Input> {
    match peer.socket().set_read_timeout(Some(patience)) {
        Ok(()) => peer.next(),
        Err(_) => None,
    }
}

fn no_response() -> Input {
    let kind = TransportErrorKind::Timeout(Phase::Headers);
    Input::TransportError(TransportError::new(
        kind,
        RequestDelivery::MaybeProcessed,
        "no answer in time",
    ))
}
