//! The transport against the loopback provider.
#![allow(clippy::unwrap_used, reason = "a test that goes wrong is to stop")]

use unifiedai::{
    AsyncClient, CallOptions, ChatRequest, ErrorKind, RetryPolicy,
    provider::{OpenAiChat, openai_chat::CEREBRAS},
};
use unifiedai_loopback::{Config, Loopback};
use unifiedai_reqwest_example::ReqwestTransport;

fn client(base_url: String) -> AsyncClient {
    let provider = OpenAiChat::builder()
        .profile(CEREBRAS)
        .base_url(base_url)
        .build();
    let transport = ReqwestTransport::new(reqwest::Client::builder().no_proxy());
    AsyncClient::new(transport.unwrap(), provider.unwrap())
}

fn request() -> ChatRequest {
    ChatRequest::new("gpt-oss-120b").user("Hello")
}

#[tokio::test]
async fn a_response_comes_whole_and_as_a_stream() {
    let server = Loopback::start(Config::fast()).unwrap();
    let client = client(server.base_url());
    let whole = client.chat(request()).await.unwrap();
    assert!(!whole.text().is_empty());
    let mut stream = client.stream(request()).unwrap();
    let mut text = String::new();
    while let Some(event) = stream.next().await {
        text.push_str(event.unwrap().text().unwrap_or_default());
    }
    assert_eq!(text, whole.text());
    assert_eq!(stream.into_response().await.unwrap().text(), text);
}

#[tokio::test]
async fn a_connection_that_is_refused_was_not_sent() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    let once = CallOptions::default().retry(RetryPolicy::none());
    let call = client(format!("http://{address}/v1"));
    let error = call.chat_with(request(), &once).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connection);
    let message = error.to_string();
    for part in [&address.to_string(), "no connection", "refused"] {
        assert!(message.contains(part), "`{part}` is missing: {message}");
    }
}
