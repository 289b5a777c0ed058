//! Every recorded exchange with a batch or file API, held to an independent reading: whole, byte by byte, and cut at every byte.

use crate::support::{Answer, Arrival, Outcome, call};
use serde_json::Value;
use std::{collections::BTreeMap, fs, path::PathBuf, sync::Arc};
use unifiedai::{
    ErrorKind,
    policy::SizeLimits,
    provider::Provider,
    provider_batch::{
        BatchAnswer, BatchCall, BatchInput, ItemOutcome, NewBatch, NewFile, ResultSource,
        decode_chat, decode_embeddings,
    },
    transport::testing::provider_for_recording,
};

struct Recording {
    id: String,
    operation: String,
    provider: Arc<dyn Provider>,
    answer: Answer,
}

fn folder() -> PathBuf {
    std::env::var_os("UNIFIEDAI_RECORDINGS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/recordings"),
        PathBuf::from,
    )
}

fn load() -> Vec<Recording> {
    let folder = folder().join("batch");
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().is_dir())
        .flat_map(|entry| fs::read_dir(entry.path()).unwrap())
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    if files.is_empty() {
        println!("skipped: no recordings in {}", folder.display());
    }
    files.iter().map(read).collect()
}

fn read(file: &PathBuf) -> Recording {
    let json: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let response = &json["response"];
    let headers = response["headers"].as_object().into_iter().flatten();
    Recording {
        id: file.display().to_string(),
        operation: text(&json["operation"]),
        provider: provider_for_recording(&text(&json["provider"]), &text(&json["dialect"]))
            .unwrap(),
        answer: Answer {
            status: u16::try_from(response["status"].as_u64().unwrap()).unwrap(),
            headers: headers
                .map(|(name, value)| (name.clone(), text(value)))
                .collect(),
            body: text(&response["body"]).into(),
        },
    }
}

impl Recording {
    fn call(&self) -> BatchCall {
        let name = self.provider.name();
        let id = || "x".to_owned();
        let lines = BatchInput::Lines("{}".into());
        match self.operation.as_str() {
            "batch.create" => {
                let input = match name {
                    "openai" => BatchInput::File(id()),
                    "xai" => BatchInput::Later,
                    _ => lines,
                };
                BatchCall::Create(NewBatch::new(input, "m", "t"))
            }
            "batch.add" => BatchCall::Add {
                id: id(),
                requests: lines,
            },
            "batch.retrieve" => BatchCall::Retrieve(id()),
            "batch.cancel" => BatchCall::Cancel(id()),
            "batch.results" => BatchCall::Results(match name {
                "anthropic" => ResultSource::Lines(id()),
                "xai" => ResultSource::Pages {
                    batch: id(),
                    page: None,
                },
                _ => ResultSource::File(id()),
            }),
            "file.content" => BatchCall::Results(ResultSource::File(id())),
            "file.upload" => BatchCall::UploadFile(NewFile::new("f", "text/plain", "x")),
            "file.retrieve" => BatchCall::RetrieveFile(id()),
            other => panic!("{other}"),
        }
    }

    fn play(&self, arrival: Arrival) -> Outcome {
        call(
            &self.provider,
            self.call(),
            std::slice::from_ref(&self.answer),
            arrival,
        )
    }

    fn has_results(&self) -> bool {
        matches!(self.operation.as_str(), "batch.results" | "file.content")
    }

    /// Lines have no end of their own.
    fn is_lines(&self) -> bool {
        self.has_results() && self.provider.name() != "xai"
    }

    /// The first step of an upload: it has no file yet.
    fn is_step(&self) -> bool {
        self.operation == "file.upload" && self.answer.body.is_empty()
    }
}

/// What an outcome says, in words.
fn said(recording: &Recording, outcome: Outcome) -> Result<Value, String> {
    let Outcome { items, result, .. } = outcome;
    let answer = result.map_err(|error| format!("{error}"))?;
    let provider = &*recording.provider;
    if recording.has_results() {
        let mut words = BTreeMap::new();
        for item in items {
            let is_list = match &item.outcome {
                ItemOutcome::Succeeded(body) => body.decode::<Value>().unwrap()["object"] == "list",
                _ => false,
            };
            let (id, text) = if is_list {
                let item = decode_embeddings(provider, item);
                match item.outcome {
                    ItemOutcome::Succeeded(answer) => {
                        (item.id, format!("{} vectors", answer.embeddings.len()))
                    }
                    other => (item.id, format!("{other:?}")),
                }
            } else {
                let item = decode_chat(provider, item, None, &SizeLimits::default());
                match item.outcome {
                    ItemOutcome::Succeeded(answer) => (item.id, answer.text().into_owned()),
                    other => (item.id, format!("{other:?}")),
                }
            };
            assert_eq!(words.insert(id, text), None, "{}", recording.id);
        }
        return Ok(serde_json::to_value(words).unwrap());
    }
    Ok(match answer {
        BatchAnswer::Batch(batch) => serde_json::json!({
            "id": batch.id, "state": batch.state, "total": batch.counts.and_then(|counts| counts.total),
        }),
        BatchAnswer::File(file) => serde_json::json!({"id": file.id, "bytes": file.bytes}),
        BatchAnswer::Done => Value::Null,
        other => panic!("{other:?}"),
    })
}

/// The same by another reading.
fn expected(recording: &Recording) -> Value {
    let body = std::str::from_utf8(&recording.answer.body).unwrap();
    if recording.has_results() {
        let lines: Vec<Value> = if recording.is_lines() {
            body.lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect()
        } else {
            let page: Value = serde_json::from_str(body).unwrap();
            page["results"].as_array().unwrap().clone()
        };
        let words = lines.iter().map(|line| (id_of(line), text_of(line)));
        return serde_json::to_value(words.collect::<BTreeMap<_, _>>()).unwrap();
    }
    let value: Value = serde_json::from_str(body).unwrap();
    match recording.operation.as_str() {
        "batch.add" => Value::Null,
        "file.upload" | "file.retrieve" => {
            let file = if value["file"].is_object() {
                &value["file"]
            } else {
                &value
            };
            let bytes = file["bytes"]
                .as_u64()
                .or_else(|| file["sizeBytes"].as_str()?.parse().ok());
            let id = if file["id"].is_string() {
                &file["id"]
            } else {
                &file["name"]
            };
            serde_json::json!({"id": id, "bytes": bytes})
        }
        _ => batch(&value),
    }
}

fn batch(value: &Value) -> Value {
    let word = |place: &Value| place.as_str().unwrap_or_default().to_owned();
    if value["batch_id"].is_string() {
        let counts = &value["state"];
        let state = match (&counts["num_requests"], &counts["num_pending"]) {
            (all, _) if all == 0 => "queued",
            (_, pending) if pending == 0 => "completed",
            _ => "running",
        };
        return serde_json::json!({
            "id": value["batch_id"], "state": state, "total": counts["num_requests"],
        });
    }
    if value["metadata"]["batchStats"].is_object() {
        let metadata = &value["metadata"];
        let total: u64 = word(&metadata["batchStats"]["requestCount"])
            .parse()
            .unwrap();
        let state = match word(&metadata["state"]).as_str() {
            "BATCH_STATE_PENDING" => "queued",
            "BATCH_STATE_RUNNING" => "running",
            "BATCH_STATE_SUCCEEDED" => "completed",
            other => panic!("{other}"),
        };
        return serde_json::json!({"id": value["name"], "state": state, "total": total});
    }
    let (native, total) = if value["processing_status"].is_string() {
        let counts = value["request_counts"].as_object().unwrap();
        let total: u64 = counts.values().map(|count| count.as_u64().unwrap()).sum();
        (word(&value["processing_status"]), Value::from(total))
    } else {
        let total = [&value["request_counts"]["total"], &value["total_requests"]];
        let total = total.into_iter().find(|total| total.is_u64());
        (word(&value["status"]), total.unwrap().clone())
    };
    let state = match native.to_lowercase().as_str() {
        "in_progress" | "running" => "running",
        "canceling" | "cancelling" => "cancelling",
        "ended" | "completed" | "success" => "completed",
        known @ ("validating" | "queued" | "finalizing") => {
            return serde_json::json!({
                "id": value["id"], "state": known, "total": total,
            });
        }
        other => panic!("{other}"),
    };
    serde_json::json!({"id": value["id"], "state": state, "total": total})
}

fn id_of(line: &Value) -> String {
    let places = ["custom_id", "key", "batch_request_id"];
    let id = places.iter().find_map(|name| line[*name].as_str());
    id.unwrap().to_owned()
}

/// The text of an answer, whatever wire it is in.
fn text_of(line: &Value) -> String {
    let places = [
        &line["response"]["body"],
        &line["result"]["message"],
        &line["batch_result"]["response"]["chat_get_completion"],
        &line["response"],
    ];
    let body = places.into_iter().find(|place| place.is_object()).unwrap();
    if let Some(vectors) = body["data"].as_array() {
        return format!("{} vectors", vectors.len());
    }
    let pieces = |parts: &Value, name: &str| -> String {
        let parts = parts.as_array().into_iter().flatten();
        parts.filter_map(|part| part[name].as_str()).collect()
    };
    if let Some(text) = body["choices"][0]["message"]["content"].as_str() {
        return text.to_owned();
    }
    if body["candidates"].is_array() {
        return pieces(&body["candidates"][0]["content"]["parts"], "text");
    }
    if let Some(items) = body["output"].as_array() {
        let messages = items.iter().filter(|item| item["type"] == "message");
        return messages
            .map(|item| pieces(&item["content"], "text"))
            .collect();
    }
    pieces(&body["content"], "text")
}

#[test]
fn recordings_are_read_right_whole_and_byte_by_byte() {
    let mut read = 0;
    for recording in load() {
        if recording.is_step() {
            continue;
        }
        for arrival in [Arrival::Whole, Arrival::Bytes] {
            let outcome = recording.play(arrival);
            let said = said(&recording, outcome);
            assert_eq!(
                said,
                Ok(expected(&recording)),
                "{} {arrival:?}",
                recording.id
            );
        }
        read += 1;
    }
    println!("{read} recordings");
}

#[test]
fn recorded_descriptions_that_are_cut_are_errors_and_never_something_else() {
    for recording in load() {
        if recording.is_lines() || recording.is_step() {
            continue;
        }
        let end = recording.answer.body.trim_ascii_end().len();
        let ends_early = |at: usize| recording.play(Arrival::End(at)).result;
        for at in (0..end).step_by(3) {
            // `null` of an answer that says nothing is nothing either way.
            if recording.operation == "batch.add" {
                continue;
            }
            let error = ends_early(at).unwrap_err();
            assert_eq!(
                error.kind(),
                ErrorKind::Truncated,
                "{} {at} {error}",
                recording.id
            );
        }
    }
}

#[test]
fn recorded_results_that_are_cut_are_errors_after_the_same_items() {
    for recording in load() {
        if !recording.is_lines() {
            continue;
        }
        let all: Vec<String> = recording
            .play(Arrival::Whole)
            .items
            .into_iter()
            .map(|item| item.id)
            .collect();
        let body = &recording.answer.body;
        for at in (0..body.len()).step_by(7) {
            let cut = recording.play(Arrival::Cut(at));
            assert_eq!(
                cut.result.unwrap_err().kind(),
                ErrorKind::Truncated,
                "{} {at}",
                recording.id
            );
            let ids: Vec<String> = cut.items.into_iter().map(|item| item.id).collect();
            assert!(all.starts_with(&ids), "{} {at}: {ids:?}", recording.id);
            // Inside of a line even the end of the body is none of the file.
            let lines = body[..at].iter().filter(|b| **b == b'\n').count();
            let line_is_whole = body[..at].ends_with(b"\n") || at == 0;
            let is_json = body[..at]
                .rsplit(|b| *b == b'\n')
                .next()
                .is_some_and(|last| serde_json::from_slice::<Value>(last).is_ok());
            if !line_is_whole && !is_json {
                let ended = recording.play(Arrival::End(at));
                assert_eq!(ended.result.unwrap_err().kind(), ErrorKind::Truncated);
                assert_eq!(ended.items.len(), lines, "{} {at}", recording.id);
            }
        }
    }
}

#[test]
fn what_is_in_a_description_is_read_once() {
    for recording in load() {
        let body = &recording.answer.body;
        let is_inline = [&b"inlinedResponses"[..], b"\"outputs\": [{"]
            .iter()
            .any(|mark| body.windows(mark.len()).any(|window| window == *mark));
        if recording.operation != "batch.retrieve" || !is_inline {
            continue;
        }
        let BatchAnswer::Batch(batch) = recording.play(Arrival::Whole).result.unwrap() else {
            panic!("{}", recording.id);
        };
        let [source] = &batch.results[..] else {
            panic!("{:?}", batch.results);
        };
        let results = BatchCall::Results(source.clone());
        let answers = [recording.answer.clone()];
        let outcome = call(&recording.provider, results, &answers, Arrival::Bytes);
        let mut ids: Vec<String> = outcome
            .items
            .into_iter()
            .map(|item| {
                let item = decode_chat(&*recording.provider, item, None, &SizeLimits::default());
                assert_eq!(item.outcome.as_str(), "succeeded", "{:?}", item.outcome);
                item.id
            })
            .collect();
        ids.sort();
        assert_eq!(ids, ["0", "1"], "{}", recording.id);
    }
}
