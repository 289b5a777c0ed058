//! A web service: a page asks, the answer streams to it, and a visitor who leaves ends the call to the provider.
//!
//! `cargo run --example server --features server`
#![allow(clippy::print_stdout, reason = "a program")]

#[path = "../common/mod.rs"]
mod common;

use axum::{
    Router,
    extract::{Query, State},
    http::StatusCode,
    response::{Html, IntoResponse, Response, Sse, sse},
    routing::get,
};
use common::{Question, bad_usage};
use futures_util::{StreamExt, stream};
use serde::Deserialize;
use std::future::ready;
use unifiedai::{AsyncClient, ChatRequest, Error, transport::HyperTransport};

const HELP: &str = "\
Serves a page that chats, at http://127.0.0.1:PORT, until it is stopped.

Usage: server [OPTIONS] [PORT]

PORT is 3000 by default; with 0 the system picks one, which is printed.";

#[derive(Deserialize)]
struct Prompt {
    prompt: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::process::ExitCode {
    common::finish(run().await)
}

async fn run() -> Result<(), Error> {
    let Some(question) = Question::parse(HELP, "cerebras")? else {
        return Ok(());
    };
    let (provider, _server) = question.provider()?;
    let client = AsyncClient::shared(HyperTransport::new(), provider);
    let app = (client, question.model().to_owned());
    let routes = Router::new()
        .route("/", get(|| async { Html(include_str!("page.html")) }))
        .route("/chat", get(chat))
        .with_state(app);
    let address = format!("127.0.0.1:{}", question.text("3000"));
    let unusable = |e: std::io::Error| bad_usage(format!("cannot listen at {address}: {e}"));
    let listener = tokio::net::TcpListener::bind(&address)
        .await
        .map_err(unusable)?;
    println!("http://{}", listener.local_addr().map_err(unusable)?);
    axum::serve(listener, routes).await.map_err(unusable)
}

/// The answer as server-sent events: `text` for each piece, then `done` or `failed`. When the visitor leaves, axum drops the
/// stream, and with it the call: its connection to the provider is closed, and the provider stops writing.
async fn chat(
    State((client, model)): State<(AsyncClient, String)>,
    Query(prompt): Query<Prompt>,
) -> Response {
    let answer = match client.stream(ChatRequest::new(model).user(prompt.prompt)) {
        Ok(answer) => answer,
        Err(refused) => return (StatusCode::BAD_REQUEST, refused.to_string()).into_response(),
    };
    let named = |name| sse::Event::default().event(name);
    // `None` is the end of the answer.
    let events = answer
        .map(Some)
        .chain(stream::iter([None]))
        .scan(false, move |failed, event| {
            ready(Some(match event {
                Some(Ok(event)) => event.text().map(|text| named("text").json_data(text)),
                Some(Err(error)) => {
                    *failed = true;
                    Some(named("failed").json_data(error.to_string()))
                }
                None => (!*failed).then(|| named("done").json_data("")),
            }))
        })
        .filter_map(ready);
    Sse::new(events).into_response()
}
