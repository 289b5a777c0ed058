//! Cerebras: OpenAI's chat API with a strict input schema, flat errors, and streams that end without a marker.

mod chat;
mod check;
mod frame;
mod request;

use super::{Call, Content, Protocol, Reply, quote};

use self::chat::chat;
pub(crate) use self::request::ask;

const MODELS: [&str; 4] = [
    "gpt-oss-120b",
    "qwen-3-235b-a22b-thinking-2507",
    "llama-3.3-70b",
    "zai-glm-4.6",
];

/// The protocol.
pub(crate) struct Cerebras;

impl Protocol for Cerebras {
    fn respond(&self, call: &Call<'_>) -> Reply {
        if !call.key_is_right("authorization") {
            return self.error(401, None, None);
        }
        match (call.request.method.as_str(), call.path) {
            ("POST", "/v1/chat/completions") => chat(call),
            ("GET", "/v1/models") => {
                let models: Vec<String> = MODELS.iter().map(|id| model(id)).collect();
                reply(
                    200,
                    format!(r#"{{"object":"list","data":[{}]}}"#, models.join(",")),
                )
            }
            ("GET", "/v1/tcp_warming") => reply(200, "{}".to_owned()),
            ("GET", path) => match path.strip_prefix("/v1/models/") {
                Some(id) if MODELS.contains(&id) => reply(200, model(id)),
                Some(id) => no_model(id),
                None => self.error(404, None, None),
            },
            _ => self.error(404, None, None),
        }
    }

    fn error(&self, status: u16, code: Option<&str>, message: Option<&str>) -> Reply {
        let usual = match status {
            401 => "The API key is not known here.",
            402 => "This account has nothing left to spend.",
            404 => "There is nothing at this place.",
            408 => "The request took too long to arrive.",
            429 => "This minute has had all the requests that it may have.",
            400..=499 => "The request cannot be served as it is.",
            503 => "There is too much traffic right now.",
            _ => "Something broke on the way to an answer.",
        };
        let (kind, param, usual_code) = match status {
            400 | 422 => (
                "invalid_request_error",
                "validation_error",
                "wrong_api_format",
            ),
            401 => ("authentication_error", "api_key", "wrong_api_key"),
            402 => ("payment_required_error", "quota", "payment_required"),
            404 => ("not_found_error", "path", "not_found"),
            429 => ("too_many_requests_error", "quota", "request_quota_exceeded"),
            503 => ("too_many_requests_error", "queue", "queue_exceeded"),
            400..=499 => ("invalid_request_error", "request", "refused"),
            _ => ("server_error", "server", "internal_error"),
        };
        reply(
            status,
            flat(
                kind,
                param,
                code.unwrap_or(usual_code),
                message.unwrap_or(usual),
            ),
        )
    }

    fn overflow(&self) -> Reply {
        let message = "Please reduce the length of the messages or completion. Current length is 140123 while limit is 131072";
        reply(
            400,
            flat(
                "invalid_request_error",
                "messages",
                "context_length_exceeded",
                message,
            ),
        )
    }

    fn error_in_200(&self) -> String {
        wrapped("queue_exceeded")
    }

    fn error_event(&self, code: Option<&str>, _: bool) -> Vec<u8> {
        format!("data: {}\n\n", wrapped(code.unwrap_or("queue_exceeded"))).into_bytes()
    }

    fn end_marker(&self) -> &'static [u8] {
        b"data: [DONE]\n\n"
    }
}

fn reply(status: u16, body: String) -> Reply {
    let content = Content::Whole(body.into());
    Reply {
        wire: &Cerebras,
        status,
        content_type: "application/json",
        headers: Vec::new(),
        content,
        tokens: 0,
    }
}

fn model(id: &str) -> String {
    format!(r#"{{"id":"{id}","object":"model","created":0,"owned_by":"Cerebras"}}"#)
}

fn flat(kind: &str, param: &str, code: &str, message: &str) -> String {
    format!(
        r#"{{"message":{},"type":"{kind}","param":"{param}","code":{}}}"#,
        quote(message),
        quote(code)
    )
}

fn wrapped(code: &str) -> String {
    let error = flat(
        "too_many_requests_error",
        "queue",
        code,
        "There is too much traffic right now.",
    );
    format!(r#"{{"error":{error},"status_code":429}}"#)
}

fn no_model(id: &str) -> Reply {
    let message = format!("No model {id} is open to this key.");
    reply(
        404,
        flat("not_found_error", "model", "model_not_found", &message),
    )
}

fn bad(message: &str) -> Reply {
    Cerebras.error(400, None, Some(message))
}
