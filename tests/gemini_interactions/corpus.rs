//! Compares every recorded exchange with the Interactions API with an independent decoder, and every recorded request
//! with the request that this library encodes.

use super::support::{
    checks::Tally,
    corpus::{self, Recording},
    corpus_checks::check_recording,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use unifiedai::{
    ChatRequest, ContentPart, Error, ErrorKind, Media, Message, Role, Tool, ToolResult,
    UnifiedChatResponse,
    provider::{GeminiInteractions, Provider},
    transport::testing::provider_for_recording,
};

fn recordings() -> Vec<Recording> {
    corpus::load("gemini-interactions", None)
}

/// The steps of a body, joined from their deltas in a stream, and the last state of the interaction.
fn interaction(body: &str) -> Value {
    if body.starts_with('{') {
        return serde_json::from_str(body).unwrap();
    }
    let mut steps: BTreeMap<u64, Value> = BTreeMap::new();
    let mut last = Value::Null;
    for data in body.lines().filter_map(|line| line.strip_prefix("data: ")) {
        if data == "[DONE]" {
            continue;
        }
        let event: Value = serde_json::from_str(data).unwrap();
        match event["event_type"].as_str().unwrap() {
            "step.start" => {
                steps.insert(event["index"].as_u64().unwrap(), event["step"].clone());
            }
            "step.delta" => {
                let step = steps.get_mut(&event["index"].as_u64().unwrap()).unwrap();
                join(step, &event["delta"]);
            }
            "interaction.completed" => last = event["interaction"].clone(),
            "interaction.created" | "interaction.status_update" | "step.stop" => {}
            other => panic!("{other}"),
        }
    }
    last["steps"] = steps.into_values().collect();
    last
}

fn join(step: &mut Value, delta: &Value) {
    let kind = delta["type"].as_str().unwrap();
    match kind {
        "text" => {
            if step["content"].is_null() {
                step["content"] = json!([{"type": "text", "text": ""}]);
            }
            let text = step["content"][0]["text"].as_str().unwrap().to_owned();
            step["content"][0]["text"] = (text + delta["text"].as_str().unwrap()).into();
        }
        "text_annotation_delta" => {
            step["content"][0]["annotations"] = delta["annotations"].clone();
        }
        "thought_summary" => {
            if step["summary"].is_null() {
                step["summary"] = json!([]);
            }
            let summary = step["summary"].as_array_mut().unwrap();
            summary.push(delta["content"].clone());
        }
        "thought_signature" => {
            if delta["signature"] != "" {
                step["signature"] = delta["signature"].clone();
            }
        }
        "arguments_delta" => {
            let known = step["arguments"].as_str().unwrap_or_default().to_owned();
            step["arguments"] = (known + delta["arguments"].as_str().unwrap()).into();
        }
        kind => {
            assert_eq!(step["type"], kind);
            for (name, value) in delta.as_object().unwrap() {
                step[name] = value.clone();
            }
        }
    }
}

/// The content of a response, decoded in the simplest way.
#[derive(Debug, Default, PartialEq)]
struct Reading {
    id: String,
    model: String,
    text: String,
    reasoning: String,
    /// Id, name, arguments.
    calls: Vec<(String, String, Value)>,
    /// Steps that are neither output nor calls.
    others: Vec<Value>,
    citations: usize,
    finish: String,
    native: String,
    /// Prompt, completion, total, cached, reasoning.
    usage: [Option<u64>; 5],
    service_tier: Option<String>,
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn read(interaction: &Value) -> Reading {
    let mut reading = Reading {
        id: text(&interaction["id"]),
        model: text(&interaction["model"]),
        native: text(&interaction["status"]),
        service_tier: interaction["service_tier"].as_str().map(str::to_owned),
        ..Reading::default()
    };
    for step in interaction["steps"].as_array().unwrap() {
        match step["type"].as_str().unwrap() {
            "model_output" => {
                for element in step["content"].as_array().unwrap() {
                    reading.text += element["text"].as_str().unwrap();
                    let annotations = element["annotations"].as_array();
                    let annotations: std::collections::BTreeSet<String> = annotations
                        .into_iter()
                        .flatten()
                        .map(Value::to_string)
                        .collect();
                    reading.citations += annotations.len();
                }
            }
            "function_call" => {
                let arguments = match &step["arguments"] {
                    Value::String(text) => serde_json::from_str(text).unwrap(),
                    other => other.clone(),
                };
                reading
                    .calls
                    .push((text(&step["id"]), text(&step["name"]), arguments));
            }
            kind => {
                for element in step["summary"].as_array().into_iter().flatten() {
                    reading.reasoning += element["text"].as_str().unwrap();
                }
                if kind != "thought" || step.as_object().unwrap().len() > 1 {
                    reading.others.push(step.clone());
                }
            }
        }
    }
    reading.finish = match reading.native.as_str() {
        "incomplete" => "length".into(),
        "requires_action" => "tool_calls".into(),
        "completed" => "stop".into(),
        other => panic!("{other}"),
    };
    let count = |name: &str| interaction["usage"][name].as_u64();
    let sum = |a, b| Some(count(a)? + count(b)?);
    reading.usage = [
        sum("total_input_tokens", "total_tool_use_tokens"),
        sum("total_output_tokens", "total_thought_tokens"),
        count("total_tokens"),
        count("total_cached_tokens"),
        count("total_thought_tokens"),
    ];
    reading
}

/// The library's response in the same form.
fn read_back(response: &UnifiedChatResponse) -> Reading {
    let choice = &response.choices[0];
    let usage = response.usage.clone().unwrap_or_default();
    let mut reading = Reading {
        id: response.id.clone(),
        model: response.model.clone(),
        text: choice.message.text().into_owned(),
        reasoning: choice.message.reasoning().into_owned(),
        finish: choice.finish_reason.as_ref().unwrap().as_str().to_owned(),
        native: choice.native_finish_reason.clone().unwrap(),
        usage: [
            usage.prompt_tokens,
            usage.completion_tokens,
            usage.total_tokens,
            usage.cached_tokens,
            usage.reasoning_tokens,
        ],
        service_tier: response.service_tier.clone(),
        ..Reading::default()
    };
    for call in choice.message.tool_calls() {
        let arguments = call.parse::<Value>().unwrap();
        reading
            .calls
            .push((call.id.clone(), call.name.clone(), arguments));
    }
    for part in &choice.message.content {
        match part {
            ContentPart::Text { citations, .. } => reading.citations += citations.len(),
            ContentPart::ProviderBlock(_)
            | ContentPart::HostedToolCall(_)
            | ContentPart::HostedToolResult(_) => {
                let Some(block) = part.raw() else {
                    continue;
                };
                assert_eq!(block.provider, "gemini-interactions");
                reading.others.push(block.block.decode().unwrap());
            }
            _ => {}
        }
    }
    assert!(response.warnings.is_empty(), "{:?}", response.warnings);
    assert!(
        response.provider_metadata.extra.is_empty(),
        "{:?}",
        response.provider_metadata.extra
    );
    reading
}

fn differences(recording: &Recording, result: &Result<UnifiedChatResponse, Error>) -> Vec<String> {
    let theirs = interaction(std::str::from_utf8(&recording.body).unwrap());
    if theirs["status"] == "in_progress" {
        let response = result.as_ref().unwrap();
        let choice = &response.choices[0];
        let state = choice.native_finish_reason.as_deref();
        let is_right = state == Some("in_progress")
            && choice.message.content.is_empty()
            && response.id == text(&theirs["id"])
            && response.model == text(&theirs["agent"]);
        return if is_right {
            vec![]
        } else {
            vec![format!("{response:#?}")]
        };
    }
    let (theirs, ours) = match result {
        Ok(response) => (read(&theirs), read_back(response)),
        Err(error) => return vec![error.to_string()],
    };
    match theirs == ours {
        true => vec![],
        false => vec![format!("{ours:#?} is not {theirs:#?}")],
    }
}

/// A request that is decoded like the recorded one.
fn request(recording: &Recording) -> ChatRequest {
    let request = ChatRequest::new(recording.model()).user("as recorded");
    let request = request.stream(recording.streaming);
    match recording.request["background"] == true {
        true => request.extra("background", &true).unwrap(),
        false => request,
    }
}

#[test]
fn every_recorded_exchange_is_decoded_correctly() {
    let recordings = recordings();
    let (mut tally, mut wrong) = (Tally::default(), Vec::new());
    for recording in &recordings {
        let provider = provider_for_recording("gemini", "gemini-interactions").unwrap();
        let request = request(recording);
        match check_recording(&provider, recording, &request, &|result| {
            differences(recording, result)
        }) {
            Ok(more) => tally.add(more),
            Err(what) => wrong.push(format!("{}: {what}", recording.id)),
        }
    }
    println!("{} exchanges: {tally:?}", recordings.len());
    assert!(
        wrong.is_empty(),
        "{} wrong\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(recordings.is_empty() || tally.whole >= 25 && tally.streams >= 18);
}

#[test]
fn an_unfinished_interaction_is_truncated_unless_it_runs_in_the_background() {
    let recordings = recordings();
    for recording in recordings
        .iter()
        .filter(|recording| recording.request["background"] == true && recording.status == 200)
    {
        let provider = provider_for_recording("gemini", "gemini-interactions").unwrap();
        let plain = ChatRequest::new("m").user("as recorded");
        let outcome = super::support::drive::chat(
            &provider,
            &plain,
            &recording.answer(),
            super::support::drive::Arrival::Whole,
        );
        let error = outcome.result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Truncated);
        let id = &error.partial().unwrap().id;
        assert!(id.starts_with("v1_"), "{id}");
    }
}

// Requests.

/// Builds the request with this library's types from a recorded body.
fn rebuilt(body: &Value) -> ChatRequest {
    let model = body["model"].as_str().unwrap_or("agent");
    let mut request = ChatRequest::new(model).stream(body["stream"] == true);
    if let Some(system) = body["system_instruction"].as_str() {
        request = request.system(system);
    }
    for message in messages(&body["input"]) {
        request = request.message(message);
    }
    for tool in body["tools"].as_array().into_iter().flatten() {
        request = request.tool(
            Tool::function(
                tool["name"].as_str().unwrap(),
                tool["description"].as_str().unwrap(),
                &tool["parameters"],
            )
            .unwrap(),
        );
    }
    request.store = body["store"].as_bool();
    for (name, value) in body["generation_config"].as_object().into_iter().flatten() {
        request = match name.as_str() {
            "max_output_tokens" => request.max_tokens(value.as_u64().unwrap()),
            "temperature" => request.temperature(value.as_f64().unwrap()),
            "thinking_level" => {
                request.reasoning_effort(serde_json::from_value(value.clone()).unwrap())
            }
            "thinking_summaries" => {
                request.reasoning_format(unifiedai::chat::ReasoningFormat::Parsed)
            }
            "tool_choice" => request.tool_choice(unifiedai::ToolChoice::Required),
            other => panic!("{other}"),
        };
    }
    for name in ["previous_interaction_id", "background", "agent"] {
        if !body[name].is_null() {
            request = request.extra(name, &body[name]).unwrap();
        }
    }
    request
}

/// The messages of each form of `input`.
fn messages(input: &Value) -> Vec<Message> {
    match input {
        Value::String(text) => vec![Message::user(text.as_str())],
        Value::Object(_) => vec![Message::new(Role::User, vec![part(input)])],
        Value::Array(list) if list[0].get("content").is_none() => {
            vec![Message::new(Role::User, list.iter().map(part).collect())]
        }
        Value::Array(steps) => steps
            .iter()
            .map(|step| {
                let role = match step["type"].as_str().unwrap() {
                    "user_input" => Role::User,
                    "model_output" => Role::Assistant,
                    other => panic!("{other}"),
                };
                let content = step["content"].as_array().unwrap();
                Message::new(role, content.iter().map(part).collect())
            })
            .collect(),
        other => panic!("{other}"),
    }
}

fn part(element: &Value) -> ContentPart {
    match element["type"].as_str().unwrap() {
        "text" => ContentPart::text(element["text"].as_str().unwrap()),
        "image" => {
            let url = format!(
                "data:{};base64,{}",
                element["mime_type"].as_str().unwrap(),
                element["data"].as_str().unwrap()
            );
            ContentPart::Image {
                media: Media::Url {
                    url,
                    mime_type: None,
                },
                detail: Some(serde_json::from_value(element["resolution"].clone()).unwrap()),
            }
        }
        "function_result" => {
            let mut result = ToolResult::new(
                element["call_id"].as_str().unwrap(),
                element["result"].as_str().unwrap(),
            );
            result.name = element["name"].as_str().map(str::to_owned);
            ContentPart::ToolResult(result)
        }
        other => panic!("{other}"),
    }
}

/// A recorded body in the general form, which this library always sends.
fn general(body: &Value) -> Value {
    let mut body = body.clone();
    let input = body["input"].take();
    body["input"] = match input {
        Value::Array(steps) if steps[0].get("content").is_some() => {
            // Some clients send a result as content of the user's step.
            let is_result = |step: &Value| step["content"][0]["type"] == "function_result";
            let unwrapped = |step: Value| match is_result(&step) {
                true => step["content"][0].clone(),
                false => step,
            };
            steps.into_iter().map(unwrapped).collect()
        }
        Value::String(text) => {
            json!([{"type": "user_input", "content": [{"type": "text", "text": text}]}])
        }
        Value::Array(content) => json!([{"type": "user_input", "content": content}]),
        element => json!([{"type": "user_input", "content": [element]}]),
    };
    if body["stream"] == false {
        body.as_object_mut().unwrap().remove("stream");
    }
    body
}

#[test]
fn recorded_requests_are_encoded_as_recorded() {
    let provider = GeminiInteractions::new("k").unwrap();
    let mut compared = 0;
    for recording in recordings().iter().filter(|r| !r.request.is_null()) {
        let request = rebuilt(&recording.request);
        let encoded = provider.encode_chat(&request).unwrap();
        assert!(encoded.warnings.is_empty(), "{}", recording.id);
        let body: Value = serde_json::from_slice(encoded.request.body()).unwrap();
        // Numbers are compared as such: `0` is `0.0`.
        assert_eq!(
            normal(&body),
            normal(&general(&recording.request)),
            "{}",
            recording.id
        );
        let url = recording.url.trim_end_matches("?alt=sse");
        assert_eq!(encoded.request.uri().to_string(), url, "{}", recording.id);
        assert_eq!(
            encoded.request.headers()["api-revision"],
            "2026-05-20",
            "{}",
            recording.id
        );
        compared += 1;
    }
    println!("{compared} requests compared");
}

fn normal(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(list) => list.iter().map(normal).collect(),
        Value::Object(object) => object
            .iter()
            .map(|(name, value)| (name.clone(), normal(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        other => other.clone(),
    }
}

/// The steps of a recorded response, sent back in a conversation that the server does not store.
#[test]
fn recorded_steps_are_sent_back_unchanged() {
    let provider: std::sync::Arc<dyn Provider> =
        provider_for_recording("gemini", "gemini-interactions").unwrap();
    for recording in recordings().iter().filter(|r| r.status == 200) {
        let theirs = interaction(std::str::from_utf8(&recording.body).unwrap());
        if theirs["steps"].is_null() {
            continue;
        }
        let outcome = super::support::drive::chat(
            &provider,
            &request(recording),
            &recording.answer(),
            super::support::drive::Arrival::Whole,
        );
        let message = outcome.result.unwrap().choices[0].message.clone();
        let calls: Vec<String> = message.tool_calls().map(|call| call.id.clone()).collect();
        let next = ChatRequest::new("m")
            .user("q")
            .message(message)
            .store(false);
        let next = calls.iter().fold(next, |next, id| {
            next.tool_result(ToolResult::new(id.as_str(), "done"))
        });
        let encoded = provider.encode_chat(&next.user("and?")).unwrap();
        assert!(encoded.warnings.is_empty(), "{:?}", encoded.warnings);
        let body: Value = serde_json::from_slice(encoded.request.body()).unwrap();
        let sent = body["input"].as_array().unwrap();
        let sent = &sent[1..sent.len() - 1 - calls.len()];
        let mut steps: Vec<Value> = theirs["steps"].as_array().unwrap().clone();
        steps.retain(|step| step["type"] != "thought" || step.as_object().unwrap().len() > 1);
        for step in &mut steps {
            if step["type"] == "model_output" {
                for element in step["content"].as_array_mut().unwrap() {
                    element.as_object_mut().unwrap().remove("annotations");
                }
            }
            if step["type"] == "function_call" {
                if let Some(text) = step["arguments"].as_str() {
                    step["arguments"] = serde_json::from_str(text).unwrap();
                }
                if step["signature"] == "" {
                    step.as_object_mut().unwrap().remove("signature");
                }
            }
        }
        assert_eq!(json!(sent), json!(steps), "{}", recording.id);
    }
}

#[test]
fn the_revision_is_the_callers_choice_and_absent_on_vertex() {
    let request = ChatRequest::new("m").user("hi");
    let header = |provider: &GeminiInteractions| {
        let encoded = provider.encode_chat(&request).unwrap();
        let value = encoded.request.headers().get("api-revision");
        value.map(|value| value.to_str().unwrap().to_owned())
    };
    let builder = || GeminiInteractions::builder().api_key("k").unwrap();
    let own = builder().header("api-revision", "2027-01-01").unwrap();
    assert_eq!(header(&own.build().unwrap()).as_deref(), Some("2027-01-01"));
    let none = builder().without_api_revision().build().unwrap();
    assert_eq!(header(&none), None);
    let vertex = builder()
        .vertex("p", "us-central1")
        .unwrap()
        .build()
        .unwrap();
    assert_eq!(header(&vertex), None);
    let uri = vertex
        .encode_chat(&request)
        .unwrap()
        .request
        .uri()
        .to_string();
    assert_eq!(
        uri,
        "https://us-central1-aiplatform.googleapis.com/v1beta1/projects/p/locations/us-central1/interactions"
    );
}
