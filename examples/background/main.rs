//! A response that the provider generates in the background: started, and read in this or in another process.
//!
//! ```text
//! cargo run --example background -- "Compare the tax systems of Europe."
//! ```
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program")]

#[path = "../common/mod.rs"]
mod common;

use common::{Question, bad_usage};
use std::io::Write;
use unifiedai::{AsyncClient, ChatRequest, Error, chat::Continuation, transport::HyperTransport};

const HELP: &str = "\
Starts a response in the background, prints its position on stderr, and reads it. With a position it
goes on reading there.

Usage: background [PROMPT | POSITION]

POSITION is a line of JSON that an earlier run printed.";

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::process::ExitCode {
    common::finish(run().await)
}

async fn run() -> Result<(), Error> {
    let Some(question) = Question::parse(HELP, "openai-responses")? else {
        return Ok(());
    };
    let (provider, _server) = question.provider()?;
    let client = AsyncClient::shared(HyperTransport::new(), provider);
    let text = question.text("Why is fast inference important?");
    let position = if text.starts_with('{') {
        serde_json::from_str(&text)
            .map_err(|error| bad_usage(format!("`{text}` is not a position: {error}")))?
    } else {
        let request = ChatRequest::new(question.model()).user(text).stream(true);
        let position = client.start_background(request).await?;
        show(&position);
        position
    };

    let mut stream = client.resume_stream(&position)?;
    while let Some(event) = stream.next().await {
        match event {
            Ok(event) => {
                print!("{}", event.text().unwrap_or_default());
                let _ = std::io::stdout().flush();
            }
            Err(error) => {
                error.continuation().inspect(|position| show(position));
                return Err(error);
            }
        }
    }
    let response = stream.into_response().await?;
    println!();
    eprintln!("{:?}", response.usage.and_then(|usage| usage.total_tokens));
    Ok(())
}

/// Prints what another run needs to go on.
fn show(position: &Continuation) {
    match serde_json::to_string(position) {
        Ok(position) => eprintln!("{position}"),
        Err(error) => eprintln!("the position cannot be printed: {error}"),
    }
}
