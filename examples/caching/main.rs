//! Tokens counted before a request is sent, a beginning that the provider caches, and why a changed one is not found.
//!
//! ```text
//! cargo run --example caching -- "Who is Ann?"
//! ```
#![allow(clippy::print_stdout, reason = "a program")]

#[path = "../common/mod.rs"]
mod common;

use common::Question;
use unifiedai::{
    AsyncClient, ChatRequest, Error, Usage,
    cache::{CachePlan, explain_cache},
    transport::HyperTransport,
};

const HELP: &str = "\
Asks QUESTION twice about the same rules, with a cache plan, and prints what was counted, written and read.

Usage: caching [OPTIONS] [QUESTION]";

const RULES: &str =
    "Answer in one sentence. Name the source of each fact. Say so if you do not know.";

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::process::ExitCode {
    common::finish(run().await)
}

async fn run() -> Result<(), Error> {
    let Some(question) = Question::parse(HELP, "anthropic")? else {
        return Ok(());
    };
    let (provider, _server) = question.provider()?;
    let client = AsyncClient::shared(HyperTransport::new(), provider.clone());

    let first = ChatRequest::new(question.model())
        .system(RULES)
        .user(question.text("Why is fast inference important?"))
        .cache_plan(CachePlan::auto());
    let count = client.count_tokens(&first).await?.answer;
    println!("counted: {} tokens, exact: {}", count.tokens, count.exact);

    let response = client.chat(first.clone()).await?;
    println!("first:   {}", figures(response.usage.as_ref()));
    // The conversation grows, and its beginning stays.
    let second = first
        .clone()
        .assistant(response.text())
        .user("And why is it cheap?");
    let response = client.chat(second.clone()).await?;
    println!("second:  {}", figures(response.usage.as_ref()));

    // A time in the system message would lose everything behind it.
    let mut changed = second.clone();
    if let Some(system) = changed.messages.first_mut() {
        *system = unifiedai::Message::system(format!("{RULES} It is 12:01."));
    }
    if let Some(miss) = explain_cache(&*provider, &second, &changed)? {
        println!("changed: lost from `{}` on, {}", miss.path, miss.cause);
    }
    Ok(())
}

fn figures(usage: Option<&Usage>) -> String {
    let count = |tokens: Option<u64>| tokens.map_or("unknown".to_owned(), |n| n.to_string());
    let written = count(usage.and_then(|usage| usage.cache_write_tokens));
    let read = count(usage.and_then(|usage| usage.cached_tokens));
    format!("{written} tokens written to the cache, {read} read from it")
}
