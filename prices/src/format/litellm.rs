//! LiteLLM's `model_prices_and_context_window.json`: models with prices for one token.

use super::{Members, RateNames, decimal, provider_name, rates};
use crate::{
    PriceTable,
    row::{Pattern, Prices, Rates, Row, TokenRates},
};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

const PROVIDER: &str = "litellm_provider";

/// Service tiers, and what their prices end with.
const TIERS: [(&str, &str); 3] = [
    ("flex", "_flex"),
    ("priority", "_priority"),
    ("batch", "_batches"),
];

/// What prices of long prompts end with, and the number of tokens above which they apply.
const LONG: [(&str, u64); 3] = [
    ("_above_128k_tokens", 128_000),
    ("_above_200k_tokens", 200_000),
    ("_above_256k_tokens", 256_000),
];

pub(super) fn is_model(value: &RawValue) -> bool {
    value.get().starts_with('{') && value.get().contains(PROVIDER)
}

pub(super) fn read(models: &Members) -> PriceTable {
    let mut table = PriceTable::default();
    for (name, model) in models {
        // The file begins with an entry that describes its members.
        if name == "sample_spec" {
            continue;
        }
        let members: Option<Members> = serde_json::from_str(model.get()).ok();
        let provider = members.as_ref().and_then(|members| {
            let provider = members.get(PROVIDER)?;
            serde_json::from_str::<String>(provider.get()).ok()
        });
        let (Some(members), Some(provider)) = (members, provider) else {
            table.skip(format!("{name}: no provider"));
            continue;
        };
        let (base, wrong) = with_ending(&members, "");
        for member in wrong {
            table.skip(format!("{name}: `{member}` is no price"));
        }
        if base.is_empty() {
            table.skip(format!("{name}: no prices for tokens"));
            continue;
        }
        let above = LONG.into_iter().filter_map(|(ending, limit)| {
            let (rates, _) = with_ending(&members, ending);
            (!rates.is_empty()).then_some((limit, rates))
        });
        let above: Vec<_> = above.collect();
        let tiers: BTreeMap<String, Rates> = TIERS
            .into_iter()
            .filter_map(|(tier, ending)| {
                let (base, _) = with_ending(&members, ending);
                let rates = Rates {
                    base,
                    ..Rates::default()
                };
                (!base.is_empty()).then(|| (tier.to_owned(), rates))
            })
            .collect();
        let standard = Rates {
            base,
            above,
            ..Rates::default()
        };
        let prices = Prices {
            standard,
            tiers,
            ..Prices::default()
        };
        // Some names begin with the provider.
        let model = name
            .strip_prefix(&[&*provider, "/"].concat())
            .unwrap_or(name);
        let row = Row {
            models: Pattern::Equals(model.to_owned()),
            prices: vec![prices],
        };
        table.add(provider_name(&provider), row);
    }
    table
}

fn with_ending(members: &Members, ending: &str) -> (TokenRates, Vec<String>) {
    let name = |stem: &str| [stem, ending].concat();
    let names = [
        name("input_cost_per_token"),
        name("cache_read_input_token_cost"),
        name("cache_creation_input_token_cost"),
        name("cache_creation_input_token_cost_above_1hr"),
        name("input_cost_per_audio_token"),
        name("output_cost_per_token"),
    ];
    let [
        input,
        cached_input,
        cache_write,
        cache_write_1h,
        audio_input,
        output,
    ] = &names;
    let names = RateNames {
        input,
        cached_input,
        cache_write,
        cache_write_1h,
        audio_input,
        output,
    };
    let (rates, wrong) = rates(members, &names, decimal);
    (rates, wrong.into_iter().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;
    use unifiedai::{
        Usage,
        cost::{Charge, Cost, PriceSource},
    };

    const FILE: &str = r#"{"sample_spec": {"litellm_provider": "one of", "input_cost_per_token": 0.0},
        "gpt-x": {"litellm_provider": "openai", "input_cost_per_token": 1.5e-07, "output_cost_per_token": 6E-7,
            "input_cost_per_token_batches": 7.5e-08, "output_cost_per_token_batches": 3e-07,
            "input_cost_per_token_above_200k_tokens": 3e-07},
        "together_ai/llama": {"litellm_provider": "together_ai", "input_cost_per_token": "x", "output_cost_per_token": 1e-6},
        "dall-e": {"litellm_provider": "openai", "input_cost_per_pixel": 1e-9}}"#;

    fn cost(provider: &str, model: &str, tier: &str, prompt: u64) -> Cost {
        let table = crate::format::read(FILE).unwrap();
        let mut usage = Usage::default();
        (usage.prompt_tokens, usage.completion_tokens) = (Some(prompt), Some(100));
        table.cost(&Charge::new(provider, model, UNIX_EPOCH, &usage).service_tier(tier))
    }

    #[test]
    fn tiers_and_long_prompts_are_read() {
        let total = |text: &str| Some(text.parse().unwrap());
        assert_eq!(cost("openai", "gpt-x", "", 1000).total(), total("0.00021"));
        assert_eq!(
            cost("openai", "gpt-x", "batch", 1000).total(),
            total("0.000105")
        );
        assert_eq!(
            cost("openai", "gpt-x", "", 300_000).total(),
            total("0.09006")
        );
        assert_eq!(
            cost("openai", "gpt-x", "flex", 1).unknown,
            ["service tier flex"]
        );
        assert_eq!(cost("together", "llama", "", 1).unknown, ["input tokens"]);
    }

    #[test]
    fn what_is_not_used_is_said() {
        let table = crate::format::read(FILE).unwrap();
        assert_eq!(
            table.skipped(),
            [
                "dall-e: no prices for tokens",
                "together_ai/llama: `input_cost_per_token` is no price",
            ]
        );
    }
}
