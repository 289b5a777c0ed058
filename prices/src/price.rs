use crate::row::{Rates, TokenRates};
use serde::Deserialize;
use unifiedai::{
    Usage,
    cost::{Cost, Usd},
};

/// What the tokens cost at these rates.
pub(crate) fn price(rates: &Rates, usage: &Usage) -> Cost {
    let mut cost = Cost::ZERO;
    let Some(prompt) = usage.prompt_tokens else {
        return cost.without("tokens");
    };
    let above = rates.above.iter().filter(|(limit, _)| prompt > *limit);
    let per_token = match above.max_by_key(|(limit, _)| *limit) {
        Some((_, higher)) => higher.or(rates.base),
        None => rates.base,
    };
    for part in parts(prompt, usage, &per_token) {
        match part.rate {
            _ if part.tokens == 0 => {}
            Some(rate) => cost.add(&Cost::new(rate).times(part.tokens)),
            None => cost = cost.without(part.name),
        }
    }
    match (usage.completion_tokens, per_token.output) {
        (Some(tokens), Some(rate)) => cost.add(&Cost::new(rate).times(tokens)),
        // Models without output, such as those for embeddings, have no price for it.
        (None | Some(0), None) => {}
        _ => cost = cost.without("output tokens"),
    }
    let tools = usage.hosted_tools.as_deref();
    let searches = tools
        .and_then(|tools| tools.web_searches)
        .unwrap_or_default();
    match rates.web_search {
        _ if searches == 0 => {}
        Some(rate) => cost.add(&Cost::new(rate).times(searches)),
        None => cost = cost.without("web searches"),
    }
    // No table has rates for these.
    let others = tools.map_or([None; 3], |tools| {
        [
            tools.code_executions,
            tools.file_searches,
            tools.image_generations,
        ]
    });
    let names = ["code executions", "file searches", "generated images"];
    for (count, name) in others.into_iter().zip(names) {
        if count.unwrap_or_default() > 0 {
            cost = cost.without(name);
        }
    }
    cost
}

/// A part of the prompt with a rate of its own.
struct Part {
    name: &'static str,
    tokens: u64,
    rate: Option<Usd>,
}

fn parts(prompt: u64, usage: &Usage, rates: &TokenRates) -> [Part; 5] {
    let cached = usage.cached_tokens.unwrap_or_default();
    let written = usage.cache_write_tokens.unwrap_or_default();
    let long = raw(usage)
        .cache_creation
        .ephemeral_1h_input_tokens
        .min(written);
    let audio = usage.audio_tokens.unwrap_or_default();
    let other = [cached, written, audio]
        .into_iter()
        .fold(prompt, u64::saturating_sub);
    let part = |name, tokens, rate| Part { name, tokens, rate };
    [
        part("input tokens", other, rates.input),
        part("cached tokens", cached, rates.cached_input),
        part(
            "cache writes",
            written.saturating_sub(long),
            rates.cache_write,
        ),
        part("cache writes for an hour", long, rates.cache_write_1h),
        part("audio tokens", audio, rates.audio_input),
    ]
}

/// What only the provider's own object says. Anthropic: `cache_creation` of `usage`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct RawUsage {
    cache_creation: CacheCreation,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CacheCreation {
    ephemeral_1h_input_tokens: u64,
}

fn raw(usage: &Usage) -> RawUsage {
    let raw = usage.raw.as_ref().map(|raw| raw.as_str());
    raw.and_then(|raw| serde_json::from_str(raw).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn usd(text: &str) -> Option<Usd> {
        Some(text.parse().unwrap())
    }

    fn rates() -> Rates {
        Rates {
            base: TokenRates {
                input: usd("0.01"),
                cached_input: usd("0.001"),
                cache_write: usd("0.02"),
                cache_write_1h: usd("0.04"),
                audio_input: None,
                output: usd("0.1"),
            },
            above: vec![(
                1000,
                TokenRates {
                    input: usd("0.02"),
                    output: usd("0.2"),
                    ..TokenRates::default()
                },
            )],
            web_search: usd("0.01"),
        }
    }

    fn usage(prompt: u64, completion: u64) -> Usage {
        let mut usage = Usage::default();
        (usage.prompt_tokens, usage.completion_tokens) = (Some(prompt), Some(completion));
        usage
    }

    #[test]
    fn each_kind_of_token_has_its_rate() {
        let mut usage = usage(100, 10);
        assert_eq!(price(&rates(), &usage).total(), usd("2"));
        usage.cached_tokens = Some(50);
        assert_eq!(price(&rates(), &usage).total(), usd("1.55"));
        usage.cache_write_tokens = Some(10);
        assert_eq!(price(&rates(), &usage).total(), usd("1.65"));
        let raw = r#"{"cache_creation":{"ephemeral_1h_input_tokens":4}}"#;
        usage.raw = serde_json::from_str(raw).ok();
        let mut tools = unifiedai::chat::HostedToolUsage::default();
        tools.web_searches = Some(3);
        usage.hosted_tools = Some(Box::new(tools));
        assert_eq!(price(&rates(), &usage).total(), usd("1.76"));
        usage.audio_tokens = Some(1);
        let cost = price(&rates(), &usage);
        assert_eq!(cost.total(), None);
        assert_eq!(cost.unknown, ["audio tokens"]);
        assert_eq!(Some(cost.known), usd("1.75"));
    }

    #[test]
    fn a_long_prompt_has_higher_rates_for_all_of_it() {
        assert_eq!(price(&rates(), &usage(1000, 1)).total(), usd("10.1"));
        assert_eq!(price(&rates(), &usage(1001, 1)).total(), usd("20.22"));
    }

    #[test]
    fn what_has_no_rate_is_named() {
        let free = Rates::default();
        assert_eq!(
            price(&free, &usage(1, 1)).unknown,
            ["input tokens", "output tokens"]
        );
        assert_eq!(price(&free, &usage(0, 0)).total(), Some(Usd::ZERO));
        assert_eq!(price(&rates(), &Usage::default()).unknown, ["tokens"]);
        let mut vectors = Usage::default();
        vectors.prompt_tokens = Some(5);
        assert_eq!(price(&rates(), &vectors).unknown, ["output tokens"]);
        let embedding = Rates {
            base: TokenRates {
                input: usd("1"),
                ..TokenRates::default()
            },
            ..Rates::default()
        };
        assert_eq!(price(&embedding, &vectors).total(), usd("5"));
    }

    proptest! {
        #[test]
        fn more_tokens_never_cost_less(a in 0_u64..5_000, b in 0_u64..5_000, output in 0_u64..100) {
            let (less, more) = (a.min(b), a.max(b));
            let cost = |prompt| price(&rates(), &usage(prompt, output)).total();
            prop_assert!(cost(less) <= cost(more));
        }
    }
}
