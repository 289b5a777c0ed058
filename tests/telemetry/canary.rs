//! F113: neither keys nor content in telemetry, whatever the server repeats.

use crate::{
    metrics::series,
    support::{ANSWER, KEY, QUESTION, Spans, provider, question, refusal, stream, whole},
};
use tracing::subscriber::with_default;
use unifiedai::{
    Client,
    observe::TracingObserver,
    transport::testing::{MockResponse, MockTransport},
};

fn answers() -> [MockResponse; 6] {
    [
        whole(),
        stream(),
        refusal(400),
        refusal(401),
        MockResponse::events([r#"{"choices": [{"delta": {"content": "canary-answer"}}]}"#])
            .truncated(),
        stream(),
    ]
}

fn calls(client: &Client) {
    client.chat(question()).unwrap();
    client.stream(question()).unwrap().into_response().unwrap();
    client.chat(question()).unwrap_err();
    client
        .stream(question())
        .unwrap()
        .into_response()
        .unwrap_err();
    client
        .stream(question())
        .unwrap()
        .into_response()
        .unwrap_err();
    client.stream(question()).unwrap().next().unwrap().unwrap();
}

#[test]
fn neither_key_nor_content_in_spans() {
    for (observer, content) in [
        (TracingObserver::new(), false),
        (TracingObserver::new().with_content(), true),
    ] {
        let spans = Spans::default();
        let client = Client::new(MockTransport::new(answers()), provider()).with_observer(observer);
        with_default(spans.clone(), || calls(&client));
        assert_eq!(spans.calls().len(), 6);
        let text = format!("{:?}", spans.all());
        assert!(!text.contains(KEY), "{text}");
        assert_eq!(text.contains(QUESTION), content, "{text}");
        assert_eq!(text.contains(ANSWER), content, "{text}");
    }
}

#[test]
fn neither_key_nor_content_in_metrics() {
    let text = format!("{:?}", series(answers(), calls));
    assert!(text.contains("gen_ai.client.operation.duration"));
    for canary in [KEY, QUESTION, ANSWER] {
        assert!(!text.contains(canary), "{text}");
    }
}
