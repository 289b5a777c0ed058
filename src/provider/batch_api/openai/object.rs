//! The description of a batch in all dialects but xAI's.

use super::{BatchDialect, TAG};
use crate::{
    Error,
    provider::batch_api::reading::{Count, Moment, count, missing, parse, require_id, seconds},
    provider_batch::{BatchCounts, BatchState, ProviderBatch, ResultSource},
};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

/// The members of all dialects. Each dialect has some of them.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Object<'a> {
    id: Option<String>,
    status: Option<String>,
    input_file_id: Option<String>,
    input_files: Option<Vec<String>>,
    #[serde(alias = "output_file")]
    output_file_id: Option<String>,
    #[serde(alias = "error_file")]
    error_file_id: Option<String>,
    #[serde(borrow)]
    created_at: Option<Moment<'a>>,
    #[serde(borrow, alias = "job_deadline")]
    expires_at: Option<Moment<'a>>,
    request_counts: Option<Counts>,
    total_requests: Option<Count>,
    succeeded_requests: Option<Count>,
    failed_requests: Option<Count>,
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
    #[serde(borrow)]
    errors: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow, alias = "outputs")]
    results: Option<&'a RawValue>,
    /// A new batch of Together.
    #[serde(borrow)]
    job: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Counts {
    total: Option<Count>,
    completed: Option<Count>,
    failed: Option<Count>,
}

const WHAT: &str = "a batch";
const WHAT_INLINE: &str = "a batch with results";

pub(super) fn read(name: &str, dialect: BatchDialect, body: &[u8]) -> Result<ProviderBatch, Error> {
    let object: Object<'_> = parse(name, WHAT, body)?;
    if let Some(job) = object.job {
        return read_object(
            name,
            dialect,
            parse(name, WHAT, job.get().as_bytes())?,
            body,
        );
    }
    read_object(name, dialect, object, body)
}

fn read_object(
    name: &str,
    dialect: BatchDialect,
    object: Object<'_>,
    body: &[u8],
) -> Result<ProviderBatch, Error> {
    let id = require_id(name, WHAT, object.id, body)?;
    let native_state = object.status.unwrap_or_default();
    let state = state(&native_state);
    let counts = match object.request_counts {
        Some(counts) => Some((counts.total, counts.completed, counts.failed)),
        None if object.total_requests.is_some() => Some((
            object.total_requests,
            object.succeeded_requests,
            object.failed_requests,
        )),
        None => None,
    };
    let first_input = object
        .input_files
        .and_then(|files| files.into_iter().next());
    let mut batch = ProviderBatch {
        state,
        native_state,
        counts: counts.map(|(total, succeeded, failed)| BatchCounts {
            total: count(&total),
            succeeded: count(&succeeded),
            failed: count(&failed),
            ..BatchCounts::default()
        }),
        input_file: present(object.input_file_id).or_else(|| present(first_input)),
        tag: object.metadata.and_then(tag),
        created_at: seconds(&object.created_at),
        expires_at: seconds(&object.expires_at),
        message: messages([object.errors, object.error]),
        ..ProviderBatch::default()
    };
    // In every final state: a batch that failed or expired may have results, and a completed one may have none.
    if state.is_final() {
        let has_inline = object.results.is_some_and(|results| results.get() != "[]");
        if dialect == BatchDialect::Cerebras {
            batch.results.push(ResultSource::Lines(id.clone()));
        } else if has_inline {
            batch.results.push(ResultSource::Inline(id.clone()));
        }
        // Mistral also writes inline results to a file.
        let output = present(object.output_file_id).filter(|_| !has_inline);
        let files = [output, present(object.error_file_id)];
        batch
            .results
            .extend(files.into_iter().flatten().map(ResultSource::File));
    }
    batch.id = id;
    Ok(batch)
}

/// The lines of results in a description.
pub(super) fn read_inline<'a>(name: &str, body: &'a [u8]) -> Result<Vec<&'a RawValue>, Error> {
    let object: Object<'_> = parse(name, WHAT, body)?;
    match object.results {
        Some(results) => parse(name, "a list of results", results.get().as_bytes()),
        None => Err(missing(name, WHAT_INLINE, "results", body)),
    }
}

/// An empty id is no id, like `null`.
fn present(id: Option<String>) -> Option<String> {
    id.filter(|id| !id.is_empty())
}

/// The states of all dialects, which differ in case (Together, Mistral).
fn state(word: &str) -> BatchState {
    match word.to_ascii_lowercase().as_str() {
        "validating" => BatchState::Validating,
        "queued" | "pre_schedule" | "pending" => BatchState::Queued,
        "finalizing" => BatchState::Finalizing,
        "cancelling" | "cancellation_requested" => BatchState::Cancelling,
        "completed" | "success" => BatchState::Completed,
        "failed" => BatchState::Failed,
        "expired" | "timeout_exceeded" => BatchState::Expired,
        "cancelled" => BatchState::Cancelled,
        // `in_progress`, `running`, and unknown states: the expiry limits them.
        _ => BatchState::Running,
    }
}

fn tag(metadata: &RawValue) -> Option<String> {
    let metadata: Value = serde_json::from_str(metadata.get()).ok()?;
    Some(metadata.get(TAG)?.as_str()?.to_owned())
}

/// The largest number of messages of a batch that was refused for many lines.
const MAX_MESSAGES: usize = 5;

/// The messages of errors, which are a text, an object, a list, or a list in `data`.
fn messages(errors: [Option<&RawValue>; 2]) -> Option<String> {
    let mut found = Vec::new();
    for error in errors.into_iter().flatten() {
        if let Ok(value) = serde_json::from_str(error.get()) {
            collect(&value, &mut found);
        }
    }
    (!found.is_empty()).then(|| found.join("; "))
}

fn collect(value: &Value, found: &mut Vec<String>) {
    if found.len() >= MAX_MESSAGES {
        return;
    }
    match value {
        Value::String(text) if !text.is_empty() => found.push(text.clone()),
        Value::Array(all) => all.iter().for_each(|value| collect(value, found)),
        Value::Object(object) => {
            if let Some(data) = object.get("data") {
                return collect(data, found);
            }
            let text = |name: &str| object.get(name).and_then(Value::as_str);
            let message = text("message").or_else(|| text("code")).unwrap_or_default();
            let line = object.get("line").and_then(Value::as_u64);
            if !message.is_empty() {
                found.push(match line {
                    Some(line) => format!("line {line}: {message}"),
                    None => message.to_owned(),
                });
            }
        }
        _ => {}
    }
}
