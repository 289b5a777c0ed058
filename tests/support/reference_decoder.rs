//! An independent decoder of OpenAI chat, with `serde_json::Value` and string splitting, for comparison with the
//! library.

use serde_json::Value;
use std::collections::BTreeMap;
use unifiedai::{UnifiedChatResponse, Usage, chat::Choice};

/// The content of a response.
#[derive(Debug, Default)]
pub struct Reading {
    pub id: String,
    pub model: String,
    pub choices: BTreeMap<u64, ChoiceReading>,
    pub usage: Option<Value>,
    pub time_info: Option<Value>,
    pub error: Option<Value>,
    /// Whether the stream has an end marker.
    pub done: bool,
    /// The number of frames with JSON.
    pub frames: usize,
}

#[derive(Debug, Default, PartialEq)]
pub struct ChoiceReading {
    pub text: String,
    pub reasoning: String,
    pub refusal: String,
    /// Id, name, arguments.
    pub calls: Vec<(String, String, String)>,
    pub finish: Option<String>,
    pub logprobs: usize,
    pub details: usize,
}

/// A single JSON body.
pub fn whole(body: &[u8]) -> Reading {
    let json: Value = serde_json::from_slice(body).expect("a recorded body is JSON");
    let mut reading = Reading::default();
    reading.add(&json, "message");
    reading
}

/// A stream of events.
pub fn stream(body: &[u8]) -> Reading {
    let text = std::str::from_utf8(body).unwrap().replace("\r\n", "\n");
    let mut reading = Reading::default();
    for event in text.split("\n\n") {
        for line in event.lines() {
            let Some(data) = line.strip_prefix("data:").map(str::trim) else {
                continue;
            };
            if data == "[DONE]" {
                reading.done = true;
                return reading;
            }
            if data.is_empty() {
                continue;
            }
            let json: Value = serde_json::from_str(data).expect("a recorded frame is JSON");
            reading.frames += 1;
            reading.add(&json, "delta");
            if reading.error.is_some() {
                return reading;
            }
        }
    }
    reading
}

impl Reading {
    fn add(&mut self, json: &Value, message: &str) {
        let not_null = |value: &Value| (!value.is_null()).then(|| value.clone());
        self.error = self.error.take().or(not_null(&json["error"]));
        first(&mut self.id, &json["id"]);
        first(&mut self.model, &json["model"]);
        self.usage = not_null(&json["usage"])
            .or(not_null(&json["x_groq"]["usage"]))
            .or(self.usage.take());
        self.time_info = not_null(&json["time_info"]).or(self.time_info.take());
        for (position, choice) in json["choices"].as_array().into_iter().flatten().enumerate() {
            let index = choice["index"].as_u64().unwrap_or(position as u64);
            self.error = self.error.take().or(not_null(&choice["error"]));
            if matches!(choice["finish_reason"].as_str(), Some("error")) {
                self.error = self.error.take().or(Some(choice.clone()));
            }
            let reading = self.choices.entry(index).or_default();
            let whole = message == "message";
            reading.add(&choice[message], whole);
            let reason = text(&choice["finish_reason"]);
            let native = text(&choice["native_finish_reason"]).or(reason.clone());
            if reason.is_some() && reading.finish.is_none() {
                reading.finish = native;
            }
            for list in ["content", "refusal"] {
                reading.logprobs += choice["logprobs"][list].as_array().map_or(0, Vec::len);
            }
        }
    }
}

impl ChoiceReading {
    fn add(&mut self, message: &Value, whole: bool) {
        match &message["content"] {
            Value::String(text) => self.text += text,
            Value::Array(parts) => {
                for part in parts {
                    self.text += part["text"].as_str().unwrap_or_default();
                    for thought in part["thinking"].as_array().into_iter().flatten() {
                        self.reasoning += thought["text"].as_str().unwrap_or_default();
                    }
                }
            }
            _ => {}
        }
        let details = message["reasoning_details"].as_array();
        self.details += details.map_or(0, Vec::len);
        let named = [&message["reasoning"], &message["reasoning_content"]]
            .into_iter()
            .filter_map(Value::as_str)
            .find(|text| !text.is_empty());
        match named {
            Some(text) => self.reasoning += text,
            None => {
                for detail in details.into_iter().flatten() {
                    let text = detail["text"].as_str().or(detail["summary"].as_str());
                    self.reasoning += text.unwrap_or_default();
                }
            }
        }
        self.refusal += message["refusal"].as_str().unwrap_or_default();
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            self.call(call, whole);
        }
        let old = &message["function_call"];
        if old["name"].as_str().is_some_and(|name| !name.is_empty())
            || old["arguments"]
                .as_str()
                .is_some_and(|text| !text.is_empty())
        {
            self.call(&serde_json::json!({"index": 0, "function": old}), whole);
        }
    }

    /// A new id starts a call, anything else continues the last one: recorded calls do not interleave.
    fn call(&mut self, call: &Value, whole: bool) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (id, function) = (text(&call["id"]), &call["function"]);
        let known = self.calls.last().map(|(id, ..)| id.clone());
        let named = !text(&function["name"]).is_empty();
        let begins = whole
            || known.is_none()
            || (!id.is_empty() && known.as_ref() != Some(&id))
            || (id.is_empty() && known.as_deref() == Some("") && named && call["index"].is_null());
        if begins {
            self.calls
                .push((id, text(&function["name"]), String::new()));
        }
        let last = self.calls.last_mut().unwrap();
        match &function["arguments"] {
            Value::String(text) => last.2 += text,
            Value::Null => {}
            other => last.2 += &other.to_string(),
        }
    }
}

fn text(value: &Value) -> Option<String> {
    Some(value.as_str()?.to_owned()).filter(|text| !text.is_empty())
}

fn first(known: &mut String, value: &Value) {
    if known.is_empty() {
        *known = value.as_str().unwrap_or_default().to_owned();
    }
}

/// The differences between a response and the independent decoder; empty if there are none.
pub fn differences(response: &UnifiedChatResponse, reading: &Reading) -> Vec<String> {
    let mut found = Vec::new();
    let mut differ = |what: &str, ours: String, theirs: String| {
        if ours != theirs {
            found.push(format!("{what}: {ours} is not {theirs}"));
        }
    };
    differ("id", response.id.clone(), reading.id.clone());
    if !reading.model.is_empty() {
        differ("model", response.model.clone(), reading.model.clone());
    }
    let ours: Vec<u64> = response.choices.iter().map(|c| c.index.into()).collect();
    let theirs: Vec<u64> = reading.choices.keys().copied().collect();
    differ("choices", format!("{ours:?}"), format!("{theirs:?}"));
    for (choice, theirs) in response.choices.iter().zip(reading.choices.values()) {
        let ours = read_back(choice);
        differ("text", ours.text, theirs.text.clone());
        differ("reasoning", ours.reasoning, theirs.reasoning.clone());
        differ("refusal", ours.refusal, theirs.refusal.clone());
        differ(
            "finish",
            format!("{:?}", ours.finish),
            format!("{:?}", theirs.finish),
        );
        differ(
            "logprobs",
            ours.logprobs.to_string(),
            theirs.logprobs.to_string(),
        );
        differ(
            "number of calls",
            ours.calls.len().to_string(),
            theirs.calls.len().to_string(),
        );
        for (ours, theirs) in ours.calls.into_iter().zip(&theirs.calls) {
            if !theirs.0.is_empty() {
                differ("call id", ours.0, theirs.0.clone());
            }
            differ("call name", ours.1, theirs.1.clone());
            differ("call arguments", ours.2, theirs.2.clone());
        }
    }
    let counts = |usage: Option<&Usage>| {
        usage.map(|u| {
            (
                [u.prompt_tokens, u.completion_tokens, u.total_tokens],
                u.cached_tokens,
                u.reasoning_tokens,
            )
        })
    };
    let theirs = reading.usage.as_ref().map(|usage| {
        let count = |name: &str| usage[name].as_u64();
        let mut totals = ["prompt_tokens", "completion_tokens", "total_tokens"].map(count);
        let cached = usage["prompt_tokens_details"]["cached_tokens"].as_u64();
        let reasoning = usage["completion_tokens_details"]["reasoning_tokens"].as_u64();
        if let [Some(prompt), Some(completion), Some(total)] = totals {
            // Google counts reasoning only in the total; Mistral's missing prompt tokens are audio.
            let sound = usage["prompt_tokens_details"]["audio_tokens"].as_u64();
            let missing = total.checked_sub(prompt + completion).filter(|n| *n > 0);
            let is_reasoning = match reasoning {
                Some(_) => missing == reasoning,
                None => missing != sound,
            };
            totals[1] = Some(completion + missing.filter(|_| is_reasoning).unwrap_or(0));
        }
        (
            totals,
            cached
                .or(count("prompt_cache_hit_tokens"))
                .or(count("cached_tokens"))
                .or(count("num_cached_tokens"))
                .or(count("cache_read_input_tokens")),
            reasoning.or(count("reasoning_tokens")),
        )
    });
    differ(
        "usage",
        format!("{:?}", counts(response.usage.as_ref())),
        format!("{theirs:?}"),
    );
    if let Some(info) = &reading.time_info {
        let ms = |name: &str| info[name].as_f64().map(|s| (s * 1e6).round());
        let server = response.metrics.server;
        let us = |time: Option<std::time::Duration>| time.map(|t| (t.as_secs_f64() * 1e6).round());
        differ(
            "time_info",
            format!(
                "{:?}",
                [
                    us(server.queue),
                    us(server.prompt),
                    us(server.completion),
                    us(server.total)
                ]
            ),
            format!(
                "{:?}",
                [
                    ms("queue_time"),
                    ms("prompt_time"),
                    ms("completion_time"),
                    ms("total_time")
                ]
            ),
        );
        let raw = response.metrics.provider_time_info.as_ref();
        let raw: Option<Value> = raw.and_then(|raw| serde_json::from_str(raw.as_str()).ok());
        differ(
            "raw time_info",
            format!("{raw:?}"),
            format!("{:?}", Some(info)),
        );
    }
    found
}

fn read_back(choice: &Choice) -> ChoiceReading {
    ChoiceReading {
        text: choice.message.text().into_owned(),
        reasoning: choice.message.reasoning().into_owned(),
        refusal: choice.message.refusal().into_owned(),
        calls: choice
            .message
            .tool_calls()
            .map(|call| (call.id.clone(), call.name.clone(), call.arguments.clone()))
            .collect(),
        finish: choice.native_finish_reason.clone(),
        logprobs: choice
            .logprobs
            .as_ref()
            .map_or(0, |l| l.content.len() + l.refusal.len()),
        details: 0,
    }
}
