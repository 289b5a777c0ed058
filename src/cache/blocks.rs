//! The parts of an encoded request that can carry marks of a cache.

use crate::{Error, Json, provider::kit::json_object::JsonObject};

/// Of the parts of a content, of tools, of messages.
const MARK: &str = "cache_control";
const BREAKPOINT: &str = "prompt_cache_breakpoint";
const POINT: &str = "cachePoint";

/// The elements of a list; `None` for any other value.
pub(super) fn elements(json: &Json) -> Option<Vec<Json>> {
    let is_list = json.as_str().trim_start().starts_with('[');
    let list: Vec<Json> = json.decode().ok().filter(|_| is_list)?;
    Some(list)
}

pub(super) fn list(elements: &[Json]) -> Result<Json, Error> {
    Json::new(elements)
}

/// A text as a list's block.
pub(super) fn text_block(text: &Json) -> Option<Json> {
    let text = text.as_str();
    (text.starts_with('"') && text != "\"\"")
        .then(|| Json::part(&[r#"{"type":"text","text":"#, text, "}"].concat()))
}

#[cfg(feature = "bedrock")]
pub(super) fn is_object_with(json: &Json, name: &str) -> bool {
    let members = JsonObject::read(json.as_str());
    members.is_some_and(|members| members.get(name).is_some())
}

/// The marks of a body of Anthropic or Bedrock.
pub(super) fn count_marks(body: &JsonObject) -> usize {
    let automatic = usize::from(body.get(MARK).is_some());
    let tools = body.get("tools").map_or(0, in_blocks);
    let config = body.get("toolConfig");
    let config = config.and_then(|config| JsonObject::read(config.as_str()));
    let inner = config.as_ref().and_then(|config| config.get("tools"));
    let system = body.get("system").map_or(0, in_blocks);
    let messages = body.get("messages").and_then(elements).unwrap_or_default();
    let messages: usize = messages
        .iter()
        .filter_map(|message| JsonObject::read(message.as_str()))
        .filter_map(|message| message.get("content").map(in_blocks))
        .sum();
    [
        automatic,
        tools,
        inner.map_or(0, in_blocks),
        system,
        messages,
    ]
    .iter()
    .sum()
}

fn in_blocks(blocks: &Json) -> usize {
    let blocks = elements(blocks).unwrap_or_default();
    let count = |block: &Json| {
        let Some(members) = JsonObject::read(block.as_str()) else {
            return 0;
        };
        // The parts of a tool's result can have marks too.
        let inner = members.get("content").map_or(0, in_blocks);
        let own = members.get(MARK).is_some() || members.get(POINT).is_some();
        inner.saturating_add(usize::from(own))
    };
    blocks.iter().map(count).sum()
}

/// A tool, or a block, without marks; `None` if it is nothing but a mark.
pub(super) fn without_mark(block: &Json) -> Option<Json> {
    let Some(members) = JsonObject::read(block.as_str()) else {
        return Some(block.clone());
    };
    if members.get(POINT).is_some() {
        return None;
    }
    let mut members = members.without(&[MARK, BREAKPOINT]);
    let inner = members.get("content").and_then(elements);
    if let Some(inner) = inner {
        let inner: Vec<Json> = inner.iter().filter_map(without_mark).collect();
        members.set("content", list(&inner).ok()?);
    }
    members.to_json().ok()
}

/// A content as blocks without marks. A text is the same as a list with one.
pub(super) fn plain_blocks(content: &Json) -> Vec<Json> {
    match elements(content) {
        Some(blocks) => blocks.iter().filter_map(without_mark).collect(),
        None => vec![text_block(content).unwrap_or_else(|| content.clone())],
    }
}

/// A message whose content has no marks.
pub(super) fn plain_message(message: &Json) -> Json {
    let Some(mut members) = JsonObject::read(message.as_str()) else {
        return message.clone();
    };
    for name in ["content", "parts"] {
        let blocks = members.get(name).map(plain_blocks);
        if let Some(Ok(blocks)) = blocks.map(|blocks| list(&blocks)) {
            members.set(name, blocks);
        }
    }
    members.to_json().unwrap_or_else(|_| message.clone())
}
