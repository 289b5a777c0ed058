//! A model that searches the web: the provider runs the search, and the answer names its sources.
//!
//! ```text
//! cargo run --example hosted_tools
//! ```
#![allow(clippy::print_stdout, reason = "a program")]

#[path = "../common/mod.rs"]
mod common;

use common::Question;
use unifiedai::{
    AsyncClient, ChatRequest, ContentPart, Error, StreamEvent, Tool,
    chat::{HostedToolInput, HostedToolOutput},
    transport::HyperTransport,
};

const HELP: &str = "\
Lets a model search the web, and prints the searches, the answer and its sources.

Usage: hosted_tools [OPTIONS] [PROMPT]";

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::process::ExitCode {
    common::finish(run().await)
}

async fn run() -> Result<(), Error> {
    let Some(question) = Question::parse(HELP, "anthropic")? else {
        return Ok(());
    };
    let (provider, _server) = question.provider()?;
    let client = AsyncClient::shared(HyperTransport::new(), provider);
    let request = ChatRequest::new(question.model())
        .user(question.text("Search the web: what is new in Rust?"))
        .tool(Tool::web_search());

    let mut stream = client.stream(request)?;
    while let Some(event) = stream.next().await {
        match event? {
            StreamEvent::HostedToolCall { call, .. } => {
                if let HostedToolInput::WebSearch { queries } = &call.input {
                    println!("searched for: {}", queries.join(", "));
                }
            }
            StreamEvent::HostedToolResult { result, .. } => match &result.output {
                HostedToolOutput::WebSearch { results } => println!("pages: {}", results.len()),
                HostedToolOutput::Error(error) => println!("the search failed: {}", error.code),
                _ => {}
            },
            StreamEvent::TextDelta { text, .. } => print!("{text}"),
            _ => {}
        }
    }
    println!();

    let response = stream.into_response().await?;
    let parts = response.message().map(|message| message.content.as_slice());
    for part in parts.unwrap_or_default() {
        if let ContentPart::Text { citations, .. } = part {
            for source in citations {
                let (title, url) = (source.title.as_deref(), source.url.as_deref());
                println!(
                    "- {} {}",
                    title.unwrap_or_default(),
                    url.unwrap_or_default()
                );
            }
        }
    }
    let hosted = response.usage.and_then(|usage| usage.hosted_tools);
    if let Some(searches) = hosted.and_then(|hosted| hosted.web_searches) {
        println!("billed searches: {searches}");
    }
    Ok(())
}
