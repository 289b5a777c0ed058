//! Hedged calls: a second request against slowness.
#![cfg(feature = "hyper")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    reason = "a test that goes wrong is to stop"
)]

use std::time::Duration;
use unifiedai::{
    AsyncClient, CallOptions, ChatRequest, Error, ErrorKind, RetryPolicy, UnifiedChatResponse,
    provider::{OpenAiChat, openai_chat::CEREBRAS},
    transport,
};
use unifiedai_loopback::{Config, Loopback};

/// Calls `first`, and after 100 ms `second`. Returns the result, and how many responses the server sent or aborted.
fn hedged(first: &str, second: &str) -> (Result<UnifiedChatResponse, Error>, usize) {
    let server = Loopback::start(Config::fast()).unwrap();
    let provider = OpenAiChat::builder()
        .profile(CEREBRAS)
        .base_url(server.base_url());
    let mut options = CallOptions::default();
    options.retry = RetryPolicy::none();
    let client = AsyncClient::new(transport::HyperTransport::new(), provider.build().unwrap());
    let client = client.with_options(options);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let request = ChatRequest::new(first).user("hi");
    let result =
        runtime
            .unwrap()
            .block_on(client.chat_hedged(request, second, Duration::from_millis(100)));
    (result, server.requests().len())
}

const SLOW: &str = "gpt-oss-120b~delay=5000";

#[test]
fn fast_response_is_not_hedged() {
    let (result, requests) = hedged("gpt-oss-120b", "gpt-oss-120b~status-500");
    assert!(result.is_ok());
    assert_eq!(requests, 1);
}

#[test]
fn second_call_wins_if_the_first_is_slow() {
    let (result, requests) = hedged(SLOW, "gpt-oss-120b");
    let duration = result.unwrap().metrics.duration.unwrap();
    assert!(duration < Duration::from_secs(3), "{duration:?}");
    assert_eq!(requests, 2);
}

#[test]
fn caller_headers_are_sent_to_the_first_model_only() {
    let server = Loopback::start(Config::fast()).unwrap();
    let provider = OpenAiChat::builder()
        .profile(CEREBRAS)
        .base_url(server.base_url());
    let client = AsyncClient::new(transport::HyperTransport::new(), provider.build().unwrap());
    let request = ChatRequest::new(SLOW)
        .user("hi")
        .header("x-gateway-key", "canary")
        .shared_header("x-team", "blue");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let hedged = client.chat_hedged(request, "gpt-oss-120b", Duration::from_millis(50));
    runtime.unwrap().block_on(hedged).unwrap();
    let requests = server.requests();
    let has = |name: &str| {
        let with = |request: &unifiedai_loopback::Request| request.header(name).is_some();
        requests.iter().map(with).collect::<Vec<_>>()
    };
    assert_eq!(has("x-gateway-key"), [true, false]);
    assert_eq!(has("x-team"), [true, true]);
}

#[test]
fn a_failure_in_time_is_the_result() {
    let (result, requests) = hedged("gpt-oss-120b~status-400", "gpt-oss-120b");
    assert_eq!(result.unwrap_err().kind(), ErrorKind::BadRequest);
    assert_eq!(requests, 1);
}

#[test]
fn first_call_may_still_win_if_the_second_fails() {
    let (result, requests) = hedged("gpt-oss-120b~delay=500", "gpt-oss-120b~status-400");
    assert!(result.is_ok());
    assert_eq!(requests, 2);
}
