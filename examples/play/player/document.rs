//! What was sent and what came of it, as one JSON document.

use super::events;
use bytes::Bytes;
use http::Request;
use serde::{
    Serialize, Serializer,
    ser::{SerializeMap, SerializeSeq},
};
use serde_json::value::RawValue;
use std::time::Duration;
use unifiedai::{
    EmbedResponse, Error, Json, StreamEvent, ToolCall, UnifiedChatResponse, chat::Choice,
};

/// What came of one call.
#[derive(Debug)]
pub struct Driven<T> {
    pub sent: Vec<Request<Bytes>>,
    /// Between the requests.
    pub waited: Duration,
    pub events: Vec<StreamEvent>,
    /// `None` where nothing answers.
    pub result: Option<Result<T, Error>>,
}

#[derive(Debug)]
pub enum Played {
    Chat(Box<UnifiedChatResponse>),
    Embed(Box<EmbedResponse>),
}

/// All requests and all answers.
#[derive(Debug, Default, Serialize)]
pub struct Document {
    sent: Vec<Sent>,
    answers: Vec<Answer>,
}

#[derive(Debug)]
struct Sent {
    step: usize,
    request: Request<Bytes>,
}

#[derive(Debug)]
struct Answer {
    sent: usize,
    waited: Duration,
    result: Option<Result<Played, Error>>,
    /// What the events of a stream say and its response does not.
    differences: Vec<String>,
}

impl<T> Driven<T> {
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Driven<U> {
        Driven {
            sent: self.sent,
            waited: self.waited,
            events: self.events,
            result: self.result.map(|result| result.map(change)),
        }
    }
}

impl Document {
    pub fn add(&mut self, driven: Driven<Played>) {
        let step = self.answers.len();
        let differences = match &driven.result {
            Some(Ok(Played::Chat(response))) if !driven.events.is_empty() => {
                events::differences(&driven.events, response)
            }
            _ => Vec::new(),
        };
        self.answers.push(Answer {
            sent: driven.sent.len(),
            waited: driven.waited,
            result: driven.result,
            differences,
        });
        let sent = driven.sent.into_iter();
        self.sent.extend(sent.map(|request| Sent { step, request }));
    }

    /// Where the events of a stream say something else than its response.
    pub fn differences(&self) -> impl Iterator<Item = &str> {
        let all = self.answers.iter().flat_map(|answer| &answer.differences);
        all.map(String::as_str)
    }
}

impl Serialize for Sent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("step", &self.step)?;
        map.serialize_entry("method", self.request.method().as_str())?;
        map.serialize_entry("url", &self.request.uri().to_string())?;
        let body = self.request.body();
        match serde_json::from_slice::<&RawValue>(body) {
            Ok(json) => map.serialize_entry("body", &on_one_line(json))?,
            Err(_) if body.is_empty() => map.serialize_entry("body", &())?,
            Err(_) => map.serialize_entry("body", &body.escape_ascii().to_string())?,
        }
        map.end()
    }
}

fn on_one_line(json: &RawValue) -> Option<Json> {
    Json::parse(json.get()).ok()
}

impl Serialize for Answer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("sent", &self.sent)?;
        map.serialize_entry("waited_s", &self.waited.as_secs_f64())?;
        match &self.result {
            None => {}
            Some(Err(error)) => map.serialize_entry("error", error)?,
            Some(Ok(Played::Embed(response))) => {
                map.serialize_entry("embeddings", &response.embeddings)?;
                map.serialize_entry("usage", &response.usage)?;
            }
            Some(Ok(Played::Chat(response))) => {
                let empty = Choice::default();
                let first = response.choices.first().unwrap_or(&empty);
                choice(&mut map, &response.id, first)?;
                map.serialize_entry("choices", &Choices(response))?;
                map.serialize_entry("usage", &response.usage)?;
                let codes: Vec<_> = response.warnings.iter().map(|w| w.code).collect();
                map.serialize_entry("warnings", &codes)?;
                let metadata = &response.provider_metadata;
                map.serialize_entry("rate_limits", &metadata.rate_limits)?;
                map.serialize_entry("extra", &Extra(&metadata.extra))?;
            }
        }
        if !self.differences.is_empty() {
            map.serialize_entry("event_differences", &self.differences)?;
        }
        map.end()
    }
}

fn choice<M: SerializeMap>(map: &mut M, id: &str, choice: &Choice) -> Result<(), M::Error> {
    let message = &choice.message;
    let calls: Vec<_> = message.tool_calls().map(Call).collect();
    map.serialize_entry("id", id)?;
    map.serialize_entry("text", &message.text())?;
    map.serialize_entry("reasoning", &message.reasoning())?;
    map.serialize_entry("refusal", &message.refusal())?;
    map.serialize_entry("tool_calls", &calls)?;
    map.serialize_entry("finish_reason", &choice.finish_reason)?;
    map.serialize_entry("parts", &message.content)
}

struct Choices<'a>(&'a UnifiedChatResponse);

impl Serialize for Choices<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct One<'a>(&'a str, &'a Choice);
        impl Serialize for One<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut map = serializer.serialize_map(None)?;
                choice(&mut map, self.0, self.1)?;
                map.end()
            }
        }
        let choices = &self.0.choices;
        let mut list = serializer.serialize_seq(Some(choices.len()))?;
        for choice in choices {
            list.serialize_element(&One(&self.0.id, choice))?;
        }
        list.end()
    }
}

struct Call<'a>(&'a ToolCall);

impl Serialize for Call<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &self.0.id)?;
        map.serialize_entry("name", &self.0.name)?;
        map.serialize_entry("arguments", &self.0.arguments)?;
        map.serialize_entry("input", &self.0.parse::<Json>().ok())?;
        map.end()
    }
}

struct Extra<'a>(&'a [(String, Json)]);

impl Serialize for Extra<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}
