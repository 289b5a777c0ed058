//! An encoded request as the prompt that a provider caches: tier by tier, without marks.

use super::{
    blocks::{elements, plain_blocks, plain_message, without_mark},
    rules::{CacheRules, CacheTier},
};
use crate::{ChatRequest, Error, Json, provider::Provider, provider::kit::json_object::JsonObject};

/// System messages as one text, and no block: of OpenAI's Responses API and of Gemini Interactions.
const INSTRUCTIONS: [&str; 2] = ["instructions", "system_instruction"];

/// The prompt of a request.
#[derive(Debug)]
pub(super) struct Prefix {
    pub(super) model: String,
    /// The fields besides the tiers: path, value, and the first tier that depends on it.
    pub(super) settings: Vec<(&'static str, Option<Json>, CacheTier)>,
    pub(super) tiers: Vec<Tier>,
}

/// A tier, as a list of elements.
#[derive(Debug)]
pub(super) struct Tier {
    pub(super) tier: CacheTier,
    /// The path of its field.
    pub(super) path: &'static str,
    pub(super) elements: Vec<Json>,
    /// False for a single text or object, whose path has no index.
    pub(super) is_indexed: bool,
}

impl Prefix {
    pub(super) fn of(
        provider: &dyn Provider,
        rules: &CacheRules,
        request: &ChatRequest,
    ) -> Result<Prefix, Error> {
        let encoded = provider.encode_chat(request)?;
        let body = std::str::from_utf8(encoded.request.body()).unwrap_or_default();
        let body = JsonObject::read(body).unwrap_or_default();
        let tiers = rules.order.iter().map(|(tier, path)| {
            let value = at(&body, path);
            let is_single =
                |value: &Json| INSTRUCTIONS.contains(path) || value.as_str().starts_with('{');
            let is_indexed = !value.as_ref().is_some_and(is_single);
            Tier {
                tier: *tier,
                path,
                elements: match value {
                    None => Vec::new(),
                    Some(value) if !is_indexed => vec![value],
                    Some(value) => plain(*tier, &value),
                },
                is_indexed,
            }
        });
        let settings = rules.settings.iter();
        Ok(Prefix {
            model: request.model.clone(),
            tiers: tiers.collect(),
            settings: settings
                .map(|(path, tier)| (*path, at(&body, path), *tier))
                .collect(),
        })
    }

    /// The bytes of the prompt.
    pub(super) fn size(&self) -> usize {
        self.tiers.iter().map(Tier::size).sum()
    }
}

impl Tier {
    pub(super) fn size(&self) -> usize {
        size(&self.elements)
    }
}

pub(super) fn size(elements: &[Json]) -> usize {
    elements.iter().map(|element| element.as_str().len()).sum()
}

/// The elements without marks. The single text of a list of blocks is a block.
fn plain(tier: CacheTier, value: &Json) -> Vec<Json> {
    match (tier, elements(value)) {
        (CacheTier::Tools, Some(tools)) => tools.iter().filter_map(without_mark).collect(),
        (CacheTier::Messages, Some(messages)) => messages.iter().map(plain_message).collect(),
        _ => plain_blocks(value),
    }
}

/// The value at a path of names with dots.
fn at(body: &JsonObject, path: &str) -> Option<Json> {
    match path.split_once('.') {
        None => body.get(path).cloned(),
        Some((name, rest)) => {
            let inner = JsonObject::read(body.get(name)?.as_str())?;
            at(&inner, rest)
        }
    }
}
