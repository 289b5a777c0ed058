//! The async driver without a runtime crate: a loop with thirty frames a second, as a game has one, drives two chats.
//!
//! `cargo run --example custom_runtime -- [BASE_URL] [MODEL]`. Without an address it starts a provider on
//! loopback.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::indexing_slicing,
    reason = "a runtime has a clock and sockets, and prints"
)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../raw_socket/peer.rs"]
mod peer;
mod transport;

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Waker},
    thread,
    time::Duration,
};
use transport::Frames;
use unifiedai::{AsyncClient, ChatRequest, Error, provider::OpenAiChat};
use unifiedai_loopback::{Config, Loopback};

/// The executor: polls every task once a frame, so that no task needs to be woken.
fn run_frames(mut tasks: Vec<Pin<Box<dyn Future<Output = ()> + '_>>>) -> u32 {
    let mut context = Context::from_waker(Waker::noop());
    let mut frames = 0;
    while !tasks.is_empty() {
        tasks.retain_mut(|task| task.as_mut().poll(&mut context).is_pending());
        // Here a game would move its figures.
        thread::sleep(Duration::from_millis(33));
        frames += 1;
    }
    frames
}

async fn chat(client: &AsyncClient, model: &str, question: &str) -> Result<(), Error> {
    let mut stream = client.stream(ChatRequest::new(model).user(question))?;
    while let Some(event) = stream.next().await {
        if let Some(text) = event?.text() {
            println!("{question:>34} {text:?}");
        }
    }
    let response = stream.into_response().await?;
    println!(
        "{question:>34} {:?}",
        response
            .choices
            .first()
            .and_then(|choice| choice.finish_reason.as_ref())
    );
    Ok(())
}

const HELP: &str = "\
Drives two chats from a loop with thirty frames a second, without a runtime crate.

Usage: custom_runtime [BASE_URL [MODEL]]

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
    let client = AsyncClient::new(Frames::new(), OpenAiChat::custom(base_url).build()?);
    let task = |question: &'static str| -> Pin<Box<dyn Future<Output = ()> + '_>> {
        let (client, model) = (&client, &model);
        Box::pin(async move {
            if let Err(error) = chat(client, model, question).await {
                eprintln!("{question}: {error}");
            }
        })
    };
    let frames = run_frames(vec![
        task("Why is fast inference important?"),
        task("What is a sans-IO library?"),
    ]);
    println!("{frames} frames");
    Ok(())
}
