//! Hand-made answers, from the shapes that SDKs and documentation describe: no recording has them.

use crate::support::{
    Answer, Arrival, anthropic, call, drive, gemini, like_openai, responses, with_api,
};
use std::{sync::Arc, time::Duration};
use unifiedai::{
    CallOptions, ErrorKind,
    policy::SizeLimits,
    provider::{Provider, openai_responses::ResponsesProfile},
    provider_batch::{
        BatchAnswer, BatchCall, BatchInput, BatchState, ItemOutcome, NewBatch, ProviderBatch,
        ResultSource, decode_chat,
    },
};

const CHAT: &str = r#"{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}]}"#;

fn outcome(provider: &Arc<dyn Provider>, line: &str) -> (String, String) {
    let item = with_api(provider, |api| api.decode_line(line));
    let item = decode_chat(&**provider, item, None, &SizeLimits::default());
    let said = match item.outcome {
        ItemOutcome::Succeeded(answer) => answer.text().into_owned(),
        ItemOutcome::Failed(error) => format!("{} {:?}", error.kind(), error.status()),
        other => other.as_str().to_owned(),
    };
    (item.id, said)
}

#[test]
fn lines_of_results_have_the_kinds_of_calls() {
    let openai = like_openai("openai");
    let cerebras = like_openai("cerebras");
    let wrap = |response: &str, error: &str| {
        format!(r#"{{"id":"x","custom_id":"7","response":{response},"error":{error}}}"#)
    };
    let whole = format!(r#"{{"status_code":200,"request_id":"q","body":{CHAT}}}"#);
    let refused = |status: u16, code: &str| {
        format!(
            r#"{{"status_code":{status},"body":{{"error":{{"message":"no","type":"t","code":"{code}"}}}}}}"#
        )
    };
    let anthropic_error = |kind: &str| {
        format!(
            r#"{{"custom_id":"7","result":{{"type":"errored","error":{{"type":"error","error":{{"type":"{kind}","message":"no"}},"request_id":"q"}}}}}}"#
        )
    };
    let message = r#"{"id":"m","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"hello"}],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1}}"#;
    let content = r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"hello"}]},"finishReason":"STOP"}]}"#;
    let cases: Vec<(Arc<dyn Provider>, String, &str)> = vec![
        (openai.clone(), wrap(&whole, "null"), "hello"),
        (openai.clone(), wrap(&refused(400, "context_length_exceeded"), "null"), "context_overflow Some(400)"),
        (openai.clone(), wrap(&refused(429, "rate_limit_exceeded"), "null"), "rate_limit Some(429)"),
        (openai.clone(), wrap(&refused(500, ""), "null"), "internal_server Some(500)"),
        (openai.clone(), wrap("null", r#"{"code":"batch_expired","message":"late"}"#), "expired"),
        (openai.clone(), wrap("null", r#"{"code":"batch_cancelled","message":"off"}"#), "cancelled"),
        (openai.clone(), wrap("null", r#"{"code":"server_error","message":"off"}"#), "internal_server Some(200)"),
        (openai.clone(), wrap("null", "null"), "protocol None"),
        (openai.clone(), r#"{"id":"x","custom_id":"7","response":{"body":{"#.into(), "protocol None"),
        // The answer itself is broken: the request failed, and not the file.
        (openai.clone(), wrap(r#"{"status_code":200,"body":{"choices":[]}}"#, "null"), "protocol None"),
        (cerebras.clone(), format!(r#"{{"custom_id":"7","status":"succeeded","response":{CHAT},"error":null}}"#), "hello"),
        (cerebras, r#"{"custom_id":"7","status":"expired","response":null,"error":{"code":"x","message":"m"}}"#.into(), "expired"),
        (anthropic(), format!(r#"{{"custom_id":"7","result":{{"type":"succeeded","message":{message}}}}}"#), "hello"),
        (anthropic(), anthropic_error("invalid_request_error"), "bad_request Some(200)"),
        (anthropic(), anthropic_error("overloaded_error"), "overloaded Some(200)"),
        (anthropic(), r#"{"custom_id":"7","result":{"type":"canceled"}}"#.into(), "cancelled"),
        (anthropic(), r#"{"custom_id":"7","result":{"type":"expired"}}"#.into(), "expired"),
        (anthropic(), r#"{"custom_id":"7","result":{"type":"new"}}"#.into(), "protocol None"),
        (gemini(), format!(r#"{{"key":"7","response":{content}}}"#), "hello"),
        (gemini(), format!(r#"{{"response":{content},"metadata":{{"key":"7"}}}}"#), "hello"),
        (gemini(), r#"{"key":"7","error":{"code":3,"message":"bad"}}"#.into(), "bad_request Some(400)"),
        (gemini(), r#"{"key":"7","status":{"code":8,"message":"many"}}"#.into(), "rate_limit Some(429)"),
        (gemini(), r#"{"key":"7","error":{"code":503,"message":"busy"}}"#.into(), "service_unavailable Some(503)"),
        (gemini(), r#"{"key":"7","error":{"code":1,"message":"off"}}"#.into(), "cancelled"),
        // Vertex
        (gemini(), format!(r#"{{"custom_id":"7","status":"","response":{content}}}"#), "hello"),
        (gemini(), r#"{"custom_id":"7","status":"Internal error","response":{}}"#.into(), "internal_server Some(500)"),
    ];
    for (provider, line, expected) in cases {
        let expected = ("7".to_owned(), expected.to_owned());
        assert_eq!(outcome(&provider, &line), expected, "{line}");
    }
    // Nothing says whose it is.
    assert_eq!(
        outcome(&openai, "<html>"),
        (String::new(), "protocol None".into())
    );
}

#[test]
fn an_answer_of_the_other_wire_is_read_as_what_it_is() {
    let line = format!(r#"{{"custom_id":"7","response":{{"status_code":200,"body":{CHAT}}}}}"#);
    let asked = responses(ResponsesProfile::OPENAI);
    assert_eq!(outcome(&asked, &line), ("7".into(), "hello".into()));
}

#[test]
fn pages_of_results_follow_each_other() {
    let page = |id: &str, result: &str, token: &str| {
        Answer::json(format!(
            r#"{{"results":[{{"batch_request_id":"{id}","batch_result":{result}}}],"pagination_token":{token}}}"#
        ))
    };
    let answers = [
        page(
            "1",
            &format!(r#"{{"response":{{"chat_get_completion":{CHAT}}}}}"#),
            "\"p2\"",
        ),
        page(
            "2",
            r#"{"error":{"code":"rate_limit_exceeded","message":"m"}}"#,
            "null",
        ),
    ];
    let source = ResultSource::Pages {
        batch: "b".into(),
        page: None,
    };
    let read = call(
        &like_openai("xai"),
        BatchCall::Results(source),
        &answers,
        Arrival::Bytes,
    );
    read.result.unwrap();
    let words: Vec<_> = read
        .items
        .iter()
        .map(|item| (item.id.as_str(), item.outcome.as_str()))
        .collect();
    assert_eq!(words, [("1", "succeeded"), ("2", "failed")]);
    assert!(
        read.requests[1]
            .uri()
            .to_string()
            .ends_with("pagination_token=p2")
    );
}

fn described(provider: &Arc<dyn Provider>, body: &str) -> ProviderBatch {
    let answers = [Answer::json(body.to_owned())];
    match call(
        provider,
        BatchCall::Retrieve("b".into()),
        &answers,
        Arrival::Bytes,
    )
    .result
    {
        Ok(BatchAnswer::Batch(batch)) => *batch,
        other => panic!("{other:?}"),
    }
}

#[test]
fn states_have_one_vocabulary_and_every_source_of_results_is_named() {
    use BatchState::*;
    let (openai, together, mistral) = (
        like_openai("openai"),
        like_openai("together"),
        like_openai("mistral"),
    );
    let file = |id: &str| ResultSource::File(id.into());
    type Case = (
        Arc<dyn Provider>,
        &'static str,
        BatchState,
        Vec<ResultSource>,
    );
    let cases: Vec<Case> = vec![
        (
            openai.clone(),
            r#"{"id":"b","status":"failed","errors":{"object":"list","data":[{"code":"c","message":"bad line","line":3}]}}"#,
            Failed,
            vec![],
        ),
        (
            openai.clone(),
            r#"{"id":"b","status":"expired","output_file_id":"o","error_file_id":"e"}"#,
            Expired,
            vec![file("o"), file("e")],
        ),
        (
            openai.clone(),
            r#"{"id":"b","status":"completed","output_file_id":null,"error_file_id":"e"}"#,
            Completed,
            vec![file("e")],
        ),
        (
            openai.clone(),
            r#"{"id":"b","status":"completed","output_file_id":"o","error_file_id":""}"#,
            Completed,
            vec![file("o")],
        ),
        (
            openai.clone(),
            r#"{"id":"b","status":"cancelled"}"#,
            Cancelled,
            vec![],
        ),
        (
            openai.clone(),
            r#"{"id":"b","status":"pre_schedule"}"#,
            Queued,
            vec![],
        ),
        (
            openai,
            r#"{"id":"b","status":"brand_new","output_file_id":"o"}"#,
            Running,
            vec![],
        ),
        (
            together.clone(),
            r#"{"id":"b","status":"COMPLETED","output_file_id":"o"}"#,
            Completed,
            vec![file("o")],
        ),
        (
            together,
            r#"{"job":{"id":"b","status":"VALIDATING"},"warning":"w"}"#,
            Validating,
            vec![],
        ),
        (
            mistral.clone(),
            r#"{"id":"b","status":"TIMEOUT_EXCEEDED","output_file":"o","error_file":"e"}"#,
            Expired,
            vec![file("o"), file("e")],
        ),
        (
            mistral,
            r#"{"id":"b","status":"CANCELLATION_REQUESTED"}"#,
            Cancelling,
            vec![],
        ),
        (
            like_openai("cerebras"),
            r#"{"id":"b","status":"queued"}"#,
            Queued,
            vec![],
        ),
        (
            like_openai("cerebras"),
            r#"{"id":"b","status":"completed"}"#,
            Completed,
            vec![ResultSource::Lines("b".into())],
        ),
        (
            like_openai("openrouter"),
            r#"{"id":"b","status":"completed","results":[{"custom_id":"1"}]}"#,
            Completed,
            vec![ResultSource::Inline("b".into())],
        ),
        (
            anthropic(),
            r#"{"id":"b","processing_status":"ended"}"#,
            Completed,
            vec![ResultSource::Lines("b".into())],
        ),
        (
            gemini(),
            r#"{"name":"batches/b","metadata":{"state":"BATCH_STATE_FAILED"},"error":{"code":3,"message":"no"}}"#,
            Failed,
            vec![],
        ),
        // The file comes a little later.
        (
            gemini(),
            r#"{"name":"batches/b","metadata":{"state":"BATCH_STATE_SUCCEEDED"},"done":true}"#,
            Finalizing,
            vec![],
        ),
        (
            gemini(),
            r#"{"name":"batches/b","metadata":{"state":"BATCH_STATE_EXPIRED"}}"#,
            Expired,
            vec![],
        ),
        (
            gemini(),
            r#"{"name":"batches/b","metadata":{"state":"JOB_STATE_PARTIALLY_SUCCEEDED"}}"#,
            PartlyCompleted,
            vec![],
        ),
    ];
    for (provider, body, state, results) in cases {
        let batch = described(&provider, body);
        assert_eq!((batch.state, batch.results), (state, results), "{body}");
        if body.contains("bad line") {
            assert_eq!(batch.message.as_deref(), Some("line 3: bad line"));
        }
    }
}

#[test]
fn counts_alone_tell_how_far_a_batch_of_xai_is() {
    use BatchState::*;
    let xai = like_openai("xai");
    let cases = [
        (0, 0, 0, 0, "null", "null", Queued),
        (3, 2, 1, 0, "null", "null", Running),
        (3, 0, 2, 1, "null", "null", Completed),
        (3, 1, 2, 0, "\"2026-08-10\"", "null", Cancelling),
        (3, 0, 3, 0, "\"2026-08-10\"", "null", Cancelled),
        (
            0,
            0,
            0,
            0,
            "\"2026-08-10\"",
            "\"model not supported\"",
            Failed,
        ),
    ];
    for (all, pending, success, error, cancelled, message, state) in cases {
        let body = format!(
            r#"{{"batch_id":"b","name":"t","create_time":"2026-08-10","cancel_time":{cancelled},"cancel_by_xai_message":{message},
            "state":{{"num_requests":{all},"num_pending":{pending},"num_success":{success},"num_error":{error},"num_cancelled":0}}}}"#
        );
        let batch = described(&xai, &body);
        assert_eq!(batch.state, state, "{body}");
        assert_eq!(batch.tag.as_deref(), Some("t"));
        assert_eq!(batch.results.is_empty(), !state.is_final());
    }
}

#[test]
fn lists_name_their_next_page() {
    let table = [
        (
            like_openai("openai"),
            r#"{"object":"list","data":[{"id":"b","status":"completed","metadata":{"unifiedai_run":"t"}}],"has_more":true}"#,
            Some("b"),
            Some("t"),
        ),
        (
            like_openai("together"),
            r#"[{"id":"b","status":"COMPLETED","input_file_id":"f"}]"#,
            None,
            None,
        ),
        (
            like_openai("xai"),
            r#"{"batches":[{"batch_id":"b","name":"t"}],"pagination_token":"p"}"#,
            Some("p"),
            Some("t"),
        ),
        (
            like_openai("mistral"),
            r#"{"data":[{"id":"b","status":"SUCCESS","metadata":{"unifiedai_run":"t"}}],"total":1}"#,
            None,
            Some("t"),
        ),
        (
            anthropic(),
            r#"{"data":[{"id":"b","processing_status":"ended"}],"has_more":true,"first_id":"b","last_id":"b"}"#,
            Some("b"),
            None,
        ),
        (
            gemini(),
            r#"{"operations":[{"name":"b","metadata":{"state":"BATCH_STATE_RUNNING","displayName":"t"}}],"nextPageToken":"p"}"#,
            Some("p"),
            Some("t"),
        ),
    ];
    for (provider, body, page, tag) in table {
        let answers = [Answer::json(body)];
        let answer = call(&provider, BatchCall::List(None), &answers, Arrival::Bytes).result;
        let Ok(BatchAnswer::Batches(batches, next)) = answer else {
            panic!("{} {answer:?}", provider.name());
        };
        assert_eq!(next.as_deref(), page, "{}", provider.name());
        assert_eq!(batches[0].id, "b");
        assert_eq!(batches[0].tag.as_deref(), tag, "{}", provider.name());
    }
}

#[test]
fn a_batch_is_made_twice_only_if_the_first_was_certainly_refused() {
    let created = Answer::json(r#"{"id":"msgbatch_1","processing_status":"in_progress"}"#);
    let create = BatchCall::Create(NewBatch::new(BatchInput::Lines("{}\n".into()), "m", "t"));
    let error = r#"{"type":"error","error":{"type":"api_error","message":"m"}}"#;
    let mut options = CallOptions::default();
    options.retry.retry_ambiguous = true;
    for (status, requests) in [(500, 1), (502, 1), (503, 1), (529, 1), (429, 2), (400, 1)] {
        let failed = Answer::json(error)
            .status(status)
            .header("retry-after", "1");
        let answers = [failed, created.clone()];
        let outcome = drive(
            &anthropic(),
            create.clone(),
            &answers,
            Arrival::Whole,
            options.clone(),
        );
        assert_eq!(outcome.requests.len(), requests, "{status}");
        // To ask how it is costs nothing.
        let ask = BatchCall::Retrieve("msgbatch_1".into());
        let outcome = drive(&anthropic(), ask, &answers, Arrival::Whole, options.clone());
        let expected = if status == 400 { 1 } else { 2 };
        assert_eq!(outcome.requests.len(), expected, "{status}");
    }
    let outcome = drive(&anthropic(), create, &[created], Arrival::Cut(5), options);
    assert_eq!(outcome.requests.len(), 1);
}

#[test]
fn the_pace_that_a_server_names_is_kept() {
    let body = r#"{"id":"b","processing_status":"in_progress"}"#;
    let answers = [Answer::json(body).header("retry-after", "10")];
    let ask = BatchCall::Retrieve("b".into());
    let Ok(BatchAnswer::Batch(batch)) = call(&anthropic(), ask, &answers, Arrival::Whole).result
    else {
        panic!();
    };
    assert_eq!(batch.poll_after, Some(Duration::from_secs(10)));
}

#[test]
fn a_file_without_lines_has_no_results_and_a_description_without_an_id_is_none() {
    let source = BatchCall::Results(ResultSource::File("f".into()));
    let outcome = call(
        &like_openai("openai"),
        source,
        &[Answer::json("")],
        Arrival::Whole,
    );
    assert!(outcome.result.is_ok() && outcome.items.is_empty());
    let ask = BatchCall::Retrieve("b".into());
    for (body, kind) in [
        ("{}", ErrorKind::Protocol),
        (
            r#"{"error":{"message":"m","type":"server_error"}}"#,
            ErrorKind::InternalServer,
        ),
    ] {
        let outcome = call(
            &like_openai("openai"),
            ask.clone(),
            &[Answer::json(body)],
            Arrival::Whole,
        );
        assert_eq!(outcome.result.unwrap_err().kind(), kind, "{body}");
    }
}
