//! xAI's description of a batch, which has counts and no state, and its pages of results.

use super::OpenAiBatches;
use crate::{
    Error, ErrorKind, Json,
    provider::{
        batch_api::reading::{self, Count, Moment, count, parse, require_id, seconds},
        kit::errors,
    },
    provider_batch::{
        BatchCounts, BatchItem, BatchState, ItemOutcome, ProviderBatch, ResultSource,
    },
};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::{borrow::Cow, collections::BTreeMap};

#[derive(Default, Deserialize)]
#[serde(default)]
struct Object<'a> {
    batch_id: Option<String>,
    name: Option<String>,
    #[serde(borrow)]
    create_time: Option<Moment<'a>>,
    #[serde(borrow)]
    expire_time: Option<Moment<'a>>,
    #[serde(borrow)]
    cancel_time: Option<&'a RawValue>,
    cancel_by_xai_message: Option<String>,
    state: Option<Counts>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Counts {
    num_requests: Option<Count>,
    num_pending: Option<Count>,
    num_success: Option<Count>,
    num_error: Option<Count>,
    num_cancelled: Option<Count>,
}

pub(super) fn read(name: &str, body: &[u8]) -> Result<ProviderBatch, Error> {
    const WHAT: &str = "a batch";
    let object: Object<'_> = parse(name, WHAT, body)?;
    let id = require_id(name, WHAT, object.batch_id, body)?;
    let counts = object.state.map(|counts| BatchCounts {
        total: count(&counts.num_requests),
        pending: count(&counts.num_pending),
        succeeded: count(&counts.num_success),
        failed: count(&counts.num_error),
        cancelled: count(&counts.num_cancelled),
        ..BatchCounts::default()
    });
    let message = object.cancel_by_xai_message.filter(|text| !text.is_empty());
    let state = state(
        &counts.unwrap_or_default(),
        object.cancel_time.is_some(),
        message.is_some(),
    );
    Ok(ProviderBatch {
        results: match state.is_final() {
            true => vec![ResultSource::Pages {
                batch: id.clone(),
                page: None,
            }],
            false => Vec::new(),
        },
        id,
        state,
        counts,
        tag: object.name,
        created_at: seconds(&object.create_time),
        expires_at: seconds(&object.expire_time),
        message,
        ..ProviderBatch::default()
    })
}

/// Without a request a batch is neither running nor over: its requests are still to be added.
fn state(counts: &BatchCounts, is_cancelled: bool, is_refused: bool) -> BatchState {
    let number = |count: Option<u64>| count.unwrap_or(0);
    let ended = number(counts.succeeded)
        .saturating_add(number(counts.failed))
        .saturating_add(number(counts.cancelled));
    let total = number(counts.total);
    let is_over = number(counts.pending) == 0 && ended >= total;
    match (is_over, is_cancelled) {
        (true, true) if is_refused => BatchState::Failed,
        (true, true) => BatchState::Cancelled,
        (false, true) => BatchState::Cancelling,
        (true, false) if total > 0 => BatchState::Completed,
        (_, false) if total == 0 => BatchState::Queued,
        _ => BatchState::Running,
    }
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    results: Vec<Entry<'a>>,
    #[serde(default)]
    pagination_token: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry<'a> {
    #[serde(borrow)]
    batch_request_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    batch_result: Outcome<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Outcome<'a> {
    /// The response, under the name of the API that made it. It may differ from the API of the request.
    #[serde(borrow)]
    response: Option<BTreeMap<Cow<'a, str>, &'a RawValue>>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

pub(super) fn read_page(
    api: &OpenAiBatches<'_>,
    body: &[u8],
) -> Result<(Vec<BatchItem<Json>>, Option<String>), Error> {
    let page: Page<'_> = parse(api.name(), "a page of results", body)?;
    let items = page.results.into_iter().map(item).collect();
    let next = page.pagination_token.filter(|token| !token.is_empty());
    Ok((items, next))
}

fn item(entry: Entry<'_>) -> BatchItem<Json> {
    let answer = entry
        .batch_result
        .response
        .and_then(|all| all.into_values().next());
    let outcome = match (answer, entry.batch_result.error) {
        (Some(answer), _) => ItemOutcome::Succeeded(Box::new(Json::part(answer.get()))),
        (None, Some(error)) => failure(error),
        (None, None) => ItemOutcome::Failed(Error::new(
            ErrorKind::Protocol,
            "this result has neither a response nor an error",
        )),
    };
    BatchItem::new(entry.batch_request_id.unwrap_or_default(), outcome)
}

fn failure(error: &RawValue) -> ItemOutcome<Json> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Code<'a> {
        #[serde(borrow)]
        code: Option<Cow<'a, str>>,
    }
    let code = serde_json::from_str::<Code<'_>>(error.get()).unwrap_or_default();
    let outcome = code.code.and_then(|code| reading::never_ran(&code));
    outcome.unwrap_or_else(|| {
        let stated = ["{\"error\":", error.get(), "}"].concat();
        ItemOutcome::Failed(errors::from_event("", stated.as_bytes()))
    })
}
