use crate::support::{cerebras, server, tokio};
use std::{collections::BTreeMap, time::Duration};
use unifiedai::{
    AsyncClient, Client, ErrorKind,
    compat::{
        AsyncBedrockRuntime, BedrockRuntime, ConverseEvent, ConverseMessage, ConverseRequest,
    },
    provider::Bedrock,
    transport::{self, UreqTransport},
};
use unifiedai_loopback::Loopback;

const MODELS: [&str; 2] = ["amazon.nova-lite-v1:0", "cerebras.gpt-oss-120b"];

fn bedrock(server: &Loopback) -> Bedrock {
    let builder = Bedrock::builder()
        .region("us-east-1")
        .base_url(server.origin());
    builder.api_key("key").unwrap().build().unwrap()
}

fn question(model: &str) -> ConverseRequest {
    let mut request = ConverseRequest::new(model);
    let question = ConverseMessage::user("Why is fast inference important?");
    request.messages.push(question);
    request.inference_config.max_tokens = Some(500);
    request
}

#[test]
fn both_providers_return_converse_responses() {
    let server = server();
    let client = Client::new(UreqTransport::new(), bedrock(&server));
    let client = BedrockRuntime::from(client.with_provider(cerebras(&server)).unwrap());
    for model in MODELS {
        let response = client.converse(question(model)).unwrap();
        let json = serde_json::to_value(&response).unwrap();
        assert_eq!(json["stopReason"], "end_turn");
        assert_eq!(json["output"]["message"]["role"], "assistant");
        assert!(json["usage"]["outputTokens"].as_u64().unwrap() > 0);
        assert!(json["metrics"]["latencyMs"].is_u64());

        let events: Vec<ConverseEvent> = client
            .converse_stream(question(model))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert!(matches!(
            events.first(),
            Some(ConverseEvent::MessageStart { .. })
        ));
        assert!(matches!(
            events.last(),
            Some(ConverseEvent::Metadata { .. })
        ));
        let text: String = events.iter().filter_map(ConverseEvent::text).collect();
        assert!(
            json.to_string()
                .contains(&serde_json::to_string(&text).unwrap())
        );
        let stop = serde_json::to_value(&events[events.len() - 2]).unwrap();
        assert_eq!(stop["messageStop"]["stopReason"], "end_turn");
    }
    let models = client.list_foundation_models(None).unwrap();
    assert!(serde_json::to_value(&models).unwrap()["modelSummaries"][0]["modelId"].is_string());
    let none = client.list_foundation_models(Some("nobody")).unwrap();
    assert!(none.model_summaries.is_empty());
}

#[test]
fn one_call_can_differ_from_the_others() {
    let server = server();
    let client = Client::new(UreqTransport::new(), bedrock(&server));
    let client = BedrockRuntime::from(client.with_provider(cerebras(&server)).unwrap());
    for model in MODELS {
        let faulty = |fault: &str| client.clone().extra_header("x-loopback-fault", fault);
        let error = faulty("status-500")
            .max_retries(0)
            .converse(question(model));
        let error = error.unwrap_err();
        assert_eq!(
            (error.kind(), error.attempts().len()),
            (ErrorKind::InternalServer, 1)
        );
        let slow = faulty("stall-head").timeout(Duration::from_millis(80));
        let error = slow.converse_stream(question(model)).unwrap().next();
        assert_eq!(error.unwrap().unwrap_err().kind(), ErrorKind::Timeout);
        assert!(client.converse(question(model)).is_ok());
    }
    let tagged = client
        .clone()
        .extra_body("requestMetadata", &BTreeMap::from([("team", "search")]));
    tagged.unwrap().converse(question(MODELS[0])).unwrap();
    let requests = server.requests();
    let body: serde_json::Value = serde_json::from_slice(&requests.last().unwrap().body).unwrap();
    assert_eq!(body["requestMetadata"]["team"], "search");
}

#[test]
fn both_providers_return_converse_responses_async() {
    let server = server();
    tokio().block_on(async {
        let client = AsyncClient::new(transport::HyperTransport::new(), bedrock(&server));
        let client = AsyncBedrockRuntime::from(client.with_provider(cerebras(&server)).unwrap());
        for model in MODELS {
            let response = client.converse(question(model)).await.unwrap();
            let mut stream = client.converse_stream(question(model)).unwrap();
            let mut text = String::new();
            while let Some(event) = stream.next().await {
                text.push_str(event.unwrap().text().unwrap_or_default());
            }
            let json = serde_json::to_string(&response).unwrap();
            assert!(json.contains(&serde_json::to_string(&text).unwrap()));
        }
        assert!(
            !client
                .list_foundation_models(None)
                .await
                .unwrap()
                .model_summaries
                .is_empty()
        );
    });
}

#[test]
fn a_request_of_another_client_is_read() {
    let request = ConverseRequest::from_json(
        r#"{"modelId": "m", "messages": [{"role": "user", "content": [{"text": "Hi"}]},
            {"role": "assistant", "content": [{"toolUse": {"toolUseId": "1", "name": "f", "input": {"a": 1}}}]},
            {"role": "user", "content": [{"toolResult": {"toolUseId": "1", "content": [{"json": {"b": 2}}]}}]}],
            "inferenceConfig": {"maxTokens": 5, "temperature": 0.5},
            "toolConfig": {"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": {"type": "object"}}}}],
                           "toolChoice": {"auto": {}}}}"#,
    )
    .unwrap();
    let server = server();
    let client = BedrockRuntime::from(Client::new(UreqTransport::new(), bedrock(&server)));
    client.converse(request).unwrap();
    let sent: serde_json::Value = serde_json::from_slice(&server.requests()[0].body).unwrap();
    assert_eq!(sent["inferenceConfig"]["maxTokens"], 5);
    assert_eq!(
        sent["messages"][1]["content"][0]["toolUse"]["input"]["a"],
        1
    );
    assert_eq!(sent["toolConfig"]["tools"][0]["toolSpec"]["name"], "f");
    assert!(ConverseRequest::from_json("{\"messages\": 3}").is_err());
}
