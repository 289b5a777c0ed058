//! `api.json` of models.dev: providers with `models`, each with a `cost` for a million tokens.

use super::{Members, RateNames, per_million, provider_name, rates};
use crate::{
    PriceTable,
    row::{Pattern, Prices, Rates, Row},
};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct DevProvider {
    models: BTreeMap<String, DevModel>,
}

#[derive(Deserialize)]
struct DevModel {
    cost: Option<Members>,
}

const NAMES: RateNames<'static> = RateNames {
    input: "input",
    cached_input: "cache_read",
    cache_write: "cache_write",
    cache_write_1h: "cache_write_1h",
    audio_input: "input_audio",
    output: "output",
};

/// A member of `cost` with the rates of long prompts, and the number of tokens above which they apply.
const LONG: (&str, u64) = ("context_over_200k", 200_000);

pub(super) fn is_provider(value: &RawValue) -> bool {
    serde_json::from_str::<DevProvider>(value.get()).is_ok()
}

pub(super) fn read(providers: &Members) -> PriceTable {
    let mut table = PriceTable::default();
    for (id, provider) in providers {
        let Ok(provider) = serde_json::from_str::<DevProvider>(provider.get()) else {
            table.skip(format!("{id}: no provider"));
            continue;
        };
        for (model, DevModel { cost }) in provider.models {
            let Some(cost) = cost else {
                table.skip(format!("{id}/{model}: no prices"));
                continue;
            };
            let (base, wrong) = rates(&cost, &NAMES, per_million);
            for name in wrong {
                table.skip(format!("{id}/{model}: `{name}` is no price"));
            }
            let (name, limit) = LONG;
            let long = cost
                .get(name)
                .and_then(|long| serde_json::from_str(long.get()).ok());
            let long = long.map(|long: Members| (limit, rates(&long, &NAMES, per_million).0));
            let standard = Rates {
                base,
                above: long.into_iter().collect(),
                ..Rates::default()
            };
            let prices = Prices {
                standard,
                ..Prices::default()
            };
            let row = Row {
                models: Pattern::Equals(model),
                prices: vec![prices],
            };
            table.add(provider_name(id), row);
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;
    use unifiedai::{
        Usage,
        cost::{Charge, PriceSource},
    };

    #[test]
    fn prices_of_long_prompts_are_read() {
        let text = r#"{"google": {"id": "google", "models": {
            "pro": {"id": "pro", "cost": {"input": 1.25, "output": 10, "cache_read": 0.31, "context_over_200k": {"input": 2.5, "output": 15}}},
            "free": {"id": "free"}}}}"#;
        let table = crate::format::read(text).unwrap();
        assert_eq!(table.skipped(), ["google/free: no prices"]);
        for (prompt, price) in [(100_000, "0.125"), (300_000, "0.75")] {
            let mut usage = Usage::default();
            (usage.prompt_tokens, usage.completion_tokens) = (Some(prompt), Some(0));
            let cost = table.cost(&Charge::new("gemini", "pro", UNIX_EPOCH, &usage));
            assert_eq!(cost.total(), price.parse().ok());
        }
    }
}
