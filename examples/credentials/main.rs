//! A token that expires after two seconds, and how often it is fetched for ten calls.
//!
//! ```text
//! cargo run --example credentials
//! ```
#![allow(clippy::print_stdout, reason = "a program")]

#[path = "../common/mod.rs"]
mod common;

use common::Question;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use unifiedai::{
    AsyncClient, ChatRequest, Error, ErrorKind, Secret,
    credentials::{Credentials, Environment, Token},
    provider::{Auth, OpenAiChat},
    transport::HyperTransport,
};
use unifiedai_loopback::{Config, Loopback};

const HELP: &str = "\
Sends ten calls, half a second apart, with a token that expires every two seconds. With SOURCE (aws, google or azure) it
sends one call instead, with a token from where the vendor's own programs find it. The provider is on loopback.

Usage: credentials [OPTIONS] [SOURCE]";

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::process::ExitCode {
    common::finish(run().await)
}

async fn run() -> Result<(), Error> {
    let Some(question) = Question::parse(HELP, "cerebras")? else {
        return Ok(());
    };
    let server = Loopback::start(Config::fast())
        .map_err(|error| Error::new(ErrorKind::Connection, error.to_string()))?;
    let fetches = Arc::new(AtomicUsize::new(0));
    let environment = Environment::from_process();
    let (credentials, calls) = match &*question.text("closure") {
        "google" => (environment.google(), 1),
        "azure" => (environment.azure(Environment::azure_scope("azure.com")), 1),
        // A key of Bedrock is a bearer token, which the provider on loopback takes.
        "aws" => (
            environment.aws_bedrock_key(&environment.aws(), "us-east-1"),
            1,
        ),
        _ => (short_lived(fetches.clone()), 10),
    };
    let auth = Auth::Bearer(credentials.into());
    let provider = OpenAiChat::custom([&server.origin(), "/v1"].concat())
        .auth(auth)
        .build()?;
    let client = AsyncClient::new(HyperTransport::new(), provider);
    for number in 1..=calls {
        client
            .chat(ChatRequest::new("gpt-oss-120b").user("Hello."))
            .await?;
        println!("call {number}: {} fetches", fetches.load(Ordering::Relaxed));
        if number < calls {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
    Ok(())
}

/// A source of one's own: here it only counts, elsewhere it asks a server or a library.
fn short_lived(fetches: Arc<AtomicUsize>) -> Credentials {
    Credentials::from_async("counter", move |_fetcher| {
        let number = fetches.fetch_add(1, Ordering::Relaxed);
        async move {
            let secret = Secret::new(format!("token-{number}"))?;
            Ok(Token::bearer(secret).expires_in(Duration::from_secs(2)))
        }
    })
}
