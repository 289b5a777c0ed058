//! What is sent, for every provider and call.

use crate::support::{
    Answer, Arrival, KEY, anthropic, call, gemini, json, like_openai, responses, with_api,
};
use std::sync::Arc;
use unifiedai::{
    ChatRequest, ErrorKind,
    provider::{Provider, openai_responses::ResponsesProfile},
    provider_batch::{BatchAnswer, BatchCall, BatchInput, NewBatch, NewFile, ResultSource},
};

fn chat() -> ChatRequest {
    ChatRequest::new("m-1").user("Hi.").max_tokens(9)
}

fn line(provider: &Arc<dyn Provider>) -> Result<String, unifiedai::Error> {
    let line = with_api(provider, |api| {
        api.encode_line("r1-7", &chat().stream(true))
    })?;
    Ok(String::from_utf8(line).unwrap())
}

#[test]
fn lines_are_the_bodies_of_calls_in_the_wrapping_of_the_provider() {
    let body =
        r#"{"model":"m-1","messages":[{"role":"user","content":"Hi."}],"max_completion_tokens":9}"#;
    let cases = [
        (like_openai("openai"), format!(r#"{{"custom_id":"r1-7","method":"POST","url":"/v1/chat/completions","body":{body}}}"#)),
        (like_openai("openrouter"), r#"{"custom_id":"r1-7","body":{"model":"m-1","messages":[{"role":"user","content":"Hi."}],"max_tokens":9}}"#.into()),
        (like_openai("together"), r#"{"custom_id":"r1-7","body":{"model":"m-1","messages":[{"role":"user","content":"Hi."}],"max_tokens":9}}"#.into()),
        (like_openai("mistral"), r#"{"custom_id":"r1-7","body":{"messages":[{"role":"user","content":"Hi."}],"max_tokens":9}}"#.into()),
        (anthropic(), r#"{"custom_id":"r1-7","params":{"model":"m-1","messages":[{"role":"user","content":"Hi."}],"max_tokens":9}}"#.into()),
        (gemini(), r#"{"request":{"contents":[{"role":"user","parts":[{"text":"Hi."}]}],"generationConfig":{"maxOutputTokens":9}},"metadata":{"custom_id":"r1-7"}}"#.into()),
    ];
    for (provider, expected) in cases {
        let line = line(&provider).unwrap();
        assert_eq!(
            json(line.as_bytes()),
            json(expected.as_bytes()),
            "{}",
            provider.name()
        );
        assert!(!line.contains('\n'), "{line}");
    }
    let azure = line(&like_openai("azure")).unwrap();
    assert_eq!(json(azure.as_bytes())["url"], "/chat/completions");
    assert_eq!(json(azure.as_bytes())["body"]["model"], "d-1");
    let xai = line(&like_openai("xai")).unwrap();
    assert_eq!(
        json(xai.as_bytes())["batch_request"]["chat_get_completion"]["model"],
        "m-1"
    );
    let xai = line(&responses(ResponsesProfile::XAI)).unwrap();
    assert_eq!(
        json(xai.as_bytes())["batch_request"]["responses"]["model"],
        "m-1"
    );
    let openai = line(&responses(ResponsesProfile::OPENAI)).unwrap();
    assert_eq!(json(openai.as_bytes())["url"], "/v1/responses");
}

#[test]
fn an_id_that_the_provider_does_not_take_is_refused() {
    let refused =
        |id: &str| with_api(&anthropic(), |api| api.encode_line(id, &chat())).unwrap_err();
    for id in ["", "a.b", &"x".repeat(65)] {
        let error = refused(id);
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        assert!(error.message().contains("1 to 64"), "{error}");
    }
}

/// Method, URL and body of a call's first request.
fn sent(provider: &Arc<dyn Provider>, what: BatchCall) -> (String, String) {
    let outcome = call(provider, what, &[], Arrival::Whole);
    let Some(request) = outcome.requests.first() else {
        return (
            format!("{}", outcome.result.unwrap_err().kind()),
            String::new(),
        );
    };
    let headers = request.headers();
    let key = headers
        .iter()
        .any(|(_, value)| value.to_str().unwrap().contains(KEY));
    assert!(key, "{request:?}");
    let body = String::from_utf8_lossy(request.body()).into_owned();
    (format!("{} {}", request.method(), request.uri()), body)
}

#[test]
fn calls_go_where_the_providers_have_them() {
    let id = || "b-1".to_owned();
    let calls = |source: ResultSource| {
        [
            BatchCall::Retrieve(id()),
            BatchCall::Cancel(id()),
            BatchCall::List(None),
            BatchCall::List(Some("p/2".into())),
            BatchCall::Results(source),
            BatchCall::RetrieveFile("f-1".into()),
            BatchCall::DeleteFile("f-1".into()),
            BatchCall::ListFiles(Some("p".into())),
            BatchCall::DownloadFile("f-1".into()),
        ]
    };
    let file = || ResultSource::File("f-1".into());
    let pages = || ResultSource::Pages {
        batch: id(),
        page: Some("p".into()),
    };
    /// A provider, where its results are, its address, and what each call asks for.
    type Row = (
        Arc<dyn Provider>,
        ResultSource,
        &'static str,
        [&'static str; 9],
    );
    let table: [Row; 9] = [
        (
            like_openai("openai"),
            file(),
            "https://api.openai.com/v1",
            [
                "GET /batches/b-1",
                "POST /batches/b-1/cancel",
                "GET /batches?limit=100",
                "GET /batches?limit=100&after=p%2F2",
                "GET /files/f-1/content",
                "GET /files/f-1",
                "DELETE /files/f-1",
                "GET /files?limit=100&after=p",
                "GET /files/f-1/content",
            ],
        ),
        (
            like_openai("groq"),
            file(),
            "https://api.groq.com/openai/v1",
            [
                "GET /batches/b-1",
                "POST /batches/b-1/cancel",
                "GET /batches?limit=100",
                "GET /batches?limit=100&after=p%2F2",
                "GET /files/f-1/content",
                "GET /files/f-1",
                "DELETE /files/f-1",
                "GET /files?limit=100&after=p",
                "GET /files/f-1/content",
            ],
        ),
        (
            like_openai("azure-v1"),
            file(),
            "https://r.openai.azure.com/openai/v1",
            [
                "GET /batches/b-1",
                "POST /batches/b-1/cancel",
                "GET /batches?limit=100",
                "GET /batches?limit=100&after=p%2F2",
                "GET /files/f-1/content",
                "GET /files/f-1",
                "DELETE /files/f-1",
                "GET /files?limit=100&after=p",
                "GET /files/f-1/content",
            ],
        ),
        (
            like_openai("cerebras"),
            ResultSource::Lines(id()),
            "https://api.cerebras.ai/v1",
            [
                "GET /batches/b-1",
                "DELETE /batches/b-1",
                "GET /batches?limit=100",
                "GET /batches?limit=100&after=p%2F2",
                "GET /batches/b-1/results",
                "GET /files/f-1",
                "DELETE /files/f-1",
                "GET /files?limit=100&after=p",
                "GET /files/f-1/content",
            ],
        ),
        (
            like_openai("openrouter"),
            ResultSource::Inline(id()),
            "https://openrouter.ai/api/v1",
            [
                "GET /batches/b-1",
                "invalid_request",
                "GET /batches?limit=100",
                "GET /batches?limit=100&after=p%2F2",
                "GET /batches/b-1",
                "invalid_request",
                "invalid_request",
                "invalid_request",
                "invalid_request",
            ],
        ),
        (
            like_openai("mistral"),
            file(),
            "https://api.mistral.ai/v1",
            [
                "GET /batch/jobs/b-1",
                "POST /batch/jobs/b-1/cancel",
                "GET /batch/jobs?page_size=100&order_by=-created",
                "GET /batch/jobs?page_size=100&order_by=-created&page=p%2F2",
                "GET /files/f-1/content",
                "GET /files/f-1",
                "DELETE /files/f-1",
                "GET /files?page_size=100&page=p",
                "GET /files/f-1/content",
            ],
        ),
        (
            like_openai("xai"),
            pages(),
            "https://api.x.ai/v1",
            [
                "GET /batches/b-1",
                "POST /batches/b-1:cancel",
                "GET /batches?limit=100",
                "GET /batches?limit=100&pagination_token=p%2F2",
                "GET /batches/b-1/results?limit=100&pagination_token=p",
                "GET /files/f-1",
                "DELETE /files/f-1",
                "GET /files?limit=100&pagination_token=p",
                "GET /files/f-1/content",
            ],
        ),
        (
            anthropic(),
            ResultSource::Lines(id()),
            "https://api.anthropic.com/v1",
            [
                "GET /messages/batches/b-1",
                "POST /messages/batches/b-1/cancel",
                "GET /messages/batches?limit=1000",
                "GET /messages/batches?limit=1000&after_id=p%2F2",
                "GET /messages/batches/b-1/results",
                "GET /files/f-1",
                "DELETE /files/f-1",
                "GET /files?limit=1000&after_id=p",
                "GET /files/f-1/content",
            ],
        ),
        (
            gemini(),
            file(),
            "https://generativelanguage.googleapis.com/v1beta",
            [
                "GET /batches/b-1",
                "POST /batches/b-1:cancel",
                "GET /batches?pageSize=100",
                "GET /batches?pageSize=100&pageToken=p%2F2",
                "GET /files/f-1:download?alt=media",
                "GET /files/f-1",
                "DELETE /files/f-1",
                "GET /files?pageSize=100&pageToken=p",
                "GET /files/f-1:download?alt=media",
            ],
        ),
    ];
    for (provider, source, base, expected) in table {
        for (what, expected) in calls(source).into_iter().zip(expected) {
            let (sent, _) = sent(&provider, what.clone());
            let sent = sent.replacen(base, "", 1);
            assert_eq!(sent, expected, "{} {what:?}", provider.name());
        }
    }
    let azure = sent(&like_openai("azure"), BatchCall::Retrieve(id())).0;
    assert!(
        azure.starts_with("GET https://r.openai.azure.com/openai/batches/b-1?api-version="),
        "{azure}"
    );
}

#[test]
fn new_batches_are_made_as_the_providers_want_them() {
    let lines = || BatchInput::Lines("{\"a\":1}\n{\"b\":2}\n".into());
    let file = || BatchInput::File("f-1".into());
    let table: [(Arc<dyn Provider>, BatchInput, &str, &str); 8] = [
        (
            like_openai("openai"),
            file(),
            "POST https://api.openai.com/v1/batches",
            r#"{"input_file_id":"f-1","endpoint":"/v1/chat/completions","completion_window":"24h","metadata":{"unifiedai_run":"t-1"}}"#,
        ),
        (
            responses(ResponsesProfile::OPENAI),
            file(),
            "POST https://api.openai.com/v1/batches",
            r#"{"input_file_id":"f-1","endpoint":"/v1/responses","completion_window":"24h","metadata":{"unifiedai_run":"t-1"}}"#,
        ),
        (
            like_openai("together"),
            file(),
            "POST https://api.together.xyz/v1/batches",
            r#"{"input_file_id":"f-1","endpoint":"/v1/chat/completions","completion_window":"24h"}"#,
        ),
        // Requests come last.
        (
            like_openai("openrouter"),
            lines(),
            "POST https://openrouter.ai/api/v1/batches",
            r#"{"endpoint":"/v1/chat/completions","model":"m-1","completion_window":"24h","requests":[{"a":1},{"b":2}]}"#,
        ),
        (
            like_openai("mistral"),
            lines(),
            "POST https://api.mistral.ai/v1/batch/jobs",
            r#"{"endpoint":"/v1/chat/completions","model":"m-1","metadata":{"unifiedai_run":"t-1"},"requests":[{"a":1},{"b":2}]}"#,
        ),
        (
            like_openai("xai"),
            BatchInput::Later,
            "POST https://api.x.ai/v1/batches",
            r#"{"name":"t-1"}"#,
        ),
        (
            anthropic(),
            lines(),
            "POST https://api.anthropic.com/v1/messages/batches",
            r#"{"requests":[{"a":1},{"b":2}]}"#,
        ),
        (
            gemini(),
            lines(),
            "POST https://generativelanguage.googleapis.com/v1beta/models/m-1:batchGenerateContent",
            r#"{"batch":{"displayName":"t-1","inputConfig":{"requests":{"requests":[{"a":1},{"b":2}]}}}}"#,
        ),
    ];
    for (provider, input, url, body) in table {
        let batch = BatchCall::Create(NewBatch::new(input, "m-1", "t-1"));
        assert_eq!(sent(&provider, batch), (url.to_owned(), body.to_owned()));
    }
    let added = BatchCall::Add {
        id: "b-1".into(),
        requests: lines(),
    };
    let expected = r#"{"batch_requests":[{"a":1},{"b":2}]}"#;
    assert_eq!(
        sent(&like_openai("xai"), added),
        (
            "POST https://api.x.ai/v1/batches/b-1/requests".into(),
            expected.into()
        )
    );
    // A provider that takes files is not given lines, and so on.
    for (provider, input) in [(like_openai("openai"), lines()), (anthropic(), file())] {
        let batch = BatchCall::Create(NewBatch::new(input, "m-1", "t-1"));
        let error = call(&provider, batch, &[], Arrival::Whole)
            .result
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    }
}

fn requests_file() -> NewFile {
    NewFile::new("r.jsonl", "application/jsonl", "{}\n").purpose("batch")
}

#[test]
fn a_file_is_uploaded_as_a_form() {
    let upload = BatchCall::UploadFile(requests_file());
    let (url, body) = sent(&like_openai("openai"), upload.clone());
    assert_eq!(url, "POST https://api.openai.com/v1/files");
    assert!(body.contains("name=\"purpose\"\r\n\r\nbatch\r\n"), "{body}");
    assert!(
        body.contains("filename=\"r.jsonl\"\r\ncontent-type: application/jsonl\r\n\r\n{}\n\r\n")
    );
    let outcome = call(&anthropic(), upload, &[], Arrival::Whole);
    let headers = outcome.requests[0].headers();
    assert_eq!(headers["anthropic-beta"], "files-api-2025-04-14");
}

#[test]
fn gemini_takes_a_file_in_two_steps() {
    let place = "https://generativelanguage.googleapis.com/upload/v1beta/files?upload_id=u1&upload_protocol=resumable";
    let started = Answer::json("").header("x-goog-upload-url", place);
    let done =
        Answer::json(r#"{"file":{"name":"files/f-1","sizeBytes":"3","uri":"https://g/f-1"}}"#);
    let upload = BatchCall::UploadFile(requests_file());
    let outcome = call(&gemini(), upload.clone(), &[started, done], Arrival::Bytes);
    let [start, send] = &outcome.requests[..] else {
        panic!("{:?}", outcome.requests);
    };
    assert_eq!(
        start.uri(),
        "https://generativelanguage.googleapis.com/upload/v1beta/files"
    );
    assert_eq!(start.headers()["x-goog-upload-command"], "start");
    assert_eq!(start.headers()["x-goog-upload-header-content-length"], "3");
    assert_eq!(send.uri(), place);
    assert_eq!(send.headers()["x-goog-upload-command"], "upload, finalize");
    assert_eq!(send.headers()["x-goog-api-key"], KEY);
    assert_eq!(&send.body()[..], b"{}\n");
    let BatchAnswer::File(file) = outcome.result.unwrap() else {
        panic!();
    };
    assert_eq!((file.id.as_str(), file.bytes), ("files/f-1", Some(3)));
    // Another host has the file, but not the key; an address in the clear has neither.
    let elsewhere = Answer::json("").header("x-goog-upload-url", "https://storage.example.com/u");
    let outcome = call(&gemini(), upload.clone(), &[elsewhere], Arrival::Whole);
    assert_eq!(outcome.requests[1].headers().get("x-goog-api-key"), None);
    let plain = Answer::json("").header("x-goog-upload-url", "http://storage.example.com/u");
    let outcome = call(&gemini(), upload, &[plain], Arrival::Whole);
    assert_eq!(outcome.requests.len(), 1);
    assert_eq!(outcome.result.unwrap_err().kind(), ErrorKind::Protocol);
}

#[test]
fn together_takes_a_file_in_three_steps_without_the_key_in_the_second() {
    let place = "https://bucket.example.com/x?signature=s";
    let started = Answer::json("")
        .status(302)
        .header("location", place)
        .header("x-together-file-id", "file-1");
    let done = Answer::json(r#"{"id":"file-1","object":"file"}"#);
    let answers = [started, Answer::json(""), done];
    let upload = BatchCall::UploadFile(requests_file());
    let provider = like_openai("together");
    let outcome = call(&provider, upload.clone(), &answers, Arrival::Whole);
    let sent: Vec<String> = outcome
        .requests
        .iter()
        .map(|request| format!("{} {}", request.method(), request.uri()))
        .collect();
    assert_eq!(
        sent,
        [
            "POST https://api.together.xyz/v1/files".to_owned(),
            format!("PUT {place}"),
            "POST https://api.together.xyz/v1/files/file-1/preprocess".to_owned(),
        ]
    );
    let put = &outcome.requests[1];
    assert_eq!(put.headers().get("authorization"), None);
    assert_eq!(&put.body()[..], b"{}\n");
    assert!(matches!(outcome.result, Ok(BatchAnswer::File(file)) if file.id == "file-1"));
    // It has the content already.
    let known = Answer::json(r#"{"file_id":"file-9"}"#).status(409);
    let outcome = call(&provider, upload.clone(), &[known], Arrival::Whole);
    assert_eq!(
        outcome.requests[1].uri(),
        "https://api.together.xyz/v1/files/file-9"
    );
    // A conflict of another kind is one.
    let conflict = Answer::json(r#"{"error":{"message":"busy"}}"#).status(409);
    let outcome = call(&provider, upload, &[conflict], Arrival::Whole);
    assert_eq!(outcome.result.unwrap_err().kind(), ErrorKind::Conflict);
}

#[test]
fn together_does_not_send_the_file_over_plain_http_to_its_own_host() {
    let place = Answer::json("")
        .status(302)
        .header("location", "http://api.together.xyz/upload")
        .header("x-together-file-id", "file-1");
    let file = NewFile::new("in.jsonl", "application/jsonl", "{}\n");
    let upload = BatchCall::UploadFile(file);
    let provider = like_openai("together");
    let outcome = call(&provider, upload, &[place], Arrival::Whole);
    assert_eq!(outcome.requests.len(), 1);
    assert_eq!(outcome.result.unwrap_err().kind(), ErrorKind::Protocol);
}

#[test]
fn a_description_without_results_is_not_taken_for_all_results() {
    let inline = || BatchCall::Results(ResultSource::Inline("b-1".into()));
    for (provider, body) in [
        (like_openai("mistral"), r#"{"id":"b-1","status":"SUCCESS"}"#),
        (like_openai("openrouter"), r#"{"id":"b-1"}"#),
        (gemini(), r#"{"name":"batches/b-1","done":true}"#),
    ] {
        let outcome = call(&provider, inline(), &[Answer::json(body)], Arrival::Whole);
        let error = outcome.result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{}", provider.name());
        assert!(error.message().contains("no results"), "{error}");
    }
}
