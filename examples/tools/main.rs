//! A model that calls a function of this program until it can answer.
//!
//! ```text
//! cargo run --example tools
//! ```
#![allow(clippy::print_stdout, reason = "a program")]

#[path = "../common/mod.rs"]
mod common;

use common::Question;
use serde::Deserialize;
use serde_json::json;
use unifiedai::{AsyncClient, ChatRequest, Error, ErrorKind, Tool, transport::HyperTransport};

const HELP: &str = "\
Lets a model call a function, gives it the result, and prints the answer.

Usage: tools [OPTIONS] [PROMPT]";

/// A model that calls for ever costs for ever.
const ROUNDS: usize = 5;

#[derive(Deserialize)]
struct Place {
    city: String,
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
    let parameters = json!({
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": false,
    });
    let mut request = ChatRequest::new(question.model())
        .user(question.text("Use a tool: how warm is it in Paris?"))
        .tool(Tool::function(
            "temperature",
            "Degrees Celsius in a city",
            &parameters,
        )?);

    for _ in 0..ROUNDS {
        let response = client.chat(&request).await?;
        if response.tool_calls().next().is_none() {
            println!("{}", response.text());
            return Ok(());
        }
        // First what the model said, with its calls, then a result for each call.
        request = request.messages(response.message().cloned());
        for call in response.tool_calls() {
            println!("{}({})", call.name, call.arguments);
            let result = match call.parse::<Place>() {
                Ok(place) => call.answer_json(&json!({"city": place.city, "celsius": 21}))?,
                Err(error) => call.failed(error.to_string()), // the model may try again
            };
            request = request.tool_result(result);
        }
    }
    let message = format!("the model still calls tools after {ROUNDS} rounds");
    Err(Error::new(ErrorKind::Protocol, message))
}
