//! Every provider by name, over every transport, with the loopback provider.

use super::{common::on_loopback, support};
use std::sync::Arc;
use unifiedai::{
    AsyncClient, ChatRequest, Client, EmbedRequest, Error, ErrorKind, FinishReason, Tool,
    UnifiedChatResponse, provider::Provider,
};

/// All names, from the error for an unknown provider.
fn names() -> Vec<String> {
    let error = unifiedai::provider::from_env("nobody", None).unwrap_err();
    let list = error.message().split_once("known are: ").unwrap().1;
    list.split(", ").map(str::to_owned).collect()
}

fn question() -> ChatRequest {
    ChatRequest::new("model-of-the-test").user("echo: hi there")
}

/// The response as a single body and as a stream, over each transport.
fn over_all(
    provider: &Arc<dyn Provider>,
    request: &ChatRequest,
) -> Vec<Result<UnifiedChatResponse, Error>> {
    let blocking = Client::shared(unifiedai::transport::UreqTransport::new(), provider.clone());
    let streamed = || {
        let mut stream = blocking.stream(request.clone())?;
        for event in &mut stream {
            event?;
        }
        stream.into_response()
    };
    let mut answers = vec![blocking.chat(request.clone()), streamed()];
    support::tokio().block_on(async {
        let client = AsyncClient::shared(
            unifiedai::transport::HyperTransport::new(),
            provider.clone(),
        );
        answers.push(client.chat(request.clone()).await);
        answers.push(drain(&client, request).await);
    });
    smol::block_on(async {
        let client =
            AsyncClient::shared(unifiedai::transport::SmolTransport::new(), provider.clone());
        answers.push(client.chat(request.clone()).await);
        answers.push(drain(&client, request).await);
    });
    answers
}

async fn drain(client: &AsyncClient, request: &ChatRequest) -> Result<UnifiedChatResponse, Error> {
    let mut stream = client.stream(request.clone())?;
    while let Some(event) = stream.next().await {
        event?;
    }
    stream.into_response().await
}

#[test]
fn every_provider_works_over_every_transport() {
    let server = support::server();
    let names = names();
    for name in &names {
        let provider = on_loopback(name, &server).unwrap();
        for (number, answer) in over_all(&provider, &question()).into_iter().enumerate() {
            let answer = answer.unwrap_or_else(|error| panic!("{name} {number}: {error}"));
            assert_eq!(answer.text(), "hi there", "{name} {number}");
            assert_eq!(
                answer.choices[0].finish_reason,
                Some(FinishReason::Stop),
                "{name} {number}"
            );
            assert_eq!(answer.provider_metadata.provider, *name);
        }
    }
    assert!(names.len() > 40, "{names:?}");
}

#[test]
fn large_protocols_call_tools_and_report_usage() {
    let server = support::server();
    let schema = serde_json::json!({"type": "object", "properties": {"a": {"type": "integer"}}});
    let request = question()
        .user("use the tool with 7")
        .tool(Tool::function("f", "Does it.", &schema).unwrap());
    for name in [
        "cerebras",
        "openai",
        "azure",
        "anthropic",
        "vertex-anthropic",
        "gemini",
        "vertex",
        "gemini-interactions",
        "vertex-interactions",
        "openai-responses",
        "cohere",
        "ollama",
        "bedrock",
    ] {
        let provider = on_loopback(name, &server).unwrap();
        for (number, answer) in over_all(&provider, &request).into_iter().enumerate() {
            let answer = answer.unwrap_or_else(|error| panic!("{name} {number}: {error}"));
            let calls: Vec<_> = answer.tool_calls().collect();
            assert_eq!(calls.len(), 1, "{name} {number}");
            let arguments: serde_json::Value = serde_json::from_str(&calls[0].arguments).unwrap();
            assert_eq!(
                (calls[0].name.as_str(), arguments),
                ("f", serde_json::json!({"a": 7})),
                "{name} {number}"
            );
            assert!(!calls[0].id.is_empty(), "{name} {number}");
            assert_eq!(
                answer.choices[0].finish_reason,
                Some(FinishReason::ToolCalls),
                "{name} {number}"
            );
            let usage = answer
                .usage
                .as_ref()
                .unwrap_or_else(|| panic!("{name} {number}: no usage"));
            assert!(usage.completion_tokens.unwrap() > 0, "{name} {number}");
            // The next request contains the call and its result, and the response repeats the result.
            let mut next = request.clone().message(answer.message().unwrap().clone());
            next = next.tool_result(unifiedai::ToolResult::new(&calls[0].id, "49"));
            let client =
                Client::shared(unifiedai::transport::UreqTransport::new(), provider.clone());
            let last = client
                .chat(next)
                .unwrap_or_else(|error| panic!("{name} {number}: {error}"));
            assert!(
                last.text().contains("49"),
                "{name} {number}: {}",
                last.text()
            );
        }
    }
}

#[test]
fn texts_are_embedded_over_every_transport() {
    let server = support::server();
    for (name, model) in [
        ("openai", "text-embedding-3-small"),
        ("azure", "text-embedding-3-small"),
        ("cohere", "embed-v4.0"),
        ("gemini", "gemini-embedding-001"),
        ("ollama", "nomic-embed-text"),
        ("bedrock", "amazon.titan-embed-text-v2:0"),
        ("bedrock", "cohere.embed-multilingual-v3"),
    ] {
        let provider = on_loopback(name, &server).unwrap();
        let request = EmbedRequest::new(model)
            .text("one")
            .text("two")
            .text("one")
            .dimensions(8);
        let client = Client::shared(unifiedai::transport::UreqTransport::new(), provider.clone());
        let mut answers = vec![client.embed(request.clone())];
        support::tokio().block_on(async {
            let client = AsyncClient::shared(
                unifiedai::transport::HyperTransport::new(),
                provider.clone(),
            );
            answers.push(client.embed(request.clone()).await);
        });
        smol::block_on(async {
            let client =
                AsyncClient::shared(unifiedai::transport::SmolTransport::new(), provider.clone());
            answers.push(client.embed(request.clone()).await);
        });
        for answer in answers {
            let answer = answer.unwrap_or_else(|error| panic!("{name}: {error}"));
            let [one, two, again] = answer.embeddings.as_slice() else {
                panic!("{name}: {} vectors", answer.embeddings.len());
            };
            assert_eq!((one.len(), one), (8, again), "{name}");
            assert_ne!(one, two, "{name}");
        }
    }
}

#[test]
fn providers_without_embeddings_are_refused() {
    let server = support::server();
    for name in [
        "anthropic",
        "vertex",
        "gemini-interactions",
        "openai-responses",
    ] {
        let client = Client::shared(
            unifiedai::transport::UreqTransport::new(),
            on_loopback(name, &server).unwrap(),
        );
        let error = client.embed(EmbedRequest::new("m").text("a")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        assert!(error.message().contains(name), "{error}");
    }
}
