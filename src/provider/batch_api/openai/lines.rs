//! Lines of requests and lines of results.

use super::{BatchDialect, Endpoint, OpenAiBatches};
use crate::{
    Error, ErrorKind, Json,
    json::ObjectWriter,
    provider::{
        Provider,
        batch_api::{item_error, reading},
        kit::{errors, json_object::JsonObject},
    },
    provider_batch::{BatchItem, ItemOutcome},
};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// The line of a request with this body.
pub(super) fn encode(api: &OpenAiBatches<'_>, id: &str, body: &[u8]) -> Result<Vec<u8>, Error> {
    let raw: &RawValue = serde_json::from_slice(body).map_err(unreadable)?;
    let mut out = ObjectWriter::with_capacity(body.len().saturating_add(128));
    match api.profile.dialect {
        BatchDialect::OpenAi | BatchDialect::Cerebras => {
            out.text("custom_id", id);
            out.text("method", "POST");
            out.text("url", api.endpoint());
            out.member("body", raw)?;
        }
        BatchDialect::Together | BatchDialect::OpenRouter => {
            out.text("custom_id", id);
            out.member("body", raw)?;
        }
        // The job has the model.
        BatchDialect::Mistral | BatchDialect::Fireworks => return without_model(id, body),
        BatchDialect::Xai => {
            let endpoint = match api.endpoint {
                Endpoint::Chat => "chat_get_completion",
                Endpoint::Responses => "responses",
            };
            out.text("batch_request_id", id);
            let request = std::collections::BTreeMap::from([(endpoint, raw)]);
            out.member("batch_request", &request)?;
        }
    }
    Ok(out.finish())
}

/// The line of a request with this body, without the model.
pub(in crate::provider) fn without_model(id: &str, body: &[u8]) -> Result<Vec<u8>, Error> {
    let raw: &RawValue = serde_json::from_slice(body).map_err(unreadable)?;
    let mut out = ObjectWriter::with_capacity(body.len().saturating_add(64));
    let body = JsonObject::read(raw.get()).unwrap_or_default();
    out.text("custom_id", id);
    out.member("body", &body.without(&["model"]))?;
    Ok(out.finish())
}

fn unreadable(error: serde_json::Error) -> Error {
    Error::new(
        ErrorKind::InvalidRequest,
        format!("the request's body is not JSON: {error}"),
    )
}

/// A line of results. `response` is `{"status_code", "body"}`, or the body itself (Cerebras, Fireworks).
#[derive(Default, Deserialize)]
#[serde(default)]
struct Line<'a> {
    #[serde(borrow)]
    custom_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    status: Option<&'a RawValue>,
    #[serde(borrow)]
    response: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Wrapped<'a> {
    status_code: Option<u16>,
    #[serde(borrow)]
    request_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    body: Option<&'a RawValue>,
}

pub(in crate::provider) fn decode(provider: &dyn Provider, line: &str) -> BatchItem<Json> {
    let line: Line<'_> = match serde_json::from_str(line) {
        Ok(read) => read,
        Err(error) => return reading::unreadable_line(line, &error, &["custom_id"]),
    };
    let outcome = match line.response {
        Some(response) => answered(provider, response),
        None => unanswered(line.status, line.error),
    };
    BatchItem::new(line.custom_id.unwrap_or_default(), outcome)
}

fn answered(provider: &dyn Provider, response: &RawValue) -> ItemOutcome<Json> {
    let wrapped: Wrapped<'_> = serde_json::from_str(response.get()).unwrap_or_default();
    let (status, body) = match (wrapped.status_code, wrapped.body) {
        (status, Some(body)) => (status.unwrap_or(200), body),
        (Some(status), None) => {
            let error = item_error(|head, body| provider.decode_error(head, body), status, "");
            return ItemOutcome::Failed(error);
        }
        (None, None) => (200, response),
    };
    if (200..300).contains(&status) {
        return ItemOutcome::Succeeded(Box::new(Json::part(body.get())));
    }
    let decode = |head: &_, body: &_| provider.decode_error(head, body);
    let mut error = item_error(decode, status, body.get());
    if let Some(id) = wrapped.request_id {
        error = error.with_request_id(id);
    }
    ItemOutcome::Failed(error)
}

/// The outcome of a request without a response, by its status and its error.
fn unanswered(status: Option<&RawValue>, error: Option<&RawValue>) -> ItemOutcome<Json> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Code<'a> {
        #[serde(borrow)]
        code: Option<Cow<'a, str>>,
    }
    let code = error.and_then(|error| serde_json::from_str::<Code<'_>>(error.get()).ok()?.code);
    let status = status.and_then(|status| serde_json::from_str::<Cow<'_, str>>(status.get()).ok());
    let known = [code, status].into_iter().flatten();
    if let Some(outcome) = known.into_iter().find_map(|word| reading::never_ran(&word)) {
        return outcome;
    }
    ItemOutcome::Failed(match error {
        Some(error) => {
            let stated = ["{\"error\":", error.get(), "}"].concat();
            errors::from_event("", stated.as_bytes())
        }
        None => Error::new(
            ErrorKind::Protocol,
            "this line of the results has neither a response nor an error",
        ),
    })
}
