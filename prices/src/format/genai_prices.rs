//! `data.json` of `genai-prices`: a list of providers. Prices are for a million tokens.

use super::{Members, RateNames, per_million, provider_name, rates};
use crate::{
    PriceTable, date,
    row::{Pattern, Prices, Rates, Row, TokenRates},
};
use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Deserialize)]
struct GenaiProvider {
    id: String,
    #[serde(default)]
    models: Vec<GenaiModel>,
}

#[derive(Deserialize)]
struct GenaiModel {
    id: String,
    #[serde(rename = "match")]
    pattern: Box<RawValue>,
    /// An object, or a list of objects with constraints.
    prices: Box<RawValue>,
}

#[derive(Deserialize)]
struct Conditional {
    #[serde(default)]
    constraint: Option<Constraint>,
    prices: Members,
}

#[derive(Deserialize)]
struct Constraint {
    start_date: Option<String>,
    /// Prices at some hours of a day only, which this crate does not represent.
    start_time: Option<String>,
}

/// A price that depends on the number of input tokens.
#[derive(Deserialize)]
struct Tiered {
    base: Box<RawValue>,
    tiers: Vec<Tier>,
}

#[derive(Deserialize)]
struct Tier {
    start: u64,
    price: Box<RawValue>,
}

const NAMES: RateNames<'static> = RateNames {
    input: "input_mtok",
    cached_input: "cache_read_mtok",
    cache_write: "cache_write_mtok",
    cache_write_1h: "cache_write_1h_mtok",
    audio_input: "input_audio_mtok",
    output: "output_mtok",
};

pub(super) fn read(text: &str) -> serde_json::Result<PriceTable> {
    let providers: Vec<GenaiProvider> = serde_json::from_str(text)?;
    let mut table = PriceTable::default();
    for provider in providers {
        for model in &provider.models {
            let place = format!("{}/{}", provider.id, model.id);
            match row(model) {
                Ok((row, notes)) => {
                    table.add(provider_name(&provider.id), row);
                    notes
                        .into_iter()
                        .for_each(|note| table.skip(format!("{place}: {note}")));
                }
                Err(why) => table.skip(format!("{place}: {why}")),
            }
        }
    }
    Ok(table)
}

fn row(model: &GenaiModel) -> Result<(Row, Vec<String>), String> {
    let models = pattern(model.pattern.get())?;
    let unconditional = |prices| Conditional {
        constraint: None,
        prices,
    };
    let list: Vec<Conditional> = match model.prices.get().starts_with('[') {
        true => serde_json::from_str(model.prices.get()).map_err(|error| error.to_string())?,
        false => {
            let prices = serde_json::from_str(model.prices.get());
            vec![unconditional(prices.map_err(|error| error.to_string())?)]
        }
    };
    let mut notes = Vec::new();
    let mut prices = Vec::new();
    for one in list {
        let from = match &one.constraint {
            Some(constraint) if constraint.start_time.is_some() => {
                notes.push("prices by the time of day".to_owned());
                continue;
            }
            Some(Constraint {
                start_date: Some(day),
                ..
            }) => Some(date::midnight(day).ok_or_else(|| format!("`{day}` is no date"))?),
            _ => None,
        };
        let standard = token_rates(&one.prices, &mut notes);
        if standard.base.is_empty() {
            continue;
        }
        prices.push(Prices {
            from,
            standard,
            ..Prices::default()
        });
    }
    if prices.is_empty() {
        return Err("no prices for tokens".to_owned());
    }
    prices.sort_by_key(|prices| prices.from);
    Ok((Row { models, prices }, notes))
}

fn token_rates(members: &Members, notes: &mut Vec<String>) -> Rates {
    let base = |value: &RawValue| match tiered(value) {
        Some(tiered) => per_million(&tiered.base),
        None => per_million(value),
    };
    let (base, wrong) = rates(members, &NAMES, base);
    notes.extend(
        wrong
            .into_iter()
            .map(|name| format!("`{name}` is no price")),
    );
    let mut limits: Vec<u64> = members
        .values()
        .filter_map(|value| tiered(value))
        .flat_map(|tiered| tiered.tiers.into_iter().map(|tier| tier.start))
        .collect();
    limits.sort_unstable();
    limits.dedup();
    let above = limits.into_iter().map(|limit| {
        let (higher, _) = rates(members, &NAMES, |value| {
            let tiers = tiered(value)?.tiers;
            let tier = tiers.iter().filter(|tier| tier.start <= limit);
            per_million(&tier.max_by_key(|tier| tier.start)?.price)
        });
        (limit, higher)
    });
    Rates {
        base,
        above: above
            .filter(|(_, rates): &(u64, TokenRates)| !rates.is_empty())
            .collect(),
        ..Rates::default()
    }
}

fn tiered(value: &RawValue) -> Option<Tiered> {
    let is_object = value.get().starts_with('{');
    is_object.then(|| serde_json::from_str(value.get()).ok())?
}

fn pattern(text: &str) -> Result<Pattern, String> {
    let members: Members = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let Some((kind, value)) = members.first_key_value() else {
        return Err("an empty pattern".to_owned());
    };
    let string = || serde_json::from_str::<String>(value.get()).map_err(|error| error.to_string());
    let list = || -> Result<Vec<Pattern>, String> {
        let list: Vec<Box<RawValue>> =
            serde_json::from_str(value.get()).map_err(|error| error.to_string())?;
        list.iter().map(|one| pattern(one.get())).collect()
    };
    Ok(match kind.as_str() {
        "equals" => Pattern::Equals(string()?),
        "starts_with" => Pattern::StartsWith(string()?),
        "ends_with" => Pattern::EndsWith(string()?),
        "contains" => Pattern::Contains(string()?),
        "or" => Pattern::Any(list()?),
        "and" => Pattern::All(list()?),
        other => return Err(format!("patterns of kind `{other}` are not supported")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{SystemTime, UNIX_EPOCH};
    use unifiedai::{
        Usage,
        cost::{Charge, Cost, PriceSource},
    };

    const FILE: &str = r#"[{"id": "google", "name": "Google", "models": [
        {"id": "pro", "match": {"or": [{"equals": "pro"}, {"and": [{"starts_with": "pro-"}, {"ends_with": "-x"}]}]},
         "prices": {"input_mtok": {"base": 1.25, "tiers": [{"start": 200000, "price": 2.5}]}, "cache_read_mtok": 0.125, "output_mtok": 10}},
        {"id": "moved", "match": {"contains": "moved"}, "prices": [
            {"prices": {"input_mtok": 1, "output_mtok": 1}},
            {"constraint": {"start_date": "2026-01-01"}, "prices": {"input_mtok": 2, "output_mtok": 2}},
            {"constraint": {"start_time": "00:30:00Z", "end_time": "16:30:00Z"}, "prices": {"input_mtok": 3, "output_mtok": 3}}]},
        {"id": "re", "match": {"regex": "x.*"}, "prices": {"input_mtok": 1}},
        {"id": "images", "match": {"equals": "images"}, "prices": {"requests_kcount": 5}}]}]"#;

    fn cost(model: &str, at: SystemTime, prompt: u64, cached: u64) -> Cost {
        let table = read(FILE).unwrap();
        let mut usage = Usage::default();
        (usage.prompt_tokens, usage.completion_tokens) = (Some(prompt), Some(100_000));
        usage.cached_tokens = Some(cached);
        table.cost(&Charge::new("gemini", model, at, &usage))
    }

    #[test]
    fn tiers_patterns_and_dates_are_read() {
        let total = |text: &str| Some(text.parse().unwrap());
        assert_eq!(cost("pro", UNIX_EPOCH, 200_000, 0).total(), total("1.25"));
        assert_eq!(
            cost("pro-1-x", UNIX_EPOCH, 400_000, 200_000).total(),
            total("1.525")
        );
        assert_eq!(cost("pro-1", UNIX_EPOCH, 1, 0).unknown, ["model"]);
        let later = date::midnight("2026-01-01").unwrap();
        assert_eq!(
            cost("is-moved", UNIX_EPOCH, 100_000, 0).total(),
            total("0.2")
        );
        assert_eq!(cost("is-moved", later, 100_000, 0).total(), total("0.4"));
    }

    #[test]
    fn what_is_not_used_is_said() {
        let table = read(FILE).unwrap();
        assert_eq!(
            table.skipped(),
            [
                "google/moved: prices by the time of day",
                "google/re: patterns of kind `regex` are not supported",
                "google/images: no prices for tokens",
            ]
        );
    }
}
