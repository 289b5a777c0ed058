//! A question about a picture. A long text before it is kept by the provider, so that the next question costs less.
//!
//! ```text
//! cargo run --example vision -- photo.jpg
//! ```
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program")]

#[path = "../common/mod.rs"]
mod common;

use common::Question;
use unifiedai::{
    AsyncClient, ChatRequest, ContentPart, Error, provider::anthropic, transport::HyperTransport,
};

const HELP: &str = "\
Asks what is in a picture, twice, and prints the answers and the tokens that came from the cache.

Usage: vision [OPTIONS] [PICTURE]

PICTURE is a file (PNG, JPEG, GIF, WebP); without one a red pixel is shown.";

/// A PNG of one red pixel.
const PIXEL: &[u8] = include_bytes!("pixel.png");

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
    let picture = match question.words.first() {
        Some(path) => ContentPart::from_path(path)?,
        None => ContentPart::image("image/png", PIXEL),
    };
    // Up to here the request is the same each time. Only Anthropic is told where to cut; OpenAI, Gemini and others keep
    // long beginnings without being asked, and the part is left out of requests to them with a warning.
    let mut shared = vec![picture];
    if question.provider == "anthropic" {
        shared.push(anthropic::cache_point(None)?);
    }
    for text in ["What is in this picture?", "Which colour is most of it?"] {
        let mut parts = shared.clone();
        parts.push(text.into());
        let request = ChatRequest::new(question.model()).user_parts(parts);
        let response = client.chat(request).await?;
        println!("{}", response.text());
        if let Some(cached) = response.usage.and_then(|usage| usage.cached_tokens) {
            eprintln!("{cached} tokens from the cache");
        }
    }
    Ok(())
}
