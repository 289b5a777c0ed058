//! An answer as a Rust type. If it cannot be read as one, the model sees why and answers once more.
//!
//! ```text
//! cargo run --example structured --features structured
//! ```
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program")]

#[path = "../common/mod.rs"]
mod common;

use common::Question;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use unifiedai::{
    AsyncClient, ChatRequest, Error, JsonSchema as Schema, ResponseFormat,
    transport::HyperTransport,
};

const HELP: &str = "\
Asks for a recipe as JSON of a given shape, and prints it.

Usage: structured [OPTIONS] [PROMPT]";

#[derive(Debug, Deserialize, JsonSchema, Serialize)]
struct Recipe {
    name: String,
    minutes: u32,
    ingredients: Vec<String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::process::ExitCode {
    common::finish(run().await)
}

async fn run() -> Result<(), Error> {
    let Some(question) = Question::parse(HELP, "openai")? else {
        return Ok(());
    };
    let (provider, _server) = question.provider()?;
    let client = AsyncClient::shared(HyperTransport::new(), provider);
    let request = ChatRequest::new(question.model())
        .user(question.text("A recipe for pancakes."))
        .response_format(ResponseFormat::JsonSchema(Schema::of::<Recipe>()?));

    let response = client.chat(&request).await?;
    let recipe = match response.parse::<Recipe>() {
        Ok(recipe) => recipe,
        Err(error) => {
            eprintln!("asked again: {error}");
            let again = request
                .messages(response.message().cloned())
                .user(format!("{error}. Answer with the JSON alone."));
            client.chat(again).await?.parse()?
        }
    };
    println!("{} in {} minutes", recipe.name, recipe.minutes);
    for ingredient in &recipe.ingredients {
        println!("- {ingredient}");
    }
    Ok(())
}
