//! Batches of Fireworks: data sets and jobs of an account, with hand-made answers in the shapes of its SDK and of published notes.

use crate::support::{Answer, Arrival, KEY, call, json, with_api};
use std::sync::Arc;
use unifiedai::{
    ChatRequest, ErrorKind,
    provider::{OpenAiChat, Provider, openai_chat::profiles},
    provider_batch::{
        BatchAnswer, BatchCall, BatchInput, BatchState, ItemOutcome, NewBatch, NewFile,
        ProviderBatch, ResultSource, decode_chat,
    },
};

fn fireworks() -> Arc<dyn Provider> {
    let builder = OpenAiChat::builder()
        .profile(profiles::FIREWORKS)
        .api_key(KEY)
        .unwrap();
    Arc::new(builder.url_param("account", "acc").build().unwrap())
}

const API: &str = "https://api.fireworks.ai/v1/accounts/acc";
const DATASET: &str = "accounts/acc/datasets/run1-0";

#[test]
fn calls_go_to_the_account() {
    let find = BatchCall::Find {
        tag: "t".into(),
        page: Some("p/2".into()),
    };
    let source =
        ResultSource::File("accounts/acc/datasets/out-1#dataset/out-1/BIJOutputSet.jsonl".into());
    for (what, expected) in [
        (
            BatchCall::Retrieve("accounts/acc/batchInferenceJobs/run1-0".into()),
            "GET /batchInferenceJobs/run1-0",
        ),
        (
            BatchCall::List(None),
            "GET /batchInferenceJobs?pageSize=200",
        ),
        (find, "GET /batchInferenceJobs?pageSize=200&pageToken=p%2F2"),
        (
            BatchCall::RetrieveFile(DATASET.into()),
            "GET /datasets/run1-0",
        ),
        (
            BatchCall::DeleteFile(DATASET.into()),
            "DELETE /datasets/run1-0",
        ),
        (BatchCall::ListFiles(None), "GET /datasets?pageSize=200"),
        (
            BatchCall::Results(source),
            "GET /datasets/out-1:getDownloadEndpoint",
        ),
    ] {
        let outcome = call(&fireworks(), what, &[], Arrival::Whole);
        let request = &outcome.requests[0];
        let sent = format!("{} {}", request.method(), request.uri());
        assert_eq!(sent.replacen(API, "", 1), expected);
        let key = request.headers()["authorization"].to_str().unwrap();
        assert_eq!(key, format!("Bearer {KEY}"));
    }
    // A deletion would delete the results as well.
    let cancel = BatchCall::Cancel("run1-0".into());
    let outcome = call(&fireworks(), cancel, &[], Arrival::Whole);
    assert_eq!(
        outcome.result.unwrap_err().kind(),
        ErrorKind::InvalidRequest
    );
    let builder = OpenAiChat::builder()
        .profile(profiles::FIREWORKS)
        .api_key(KEY)
        .unwrap();
    let nobody: Arc<dyn Provider> = Arc::new(builder.build().unwrap());
    let error = call(&nobody, BatchCall::List(None), &[], Arrival::Whole)
        .result
        .unwrap_err();
    assert!(
        error.message().contains("url_param(\"account\", ..)"),
        "{error}"
    );
}

#[test]
fn requests_are_uploaded_as_a_data_set_and_a_job_is_named_by_its_tag() {
    let request = ChatRequest::new("accounts/fireworks/models/m")
        .user("Hi.")
        .max_tokens(5);
    let line = with_api(&fireworks(), |api| {
        api.encode_line("run1-0", &request).unwrap()
    });
    let line = json(&line);
    assert_eq!(line["custom_id"], "run1-0");
    assert_eq!(line["body"]["max_tokens"], 5);
    assert_eq!(line["body"].get("model"), None);
    let upload = || {
        BatchCall::UploadFile(NewFile::new(
            "run1-0.jsonl",
            "application/jsonl",
            "{}\n{}\n",
        ))
    };
    let created = Answer::json(format!(r#"{{"name":"{DATASET}","state":"UPLOADING"}}"#));
    // An earlier attempt created the data set, and its response was lost.
    let known = Answer::json(r#"{"code":6,"message":"already exists"}"#).status(409);
    for first in [created, known] {
        let answers = [first, Answer::json("{}")];
        let outcome = call(&fireworks(), upload(), &answers, Arrival::Bytes);
        let [create, send] = &outcome.requests[..] else {
            panic!("{:?}", outcome.requests);
        };
        assert_eq!(create.uri(), &*format!("{API}/datasets"));
        let expected = r#"{"datasetId":"run1-0","dataset":{"userUploaded":{},"exampleCount":"2"}}"#;
        assert_eq!(json(create.body()), json(expected.as_bytes()));
        assert_eq!(send.uri(), &*format!("{API}/datasets/run1-0:upload"));
        let form = String::from_utf8_lossy(send.body());
        assert!(
            form.contains("name=\"file\"; filename=\"run1-0.jsonl\""),
            "{form}"
        );
        let BatchAnswer::File(file) = outcome.result.unwrap() else {
            panic!();
        };
        assert_eq!((&*file.id, file.bytes), (DATASET, Some(6)));
    }
    let wrong = BatchCall::UploadFile(NewFile::new("A b.jsonl", "application/jsonl", ""));
    let outcome = call(&fireworks(), wrong, &[], Arrival::Whole);
    assert_eq!(
        outcome.result.unwrap_err().kind(),
        ErrorKind::InvalidRequest
    );
    let new = NewBatch::new(
        BatchInput::File(DATASET.into()),
        "accounts/fireworks/models/m",
        "run1-0",
    );
    let outcome = call(
        &fireworks(),
        BatchCall::Create(new),
        &[job("VALIDATING", "")],
        Arrival::Whole,
    );
    let request = &outcome.requests[0];
    assert_eq!(
        request.uri(),
        &*format!("{API}/batchInferenceJobs?batchInferenceJobId=run1-0")
    );
    let expected = r#"{"displayName":"run1-0","model":"accounts/fireworks/models/m","inputDatasetId":"accounts/acc/datasets/run1-0"}"#;
    assert_eq!(json(request.body()), json(expected.as_bytes()));
    let BatchAnswer::Batch(batch) = outcome.result.unwrap() else {
        panic!();
    };
    assert_eq!(
        (batch.state, batch.tag.as_deref()),
        (BatchState::Validating, Some("run1-0"))
    );
}

fn job(state: &str, more: &str) -> Answer {
    Answer::json(format!(
        r#"{{"name":"accounts/acc/batchInferenceJobs/run1-0","state":"JOB_STATE_{state}","createdBy":"person@example.com",
        "createTime":"2026-08-10T00:00:00Z","inputDatasetId":"{DATASET}"{more}}}"#
    ))
}

fn described(answers: &[Answer]) -> (ProviderBatch, usize) {
    let ask = BatchCall::Retrieve("run1-0".into());
    let outcome = call(&fireworks(), ask, answers, Arrival::Bytes);
    let BatchAnswer::Batch(batch) = outcome.result.unwrap() else {
        panic!();
    };
    assert!(!format!("{batch:?}").contains("person@example.com"));
    (*batch, outcome.requests.len())
}

const URLS: &str = r#"{"filenameToSignedUrls":{"dataset/out-1/BIJOutputSet.jsonl":"https://bucket.example.com/r?sig=canary","dataset/out-1/error-data":"https://bucket.example.com/e?sig=canary"}}"#;

#[test]
fn every_state_is_read_and_the_files_of_a_job_that_is_over_are_listed() {
    let output = r#","outputDatasetId":"accounts/acc/datasets/out-1","jobProgress":{"totalInputRequests":1,"totalProcessedRequests":3,"successfullyProcessedRequests":2,"failedRequests":1}"#;
    for (state, expected) in [
        ("UNSPECIFIED", BatchState::Validating),
        ("VALIDATING", BatchState::Validating),
        ("CREATING", BatchState::Queued),
        ("CREATING_INPUT_DATASET", BatchState::Queued),
        ("PENDING", BatchState::Queued),
        ("RUNNING", BatchState::Running),
        ("RE_QUEUEING", BatchState::Running),
        ("IDLE", BatchState::Running),
        ("PAUSED", BatchState::Running),
        ("WRITING_RESULTS", BatchState::Finalizing),
        ("CANCELLING", BatchState::Cancelling),
        ("COMPLETED", BatchState::Completed),
        ("EXPIRED", BatchState::Expired),
        ("EARLY_STOPPED", BatchState::Expired),
        ("CANCELLED", BatchState::Cancelled),
        ("DELETING_CLEANING_UP", BatchState::Cancelled),
        ("BRAND_NEW", BatchState::Running),
    ] {
        let (batch, requests) = described(&[job(state, output), Answer::json(URLS)]);
        assert_eq!(batch.state, expected, "{state}");
        assert_eq!(requests, if expected.is_final() { 2 } else { 1 }, "{state}");
        let counts = batch.counts.unwrap();
        assert_eq!(
            (counts.total, counts.succeeded, counts.failed),
            (Some(3), Some(2), Some(1))
        );
        assert_eq!(batch.expires_at, Some(1_786_320_000 + 86_400));
        let files = ["BIJOutputSet.jsonl", "error-data"];
        let files = files.map(|name| {
            ResultSource::File(format!("accounts/acc/datasets/out-1#dataset/out-1/{name}"))
        });
        assert_eq!(
            batch.results,
            if expected.is_final() {
                files.to_vec()
            } else {
                Vec::new()
            }
        );
    }
    // A job that failed says why, and wrote nothing. One that was cancelled early has no data set.
    let failed = r#","status":{"code":"INVALID_ARGUMENT","message":"Bad role."},"outputDatasetId":"accounts/acc/datasets/out-1""#;
    let (batch, requests) = described(&[job("FAILED", failed)]);
    assert_eq!((batch.message.as_deref(), requests), (Some("Bad role."), 1));
    let missing = Answer::json(r#"{"code":5,"message":"resource not found"}"#).status(404);
    let (batch, _) = described(&[job("CANCELLED", output), missing]);
    assert_eq!(batch.results, []);
}

#[test]
fn results_are_read_from_the_signed_url_without_the_key() {
    let line = r#"{"custom_id":"run1-1","response":{"id":"c","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"4"},"finish_reason":"stop"}]}}"#;
    let failed = r#"{"custom_id":"run1-0","error":{"code":"400","message":"no"}}"#;
    let lines = format!("{line}\n{failed}\n");
    let source = || {
        let id = "accounts/acc/datasets/out-1#dataset/out-1/BIJOutputSet.jsonl";
        BatchCall::Results(ResultSource::File(id.into()))
    };
    for arrival in [Arrival::Whole, Arrival::Bytes] {
        let answers = [Answer::json(URLS), Answer::json(lines.clone())];
        let outcome = call(&fireworks(), source(), &answers, arrival);
        assert!(matches!(outcome.result, Ok(BatchAnswer::Done)));
        let download = &outcome.requests[1];
        assert_eq!(download.uri(), "https://bucket.example.com/r?sig=canary");
        assert_eq!(download.headers().get("authorization"), None);
        let mut items = outcome
            .items
            .into_iter()
            .map(|item| decode_chat(&*fireworks(), item, None, &Default::default()));
        let first = items.next().unwrap();
        assert_eq!(first.id, "run1-1");
        assert!(matches!(first.outcome, ItemOutcome::Succeeded(answer) if answer.text() == "4"));
        let second = items.next().unwrap();
        assert_eq!((&*second.id, second.outcome.as_str()), ("run1-0", "failed"));
    }
    for url in ["http://bucket.example.com/r", "", "file:///etc/passwd"] {
        let urls =
            format!(r#"{{"filenameToSignedUrls":{{"dataset/out-1/BIJOutputSet.jsonl":"{url}"}}}}"#);
        let outcome = call(
            &fireworks(),
            source(),
            &[Answer::json(urls)],
            Arrival::Whole,
        );
        assert_eq!(outcome.requests.len(), 1);
        assert_eq!(outcome.result.unwrap_err().kind(), ErrorKind::Protocol);
    }
}
