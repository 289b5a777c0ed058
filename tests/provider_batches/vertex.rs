//! Batches of Gemini on Vertex AI: the calls of Vertex AI and of Cloud Storage, and hand-made answers in the shapes of Google's SDK
//! and of the reference of Cloud Storage. A file of results is among the recordings.

use crate::support::{Answer, Arrival, call, json, with_api};
use std::sync::Arc;
use unifiedai::{
    ChatRequest, ErrorKind, Secret,
    provider::{Auth, Gemini, Provider},
    provider_batch::{
        BatchAnswer, BatchCall, BatchInput, BatchState, NewBatch, NewFile, ProviderBatch,
        ResultSource,
    },
};

fn vertex(folder: Option<&str>) -> Arc<dyn Provider> {
    let token = Auth::Bearer(Secret::new("t").unwrap().into());
    let mut builder = Gemini::builder()
        .vertex("p-1", "us-central1")
        .unwrap()
        .auth(token);
    if let Some(folder) = folder {
        builder = builder.batch_folder(folder);
    }
    Arc::new(builder.build().unwrap())
}

fn provider() -> Arc<dyn Provider> {
    vertex(Some("gs://my_bucket/runs"))
}

const API: &str =
    "https://us-central1-aiplatform.googleapis.com/v1/projects/p-1/locations/us-central1";
const NAME: &str = "projects/9/locations/us-central1/batchPredictionJobs/77";

#[test]
fn calls_go_to_vertex_ai_and_to_cloud_storage() {
    let jobs = format!("{API}/batchPredictionJobs");
    let objects = "https://storage.googleapis.com/storage/v1/b/my_bucket/o";
    let upload = NewFile::new("r 1.jsonl", "application/jsonl", "{}\n");
    let file = || "gs://my_bucket/runs/in/r 1.jsonl".to_owned();
    let find = BatchCall::Find {
        tag: "t".into(),
        page: Some("p/2".into()),
    };
    for (what, expected) in [
        (BatchCall::Retrieve(NAME.into()), format!("GET {jobs}/77")),
        (BatchCall::Cancel("77".into()), format!("POST {jobs}/77:cancel")),
        (BatchCall::List(None), format!("GET {jobs}?pageSize=100")),
        (find, format!("GET {jobs}?pageSize=100&pageToken=p%2F2")),
        (BatchCall::UploadFile(upload), "POST https://storage.googleapis.com/upload/storage/v1/b/my_bucket/o?uploadType=media&name=runs%2Fin%2Fr%201.jsonl".into()),
        (BatchCall::RetrieveFile(file()), format!("GET {objects}/runs%2Fin%2Fr%201.jsonl")),
        (BatchCall::DeleteFile(file()), format!("DELETE {objects}/runs%2Fin%2Fr%201.jsonl")),
        (BatchCall::ListFiles(Some("t=".into())), format!("GET {objects}?maxResults=1000&prefix=runs%2Fin%2F&pageToken=t%3D")),
        (BatchCall::DownloadFile(file()), format!("GET {objects}/runs%2Fin%2Fr%201.jsonl?alt=media")),
        (BatchCall::Results(ResultSource::File(file())), format!("GET {objects}/runs%2Fin%2Fr%201.jsonl?alt=media")),
    ] {
        let outcome = call(&provider(), what.clone(), &[], Arrival::Whole);
        let request = &outcome.requests[0];
        assert_eq!(format!("{} {}", request.method(), request.uri()), expected);
        assert_eq!(request.headers()["authorization"], "Bearer t", "{what:?}");
    }
    for (provider, what) in [
        (vertex(None), BatchCall::ListFiles(None)),
        (
            provider(),
            BatchCall::DownloadFile("s3://my-bucket/k".into()),
        ),
        (
            provider(),
            BatchCall::DownloadFile("gs://my_bucket/k/".into()),
        ),
        (
            provider(),
            BatchCall::Results(ResultSource::Inline("77".into())),
        ),
    ] {
        let outcome = call(&provider, what, &[], Arrival::Whole);
        assert!(outcome.requests.is_empty());
        assert_eq!(
            outcome.result.unwrap_err().kind(),
            ErrorKind::InvalidRequest
        );
    }
}

#[test]
fn a_job_has_a_line_for_each_request_and_says_where_its_files_are() {
    let request = ChatRequest::new("gemini-2.5-flash")
        .user("Hi.")
        .max_tokens(5);
    let line = with_api(&provider(), |api| {
        api.encode_line("run1-0", &request).unwrap()
    });
    let line = json(&line);
    assert_eq!(line["custom_id"], "run1-0");
    assert_eq!(line["request"]["contents"][0]["parts"][0]["text"], "Hi.");
    let object = r#"{"kind":"storage#object","bucket":"my_bucket","name":"runs/in/r.jsonl","size":"3","contentType":"application/jsonl","timeCreated":"2026-08-10T00:00:00.123Z"}"#;
    let upload = BatchCall::UploadFile(NewFile::new("r.jsonl", "application/jsonl", "{}\n"));
    let outcome = call(&provider(), upload, &[Answer::json(object)], Arrival::Bytes);
    assert_eq!(
        outcome.requests[0].headers()["content-type"],
        "application/jsonl"
    );
    let BatchAnswer::File(file) = outcome.result.unwrap() else {
        panic!();
    };
    assert_eq!(
        (&*file.id, file.bytes),
        ("gs://my_bucket/runs/in/r.jsonl", Some(3))
    );
    let new = NewBatch::new(BatchInput::File(file.id), "gemini-2.5-flash", "run1-0");
    let outcome = call(
        &provider(),
        BatchCall::Create(new),
        &[job("JOB_STATE_PENDING", "")],
        Arrival::Whole,
    );
    let request = &outcome.requests[0];
    assert_eq!(request.uri(), &*format!("{API}/batchPredictionJobs"));
    let expected = r#"{"displayName":"run1-0","model":"publishers/google/models/gemini-2.5-flash",
        "inputConfig":{"instancesFormat":"jsonl","gcsSource":{"uris":["gs://my_bucket/runs/in/r.jsonl"]}},
        "outputConfig":{"predictionsFormat":"jsonl","gcsDestination":{"outputUriPrefix":"gs://my_bucket/runs/out/"}}}"#;
    assert_eq!(json(request.body()), json(expected.as_bytes()));
    assert!(matches!(outcome.result, Ok(BatchAnswer::Batch(batch)) if batch.id == NAME));
}

fn job(state: &str, more: &str) -> Answer {
    Answer::json(format!(
        r#"{{"name":"{NAME}","displayName":"run1-0","state":"{state}","createTime":"2026-08-10T00:00:00Z",
        "inputConfig":{{"gcsSource":{{"uris":["gs://my_bucket/runs/in/r.jsonl"]}}}}{more}}}"#
    ))
}

fn described(answers: &[Answer]) -> (ProviderBatch, usize) {
    let ask = BatchCall::Retrieve(NAME.into());
    let outcome = call(&provider(), ask, answers, Arrival::Bytes);
    let BatchAnswer::Batch(batch) = outcome.result.unwrap() else {
        panic!();
    };
    (*batch, outcome.requests.len())
}

#[test]
fn every_state_is_read_and_the_results_of_a_job_that_is_over_are_listed() {
    let none = || Answer::json(r#"{"kind":"storage#objects"}"#);
    let output = r#","outputInfo":{"gcsOutputDirectory":"gs://my_bucket/runs/out/prediction-model-1"},"completionStats":{"successfulCount":"2","failedCount":"1"}"#;
    for (state, expected) in [
        ("JOB_STATE_QUEUED", BatchState::Queued),
        ("JOB_STATE_PENDING", BatchState::Queued),
        ("JOB_STATE_RUNNING", BatchState::Running),
        ("JOB_STATE_PAUSED", BatchState::Running),
        ("JOB_STATE_UPDATING", BatchState::Running),
        ("JOB_STATE_CANCELLING", BatchState::Cancelling),
        ("JOB_STATE_SUCCEEDED", BatchState::Completed),
        ("JOB_STATE_PARTIALLY_SUCCEEDED", BatchState::PartlyCompleted),
        ("JOB_STATE_FAILED", BatchState::Failed),
        ("JOB_STATE_CANCELLED", BatchState::Cancelled),
        ("JOB_STATE_EXPIRED", BatchState::Expired),
        ("JOB_STATE_BRAND_NEW", BatchState::Running),
    ] {
        let (batch, requests) = described(&[job(state, output), none()]);
        assert_eq!((batch.state, &*batch.native_state), (expected, state));
        assert_eq!(requests, if expected.is_final() { 2 } else { 1 }, "{state}");
        assert_eq!(batch.counts.unwrap().total, Some(3));
        assert_eq!(batch.tag.as_deref(), Some("run1-0"));
        assert_eq!(batch.expires_at, Some(1_786_320_000 + 96 * 3600));
        assert_eq!(
            batch.input_file.as_deref(),
            Some("gs://my_bucket/runs/in/r.jsonl")
        );
    }
    let page = |name: &str, next: &str| {
        Answer::json(format!(
            r#"{{"kind":"storage#objects","items":[{{"bucket":"my_bucket","name":"runs/out/prediction-model-1/{name}"}}]{next}}}"#
        ))
    };
    let (batch, _) = described(&[
        job("JOB_STATE_SUCCEEDED", output),
        page("predictions.jsonl", r#","nextPageToken":"t""#),
        page("other.txt", ""),
    ]);
    let file = "gs://my_bucket/runs/out/prediction-model-1/predictions.jsonl";
    assert_eq!(batch.results, [ResultSource::File(file.into())]);
    // A job that failed before it ran has a reason, and no folder.
    let failed = r#","error":{"code":3,"message":"Bad input."}"#;
    let (batch, requests) = described(&[job("JOB_STATE_FAILED", failed)]);
    assert_eq!(
        (batch.message.as_deref(), requests),
        (Some("Bad input."), 1)
    );
    // A body that is no list is an error, and not a job without results.
    let ask = BatchCall::Retrieve(NAME.into());
    let answers = [job("JOB_STATE_SUCCEEDED", output), Answer::json("{}")];
    let outcome = call(&provider(), ask, &answers, Arrival::Whole);
    assert_eq!(outcome.result.unwrap_err().kind(), ErrorKind::Protocol);
}

#[test]
fn lists_of_jobs_and_lines_of_results_are_read() {
    let body = format!(
        r#"{{"batchPredictionJobs":[{{"name":"{NAME}","state":"JOB_STATE_RUNNING"}}],"nextPageToken":"t"}}"#
    );
    let outcome = call(
        &provider(),
        BatchCall::List(None),
        &[Answer::json(body)],
        Arrival::Bytes,
    );
    let Ok(BatchAnswer::Batches(batches, next)) = outcome.result else {
        panic!();
    };
    assert_eq!((batches.len(), next.as_deref()), (1, Some("t")));
    let lines = "{\"custom_id\":\"a\",\"status\":\"\",\"request\":{},\"response\":{\"candidates\":[]}}\n\
        {\"custom_id\":\"b\",\"status\":\"Bad request: too long\",\"request\":{},\"response\":{}}\n";
    let source = ResultSource::File("gs://my_bucket/k.jsonl".into());
    let outcome = call(
        &provider(),
        BatchCall::Results(source),
        &[Answer::json(lines)],
        Arrival::Bytes,
    );
    let words: Vec<(&str, &str)> = outcome
        .items
        .iter()
        .map(|item| (&*item.id, item.outcome.as_str()))
        .collect();
    assert_eq!(words, [("a", "succeeded"), ("b", "failed")]);
}
