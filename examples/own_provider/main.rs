//! A provider of one's own: the folder `parrot`. It is called over a mock transport, so the program needs no server.
//!
//! ```text
//! cargo run --example own_provider
//! ```

#[path = "../common/mod.rs"]
mod common;
mod parrot;

use parrot::Parrot;
use unifiedai::{
    ChatRequest, Client, Error, StreamEvent, Tool,
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
        MockResponse::json(200, r#"{"birds": ["ara", "kea"]}"#),
        MockResponse::json(503, tired), // is retried
        MockResponse::named_events([
            ("says", r#"{"block": 0, "text": "I look"}"#),
            ("flap", "{}"),
            ("says", r#"{"block": 0, "text": " outside."}"#),
            ("says", r#"{"block": 1, "id": "t1", "trick": "weather"}"#),
            ("says", r#"{"block": 1, "with": "{\"city\": \"Lisbon\"}"}"#),
            ("end", r#"{"why": "trick", "heard": 3, "said": 4}"#),
        ]),
        MockResponse::json(200, r#"{"says": [{"text": "19 degrees."}], "why": "done"}"#),
    ]);
    let client = Client::new(server, Parrot::builder().api_key("my-key")?.build()?);
    for model in client.list_models(None)? {
        println!("model: {}", model.id);
    }

    let input = serde_json::json!({"type": "object", "properties": {"city": {"type": "string"}}});
    let weather = Tool::function("weather", "The weather in a city.", &input)?;
    let mut request = ChatRequest::new("ara").user("How warm is it in Lisbon?");
    request = request.tool(weather).max_tokens(20_u64);
    let mut stream = client.stream(request.clone())?;
    for event in &mut stream {
        if let StreamEvent::TextDelta { text, .. } = event? {
            print!("{text}");
        }
    }
    let response = stream.into_response()?;
    println!("\nattempts: {}", response.metrics.attempts.len());

    request = request.messages(response.message().cloned());
    for call in response.tool_calls() {
        println!("{}({})", call.name, call.arguments);
        request = request.tool_result(call.answer("19 degrees"));
    }
    println!("{}", client.chat(request.clone())?.text());
    if let Err(refused) = client.chat(request.temperature(0.5)) {
        println!("{refused}");
    }
    Ok(())
}
