//! A provider of one's own, in one file: `parrot.rs`. It is asked over a mock transport, so the program needs no server.
//!
//! ```text
//! cargo run --example own_provider
//! ```

#[path = "../common/mod.rs"]
mod common;
mod parrot;

use parrot::Parrot;
use unifiedai::{
    ChatRequest, Client, Error, StreamEvent,
    transport::testing::{MockResponse, MockTransport},
};

const HELP: &str = "\
Asks a provider that this program brings along, over a scripted transport.

Usage: own_provider";

fn main() -> std::process::ExitCode {
    if common::help_asked(HELP) {
        return std::process::ExitCode::SUCCESS;
    }
    common::finish(run())
}

fn run() -> Result<(), Error> {
    let tired = r#"{"squawk": {"code": "tired", "text": "The parrot sleeps."}}"#;
    let server = MockTransport::new([
        MockResponse::json(503, tired), // tried again by itself
        MockResponse::events([
            r#"{"text": "Hello"}"#,
            r#"{"text": ", sailor!"}"#,
            r#"{"why": "done", "heard": 3, "said": 4}"#,
        ]),
        MockResponse::json(200, r#"{"text": "Hello again!", "why": "done"}"#),
    ]);
    let client = Client::new(server, Parrot::new("my-key")?);
    let request = ChatRequest::new("ara").user("Hello!").max_tokens(20_u64);

    let mut stream = client.stream(&request)?;
    for event in &mut stream {
        if let StreamEvent::TextDelta { text, .. } = event? {
            print!("{text}");
        }
    }
    let response = stream.into_response()?;
    println!("\nattempts: {}", response.metrics.attempts.len());
    println!(
        "usage: {:?}",
        response.usage.and_then(|usage| usage.completion_tokens)
    );

    println!("{}", client.chat(&request)?.text());
    if let Err(refused) = client.chat(request.temperature(0.5)) {
        println!("{refused}");
    }
    Ok(())
}
