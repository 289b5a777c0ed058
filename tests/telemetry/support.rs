use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use unifiedai::{ChatRequest, provider::OpenAiChat, transport::testing::MockResponse};

pub(crate) const KEY: &str = "canary-key-7f3a";
pub(crate) const QUESTION: &str = "canary-question";
pub(crate) const ANSWER: &str = "canary-answer";

pub(crate) fn provider() -> OpenAiChat {
    OpenAiChat::cerebras(KEY).unwrap()
}

pub(crate) fn question() -> ChatRequest {
    ChatRequest::new("m").user(QUESTION)
}

pub(crate) fn whole() -> MockResponse {
    MockResponse::json(
        200,
        format!(
            r#"{{"id": "r1", "model": "m-1", "choices": [{{"message": {{"content": "{ANSWER}"}}, "finish_reason": "stop"}}],
                "usage": {{"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}}}}"#
        ),
    )
}

pub(crate) fn stream() -> MockResponse {
    MockResponse::events([
        r#"{"id": "r2", "model": "m-1", "choices": [{"index": 0, "delta": {"content": "canary-"}}]}"#,
        r#"{"choices": [{"index": 0, "delta": {"content": "answer"}, "finish_reason": "stop"}]}"#,
        r#"{"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}}"#,
        "[DONE]",
    ])
}

/// An error response that repeats secrets and content.
pub(crate) fn refusal(status: u16) -> MockResponse {
    MockResponse::json(
        status,
        format!(r#"{{"message": "{KEY} may not ask {QUESTION}"}}"#),
    )
}

/// A subscriber that records every span's fields, and whether the span was closed.
#[derive(Clone, Default)]
pub(crate) struct Spans(Arc<Mutex<Vec<Span>>>);

#[derive(Clone, Debug, Default)]
pub(crate) struct Span {
    pub(crate) id: u64,
    /// The id of its parent span, if it has one.
    pub(crate) parent: Option<u64>,
    pub(crate) name: &'static str,
    pub(crate) fields: BTreeMap<&'static str, String>,
    pub(crate) closed: bool,
}

impl Spans {
    pub(crate) fn all(&self) -> Vec<Span> {
        self.0.lock().unwrap().clone()
    }

    /// The spans of calls.
    pub(crate) fn calls(&self) -> Vec<Span> {
        self.named("gen_ai.client")
    }

    /// The spans of attempts.
    pub(crate) fn attempts(&self) -> Vec<Span> {
        self.named("http.client.request")
    }

    fn named(&self, name: &str) -> Vec<Span> {
        let all = self.all().into_iter();
        all.filter(|span| span.name == name).collect()
    }

    /// The span of the only call.
    pub(crate) fn one(&self) -> Span {
        let calls = self.calls();
        assert_eq!(calls.len(), 1, "{calls:?}");
        calls.into_iter().next().unwrap()
    }

    fn change(&self, id: &Id, change: impl FnOnce(&mut Span)) {
        let mut spans = self.0.lock().unwrap();
        let id = id.into_u64();
        change(spans.iter_mut().find(|span| span.id == id).unwrap());
    }
}

impl Span {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }
}

impl Visit for Span {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.insert(field.name(), value.to_owned());
    }
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.fields.insert(field.name(), format!("{value:?}"));
    }
}

impl Subscriber for Spans {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("unifiedai")
    }
    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        static IDS: AtomicU64 = AtomicU64::new(1);
        let mut span = Span {
            id: IDS.fetch_add(1, Ordering::Relaxed),
            name: attributes.metadata().name(),
            parent: attributes.parent().map(Id::into_u64),
            ..Span::default()
        };
        attributes.record(&mut span);
        let id = Id::from_u64(span.id);
        self.0.lock().unwrap().push(span);
        id
    }
    fn record(&self, id: &Id, values: &Record<'_>) {
        self.change(id, |span| values.record(span));
    }
    fn try_close(&self, id: Id) -> bool {
        self.change(&id, |span| span.closed = true);
        true
    }
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}
