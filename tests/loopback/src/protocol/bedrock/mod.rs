//! Amazon Bedrock: Converse, ConverseStream in binary event frames, CountTokens, the lists of models, and batches with their S3.

mod check;
mod converse;
mod events;
mod frame;
mod jobs;
mod message;
mod models;
mod request;

use serde_json::{Value, json};

use self::converse::converse;
use self::frame::{event, frame, raw_frame};
use self::models::{MODELS, profiles, summary};
use self::request::ask;
use super::embed::Shape;
use super::{Call, Content, Protocol, Reply, embed, sigv4, uuid};

const RUNTIME: &str = "http://internal.amazon.com/coral/com.amazon.bedrock/";
const FRONT: &str = "http://internal.amazon.com/coral/com.amazon.coral.service/";

/// The protocol.
pub(crate) struct Bedrock;

impl Protocol for Bedrock {
    fn model(&self, path: &str, _: Option<&Value>) -> Option<String> {
        let id = path.strip_prefix("/model/")?.rsplit_once('/')?.0;
        String::from_utf8(sigv4::decode(id)).ok()
    }

    fn respond(&self, call: &Call<'_>) -> Reply {
        let reply = refused(call).or_else(|| match call.faults.is_refused() {
            true => None,
            false => jobs::respond(call),
        });
        let mut reply = reply.unwrap_or_else(|| operate(call));
        reply
            .headers
            .push(("x-amzn-requestid", uuid(&mut call.number.clone())));
        reply
    }

    fn error(&self, status: u16, code: Option<&str>, message: Option<&str>) -> Reply {
        let (usual_code, usual) = match status {
            403 => (
                "AccessDeniedException",
                "There is no access to this model with these credentials.",
            ),
            404 => ("ResourceNotFoundException", "There is no such model here."),
            408 => ("ModelTimeoutException", "The model took too long."),
            424 => ("ModelErrorException", "The model failed at this request."),
            429 => (
                "ThrottlingException",
                "Too many requests, please wait before trying again.",
            ),
            503 => (
                "ServiceUnavailableException",
                "Too many connections, please wait before trying again.",
            ),
            status if status < 500 => (
                "ValidationException",
                "The request cannot be served as it is.",
            ),
            _ => (
                "InternalServerException",
                "Something broke on the way to an answer.",
            ),
        };
        exception(
            status,
            RUNTIME,
            code.unwrap_or(usual_code),
            message.unwrap_or(usual),
        )
    }

    fn overflow(&self) -> Reply {
        self.error(400, None, Some("Input is too long for requested model."))
    }

    fn error_in_200(&self) -> String {
        r#"{"Output":{"__type":"com.amazon.coral.service#InternalFailure"},"Version":"1.0"}"#
            .to_owned()
    }

    fn error_event(&self, code: Option<&str>, _: bool) -> Vec<u8> {
        let payload = r#"{"message":"Too many tokens, please wait before trying again."}"#;
        let headers = [
            (":exception-type", code.unwrap_or("throttlingException")),
            (":content-type", "application/json"),
            (":message-type", "exception"),
        ];
        frame(&headers, payload.as_bytes())
    }

    fn filler(&self) -> Vec<u8> {
        event("loopbackFiller", &json!({"p": "abc"}))
    }

    fn half(&self, event: &[u8]) -> Vec<u8> {
        let headers = event[4..8]
            .iter()
            .fold(0, |n, byte| n << 8 | usize::from(*byte));
        let payload = &event[12 + headers..event.len() - 4];
        raw_frame(&event[12..12 + headers], &payload[..payload.len() / 2])
    }

    fn endless(&self) -> Vec<u8> {
        let mut prelude = vec![0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0];
        prelude.extend(crc32fast::hash(&prelude).to_be_bytes());
        prelude
    }

    fn is_text(&self) -> bool {
        false
    }
}

fn refused(call: &Call<'_>) -> Option<Reply> {
    match &call.state.aws {
        Some(keys) if call.path.starts_with("/s3/") => {
            let refused = sigv4::verify_s3(call.request, keys).err()?;
            Some(jobs::s3_error(403, refused.exception, &refused.message))
        }
        Some(keys) => {
            let refused = sigv4::verify(call.request, keys).err()?;
            Some(exception(403, FRONT, refused.exception, &refused.message))
        }
        None => (!call.key_is_right("authorization")).then(|| Bedrock.error(403, None, None)),
    }
}

fn operate(call: &Call<'_>) -> Reply {
    let path = call.path;
    let last = path.rsplit_once('/').map(|(_, last)| last);
    match (call.request.method.as_str(), last) {
        ("POST", Some("converse")) => converse(call, false),
        ("POST", Some("converse-stream")) => converse(call, true),
        ("POST", Some("count-tokens")) => count_tokens(call),
        ("POST", Some("invoke")) => invoke(call),
        ("GET", Some("foundation-models")) => {
            let models: Vec<Value> = MODELS.iter().map(summary).collect();
            whole(&json!({"modelSummaries": models, "enableAccessToAllModelsByDefault": false}))
        }
        ("GET", Some("inference-profiles")) => profiles(call),
        ("GET", Some(id)) if path.starts_with("/foundation-models/") => {
            let id = sigv4::decode(id);
            match MODELS.iter().find(|(model, ..)| model.as_bytes() == id) {
                Some(model) => whole(&json!({"modelDetails": summary(model)})),
                None => Bedrock.error(404, None, None),
            }
        }
        _ => exception(
            404,
            FRONT,
            "UnknownOperationException",
            "There is no such operation.",
        ),
    }
}

/// Vectors: the body has the format of the model's vendor.
fn invoke(call: &Call<'_>) -> Reply {
    let shape = match call.model.as_str() {
        model if model.contains("titan-embed") => Shape::Titan,
        model if model.contains("cohere.embed") => Shape::Cohere,
        _ => return Bedrock.error(404, None, None),
    };
    let answer = match &call.json {
        Ok(body) => embed::answer(shape, &call.model, body),
        Err(error) => Err(format!("The body is not JSON: {error}")),
    };
    match answer {
        Ok(answer) => whole(&answer),
        Err(wrong) => invalid(&wrong),
    }
}

fn whole(body: &Value) -> Reply {
    let content = Content::Whole(body.to_string().into());
    Reply {
        wire: &Bedrock,
        status: 200,
        content_type: "application/json",
        headers: Vec::new(),
        content,
        tokens: 0,
    }
}

fn exception(status: u16, space: &str, code: &str, message: &str) -> Reply {
    let headers = vec![("x-amzn-errortype", format!("{code}:{space}"))];
    Reply {
        status,
        headers,
        ..whole(&json!({"message": message}))
    }
}

fn invalid(message: &str) -> Reply {
    Bedrock.error(400, None, Some(message))
}

fn count_tokens(call: &Call<'_>) -> Reply {
    match call
        .json
        .as_ref()
        .ok()
        .and_then(|body| body.pointer("/input/converse"))
    {
        Some(input) => whole(&json!({"inputTokens": ask(call, input).prompt_tokens})),
        None => invalid("The input must be that of Converse."),
    }
}
