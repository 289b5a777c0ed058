//! `generationConfig`: how to answer.

use crate::{
    ChatRequest, Error, Json, ReasoningEffort, ResponseFormat,
    chat::ReasoningFormat,
    provider::kit::{json_object::JsonObject, request::UnsupportedParams},
};
use serde::{Serialize, Serializer, ser::SerializeMap};

/// The object under way. What `extra` says of it counts before the typed parameters, member by member.
#[derive(Debug, Default)]
pub(super) struct Config {
    members: Vec<(&'static str, Json)>,
    extra: JsonObject,
}

impl Config {
    pub(super) fn new(request: &ChatRequest) -> Self {
        let extra = request
            .extra
            .iter()
            .find(|(name, _)| name == "generationConfig");
        Config {
            members: Vec::new(),
            extra: extra
                .and_then(|(_, json)| JsonObject::read(json.as_str()))
                .unwrap_or_default(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty() && self.extra.is_empty()
    }

    pub(super) fn set<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        if self.extra.get(name).is_none() {
            self.members.push((name, Json::new(value)?));
        }
        Ok(())
    }

    pub(super) fn format(&mut self, format: &ResponseFormat) -> Result<(), Error> {
        match format {
            ResponseFormat::Text => Ok(()),
            ResponseFormat::JsonObject => self.set("responseMimeType", "application/json"),
            // The schema's name and description have no place on this wire, and it always enforces the schema.
            ResponseFormat::JsonSchema(schema) => {
                self.set("responseMimeType", "application/json")?;
                self.set("responseJsonSchema", &schema.schema)
            }
        }
    }

    pub(super) fn thinking(
        &mut self,
        request: &ChatRequest,
        omissions: &mut UnsupportedParams<'_>,
    ) -> Result<(), Error> {
        let shown = match &request.reasoning_format {
            Some(ReasoningFormat::Parsed) => Some(true),
            Some(ReasoningFormat::Hidden) => Some(false),
            Some(ReasoningFormat::None) | None => None,
            Some(other) => {
                omissions.refuse_value("reasoning_format", other)?;
                None
            }
        };
        let off = request.disable_reasoning == Some(true)
            || request.reasoning_effort == Some(ReasoningEffort::None)
            || request.reasoning_max_tokens == Some(0);
        let (mut budget, mut level) = (request.reasoning_max_tokens, None);
        if off {
            budget = Some(0);
        } else if let (None, Some(effort)) = (budget, &request.reasoning_effort) {
            if takes_budgets(&request.model) {
                budget = budget_of(effort);
            } else {
                level = level_of(effort);
            }
            if budget.is_none() && level.is_none() {
                omissions.refuse_value("reasoning_effort", effort)?;
            }
        } else if request.reasoning_effort.is_some() {
            omissions.refuse("`reasoning_effort` together with `reasoning_max_tokens`")?;
        }
        let thinks = level.is_some() || budget.is_some_and(|budget| budget > 0);
        let include_thoughts = shown.or(thinks.then_some(true));
        if include_thoughts.is_none() && budget.is_none() {
            return Ok(());
        }
        let config = ThinkingConfig {
            include_thoughts,
            thinking_budget: budget,
            thinking_level: level,
        };
        self.set("thinkingConfig", &config)
    }
}

/// Models before Gemini 3 are told how much to think in tokens, later ones by a level.
fn takes_budgets(model: &str) -> bool {
    model.contains("gemini-2") || model.contains("gemini-1")
}

/// The tokens that Google's own translation of OpenAI's wire gives to each effort.
fn budget_of(effort: &ReasoningEffort) -> Option<u64> {
    Some(match effort {
        ReasoningEffort::Minimal | ReasoningEffort::Low => 1024,
        ReasoningEffort::Medium => 8192,
        ReasoningEffort::High => 24576,
        _ => return None,
    })
}

fn level_of(effort: &ReasoningEffort) -> Option<&str> {
    match effort {
        ReasoningEffort::XHigh | ReasoningEffort::None => None,
        effort => Some(effort.as_str()),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ThinkingConfig<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    include_thoughts: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_budget: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_level: Option<&'a str>,
}

impl Serialize for Config {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in &self.members {
            map.serialize_entry(name, value)?;
        }
        for (name, value) in self.extra.iter() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}
