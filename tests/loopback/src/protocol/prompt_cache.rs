//! Anthropic's prompt caching: the beginning of a prompt, up to a block with `cache_control`, is written to the cache by the
//! first request and read from it by later ones. Nothing expires, and no beginning is too short.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::Value;

use super::{list, text, text_of};
use crate::response::count;

/// The most beginnings that are kept. The oldest one is dropped for the next.
const CAPACITY: usize = 1024;

/// The tokens of a picture or a document.
const MEDIA_TOKENS: usize = 1000;

/// The beginnings that requests marked, as hashes.
#[derive(Default)]
pub(crate) struct PromptCache(VecDeque<u64>);

/// The tokens of a prompt.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct PromptTokens {
    /// Neither written to the cache nor read from it.
    pub(crate) plain: usize,
    pub(crate) written: usize,
    pub(crate) read: usize,
    /// The written ones are kept for an hour, not for five minutes.
    pub(crate) for_an_hour: bool,
}

impl PromptCache {
    /// Counts the tokens of a request, and keeps the beginnings that it marks.
    pub(crate) fn count(&mut self, model: &str, body: &Value) -> PromptTokens {
        let blocks = blocks(body);
        let mut hasher = DefaultHasher::new();
        model.hash(&mut hasher);
        let (mut tokens, mut known) = (0, 0);
        let (mut marked, mut counted) = (0, PromptTokens::default());
        for (at, block) in blocks.iter().enumerate() {
            block.hash(&mut hasher);
            tokens += block.tokens();
            let beginning = hasher.finish();
            if self.0.contains(&beginning) {
                known = tokens;
            }
            // In the request itself it marks the last block.
            let automatic = body.get("cache_control");
            let mark = block.value.get("cache_control");
            let mark = mark.or(automatic.filter(|_| at + 1 == blocks.len()));
            let Some(mark) = mark.filter(|mark| !mark.is_null()) else {
                continue;
            };
            if known < tokens {
                self.keep(beginning);
            }
            (marked, counted.read) = (tokens, known);
            counted.for_an_hour = text_of(mark, "ttl") == "1h";
        }
        counted.written = marked - counted.read;
        counted.plain = prompt_tokens(body) - marked;
        counted
    }

    fn keep(&mut self, beginning: u64) {
        if self.0.len() == CAPACITY {
            self.0.pop_front();
        }
        self.0.push_back(beginning);
    }
}

/// The tokens of a prompt, cached or not.
pub(crate) fn prompt_tokens(body: &Value) -> usize {
    2 + blocks(body).iter().map(Block::tokens).sum::<usize>()
}

/// A tool, or a block of the system prompt or of a message.
struct Block<'a> {
    /// `tools`, `system`, or the role of the message.
    place: &'a str,
    /// A text instead of a list of blocks is a string.
    value: &'a Value,
    is_first: bool,
}

/// In the order in which they are cached.
fn blocks(body: &Value) -> Vec<Block<'_>> {
    let messages = list(body, "messages").iter();
    let messages = messages.map(|message| (text_of(message, "role"), message.get("content")));
    [("tools", body.get("tools")), ("system", body.get("system"))]
        .into_iter()
        .chain(messages)
        .flat_map(|(place, content)| blocks_of(place, content))
        .collect()
}

fn blocks_of<'a>(place: &'a str, content: Option<&'a Value>) -> impl Iterator<Item = Block<'a>> {
    let values = match content {
        Some(Value::Array(values)) => values.as_slice(),
        Some(value) => std::slice::from_ref(value),
        None => &[],
    };
    values.iter().enumerate().map(move |(at, value)| Block {
        place,
        value,
        is_first: at == 0,
    })
}

impl Block<'_> {
    fn tokens(&self) -> usize {
        let starts_message = self.is_first && !["tools", "system"].contains(&self.place);
        let own = match (self.place, text_of(self.value, "type")) {
            ("tools", _) => count(&self.value.to_string()),
            (_, "image" | "document") => MEDIA_TOKENS,
            (_, "tool_use") => count(&self.value["input"].to_string()),
            (_, "tool_result") => count(&text(self.value.get("content"))),
            _ => count(self.value.as_str().unwrap_or(text_of(self.value, "text"))),
        };
        own + if starts_message { 4 } else { 0 }
    }
}

impl Hash for Block<'_> {
    /// Without the mark: a beginning is the same with marks at other places.
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.place, self.is_first).hash(state);
        match self.value {
            Value::Object(members) => members
                .iter()
                .filter(|(name, _)| *name != "cache_control")
                .for_each(|member| member.hash(state)),
            value => value.hash(state),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_number_of_beginnings_is_bounded() {
        let mut cache = PromptCache::default();
        for n in 0..CAPACITY + 8 {
            let content = json!([{"type": "text", "text": n.to_string(), "cache_control": {"type": "ephemeral"}}]);
            let body = json!({"messages": [{"role": "user", "content": content}]});
            let counted = cache.count("m", &body);
            assert_eq!((counted.written, counted.read), (5, 0));
        }
        assert_eq!(cache.0.len(), CAPACITY);
    }
}
