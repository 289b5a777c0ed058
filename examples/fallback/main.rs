//! Several models in the order in which they are tried: the next one answers where one fails.
//!
//! ```text
//! cargo run --example fallback
//! ```
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program")]

#[path = "../common/mod.rs"]
mod common;

use common::{Question, bad_usage};
use unifiedai::{
    AsyncClient, ChatRequest, Error,
    policy::{Fallback, FallbackTarget},
    transport::HyperTransport,
};

const HELP: &str = "\
Asks models in order until one answers, and prints the answer and each attempt.

Usage: fallback [PROVIDER/MODEL]...

Without models: cerebras/gpt-oss-120b, openai/gpt-4.1-mini, anthropic/claude-sonnet-4-5. A provider without a
key is played by one on loopback, where `MODEL~status-503` is a model that fails.";

const MODELS: [&str; 3] = [
    "cerebras/gpt-oss-120b",
    "openai/gpt-4.1-mini",
    "anthropic/claude-sonnet-4-5",
];

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::process::ExitCode {
    common::finish(run().await)
}

async fn run() -> Result<(), Error> {
    let Some(mut question) = Question::parse(HELP, "cerebras")? else {
        return Ok(());
    };
    if question.words.is_empty() {
        question.words = MODELS.map(str::to_owned).to_vec();
    }
    let (mut targets, mut servers) = (Vec::new(), Vec::new());
    for word in &question.words {
        let (provider, model) = word
            .split_once('/')
            .ok_or_else(|| bad_usage(format!("`{word}` is not PROVIDER/MODEL")))?;
        let (provider, server) = common::provider(provider, None)?;
        servers.push(server);
        targets.push((provider, model));
    }
    let (first, model) = targets.remove(0);
    let client = AsyncClient::shared(HyperTransport::new(), first.clone());
    let first = Fallback::new(FallbackTarget::new(first, model));
    let fallback = targets
        .into_iter()
        .fold(first, |fallback, (provider, model)| {
            fallback.then(FallbackTarget::new(provider, model))
        });

    let request = ChatRequest::new(model).user("Why is fast inference important?");
    let response = client.chat_with_fallback(request, fallback).await?;
    println!("{}", response.text());
    for attempt in &response.metrics.attempts {
        let target = attempt.target.as_deref().unwrap_or(model);
        match &attempt.message {
            Some(message) => eprintln!("{target}: {message}"),
            None => eprintln!("{target}: answered"),
        }
    }
    Ok(())
}
