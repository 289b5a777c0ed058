use crate::support::{cerebras, question, server, tokio};
use std::time::Duration;
use unifiedai::{
    AsyncClient, Client, ErrorKind, StreamEvent,
    compat::{AsyncCerebras, Cerebras},
    transport::{self, UreqTransport},
};

#[test]
fn blocking_compat_client_has_the_sdk_shape() {
    let server = server();
    let client = Cerebras::from(Client::new(UreqTransport::new(), cerebras(&server)));
    client.warm_up().unwrap();
    let completion = client.chat().completions().create(question()).unwrap();
    assert!(!completion.text().is_empty());

    let mut stream = client.chat().completions().stream(question()).unwrap();
    let mut text = String::new();
    for event in &mut stream {
        text.push_str(event.unwrap().text().unwrap_or_default());
    }
    assert_eq!(text, completion.text());

    let models = client.models().list().unwrap();
    let model = client.models().retrieve(&models[0].id).unwrap();
    assert_eq!(model.id, models[0].id);

    let raw = client.chat().completions().with_raw_response();
    let raw = raw.create(question()).unwrap();
    assert_eq!(raw.status(), 200);
    assert!(
        raw.headers()
            .contains_key("x-ratelimit-remaining-tokens-minute")
    );
    let body: serde_json::Value = raw.decode().unwrap();
    assert_eq!(body["object"], "chat.completion");
    assert_eq!(raw.parse().text(), completion.text());

    let raw = client.chat().completions().with_raw_response();
    let mut stream = raw.stream(question()).unwrap();
    let frames: Vec<_> = stream
        .by_ref()
        .filter_map(|event| match event.unwrap() {
            StreamEvent::Raw(frame) => Some(frame),
            _ => None,
        })
        .collect();
    let first: serde_json::Value = serde_json::from_slice(&frames[0]).unwrap();
    assert_eq!(first["object"], "chat.completion.chunk");
    let metadata = stream.into_response().unwrap().provider_metadata;
    assert_eq!(metadata.status, Some(200));
    assert!(metadata.headers.as_map().contains_key("content-type"));

    assert_eq!(server.requests()[0].path, "/v1/tcp_warming");
    client.close();
    let closed = client.models().list().unwrap_err();
    assert_eq!(closed.kind(), ErrorKind::Misuse);
}

#[test]
fn models_are_returned_with_the_raw_response() {
    let server = server();
    let client = Cerebras::from(Client::new(UreqTransport::new(), cerebras(&server)));
    let list = client.models().with_raw_response().list().unwrap();
    assert_eq!(list.status(), 200);
    assert!(list.headers().contains_key("content-type"));
    let native: serde_json::Value = list.decode().unwrap();
    let first = native["data"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(list.as_ref()[0].id, first);
    assert_eq!(list.parse(), client.models().list().unwrap());

    let raw = client.models().with_raw_response();
    let one = raw.retrieve(&first).unwrap();
    let native: serde_json::Value = one.decode().unwrap();
    assert_eq!(native["id"], first.as_str());
    assert_eq!(one.parse().id, first);
    let unknown = raw.retrieve("no such model").unwrap_err();
    assert!(unknown.status() == Some(404) && !unknown.body().is_empty());

    tokio().block_on(async {
        let client = AsyncCerebras::from(AsyncClient::new(
            transport::HyperTransport::new(),
            cerebras(&server),
        ));
        let raw = client.models().with_raw_response();
        let list = raw.list().await.unwrap();
        assert!(!list.body().is_empty() && list.status() == 200);
        assert_eq!(raw.retrieve(&first).await.unwrap().parse().id, first);
    });
}

#[test]
fn one_call_can_differ_from_the_others() {
    let server = server();
    let client = Cerebras::from(Client::new(UreqTransport::new(), cerebras(&server)));
    let chat = client.chat();
    let error = chat
        .completions()
        .max_retries(0)
        .extra_header("x-loopback-fault", "status-500")
        .create(question())
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.attempts().len()),
        (ErrorKind::InternalServer, 1)
    );
    let error = chat
        .completions()
        .timeout(Duration::from_millis(80))
        .extra_header("x-loopback-fault", "stall-head")
        .create(question())
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    let calls = chat.completions().extra_body("top_p", &0.5).unwrap();
    calls.create(question()).unwrap();
    let requests = server.requests();
    let body: serde_json::Value = serde_json::from_slice(&requests.last().unwrap().body).unwrap();
    assert_eq!(body["top_p"], 0.5);
    assert!(chat.completions().create(question()).is_ok());
}

#[test]
fn async_compat_client_has_the_sdk_shape() {
    let server = server();
    tokio().block_on(async {
        let client = AsyncCerebras::from(AsyncClient::new(
            transport::HyperTransport::new(),
            cerebras(&server),
        ));
        client.warm_up().await.unwrap();
        let completion = client
            .chat()
            .completions()
            .create(question())
            .await
            .unwrap();
        let stream = client.chat().completions().stream(question()).unwrap();
        assert_eq!(
            stream.into_response().await.unwrap().text(),
            completion.text()
        );
        let models = client.models().list().await.unwrap();
        client.models().retrieve(&models[0].id).await.unwrap();
        let raw = client.chat().completions().with_raw_response();
        assert!(!raw.create(question()).await.unwrap().body().is_empty());
    });
}
