//! Recorded responses in the background and recorded pauses, if a checkout of them exists.

use super::server::assert_same;
use crate::manual_driver::*;
use bytes::Bytes;
use serde_json::Value;
use std::{fs, path::PathBuf, sync::Arc};
use unifiedai::{
    ChatRequest, ErrorKind, Tool, UnifiedChatResponse,
    chat::Continuation,
    policy::ResumePolicy,
    provider::{Anthropic, OpenAiResponses, Provider},
    sans_io::{Exchange, Input},
    transport::Time,
};

fn shared(variable: &str, folder: &str) -> PathBuf {
    std::env::var_os(variable).map_or_else(
        || {
            let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
            root.join("../shared").join(folder)
        },
        PathBuf::from,
    )
}

fn wires() -> PathBuf {
    shared("UNIFIEDAI_RECORDINGS", "recordings").join("wires")
}

/// The exchanges in a folder whose names contain all of these words, in order.
fn load(folder: PathBuf, words: &[&str]) -> Vec<(String, Value)> {
    let files = fs::read_dir(&folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = files.map(|file| file.path()).collect();
    files.retain(|path| {
        words
            .iter()
            .all(|word| path.display().to_string().contains(word))
    });
    files.sort();
    if files.is_empty() {
        println!(
            "skipped: no recordings of {words:?} in {}",
            folder.display()
        );
    }
    let read = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        (name, serde_json::from_str(&text).unwrap())
    };
    files.iter().map(read).collect()
}

fn body(recording: &Value) -> &str {
    recording["response"]["body"].as_str().unwrap()
}

fn openai() -> Arc<dyn Provider> {
    Arc::new(OpenAiResponses::new("k").unwrap())
}

/// A call for the recorded response: created, or read later.
fn asked(recording: &Value) -> Call {
    let options = options().resume(ResumePolicy::none());
    let stream = recording["streaming"] == true;
    if recording["operation"] == "responses" {
        return Call::new(openai(), request(stream).background(true), options);
    }
    let url = recording["request"]["url"].as_str().unwrap();
    let id = url
        .split(['/', '?'])
        .find(|part| part.starts_with("resp_"))
        .unwrap();
    let position = Continuation::new("openai-responses", "m", id).streamed(stream);
    let options = Arc::new(options);
    let exchange = Exchange::resume_response(openai(), &position, stream, options, start(1));
    Call {
        exchange: exchange.unwrap(),
        now: Time::ZERO,
        events: Vec::new(),
    }
}

#[test]
fn recorded_background_responses_are_right_whole_in_bytes_and_cut() {
    for (name, recording) in load(wires().join("openai"), &["background_mode"]) {
        let body = body(&recording);
        let wire: Value = serde_json::from_str(body).unwrap();
        for size in [body.len(), 1] {
            let mut call = asked(&recording);
            let (request, _) = call.send();
            assert_eq!(
                request.method().as_str(),
                recording["request"]["method"],
                "{name}"
            );
            call.head(200, &[JSON]);
            for piece in body.as_bytes().chunks(size) {
                call.handle(Input::Body(Bytes::copy_from_slice(piece)));
            }
            call.end();
            let result = call.result();
            match wire["status"].as_str().unwrap() {
                "completed" => check(&result.unwrap(), &wire, &name),
                status => {
                    let error = result.unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::Truncated, "{name}");
                    assert!(error.message().contains(status), "{name}: {error}");
                    assert_eq!(
                        error.continuation().unwrap().response_id,
                        wire["id"].as_str().unwrap()
                    );
                }
            }
        }
        for cut in 0..body.len() {
            let mut call = asked(&recording);
            call.send();
            let begun = Bytes::copy_from_slice(&body.as_bytes()[..cut]);
            call.head(200, &[JSON]).handle(Input::Body(begun)).end();
            assert_eq!(call.error().kind(), ErrorKind::Truncated, "{name} {cut}");
        }
    }
}

fn check(response: &UnifiedChatResponse, wire: &Value, name: &str) {
    assert_eq!(response.id, wire["id"].as_str().unwrap(), "{name}");
    let items = wire["output"].as_array().unwrap();
    let texts = items.iter().filter(|item| item["type"] == "message");
    let texts: String = texts
        .map(|item| item["content"][0]["text"].as_str().unwrap())
        .collect();
    assert_eq!(response.text(), texts, "{name}");
    let calls = items.iter().filter(|item| item["type"] == "function_call");
    let calls: Vec<_> = calls
        .map(|item| (item["name"].as_str(), item["arguments"].as_str()))
        .collect();
    let own: Vec<_> = response
        .tool_calls()
        .map(|call| (Some(&*call.name), Some(&*call.arguments)))
        .collect();
    assert_eq!(own, calls, "{name}");
    let usage = response.usage.as_ref().unwrap();
    assert_eq!(
        usage.total_tokens,
        wire["usage"]["total_tokens"].as_u64(),
        "{name}"
    );
}

/// The recorded stream of a background response.
fn recorded_stream() -> Vec<String> {
    let folder = shared("UNIFIEDAI_CORPUS", "corpus").join("openai");
    let recordings = load(folder, &["background_mode_streaming_continuation"]);
    let Some((_, recording)) = recordings.first() else {
        return Vec::new();
    };
    body(recording)
        .split_inclusive("\n\n")
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_recorded_stream_cut_after_each_event_and_resumed_is_the_whole_stream() {
    let events = recorded_stream();
    if events.is_empty() {
        return;
    }
    let run = |cut: Option<usize>| {
        let mut call = Call::new(openai(), request(true).background(true), options());
        call.send();
        call.head(200, &[SSE])
            .body(events[..cut.unwrap_or(events.len())].concat())
            .end();
        if let Some(cut) = cut.filter(|cut| *cut < events.len()) {
            call.sleep();
            let (request, _) = call.send();
            let query = format!("stream=true&starting_after={}", cut - 1);
            assert_eq!(request.uri().query(), Some(&*query));
            call.head(200, &[SSE]).body(events[cut..].concat()).end();
        }
        assert!(call.is_done());
        let events = std::mem::take(&mut call.events);
        (events, call.result().unwrap())
    };
    let (all, whole) = run(None);
    assert_eq!(whole.text(), "2 + 2 equals 4.");
    for cut in 1..events.len() {
        let (events, response) = run(Some(cut));
        assert_eq!(events, all, "{cut}");
        assert_same(&response, &whole, "resumed");
    }
}

/// A program that stored only a number asks for the rest: the text is complete, although its beginning was in earlier events.
#[test]
fn a_recorded_stream_that_begins_later_gives_the_complete_text() {
    let events = recorded_stream();
    for first in 1..events.len() {
        let position = Continuation::new("openai-responses", "m", "r").streamed(true);
        let options = Arc::new(options());
        let exchange = Exchange::resume_response(openai(), &position, true, options, start(1));
        let mut call = Call {
            exchange: exchange.unwrap(),
            now: Time::ZERO,
            events: Vec::new(),
        };
        call.send();
        call.head(200, &[SSE]).body(events[first..].concat()).end();
        assert!(call.is_done());
        assert_eq!(call.text(), "2 + 2 equals 4.", "{first}");
        let response = call.result().unwrap();
        assert_eq!(response.text(), "2 + 2 equals 4.", "{first}");
        assert!(
            response.warnings.is_empty(),
            "{first} {:?}",
            response.warnings
        );
        assert!(!response.model.is_empty() && response.created.is_some());
    }
}

#[test]
fn a_recorded_pause_is_continued_as_the_recording_does() {
    let pair = load(wires().join("anthropic"), &["pause_turn_web_search_vcr"]);
    let [(_, first), (_, second)] = &pair[..] else {
        return;
    };
    let search = r#"{"type":"web_search_20250305","name":"web_search"}"#;
    let chat = ChatRequest::new("claude-sonnet-4-5")
        .user("?")
        .tool(Tool::Provider {
            provider: "anthropic".into(),
            definition: unifiedai::Json::parse(search).unwrap(),
        });
    let options = options().resume(ResumePolicy::default().max_turns(1));
    let mut call = Call::new(Arc::new(Anthropic::new("k").unwrap()), chat, options);
    call.answer(200, &[JSON], body(first));
    let (request, _) = call.send();
    let sent: Value = serde_json::from_slice(request.body()).unwrap();
    let recorded: Value =
        serde_json::from_str(second["request"]["body"].as_str().unwrap()).unwrap();
    let (own, theirs) = (&sent["messages"][1], &recorded["messages"][1]);
    assert_eq!(own["role"], "assistant");
    let (own, theirs) = (
        own["content"].as_array().unwrap(),
        theirs["content"].as_array().unwrap(),
    );
    assert_eq!(own.len(), theirs.len());
    for (own, theirs) in own.iter().zip(theirs) {
        // Every member that the recording sends back is sent back unchanged.
        for (name, value) in theirs.as_object().unwrap() {
            let is_empty = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
            assert!(
                is_empty || own[name] == *value,
                "{name}: {} {value}",
                own[name]
            );
        }
    }
    assert_eq!(sent["messages"].as_array().unwrap().len(), 2);
    call.head(200, &[JSON]).body(body(second)).end();
    let response = call.result().unwrap();
    let parts = |recording: &Value| -> (Vec<Value>, Value) {
        let message: Value = serde_json::from_str(body(recording)).unwrap();
        (
            message["content"].as_array().unwrap().clone(),
            message["usage"].clone(),
        )
    };
    let ((mut blocks, usage), (more, later)) = (parts(first), parts(second));
    blocks.extend(more);
    let texts: String = blocks
        .iter()
        .filter_map(|block| block["text"].as_str())
        .collect();
    assert_eq!(response.text(), texts);
    let total = |name: &str| usage[name].as_u64().unwrap() + later[name].as_u64().unwrap();
    let summed = response.usage.unwrap();
    assert_eq!(summed.prompt_tokens, Some(total("input_tokens")));
    assert_eq!(summed.completion_tokens, Some(total("output_tokens")));
    assert_eq!(
        response.choices[0].native_finish_reason.as_deref(),
        Some("end_turn")
    );
}
