//! Batches of Bedrock: the calls of the control plane and of S3, hand-made answers in the shapes of the service model, and runs
//! against the loopback provider, which verifies every signature.

use crate::support::{Answer, Arrival, call, json, with_api};
use std::sync::Arc;
use unifiedai::{
    ChatRequest, ErrorKind,
    provider::{AwsCredentials, BatchStorage, Bedrock, Provider, Submission},
    provider_batch::{
        BatchAnswer, BatchCall, BatchInput, BatchState, ItemOutcome, NewBatch, NewFile,
        ProviderBatch, ResultSource, decode_chat,
    },
};

const ROLE: &str = "arn:aws:iam::111122223333:role/batches";
const ARN: &str = "arn:aws:bedrock:eu-west-1:111122223333:model-invocation-job/abcdefghijkl";
const MODEL: &str = "amazon.nova-lite-v1:0";

fn storage() -> BatchStorage {
    BatchStorage::new(ROLE, "s3://my-bucket/runs").unwrap()
}

fn bedrock(storage: Option<BatchStorage>) -> Arc<dyn Provider> {
    let keys = AwsCredentials::new("AKIDEXAMPLE", "secret", None).unwrap();
    let builder = Bedrock::builder().region("eu-west-1").credentials(keys);
    Arc::new(
        match storage {
            Some(storage) => builder.batch_storage(storage),
            None => builder,
        }
        .build()
        .unwrap(),
    )
}

/// Bedrock at the loopback provider, with its S3 at the same address.
#[cfg(feature = "ureq")]
pub(crate) fn on_loopback(server: &unifiedai_loopback::Loopback) -> Arc<dyn Provider> {
    let keys = AwsCredentials::new("AKIDLOOPBACK", "loopback-secret", None).unwrap();
    let storage = storage().endpoint_url(server.origin() + "/s3");
    let builder = Bedrock::builder().region("us-east-1").credentials(keys);
    let builder = builder.base_url(server.origin()).batch_storage(storage);
    Arc::new(builder.build().unwrap())
}

fn sent(provider: &Arc<dyn Provider>, what: BatchCall) -> String {
    let outcome = call(provider, what, &[], Arrival::Whole);
    match outcome.requests.first() {
        Some(request) => format!("{} {}", request.method(), request.uri()),
        None => outcome.result.unwrap_err().kind().as_str().to_owned(),
    }
}

#[test]
fn calls_have_the_address_and_the_signature_of_their_service() {
    let provider = bedrock(Some(storage()));
    let control = "https://bedrock.eu-west-1.amazonaws.com";
    let s3 = "https://my-bucket.s3.eu-west-1.amazonaws.com";
    let jobs = "/model-invocation-jobs?maxResults=1000&sortBy=CreationTime&sortOrder=Descending";
    let job = "/model-invocation-job/arn%3Aaws%3Abedrock%3Aeu-west-1%3A111122223333%3Amodel-invocation-job%2Fabcdefghijkl";
    let file = || "s3://my-bucket/runs/in/r 1.jsonl".to_owned();
    let find = BatchCall::Find {
        tag: "run1-0".into(),
        page: Some("t/2".into()),
    };
    let upload = NewFile::new("r 1.jsonl", "application/jsonl", "{}\n");
    for (what, service, expected) in [
        (
            BatchCall::Retrieve(ARN.into()),
            "bedrock",
            format!("GET {control}{job}"),
        ),
        (
            BatchCall::Cancel(ARN.into()),
            "bedrock",
            format!("POST {control}{job}/stop"),
        ),
        (
            BatchCall::List(None),
            "bedrock",
            format!("GET {control}{jobs}"),
        ),
        (
            find,
            "bedrock",
            format!("GET {control}{jobs}&nameContains=run1-0&nextToken=t%2F2"),
        ),
        (
            BatchCall::UploadFile(upload),
            "s3",
            format!("PUT {s3}/runs/in/r%201.jsonl"),
        ),
        (
            BatchCall::RetrieveFile(file()),
            "s3",
            format!("GET {s3}/?list-type=2&prefix=runs%2Fin%2Fr%201.jsonl"),
        ),
        (
            BatchCall::ListFiles(Some("t=".into())),
            "s3",
            format!("GET {s3}/?list-type=2&prefix=runs%2Fin%2F&continuation-token=t%3D"),
        ),
        (
            BatchCall::DeleteFile(file()),
            "s3",
            format!("DELETE {s3}/runs/in/r%201.jsonl"),
        ),
        (
            BatchCall::DownloadFile(file()),
            "s3",
            format!("GET {s3}/runs/in/r%201.jsonl"),
        ),
        (
            BatchCall::Results(ResultSource::File("s3://other.bucket/k".into())),
            "s3",
            "GET https://s3.eu-west-1.amazonaws.com/other.bucket/k".into(),
        ),
    ] {
        let outcome = call(&provider, what.clone(), &[], Arrival::Whole);
        let request = &outcome.requests[0];
        assert_eq!(format!("{} {}", request.method(), request.uri()), expected);
        let authorization = request.headers()["authorization"].to_str().unwrap();
        assert!(
            authorization.contains(&format!("/eu-west-1/{service}/aws4_request")),
            "{what:?}"
        );
        assert_eq!(
            request.headers().contains_key("x-amz-content-sha256"),
            service == "s3"
        );
    }
    assert_eq!(
        sent(&provider, BatchCall::RetrieveFile("file-1".into())),
        "invalid_request"
    );
    let inline = BatchCall::Results(ResultSource::Inline(ARN.into()));
    assert_eq!(sent(&provider, inline), "invalid_request");
}

#[test]
fn a_job_is_created_in_the_format_of_converse_with_a_token_against_repetition() {
    let settings = storage().bucket_owner("111122223333").timeout_hours(48);
    let new = |tag: &str| {
        let input = BatchInput::File("s3://my-bucket/runs/in/run1-0.jsonl".into());
        BatchCall::Create(NewBatch::new(input, MODEL, tag))
    };
    let provider = bedrock(Some(settings));
    let answers = [Answer::json(format!(r#"{{"jobArn":"{ARN}"}}"#))];
    let outcome = call(&provider, new("run1-0"), &answers, Arrival::Bytes);
    let request = &outcome.requests[0];
    assert_eq!(
        request.uri(),
        "https://bedrock.eu-west-1.amazonaws.com/model-invocation-job"
    );
    let expected = r#"{"jobName":"run1-0","clientRequestToken":"run1-0","roleArn":"arn:aws:iam::111122223333:role/batches",
        "modelId":"amazon.nova-lite-v1:0","modelInvocationType":"Converse",
        "inputDataConfig":{"s3InputDataConfig":{"s3Uri":"s3://my-bucket/runs/in/run1-0.jsonl","s3InputFormat":"JSONL","s3BucketOwner":"111122223333"}},
        "outputDataConfig":{"s3OutputDataConfig":{"s3Uri":"s3://my-bucket/runs/out/","s3BucketOwner":"111122223333"}},
        "timeoutDurationInHours":48}"#;
    assert_eq!(json(request.body()), json(expected.as_bytes()));
    let BatchAnswer::Batch(batch) = outcome.result.unwrap() else {
        panic!();
    };
    assert_eq!((&*batch.id, batch.state), (ARN, BatchState::Validating));
    assert_eq!(batch.tag.as_deref(), Some("run1-0"));
    // What the service would refuse is refused before it is sent.
    assert_eq!(sent(&provider, new("run_1")), "invalid_request");
    let lines = NewBatch::new(BatchInput::Lines("{}\n".into()), MODEL, "t");
    assert_eq!(sent(&provider, BatchCall::Create(lines)), "invalid_request");
    // A creation without an ARN is an error, and not a job without an id.
    let outcome = call(&provider, new("t"), &[Answer::json("{}")], Arrival::Whole);
    assert_eq!(outcome.result.unwrap_err().kind(), ErrorKind::Protocol);
}

#[test]
fn without_a_bucket_or_with_a_key_of_bedrock_the_error_says_what_is_missing() {
    let upload = || BatchCall::UploadFile(NewFile::new("r.jsonl", "application/jsonl", "{}\n"));
    let error = call(&bedrock(None), upload(), &[], Arrival::Whole)
        .result
        .unwrap_err();
    assert!(error.message().contains("`batch_storage`"), "{error}");
    let builder = Bedrock::builder()
        .region("eu-west-1")
        .api_key("canary")
        .unwrap();
    let keyed: Arc<dyn Provider> = Arc::new(builder.batch_storage(storage()).build().unwrap());
    let outcome = call(&keyed, upload(), &[], Arrival::Whole);
    assert!(outcome.requests.is_empty());
    let error = outcome.result.unwrap_err();
    assert!(error.message().contains("AWS credentials"), "{error}");
    assert!(BatchStorage::new("role", "s3://my-bucket/").is_err());
    assert!(BatchStorage::new(ROLE, "my-bucket").is_err());
    let plain = storage().endpoint_url("http://s3.example.com");
    let keys = AwsCredentials::new("AKIDEXAMPLE", "secret", None).unwrap();
    let builder = Bedrock::builder().region("eu-west-1").credentials(keys);
    assert!(
        builder.batch_storage(plain).build().is_err(),
        "S3 without TLS"
    );
    let limits = with_api(&bedrock(Some(storage().min_records(1000))), |api| {
        api.limits()
    });
    assert_eq!(
        (limits.min_requests, limits.submission),
        (1000, Submission::File)
    );
    assert_eq!(
        with_api(&bedrock(None), |api| api.limits().min_requests),
        100
    );
}

fn job(status: &str) -> Answer {
    Answer::json(format!(
        r#"{{"jobArn":"{ARN}","jobName":"run1-0","status":"{status}","message":"m","submitTime":"2026-08-10T00:00:00Z",
        "jobExpirationTime":"2026-08-11T00:00:00.5Z","totalRecordCount":3,"processedRecordCount":3,"successRecordCount":2,
        "errorRecordCount":1,"inputDataConfig":{{"s3InputDataConfig":{{"s3Uri":"s3://my-bucket/runs/in/run1-0.jsonl"}}}},
        "outputDataConfig":{{"s3OutputDataConfig":{{"s3Uri":"s3://my-bucket/runs/out"}}}}}}"#
    ))
}

fn described(answers: &[Answer]) -> (ProviderBatch, Vec<String>) {
    let ask = BatchCall::Retrieve(ARN.into());
    let outcome = call(&bedrock(Some(storage())), ask, answers, Arrival::Bytes);
    let BatchAnswer::Batch(batch) = outcome.result.unwrap() else {
        panic!();
    };
    let urls = outcome
        .requests
        .iter()
        .map(|request| request.uri().to_string());
    (*batch, urls.collect())
}

#[test]
fn every_state_is_read_and_the_results_of_a_job_that_is_over_are_listed() {
    let empty = || Answer::json("<ListBucketResult/>");
    for (status, state) in [
        ("Submitted", BatchState::Validating),
        ("Validating", BatchState::Validating),
        ("Scheduled", BatchState::Queued),
        ("InProgress", BatchState::Running),
        ("Stopping", BatchState::Cancelling),
        ("Completed", BatchState::Completed),
        ("PartiallyCompleted", BatchState::PartlyCompleted),
        ("Failed", BatchState::Failed),
        ("Stopped", BatchState::Cancelled),
        ("Expired", BatchState::Expired),
        ("BrandNew", BatchState::Running),
    ] {
        let (batch, urls) = described(&[job(status), empty()]);
        assert_eq!((batch.state, &*batch.native_state), (state, status));
        assert_eq!(urls.len(), if state.is_final() { 2 } else { 1 }, "{status}");
        let counts = batch.counts.unwrap();
        assert_eq!(
            (counts.total, counts.succeeded, counts.failed),
            (Some(3), Some(2), Some(1))
        );
        assert_eq!(batch.created_at, Some(1_786_320_000));
        assert_eq!(batch.expires_at, Some(1_786_406_400));
    }
    let page = |key: &str, next: &str| {
        Answer::json(format!(
            "<ListBucketResult><Contents><Key>runs/out/abcdefghijkl/{key}</Key></Contents>{next}</ListBucketResult>"
        ))
    };
    let next = "<NextContinuationToken>t</NextContinuationToken>";
    let (batch, urls) = described(&[
        job("Stopped"),
        page("a.jsonl.out", next),
        page("manifest.json.out", next),
        page("b.jsonl.out", ""),
    ]);
    let file =
        |name: &str| ResultSource::File(format!("s3://my-bucket/runs/out/abcdefghijkl/{name}"));
    assert_eq!(batch.results, [file("a.jsonl.out"), file("b.jsonl.out")]);
    assert!(
        urls[1].ends_with("/?list-type=2&prefix=runs%2Fout%2Fabcdefghijkl%2F"),
        "{urls:?}"
    );
    assert!(urls[3].ends_with("&continuation-token=t"), "{urls:?}");
}

#[test]
fn records_are_matched_by_id_and_their_errors_have_the_kinds_of_a_call() {
    let provider = bedrock(None);
    let read = |line: &str| {
        let item = with_api(&provider, |api| api.decode_line(line));
        decode_chat(&*provider, item, None, &Default::default())
    };
    let item = read(
        r#"{"modelInput":{"messages":[{"role":"user","content":[{"text":"q"}]}]},"modelOutput":{"output":{"message":{"role":"assistant","content":[{"text":"Yes."}]}},"stopReason":"end_turn","usage":{"inputTokens":1,"outputTokens":2,"totalTokens":3}},"recordId":"run1-7"}"#,
    );
    assert_eq!(item.id, "run1-7");
    assert!(matches!(item.outcome, ItemOutcome::Succeeded(answer) if answer.text() == "Yes."));
    for (line, kind, status) in [
        (
            r#"{"recordId":"a","modelInput":{},"error":{"errorCode":400,"errorMessage":"Bad."}}"#,
            ErrorKind::BadRequest,
            Some(400),
        ),
        (
            r#"{"recordId":"a","error":{"errorCode":429,"errorMessage":"Slow."}}"#,
            ErrorKind::RateLimit,
            Some(429),
        ),
        (
            r#"{"recordId":"a","error":{"errorCode":"no","errorMessage":"?"}}"#,
            ErrorKind::InternalServer,
            Some(500),
        ),
        (
            r#"{"recordId":"a","modelInput":{}}"#,
            ErrorKind::Protocol,
            None,
        ),
        (
            r#"{"recordId":"a","modelInput":{"#,
            ErrorKind::Protocol,
            None,
        ),
    ] {
        let item = read(line);
        assert_eq!(item.id, "a", "{line}");
        let ItemOutcome::Failed(error) = item.outcome else {
            panic!("{line}");
        };
        assert_eq!((error.kind(), error.status()), (kind, status), "{line}");
    }
}

#[test]
fn a_line_is_the_body_of_a_call_without_the_model() {
    let provider = bedrock(None);
    let request = ChatRequest::new(MODEL).user("Hi.").max_tokens(5);
    let line = with_api(&provider, |api| {
        api.encode_line("run1-0", &request).unwrap()
    });
    let expected = r#"{"recordId":"run1-0","modelInput":{"messages":[{"role":"user","content":[{"text":"Hi."}]}],"inferenceConfig":{"maxTokens":5}}}"#;
    assert_eq!(json(&line), json(expected.as_bytes()));
}

#[test]
fn errors_of_s3_are_read_from_their_xml() {
    for (status, code, kind) in [
        (403, "AccessDenied", ErrorKind::PermissionDenied),
        (404, "NoSuchKey", ErrorKind::NotFound),
        (503, "SlowDown", ErrorKind::RateLimit),
    ] {
        let body = format!(
            "<?xml version=\"1.0\"?>\n<Error><Code>{code}</Code><Message>m</Message></Error>"
        );
        let answers = [Answer::json(body).status(status)];
        let get = BatchCall::DownloadFile("s3://my-bucket/k".into());
        let outcome = call(&bedrock(Some(storage())), get, &answers, Arrival::Whole);
        let error = outcome.result.unwrap_err();
        assert_eq!((error.kind(), error.code()), (kind, Some(code)));
    }
    let none = [Answer::json("<ListBucketResult/>")];
    let ask = BatchCall::RetrieveFile("s3://my-bucket/k".into());
    let outcome = call(&bedrock(Some(storage())), ask, &none, Arrival::Whole);
    assert_eq!(outcome.result.unwrap_err().kind(), ErrorKind::NotFound);
}

#[cfg(feature = "ureq")]
mod over_a_socket {
    use super::*;
    use crate::loopback::carry_out;
    use std::time::Duration;
    use unifiedai::{Client, provider_batch::RunOptions, transport::UreqTransport};
    use unifiedai_loopback::{AwsKeys, Config, Loopback};

    fn server(secret_key: &str) -> Loopback {
        let aws = AwsKeys {
            secret_key: secret_key.to_owned(),
            ..AwsKeys::default()
        };
        Loopback::start(Config {
            aws: Some(aws),
            ..Config::fast()
        })
        .unwrap()
    }

    fn requests(count: usize) -> Vec<ChatRequest> {
        let text = |number: usize| match number {
            3 => "Hello. batch fault: lost".to_owned(),
            4 => "Hello. batch fault: status-429".to_owned(),
            number => format!("Hello {number}."),
        };
        (0..count)
            .map(|number| ChatRequest::new(MODEL).user(text(number)).max_tokens(9))
            .collect()
    }

    fn options() -> RunOptions {
        RunOptions::default().poll(Duration::from_secs(1))
    }

    #[test]
    fn every_record_has_one_outcome() {
        let server = server("loopback-secret");
        let provider = on_loopback(&server);
        let client = Client::shared(UreqTransport::new(), provider.clone());
        let outcomes = carry_out(&client, &provider, &requests(120), options());
        assert_eq!(outcomes.len(), 120);
        for (line, outcome) in outcomes {
            let expected = match line {
                3 => "lost",
                4 => "failed",
                _ => "succeeded",
            };
            assert_eq!(outcome.as_str(), expected, "{line}");
        }
        assert_eq!(server.batches().len(), 1);
    }

    #[test]
    fn too_few_records_are_not_sent_and_a_job_that_fails_says_why() {
        let server = server("loopback-secret");
        let provider = on_loopback(&server);
        let client = Client::shared(UreqTransport::new(), provider.clone());
        let outcomes = carry_out(&client, &provider, &requests(99), options());
        assert!(
            outcomes
                .values()
                .all(|outcome| outcome.as_str() == "failed")
        );
        assert!(server.batches().is_empty());
        // With a lower quota than the account really has, the service refuses the job while it validates it.
        let keys = AwsCredentials::new("AKIDLOOPBACK", "loopback-secret", None).unwrap();
        let storage = storage()
            .min_records(1)
            .endpoint_url(server.origin() + "/s3");
        let builder = Bedrock::builder().region("us-east-1").credentials(keys);
        let builder = builder.base_url(server.origin()).batch_storage(storage);
        let provider: Arc<dyn Provider> = Arc::new(builder.build().unwrap());
        let client = Client::shared(UreqTransport::new(), provider.clone());
        let outcomes = carry_out(&client, &provider, &requests(2), options());
        for outcome in outcomes.values() {
            let ItemOutcome::Failed(error) = outcome else {
                panic!("{outcome:?}");
            };
            assert!(error.message().contains("at least 100 records"), "{error}");
        }
    }

    #[test]
    fn a_repeated_creation_makes_no_second_job_and_is_found_by_its_name() {
        let server = server("loopback-secret");
        let provider = on_loopback(&server);
        let client = Client::shared(UreqTransport::new(), provider.clone());
        let upload = NewFile::new(
            "a.jsonl",
            "application/jsonl",
            "{\"recordId\":\"r\",\"modelInput\":{}}\n",
        );
        let answer = client.batch_call(None, BatchCall::UploadFile(upload), |_| {});
        let Ok(BatchAnswer::File(file)) = answer else {
            panic!("{answer:?}");
        };
        let mut ids = Vec::new();
        for tag in ["run1-0", "run1-1", "run1-0", "run2-0"] {
            let new = NewBatch::new(BatchInput::File(file.id.clone()), MODEL, tag);
            match client.batch_call(None, BatchCall::Create(new), |_| {}) {
                Ok(BatchAnswer::Batch(batch)) => ids.push(batch.id),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(ids[0], ids[2]);
        assert_eq!(server.batches().len(), 3);
        let find = BatchCall::Find {
            tag: "run1-0".into(),
            page: None,
        };
        let Ok(BatchAnswer::Batches(found, None)) = client.batch_call(None, find, |_| {}) else {
            panic!();
        };
        assert_eq!(found.len(), 1);
        assert_eq!(
            (&found[0].id, found[0].tag.as_deref()),
            (&ids[0], Some("run1-0"))
        );
        let (mut seen, mut page) = (Vec::new(), None);
        loop {
            match client.batch_call(None, BatchCall::List(page), |_| {}) {
                Ok(BatchAnswer::Batches(some, next)) => {
                    seen.extend(some.into_iter().map(|batch| batch.id));
                    page = next;
                }
                other => panic!("{other:?}"),
            }
            if page.is_none() {
                break;
            }
        }
        assert_eq!(seen, [&*ids[3], &*ids[1], &*ids[0]]);
        assert!(matches!(
            client.batch_call(None, BatchCall::Cancel(ids[0].clone()), |_| {}),
            Ok(BatchAnswer::Done)
        ));
    }

    #[test]
    fn a_wrong_secret_is_refused_by_both_services() {
        let server = server("another-secret");
        let provider = on_loopback(&server);
        let client = Client::shared(UreqTransport::new(), provider);
        for call in [
            BatchCall::List(None),
            BatchCall::ListFiles(None),
            BatchCall::DownloadFile("s3://my-bucket/k".into()),
        ] {
            let error = client.batch_call(None, call, |_| {}).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Authentication, "{error}");
        }
    }
}
