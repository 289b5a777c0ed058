//! Reads price files. Numbers are taken from their text, because a binary fraction is not the price that is written.

mod genai_prices;
mod litellm;
mod models_dev;
mod own;

use crate::{PriceTable, row::TokenRates};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use unifiedai::cost::Usd;

/// A text that is no price file.
#[derive(Debug, thiserror::Error)]
#[error("not a price file: {0}")]
pub struct InvalidPrices(String);

/// An object of which some members are read.
type Members = BTreeMap<String, Box<RawValue>>;

pub(crate) fn read(text: &str) -> Result<PriceTable, InvalidPrices> {
    let invalid = |error: serde_json::Error| InvalidPrices(error.to_string());
    if text.trim_start().starts_with('[') {
        return genai_prices::read(text).map_err(invalid);
    }
    let members: Members = serde_json::from_str(text).map_err(invalid)?;
    if let Some(rows) = members.get("rows") {
        return own::read(rows.get()).map_err(invalid);
    }
    if members.values().any(|value| models_dev::is_provider(value)) {
        return Ok(models_dev::read(&members));
    }
    if members.values().any(|value| litellm::is_model(value)) {
        return Ok(litellm::read(&members));
    }
    Err(InvalidPrices(
        "neither `rows`, nor providers with `models`, nor models with `litellm_provider`"
            .to_owned(),
    ))
}

/// A number, or a string with a number.
fn decimal(value: &RawValue) -> Option<Usd> {
    let text = value.get();
    let text = text
        .strip_prefix('"')
        .map_or(text, |text| text.strip_suffix('"').unwrap_or(text));
    text.parse().ok()
}

/// The price of one from the price of a million.
fn per_million(value: &RawValue) -> Option<Usd> {
    decimal(value)?.checked_div_exact(1_000_000)
}

/// Reads members as rates. Returns the names of those that are no prices.
fn rates<'n>(
    members: &Members,
    names: &RateNames<'n>,
    read: impl Fn(&RawValue) -> Option<Usd>,
) -> (TokenRates, Vec<&'n str>) {
    let mut wrong = Vec::new();
    let mut rate = |name: &'n str| {
        let value = members.get(name).filter(|value| value.get() != "null")?;
        let rate = read(value);
        if rate.is_none() {
            wrong.push(name);
        }
        rate
    };
    let rates = TokenRates {
        input: rate(names.input),
        cached_input: rate(names.cached_input),
        cache_write: rate(names.cache_write),
        cache_write_1h: rate(names.cache_write_1h),
        audio_input: rate(names.audio_input),
        output: rate(names.output),
    };
    (rates, wrong)
}

/// The names of the rates in a format.
struct RateNames<'n> {
    input: &'n str,
    cached_input: &'n str,
    cache_write: &'n str,
    cache_write_1h: &'n str,
    audio_input: &'n str,
    output: &'n str,
}

/// The name that `unifiedai` has for a provider of another project.
fn provider_name(name: &str) -> &str {
    match name {
        "google" => "gemini",
        "x-ai" | "x_ai" => "xai",
        "aws" | "amazon-bedrock" | "bedrock_converse" => "bedrock",
        "moonshotai" => "moonshot",
        "together_ai" | "togetherai" => "together",
        "fireworks_ai" | "fireworks-ai" => "fireworks",
        "dashscope" => "alibaba",
        "cohere_chat" => "cohere",
        name => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_text_is_refused_with_the_reason() {
        for (text, why) in [
            ("", "EOF"),
            ("{}", "neither `rows`"),
            (r#"{"a": 1}"#, "neither `rows`"),
            (r#"{"rows": 1}"#, "invalid type"),
            ("[1]", "invalid type"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
