//! A server with a background response, without a network.

use crate::manual_driver::*;
use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};
use std::sync::Arc;
use unifiedai::{
    CallOptions, ChatRequest, StreamEvent, UnifiedChatResponse,
    provider::{OpenAiResponses, Provider},
    sans_io::{Input, Step},
    transport::{RequestDelivery, Time, TransportError, TransportErrorKind},
};

pub(super) fn openai() -> Arc<dyn Provider> {
    Arc::new(OpenAiResponses::new("sk-secret").unwrap())
}

pub(super) fn background(stream: bool) -> ChatRequest {
    request(stream).background(true)
}

/// Reasoning, a text and a call.
fn items() -> [Value; 3] {
    [
        json!({"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm, well."}]}),
        json!({"id": "msg_1", "type": "message", "role": "assistant", "status": "completed",
               "content": [{"type": "output_text", "text": "One two three.", "annotations": []}]}),
        json!({"id": "fc_1", "type": "function_call", "status": "completed", "call_id": "call_1", "name": "f", "arguments": "{\"a\":1}"}),
    ]
}

pub(super) fn object(status: &str) -> Value {
    let mut object = json!({"id": "resp_1", "object": "response", "created_at": 7, "model": "m-1", "status": status,
        "background": true, "output": [], "usage": null});
    if status == "completed" {
        object["output"] = json!(items());
        object["usage"] = json!({"input_tokens": 3, "output_tokens": 5, "total_tokens": 8});
    }
    object
}

/// The events of the stream.
pub(super) fn events() -> Vec<String> {
    let mut events = Vec::new();
    let mut push = |kind: &str, mut event: Value| {
        event["type"] = kind.into();
        event["sequence_number"] = events.len().into();
        events.push(format!("event: {kind}\ndata: {event}\n\n"));
    };
    push("response.created", json!({"response": object("queued")}));
    push("response.queued", json!({"response": object("queued")}));
    push(
        "response.in_progress",
        json!({"response": object("in_progress")}),
    );
    for (index, (item, deltas)) in items()
        .into_iter()
        .zip([["Hm,", " well."], ["One ", "two three."], ["{\"a\"", ":1}"]])
        .enumerate()
    {
        let id = item["id"].clone();
        let kind = match index {
            0 => "response.reasoning_summary_text",
            1 => "response.output_text",
            _ => "response.function_call_arguments",
        };
        let mut added = item.clone();
        for member in ["summary", "content"] {
            if item.get(member).is_some() {
                added[member] = json!([]);
            }
        }
        if index == 2 {
            added["arguments"] = "".into();
        }
        let at = |mut event: Value| {
            event["output_index"] = index.into();
            event["item_id"] = id.clone();
            event[if index == 0 {
                "summary_index"
            } else {
                "content_index"
            }] = 0.into();
            event
        };
        push(
            "response.output_item.added",
            json!({"output_index": index, "item": added}),
        );
        for delta in deltas {
            push(&[kind, ".delta"].concat(), at(json!({"delta": delta})));
        }
        let whole = deltas.concat();
        push(
            &[kind, ".done"].concat(),
            at(json!({"text": whole, "arguments": whole})),
        );
        push(
            "response.output_item.done",
            json!({"output_index": index, "item": item}),
        );
    }
    push(
        "response.completed",
        json!({"response": object("completed")}),
    );
    events
}

/// What one request gets.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reply {
    /// All that was asked for.
    Whole,
    /// This many bytes of it, and then the end of the body.
    Ends(usize),
    /// This many bytes of it, and then a broken connection.
    Breaks(usize),
    /// An error with this status.
    Status(u16),
    /// The events from the first one, whatever was asked for.
    FromStart,
    /// No connection.
    Refused,
    /// The response object with this status.
    Object(&'static str),
}

/// Answers the requests of a call, each with the next reply; the last one is repeated.
pub(super) struct Server {
    pub(super) replies: Vec<Reply>,
    pub(super) requests: Vec<Request<Bytes>>,
    pub(super) waits: Vec<u64>,
}

impl Server {
    pub(super) fn new(replies: impl Into<Vec<Reply>>) -> Self {
        Server {
            replies: replies.into(),
            requests: Vec::new(),
            waits: Vec::new(),
        }
    }

    pub(super) fn targets(&self) -> Vec<String> {
        let line = |request: &Request<Bytes>| {
            format!(
                "{} {}",
                request.method(),
                request.uri().path_and_query().unwrap()
            )
        };
        self.requests.iter().map(line).collect()
    }

    /// Runs the call to its end, or until it has returned `most` events.
    pub(super) fn run(&mut self, call: &mut Call, most: usize) {
        loop {
            if call.events.len() >= most {
                return;
            }
            match call.exchange.poll(call.now) {
                Step::Event(event) => call.events.push(event),
                Step::Send { request, .. } => {
                    let reply = self.replies[self.requests.len().min(self.replies.len() - 1)];
                    let bytes = request.map(|body| body.as_bytes().cloned().unwrap_or_default());
                    self.requests.push(bytes);
                    self.answer(call, reply);
                }
                Step::Receive { .. } => self.go_on(call),
                Step::Sleep { until } => {
                    let wait = until.saturating_since(call.now);
                    self.waits.push(wait.as_millis() as u64);
                    call.now = until;
                }
                Step::Done => return,
                step => panic!("{step:?}"),
            }
        }
    }

    fn answer(&mut self, call: &mut Call, reply: Reply) {
        let request = self.requests.last().unwrap();
        let query = request.uri().query().unwrap_or_default().to_owned();
        let streams = query.contains("stream=true")
            || String::from_utf8_lossy(request.body()).contains("\"stream\":true");
        let after = query
            .split('&')
            .find_map(|pair| pair.strip_prefix("starting_after="))
            .map_or(0, |number| number.parse::<usize>().unwrap() + 1);
        let from = |first: usize| events()[first.min(events().len())..].concat();
        match reply {
            Reply::Refused => {
                call.failed(TransportErrorKind::Connect, RequestDelivery::NotSent);
            }
            Reply::Status(status) => {
                let error = json!({"error": {"message": "no", "type": "invalid_request_error"}});
                call.head(status, &[JSON]).body(error.to_string()).end();
            }
            Reply::Object(status) => {
                call.head(200, &[JSON])
                    .body(object(status).to_string())
                    .end();
            }
            Reply::FromStart => {
                call.head(200, &[SSE]).body(from(0));
            }
            Reply::Whole if !streams => {
                call.head(200, &[JSON])
                    .body(object("completed").to_string())
                    .end();
            }
            Reply::Whole => {
                call.head(200, &[SSE]).body(from(after));
            }
            Reply::Ends(bytes) | Reply::Breaks(bytes) => {
                let mut text = from(after);
                text.truncate(bytes);
                call.head(200, &[SSE]).body(text);
            }
        }
    }

    /// The call has taken the bytes and waits for more.
    fn go_on(&mut self, call: &mut Call) {
        match self.replies[(self.requests.len() - 1).min(self.replies.len() - 1)] {
            Reply::Breaks(_) => {
                let error = TransportError::new(
                    TransportErrorKind::Reset,
                    RequestDelivery::Answered,
                    "broken",
                );
                call.exchange.handle(Input::TransportError(error), call.now);
            }
            _ => {
                call.end();
            }
        }
    }
}

pub(super) fn call(stream: bool, options: CallOptions) -> Call {
    Call::new(openai(), background(stream), options)
}

/// The events and the response of an undisturbed call.
pub(super) fn undisturbed() -> (Vec<StreamEvent>, UnifiedChatResponse) {
    let mut call = call(true, options());
    Server::new([Reply::Whole]).run(&mut call, usize::MAX);
    let events = std::mem::take(&mut call.events);
    (events, call.result().unwrap())
}

/// Compares what does not depend on the attempts.
pub(super) fn assert_same(
    response: &UnifiedChatResponse,
    expected: &UnifiedChatResponse,
    what: &str,
) {
    assert_eq!(response.choices, expected.choices, "{what}");
    assert_eq!(response.usage, expected.usage, "{what}");
    assert_eq!(
        (&response.id, &response.model),
        (&expected.id, &expected.model),
        "{what}"
    );
    assert_eq!(response.warnings, expected.warnings, "{what}");
}

pub(super) fn at(call: &Call) -> Time {
    call.now
}
