//! Model invocation jobs, and the part of S3 that they need: PUT, GET, DELETE and lists of objects below `/s3/BUCKET`.
//!
//! A job is validated, runs and ends with time, like the other batches. It needs 100 records, as Bedrock does by default. A creation
//! with a known `clientRequestToken` is answered with the job of the first one.

use std::sync::PoisonError;

use bytes::Bytes;
use serde_json::{Value, json};

use super::super::batches::{Batch, Store, content, fault_of, rfc3339};
use super::super::{Call, Content, Protocol, Reply, sigv4, text_of};
use super::{Bedrock, converse::converse, exception, invalid, whole};
use crate::Request;
use crate::fault::Faults;

/// The default quota of an account.
const MIN_RECORDS: usize = 100;

const CONTROL: &str = "http://internal.amazon.com/coral/com.amazon.bedrock/";

/// The answer, if the path is of a job or an object.
pub(super) fn respond(call: &Call<'_>) -> Option<Reply> {
    let path = call.path;
    let object = path.strip_prefix("/s3/");
    let job = path.strip_prefix("/model-invocation-job");
    if object.is_none() && job.is_none() {
        return None;
    }
    let mut store = call
        .state
        .batches
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    write_results(call, &mut store);
    Some(match (object, job) {
        (Some(place), _) => s3(call, &mut store, place),
        (_, Some(rest)) => control(call, &mut store, rest),
        (None, None) => return None,
    })
}

fn control(call: &Call<'_>, store: &mut Store, rest: &str) -> Reply {
    let is_post = call.request.method == "POST";
    match (is_post, rest) {
        (true, "") => create(call, store),
        (false, "s") => list(call, store),
        _ => {
            let (id, action) = rest
                .strip_prefix('/')
                .and_then(|rest| rest.split_once('/'))
                .unwrap_or((rest.trim_start_matches('/'), ""));
            let id = String::from_utf8(sigv4::decode(id)).unwrap_or_default();
            let number = id
                .rsplit("job")
                .next()
                .and_then(|n| n.parse::<usize>().ok());
            let Some(batch) = number.and_then(|n| store.batches.get_mut(n)) else {
                return exception(
                    404,
                    CONTROL,
                    "ResourceNotFoundException",
                    "There is no such job.",
                );
            };
            if action == "stop" && is_post {
                batch.is_cancelled = true;
                return whole(&json!({}));
            }
            whole(&describe(call, number.unwrap_or_default(), batch))
        }
    }
}

fn create(call: &Call<'_>, store: &mut Store) -> Reply {
    let Ok(body) = &call.json else {
        return invalid("The body is not JSON.");
    };
    for name in ["jobName", "roleArn", "modelId"] {
        if text_of(body, name).is_empty() {
            return invalid(&format!(
                "'{name}' failed to satisfy constraint: Member must not be null"
            ));
        }
    }
    if text_of(body, "modelInvocationType") != "Converse" {
        return invalid("Only jobs of Converse run here.");
    }
    let arn = |number: usize| json!({"jobArn": format!("arn:aws:bedrock:us-east-1:111122223333:model-invocation-job/job{number}")});
    let token = text_of(body, "clientRequestToken");
    let known = store
        .batches
        .iter()
        .position(|batch| text_of(&batch.tag, "clientRequestToken") == token);
    if let Some(number) = known.filter(|_| !token.is_empty()) {
        return match store.batches[number].tag == *body {
            true => whole(&arn(number)),
            false => exception(
                400,
                CONTROL,
                "ConflictException",
                "The token was used with other parameters.",
            ),
        };
    }
    let input = body["inputDataConfig"]["s3InputDataConfig"]["s3Uri"]
        .as_str()
        .unwrap_or_default();
    if body["outputDataConfig"]["s3OutputDataConfig"]["s3Uri"]
        .as_str()
        .is_none()
    {
        return invalid("The output has no place.");
    }
    let Some(lines) = store.objects.get(input.trim_start_matches("s3://")) else {
        return invalid("The input is not in S3.");
    };
    let lines = lines.split(|b| *b == b'\n').filter(|line| !line.is_empty());
    let lines = lines.map(|line| {
        let line: Value = serde_json::from_slice(line).unwrap_or_default();
        (
            text_of(&line, "recordId").to_owned(),
            line["modelInput"].clone(),
        )
    });
    let model = text_of(body, "modelId").to_owned();
    let batch = Batch::new(lines.collect(), model, body.clone(), Some(input.to_owned()));
    store.batches.push(batch);
    whole(&arn(store.batches.len() - 1))
}

fn list(call: &Call<'_>, store: &Store) -> Reply {
    let name = parameter(call.request, "nameContains").unwrap_or_default();
    let jobs = store.batches.iter().enumerate().rev();
    let jobs = jobs.filter(|(_, job)| text_of(&job.tag, "jobName").contains(&name));
    let first: usize = parameter(call.request, "nextToken")
        .and_then(|n| n.parse().ok())
        .unwrap_or(0);
    let all: Vec<Value> = jobs
        .map(|(number, batch)| describe(call, number, batch))
        .collect();
    // Short pages, so that clients must ask for the next one.
    let shown: Vec<&Value> = all.iter().skip(first).take(2).collect();
    let next = first + shown.len();
    let mut answer = json!({"invocationJobSummaries": shown});
    if next < all.len() {
        answer["nextToken"] = next.to_string().into();
    }
    whole(&answer)
}

fn status(call: &Call<'_>, batch: &Batch) -> &'static str {
    let step = batch.step(call.state);
    match (step, batch.is_cancelled, batch.lines.len() < MIN_RECORDS) {
        (0, true, _) | (1, true, _) => "Stopping",
        (0, ..) => "Submitted",
        (_, _, true) => "Failed",
        (_, true, _) => "Stopped",
        (1, ..) => "InProgress",
        _ => "Completed",
    }
}

fn describe(call: &Call<'_>, number: usize, batch: &Batch) -> Value {
    let status = status(call, batch);
    let is_counted = !matches!(status, "Submitted" | "Failed");
    let total = if is_counted { batch.lines.len() } else { 0 };
    let done = if status == "Completed" { total } else { 0 };
    let mut job = batch.tag.clone();
    let more = json!({
        "jobArn": format!("arn:aws:bedrock:us-east-1:111122223333:model-invocation-job/job{number}"),
        "status": status, "submitTime": rfc3339(batch.created_at), "lastModifiedTime": rfc3339(batch.created_at),
        "jobExpirationTime": rfc3339(batch.created_at + 86_400), "totalRecordCount": total,
        "processedRecordCount": done, "successRecordCount": done, "errorRecordCount": 0,
    });
    if let (Some(job), Value::Object(more)) = (job.as_object_mut(), more) {
        job.extend(more);
        if status == "Failed" {
            let message = format!("Input file(s) must have at least {MIN_RECORDS} records.");
            job.insert("message".to_owned(), message.into());
        }
    }
    job
}

/// Writes the results of the jobs that are over, once.
fn write_results(call: &Call<'_>, store: &mut Store) {
    let mut written = Vec::new();
    for (number, batch) in store.batches.iter().enumerate() {
        let output = batch.tag["outputDataConfig"]["s3OutputDataConfig"]["s3Uri"].as_str();
        let Some(output) =
            output.filter(|_| matches!(status(call, batch), "Completed" | "Stopped"))
        else {
            continue;
        };
        let output = output.trim_start_matches("s3://").trim_end_matches('/');
        let file = batch
            .file
            .as_deref()
            .and_then(|file| file.rsplit('/').next())
            .unwrap_or_default();
        let key = format!("{output}/job{number}/{file}.out");
        if !store.objects.contains_key(&key) {
            written.push((key, records(call, batch)));
            let manifest = json!({"totalRecordCount": batch.lines.len()}).to_string();
            written.push((
                format!("{output}/job{number}/manifest.json.out"),
                manifest.into(),
            ));
        }
    }
    store.objects.extend(written);
}

/// The results, the last record first. Each repeats its request, as those of Bedrock do.
fn records(call: &Call<'_>, batch: &Batch) -> Bytes {
    let mut all = String::new();
    for (id, input) in batch.lines.iter().rev() {
        let fault = fault_of(&input.to_string());
        let mut record = json!({"recordId": id, "modelInput": input});
        match fault
            .strip_prefix("status-")
            .and_then(|n| n.parse::<u16>().ok())
        {
            _ if fault == "lost" => continue,
            Some(status) => {
                let message = content(&Bedrock.error(status, None, None));
                record["error"] = json!({"errorCode": status, "errorMessage": message["message"]});
            }
            None => {
                let reply = converse(
                    &Call {
                        state: call.state,
                        request: call.request,
                        path: call.path,
                        json: Ok(input.clone()),
                        model: batch.model.clone(),
                        service: None,
                        faults: Faults::default(),
                        number: 0,
                    },
                    false,
                );
                match reply.status {
                    200 => record["modelOutput"] = content(&reply),
                    status => {
                        let message = content(&reply)["message"].clone();
                        record["error"] = json!({"errorCode": status, "errorMessage": message});
                    }
                }
            }
        }
        all.push_str(&record.to_string());
        all.push('\n');
    }
    all.into()
}

fn s3(call: &Call<'_>, store: &mut Store, place: &str) -> Reply {
    let place = String::from_utf8(sigv4::decode(place)).unwrap_or_default();
    match call.request.method.as_str() {
        "PUT" => {
            store.objects.insert(place, call.request.body.clone());
            xml(200, "")
        }
        "DELETE" => {
            store.objects.remove(&place);
            xml(204, "")
        }
        _ if place.ends_with('/') => list_objects(call, store, &place),
        _ => match store.objects.get(&place) {
            Some(object) => Reply {
                content_type: "application/octet-stream",
                content: Content::Whole(object.clone()),
                ..xml(200, "")
            },
            None => s3_error(404, "NoSuchKey", "The specified key does not exist."),
        },
    }
}

fn list_objects(call: &Call<'_>, store: &Store, bucket: &str) -> Reply {
    let prefix = parameter(call.request, "prefix").unwrap_or_default();
    let after = parameter(call.request, "continuation-token").unwrap_or_default();
    let begin = [bucket, &prefix].concat();
    let keys = store.objects.iter();
    let mut keys = keys.filter(|(key, _)| key.starts_with(&begin) && **key > after);
    let mut body = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult>".to_owned();
    // One object a page, so that clients must ask for the next one.
    if let Some((key, object)) = keys.next() {
        let name = escape(key.trim_start_matches(bucket));
        body.push_str(&format!(
            "<Contents><Key>{name}</Key><Size>{}</Size></Contents>",
            object.len()
        ));
        if keys.next().is_some() {
            body.push_str(&format!(
                "<NextContinuationToken>{}</NextContinuationToken>",
                escape(key)
            ));
        }
    }
    body.push_str("</ListBucketResult>");
    xml(200, &body)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

pub(super) fn s3_error(status: u16, code: &str, message: &str) -> Reply {
    let message = escape(message);
    xml(
        status,
        &format!(
            "<?xml version=\"1.0\"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>"
        ),
    )
}

fn xml(status: u16, body: &str) -> Reply {
    Reply {
        wire: &Bedrock,
        status,
        content_type: "application/xml",
        headers: Vec::new(),
        content: Content::Whole(Bytes::copy_from_slice(body.as_bytes())),
        tokens: 0,
    }
}

fn parameter(request: &Request, name: &str) -> Option<String> {
    let (_, query) = request.path.split_once('?')?;
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.into_iter().find(|(given, _)| *given == name)?;
    String::from_utf8(sigv4::decode(value)).ok()
}
