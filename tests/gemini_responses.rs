//! Responses of Gemini's `generateContent` and of its Interactions API: single bodies, streams and lists give the same; invalid responses are
//! errors.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    clippy::panic,
    reason = "a test that goes wrong is to stop"
)]

#[path = "gemini_interactions/background.rs"]
mod background;
#[path = "gemini_interactions/responses.rs"]
mod interactions;
mod support;

use std::sync::Arc;
use support::drive::{Answer, Arrival, Outcome, chat};
use unifiedai::{
    ChatRequest, ContentPart, ErrorKind, FinishReason,
    provider::{Gemini, Provider},
    sans_io::Accumulator,
};

const USAGE: &str = r#""usageMetadata":{"promptTokenCount":4,"candidatesTokenCount":3,"thoughtsTokenCount":2,"totalTokenCount":9},"modelVersion":"gemini-2.5-flash","responseId":"r1""#;

/// The parts of one response, in the order of a stream.
const PARTS: [&str; 10] = [
    r#"{"text":"Hm","thought":true}"#,
    r#"{"text":".","thought":true}"#,
    r#"{"text":"It "}"#,
    r#"{"text":"is "}"#,
    r#"{"text":"so","thoughtSignature":"s1"}"#,
    r#"{"executableCode":{"language":"PYTHON","code":"print(1)"}}"#,
    r#"{"codeExecutionResult":{"outcome":"OUTCOME_OK","output":"1"}}"#,
    r#"{"functionCall":{"name":"f","args":{"a":1}},"thoughtSignature":"s2"}"#,
    r#"{"functionCall":{"id":"fc-1","name":"g"}}"#,
    r#"{"text":"","thoughtSignature":"s3"}"#,
];

const GROUNDING: &str =
    r#""groundingMetadata":{"groundingChunks":[{"web":{"uri":"https://x","title":"X"}}]}"#;

fn answer(parts: &[&str], more: &str) -> String {
    let parts = parts.join(",");
    format!(
        r#"{{"candidates":[{{"content":{{"role":"model","parts":[{parts}]}},"index":0{more}}}],{USAGE}}}"#
    )
}

fn pieces() -> Vec<String> {
    let last = PARTS.len() - 1;
    let more = format!(r#","finishReason":"STOP",{GROUNDING}"#);
    PARTS
        .iter()
        .enumerate()
        .map(|(n, part)| answer(&[part], if n == last { &more } else { "" }))
        .collect()
}

fn whole() -> String {
    answer(&PARTS, &format!(r#","finishReason":"STOP",{GROUNDING}"#))
}

fn sse(pieces: &[String]) -> String {
    pieces
        .iter()
        .map(|piece| format!("data: {piece}\r\n\r\n"))
        .collect()
}

fn list(pieces: &[String]) -> String {
    format!("[{}\n]", pieces.join("\n,\r\n"))
}

fn run(stream: bool, answer: &Answer, arrival: Arrival) -> Outcome {
    let provider: Arc<dyn Provider> = Arc::new(Gemini::new("test-key").unwrap());
    let request = ChatRequest::new("m").user("q").stream(stream);
    chat(&provider, &request, answer, arrival)
}

fn streamed(body: impl Into<String>) -> Outcome {
    run(true, &Answer::sse(body.into()), Arrival::Whole)
}

#[test]
fn all_framings_give_the_same_response() {
    let one = run(false, &Answer::json(whole()), Arrival::Whole)
        .result
        .unwrap();
    let listed = run(true, &Answer::json(list(&pieces())), Arrival::Whole)
        .result
        .unwrap();
    let outcome = streamed(sse(&pieces()));
    let mut folded = Accumulator::new();
    outcome.events.iter().for_each(|event| folded.apply(event));
    let folded = folded.into_response();
    for other in [&listed, &outcome.result.unwrap(), &folded] {
        assert_eq!(other.choices, one.choices);
        assert_eq!(other.usage, one.usage);
        assert_eq!((&other.id, &other.model), (&one.id, &one.model));
        assert_eq!(other.provider_metadata.extra, one.provider_metadata.extra);
    }
    assert_eq!((&*one.text(), &*one.reasoning()), ("It is so", "Hm."));
    let calls: Vec<_> = one
        .tool_calls()
        .map(|call| (call.id.as_str(), call.arguments.as_str()))
        .collect();
    assert_eq!(calls, [("call_r1_0", r#"{"a":1}"#), ("fc-1", "{}")]);
    let choice = &one.choices[0];
    assert_eq!(choice.finish_reason, Some(FinishReason::ToolCalls));
    assert_eq!(choice.native_finish_reason.as_deref(), Some("STOP"));
    let usage = one.usage.unwrap();
    assert_eq!(
        (usage.completion_tokens, usage.reasoning_tokens),
        (Some(5), Some(2))
    );
    let cited = choice.message.content.iter().any(|part| {
        matches!(part, ContentPart::Text { citations, .. } if citations.first().is_some_and(|c| c.title.as_deref() == Some("X")))
    });
    assert!(cited);
}

#[test]
fn a_stream_cut_anywhere_is_never_a_wrong_success() {
    for body in [sse(&pieces()), list(&pieces())] {
        let full = streamed(body.clone());
        let all = full.result.unwrap();
        for at in 0..body.len() {
            let cut = run(true, &Answer::sse(body.clone()), Arrival::Cut(at));
            match cut.result {
                Ok(response) => assert_eq!(response.choices, all.choices, "cut after {at} bytes"),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Truncated, "cut after {at} bytes");
                    assert!(full.events.starts_with(&cut.events), "cut after {at} bytes");
                }
            }
            let split = run(true, &Answer::sse(body.clone()), Arrival::Split(at));
            assert_eq!(split.events, full.events, "split after {at} bytes");
        }
    }
    let body = whole();
    for at in 0..body.len() {
        let cut = run(false, &Answer::json(body.clone()), Arrival::Cut(at));
        assert!(cut.result.is_err(), "cut after {at} bytes");
    }
}

/// Recorded streams send a finish reason with code whose result follows later.
#[test]
fn finish_reason_with_pending_code_is_not_final() {
    let code = answer(&[PARTS[5]], r#","finishReason":"STOP""#);
    let error = streamed(sse(std::slice::from_ref(&code)))
        .result
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Truncated);
    let end = answer(&[PARTS[6], PARTS[2]], r#","finishReason":"STOP""#);
    assert_eq!(
        streamed(sse(&[code.clone(), end])).result.unwrap().text(),
        "It "
    );
    // In a single-body response nothing can follow.
    let one = run(false, &Answer::json(code), Arrival::Whole)
        .result
        .unwrap();
    assert_eq!(one.choices[0].finish_reason, Some(FinishReason::Stop));
}

#[test]
fn a_list_that_ends_without_a_finish_reason_is_cut_off() {
    for body in ["[]".to_owned(), list(&pieces()[..3])] {
        let error = run(true, &Answer::json(body), Arrival::Whole)
            .result
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Truncated);
    }
}

#[test]
fn a_blocked_prompt_is_an_error_whatever_the_framing() {
    let body = r#"{"promptFeedback":{"blockReason":"PROHIBITED_CONTENT","blockReasonMessage":"no"},"usageMetadata":{"promptTokenCount":4}}"#;
    for answer in [
        Answer::json(body),
        Answer::json(format!("[{body}]")),
        Answer::sse(format!("data: {body}\r\n\r\n")),
    ] {
        let error = run(true, &answer, Arrival::Whole).result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ContentFiltered);
        assert_eq!(
            (error.status(), error.code()),
            (Some(200), Some("PROHIBITED_CONTENT"))
        );
        assert!(!error.is_retryable() && error.message().ends_with(": no"));
    }
}

#[test]
fn stream_errors_keep_the_partial_response() {
    let error = r#"{"error":{"code":503,"message":"sorry","status":"UNAVAILABLE"}}"#.to_owned();
    let mut some = pieces()[..4].to_vec();
    let in_a_list = [some.clone(), vec![format!("[{error}]")]].concat();
    some.push(error);
    for pieces in [&some, &in_a_list] {
        let error = streamed(sse(pieces)).result.unwrap_err();
        assert_eq!(
            (error.kind(), error.message()),
            (ErrorKind::ServiceUnavailable, "sorry")
        );
        assert_eq!(error.partial().unwrap().text(), "It is ");
    }
    let listed = run(true, &Answer::json(list(&some)), Arrival::Whole);
    assert_eq!(
        listed.result.unwrap_err().kind(),
        ErrorKind::ServiceUnavailable
    );
    let odd = run(false, &Answer::json("{}"), Arrival::Whole)
        .result
        .unwrap_err();
    assert_eq!(odd.kind(), ErrorKind::Protocol);
}

#[test]
fn argument_deltas_are_joined() {
    let call = |json: &str| answer(&[&format!(r#"{{"functionCall":{json}}}"#)], "");
    let stream = [
        call(r#"{"name":"f","willContinue":true}"#),
        call(
            r#"{"partialArgs":[{"jsonPath":"$.city","stringValue":"Bos","willContinue":true}],"willContinue":true}"#,
        ),
        call(
            r#"{"partialArgs":[{"jsonPath":"$.city","stringValue":"ton"},{"jsonPath":"$.days[0]","numberValue":3}],"willContinue":true}"#,
        ),
        call("{}"),
        call(r#"{"name":"g","partialArgs":[{"jsonPath":"$.a","boolValue":true}]}"#),
        answer(&[r#"{"text":""}"#], r#","finishReason":"STOP""#),
    ];
    let response = streamed(sse(&stream)).result.unwrap();
    let calls: Vec<_> = response
        .tool_calls()
        .map(|call| (call.name.as_str(), call.arguments.as_str()))
        .collect();
    assert_eq!(
        calls,
        [
            ("f", r#"{"city":"Boston","days":[3]}"#),
            ("g", r#"{"a":true}"#)
        ]
    );
    let nowhere = [call(
        r#"{"name":"f","partialArgs":[{"jsonPath":"$.a[9]","stringValue":"x"}]}"#,
    )];
    assert_eq!(
        streamed(sse(&nowhere)).result.unwrap_err().kind(),
        ErrorKind::Protocol
    );
}

#[test]
fn finish_reasons_map_to_openai_and_keep_the_native_value() {
    for (native, reason) in [
        ("\"STOP\"", FinishReason::Stop),
        ("1", FinishReason::Stop),
        ("\"MAX_TOKENS\"", FinishReason::Length),
        ("\"SAFETY\"", FinishReason::ContentFilter),
        ("\"RECITATION\"", FinishReason::ContentFilter),
        ("\"IMAGE_SAFETY\"", FinishReason::ContentFilter),
        (
            "\"MALFORMED_FUNCTION_CALL\"",
            FinishReason::Other("MALFORMED_FUNCTION_CALL".into()),
        ),
    ] {
        let body =
            format!(r#"{{"candidates":[{{"content":null,"finishReason":{native}}}],{USAGE}}}"#);
        let response = run(false, &Answer::json(body), Arrival::Whole)
            .result
            .unwrap();
        assert_eq!(response.choices[0].finish_reason, Some(reason));
        assert_eq!(
            response.choices[0].native_finish_reason.as_deref(),
            Some(native.trim_matches('"'))
        );
        assert!(response.is_empty());
    }
}

#[test]
fn several_candidates_and_their_logprobs_are_separate() {
    let candidate = |index: u32, text: &str| {
        format!(
            r#"{{"index":{index},"content":{{"parts":[{{"text":"{text}"}}]}},"finishReason":"STOP","avgLogprobs":-0.5,"logprobsResult":{{"chosenCandidates":[{{"token":"{text}","logProbability":-0.25}}],"topCandidates":[{{"candidates":[{{"token":"z","logProbability":-1}}]}}]}}}}"#
        )
    };
    let body = format!(
        r#"{{"candidates":[{},{}],{USAGE}}}"#,
        candidate(0, "a"),
        candidate(1, "b")
    );
    let response = run(false, &Answer::json(body), Arrival::Whole)
        .result
        .unwrap();
    let texts: Vec<_> = response
        .choices
        .iter()
        .map(|choice| choice.message.text())
        .collect();
    assert_eq!(texts, ["a", "b"]);
    let logprobs = response.choices[1].logprobs.as_ref().unwrap();
    assert_eq!(
        (
            logprobs.content[0].token.as_str(),
            logprobs.content[0].logprob
        ),
        ("b", -0.25)
    );
    assert_eq!(logprobs.content[0].top_logprobs[0].token, "z");
    let names: Vec<&str> = response
        .provider_metadata
        .extra
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(names, ["avgLogprobs", "candidates[1].avgLogprobs"]);
}

#[test]
fn the_key_is_sent_in_a_header() {
    let outcome = run(false, &Answer::json(whole()), Arrival::Whole);
    assert_eq!(outcome.request.headers()["x-goog-api-key"], "test-key");
    assert_eq!(outcome.request.uri().query(), None);
}
