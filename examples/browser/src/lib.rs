//! A chat for a program that has `fetch`: a page, a worker, Node. `drive.js` does what [`Chat::poll`] says.
//!
//! Only numbers, strings and bytes cross the border. Times are milliseconds of `performance.now()`.

mod step;

use bytes::Bytes;
use http::Response;
use serde::Deserialize;
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
use step::{Step, time};
use unifiedai::{
    CallOptions, ChatRequest, Error,
    provider::OpenAiChat,
    sans_io::{CallStart, Exchange, Input},
    transport::{RequestDelivery, TransportError, TransportErrorKind},
};
use wasm_bindgen::prelude::wasm_bindgen;

/// What is asked, of which server that speaks OpenAI chat.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    base_url: String,
    api_key: Option<String>,
    model: String,
    prompt: String,
    timeout_ms: Option<u64>,
}

/// One streamed answer.
#[wasm_bindgen]
pub struct Chat {
    exchange: Exchange,
    answered: bool,
}

#[wasm_bindgen]
impl Chat {
    /// Asks `question`, an object in JSON: `base_url`, `api_key`, `model`, `prompt`, `timeout_ms`. `wall` is `Date.now()`;
    /// `seed` is any number, for the jitter of retries.
    ///
    /// # Errors
    /// Why it cannot be asked.
    #[wasm_bindgen(constructor)]
    pub fn new(question: &str, now: f64, wall: f64, seed: u32) -> Result<Chat, String> {
        let question: Question = serde_json::from_str(question).map_err(|e| e.to_string())?;
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs_f64((wall / 1e3).clamp(0.0, 1e11));
        let start = CallStart::new(time(now), wall, seed.into());
        Ok(Chat {
            exchange: exchange(question, start).map_err(|e| e.to_string())?,
            answered: false,
        })
    }

    /// What to do next.
    pub fn poll(&mut self, now: f64) -> Step {
        loop {
            match Step::from_core(self.exchange.poll(time(now))) {
                Some(step) if step.kind == "send" => {
                    self.answered = false;
                    break step;
                }
                Some(step) => break step,
                None => {}
            }
        }
    }

    /// The answer's head arrived: its headers are a name, a value, a name, a value.
    pub fn head(&mut self, status: u16, headers: Vec<String>, now: f64) {
        let mut head = Response::builder().status(status);
        for pair in headers.chunks_exact(2) {
            head = head.header(&pair[0], &pair[1]);
        }
        let input = match head.body(()) {
            Ok(head) => Input::Headers(head.into_parts().0),
            Err(error) => return self.failed(&error.to_string(), now),
        };
        self.answered = true;
        self.exchange.handle(input, time(now));
    }

    /// More of its body arrived.
    pub fn body(&mut self, bytes: Vec<u8>, now: f64) {
        self.exchange
            .handle(Input::Body(Bytes::from(bytes)), time(now));
    }

    /// Its body ended.
    pub fn end(&mut self, now: f64) {
        self.exchange.handle(Input::BodyEnd, time(now));
    }

    /// `fetch`, or reading its body, failed. It does not say how far the request got.
    pub fn failed(&mut self, why: &str, now: f64) {
        let (kind, delivery) = match self.answered {
            true => (TransportErrorKind::Truncated, RequestDelivery::Answered),
            false => (TransportErrorKind::Other, RequestDelivery::MaybeProcessed),
        };
        let failure = TransportError::new(kind, delivery, why);
        self.exchange
            .handle(Input::TransportError(failure), time(now));
    }

    /// Once there is nothing more to do: `{"ok": RESPONSE}` or `{"error": ERROR}` in JSON.
    pub fn finish(self) -> String {
        match self.exchange.into_result() {
            Ok(response) => serde_json::json!({ "ok": response }),
            Err(error) => serde_json::json!({ "error": error }),
        }
        .to_string()
    }
}

fn exchange(question: Question, start: CallStart) -> Result<Exchange, Error> {
    let mut server = OpenAiChat::custom(question.base_url);
    if let Some(key) = question.api_key {
        server = server.api_key(key)?;
    }
    let mut options = CallOptions::default();
    options.timeouts.total = question.timeout_ms.map(Duration::from_millis);
    let request = ChatRequest::new(question.model)
        .user(question.prompt)
        .stream(true);
    Exchange::new(
        Arc::new(server.build()?),
        Arc::new(request),
        Arc::new(options),
        start,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUESTION: &str =
        r#"{"base_url":"http://127.0.0.1:1/v1","model":"m","prompt":"Hi.","api_key":"k"}"#;

    #[test]
    fn streamed_response_is_requested_and_emitted() {
        let mut chat = Chat::new(QUESTION, 5.0, 1.7e12, 1).unwrap();
        let step = chat.poll(5.0);
        assert_eq!(
            (&*step.kind, &*step.url),
            ("send", "http://127.0.0.1:1/v1/chat/completions")
        );
        assert!(
            step.headers
                .chunks(2)
                .any(|h| h == ["authorization", "Bearer k"])
        );
        let body: serde_json::Value = serde_json::from_slice(&step.body).unwrap();
        assert_eq!(body["stream"], true);
        assert_eq!(chat.poll(5.0).kind, "receive");
        let headers = ["content-type", "text/event-stream"].map(str::to_owned);
        chat.head(200, headers.to_vec(), 6.0);
        let event = br#"data: {"choices":[{"delta":{"content":"Hi."},"finish_reason":"stop"}]}"#;
        chat.body([event, &b"\n\n"[..]].concat(), 7.0);
        let step = chat.poll(7.0);
        assert_eq!((&*step.kind, &*step.text), ("text", "Hi."));
        assert_eq!(chat.poll(7.0).kind, "receive");
        chat.end(8.0);
        assert_eq!(chat.poll(8.0).kind, "done");
        let result: serde_json::Value = serde_json::from_str(&chat.finish()).unwrap();
        assert_eq!(result["ok"]["choices"][0]["message"]["content"], "Hi.");
    }

    #[test]
    fn unsupported_requests_are_refused_with_a_reason() {
        let words = |question| Chat::new(question, 0.0, 0.0, 0).err().unwrap();
        assert!(words("{").contains("EOF"));
        assert!(words(&QUESTION.replace("http:", "ftp:")).contains("the base URL"));
    }

    #[test]
    fn broken_body_is_a_truncated_error() {
        let mut chat = Chat::new(QUESTION, 0.0, 0.0, 0).unwrap();
        assert_eq!(chat.poll(0.0).kind, "send");
        chat.head(200, Vec::new(), 1.0);
        chat.body(
            b"data: {\"choices\":[{\"delta\":{\"content\":\"Hal\"}}]}\n\n".to_vec(),
            2.0,
        );
        assert_eq!(chat.poll(2.0).text, "Hal");
        chat.failed("terminated", 3.0);
        assert_eq!(chat.poll(3.0).kind, "done");
        let result: serde_json::Value = serde_json::from_str(&chat.finish()).unwrap();
        assert_eq!(result["error"]["kind"], "truncated");
        assert_eq!(result["error"]["partial_text"], "Hal");
    }
}
