//! Recorded calls of batch and file APIs.

use super::{common::bad_usage, recording::Feed};
use serde::Serialize;
use std::{collections::BTreeMap, sync::Arc};
use unifiedai::{
    CallOptions, Error, Json,
    provider::{Provider, Submission},
    provider_batch::{
        BatchAnswer, BatchCall, BatchCounts, BatchInput, BatchItem, BatchState, NewBatch, NewFile,
        ResultSource, decode_chat, decode_embeddings,
    },
    sans_io::{CallStart, Exchange},
};

/// What came out.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Answer {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<BatchState>,
    #[serde(skip_serializing_if = "Option::is_none")]
    counts: Option<BatchCounts>,
    /// What became of each request.
    #[serde(skip_serializing_if = "Option::is_none")]
    items: Option<BTreeMap<String, &'static str>>,
    /// The ids of a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Vec<String>>,
    /// The size of a file that has no results in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<usize>,
}

/// A call, and the provider that it is made at.
pub(crate) struct Source {
    provider: Arc<dyn Provider>,
    call: BatchCall,
    /// The id in the address.
    id: String,
}

const OPERATIONS: [&str; 12] = [
    "batch.create",
    "batch.add",
    "batch.retrieve",
    "batch.cancel",
    "batch.list",
    "batch.results",
    "file.upload",
    "file.retrieve",
    "file.content",
    "file.list",
    "file.delete",
    "batch.results-file",
];

pub(crate) fn is_known(operation: &str) -> bool {
    OPERATIONS.contains(&operation)
}

/// The id in an address: what is behind the folder.
fn id_in(url: &str) -> String {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let folders = ["/batches/", "/jobs/", "/files/", "/model-invocation-job/"];
    let rest = folders.iter().find_map(|folder| path.split_once(folder));
    let id = rest.map_or("", |(_, rest)| rest);
    let id = id.split(['/', ':']).next().unwrap_or_default();
    if id.is_empty() { "unknown" } else { id }.to_owned()
}

/// The call that an operation is.
pub(crate) fn call(
    provider: &dyn Provider,
    operation: &str,
    url: &str,
) -> Result<BatchCall, Error> {
    let Some(api) = provider.batch_api() else {
        return Err(bad_usage("this provider has no batches"));
    };
    let submission = api.limits().submission;
    let id = id_in(url);
    Ok(match operation {
        "batch.create" => {
            let input = match submission {
                Submission::File => BatchInput::File("file".into()),
                Submission::Added => BatchInput::Later,
                _ => BatchInput::Lines("{}".into()),
            };
            BatchCall::Create(NewBatch::new(input, "model", "replay"))
        }
        "batch.add" => BatchCall::Add {
            id,
            requests: BatchInput::Lines("{}".into()),
        },
        "batch.retrieve" => BatchCall::Retrieve(id),
        "batch.cancel" => BatchCall::Cancel(id),
        "batch.list" => BatchCall::List(None),
        "batch.results" | "batch.results-file" => {
            let lines = BatchCall::Results(ResultSource::Lines(id.clone()));
            let pages = BatchCall::Results(ResultSource::Pages {
                batch: id.clone(),
                page: None,
            });
            match submission {
                Submission::Added => pages,
                _ if api.encode_call(&lines).is_ok() => lines,
                _ => BatchCall::Results(ResultSource::File(id)),
            }
        }
        "file.content" => BatchCall::Results(ResultSource::File(id)),
        "file.upload" => BatchCall::UploadFile(NewFile::new("file", "application/jsonl", "")),
        "file.retrieve" => BatchCall::RetrieveFile(id),
        "file.list" => BatchCall::ListFiles(None),
        "file.delete" => BatchCall::DeleteFile(id),
        other => return Err(bad_usage(format!("`{other}` is not a recorded operation"))),
    })
}

impl Source {
    pub(crate) fn new(provider: Arc<dyn Provider>, call: BatchCall, url: &str) -> Self {
        Source {
            provider,
            call,
            id: id_in(url),
        }
    }

    pub(crate) fn replay(
        self,
        feed: Feed,
        is_cut: bool,
        options: Arc<CallOptions>,
        start: CallStart,
    ) -> Result<Answer, Error> {
        let Source { provider, call, id } = self;
        let is_results = matches!(call, BatchCall::Results(_));
        let is_upload = matches!(call, BatchCall::UploadFile(_));
        let is_cancel = matches!(call, BatchCall::Cancel(_));
        let is_add = matches!(call, BatchCall::Add { .. });
        let bytes = feed.size();
        // Whether a transport notices that the end is missing: a file of lines has no end of its own.
        let is_cut = is_cut && is_results;
        let sizes = options.sizes;
        let mut items = Vec::new();
        let exchange = Exchange::batch_call(provider.clone(), call, options, start)?;
        let answer = match feed.through(exchange, is_cut, |item| items.push(item)) {
            // An upload of several steps, and this is the first.
            Err(error) if is_upload && error.message().contains("another is asked for") => {
                return Ok(Answer::default());
            }
            answer => answer?,
        };
        if is_results {
            if items.iter().all(|item| item.id.is_empty()) && !items.is_empty() {
                return Ok(Answer {
                    bytes: Some(bytes),
                    ..Answer::default()
                });
            }
            let outcome = |item| outcome(&*provider, item, &sizes);
            return Ok(Answer {
                items: Some(items.into_iter().map(outcome).collect()),
                ..Answer::default()
            });
        }
        Ok(match answer {
            BatchAnswer::Batch(batch) => Answer {
                id: Some(batch.id),
                state: Some(batch.state),
                counts: batch.counts,
                ..Answer::default()
            },
            BatchAnswer::File(file) => Answer {
                id: Some(file.id),
                ..Answer::default()
            },
            BatchAnswer::Batches(batches, _) => Answer {
                data: Some(batches.into_iter().map(|batch| batch.id).collect()),
                ..Answer::default()
            },
            BatchAnswer::Files(files, _) => Answer {
                data: Some(files.into_iter().map(|file| file.id).collect()),
                ..Answer::default()
            },
            // The answer says nothing but success: what it is about is in the address.
            _ => Answer {
                id: Some(id),
                state: match (is_cancel, is_add) {
                    (true, _) => Some(BatchState::Cancelling),
                    (_, true) => Some(BatchState::Running),
                    _ => None,
                },
                ..Answer::default()
            },
        })
    }
}

/// An answer is read by the decoder of what it is: of a chat, or of vectors.
fn outcome(
    provider: &dyn Provider,
    item: BatchItem<Json>,
    sizes: &unifiedai::policy::SizeLimits,
) -> (String, &'static str) {
    let is_embedding = match &item.outcome {
        unifiedai::provider_batch::ItemOutcome::Succeeded(body) => {
            let body: serde_json::Value = serde_json::from_str(body.as_str()).unwrap_or_default();
            body.get("object").is_some_and(|object| object == "list")
                || body.get("embeddings").is_some()
                || body.get("embedding").is_some()
        }
        _ => false,
    };
    if is_embedding {
        let item = decode_embeddings(provider, item);
        let word = item.outcome.as_str();
        return (item.id, word);
    }
    let item = decode_chat(provider, item, None, sizes);
    let word = item.outcome.as_str();
    (item.id, word)
}
