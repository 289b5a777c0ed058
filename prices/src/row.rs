use std::{collections::BTreeMap, time::SystemTime};
use unifiedai::cost::Usd;

/// What one model costs at one provider.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) models: Pattern,
    /// The prices of later periods follow those of earlier ones.
    pub(crate) prices: Vec<Prices>,
}

/// Prices that apply from a time on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Prices {
    /// `None`: always.
    pub(crate) from: Option<SystemTime>,
    pub(crate) standard: Rates,
    /// By the name of the service tier, such as `batch`.
    pub(crate) tiers: BTreeMap<String, Rates>,
}

/// The rates of one service tier.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rates {
    pub(crate) base: TokenRates,
    /// Rates for the complete request if it has more input tokens than this.
    pub(crate) above: Vec<(u64, TokenRates)>,
    /// Dollars for each web search.
    pub(crate) web_search: Option<Usd>,
}

/// Dollars for each token. `None` is unknown, and not zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TokenRates {
    pub(crate) input: Option<Usd>,
    pub(crate) cached_input: Option<Usd>,
    pub(crate) cache_write: Option<Usd>,
    /// For a cache entry that lives for an hour.
    pub(crate) cache_write_1h: Option<Usd>,
    pub(crate) audio_input: Option<Usd>,
    pub(crate) output: Option<Usd>,
}

impl TokenRates {
    /// The rates of `self`, and of `other` where `self` has none.
    pub(crate) fn or(self, other: TokenRates) -> TokenRates {
        TokenRates {
            input: self.input.or(other.input),
            cached_input: self.cached_input.or(other.cached_input),
            cache_write: self.cache_write.or(other.cache_write),
            cache_write_1h: self.cache_write_1h.or(other.cache_write_1h),
            audio_input: self.audio_input.or(other.audio_input),
            output: self.output.or(other.output),
        }
    }

    pub(crate) fn map(self, f: impl Fn(Usd) -> Option<Usd>) -> TokenRates {
        TokenRates {
            input: self.input.and_then(&f),
            cached_input: self.cached_input.and_then(&f),
            cache_write: self.cache_write.and_then(&f),
            cache_write_1h: self.cache_write_1h.and_then(&f),
            audio_input: self.audio_input.and_then(&f),
            output: self.output.and_then(&f),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        *self == TokenRates::default()
    }
}

impl Prices {
    /// The rates of a service tier. Providers have several names for the standard one.
    pub(crate) fn tier(&self, name: &str) -> Option<&Rates> {
        match name {
            "" | "default" | "standard" | "auto" | "on_demand" => Some(&self.standard),
            name => self.tiers.get(name),
        }
    }
}

impl Row {
    /// The prices at a time.
    pub(crate) fn at(&self, time: SystemTime) -> Option<&Prices> {
        let mut prices = self.prices.iter().rev();
        prices.find(|prices| prices.from.is_none_or(|from| from <= time))
    }
}

/// The names of models to which a row applies.
#[derive(Clone, Debug)]
pub(crate) enum Pattern {
    Equals(String),
    StartsWith(String),
    EndsWith(String),
    Contains(String),
    Any(Vec<Pattern>),
    All(Vec<Pattern>),
}

/// How well a name fits; the better is the larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fit {
    /// A part of the name, of this length.
    Part(usize),
    /// A name with a date behind it: a snapshot of the model.
    Snapshot,
    Exact,
}

impl Pattern {
    pub(crate) fn fit(&self, model: &str) -> Option<Fit> {
        let part = |is_fitting: bool, part: &str| is_fitting.then_some(Fit::Part(part.len()));
        match self {
            Pattern::Equals(name) if name == model => Some(Fit::Exact),
            Pattern::Equals(name) => {
                let rest = model.strip_prefix(name.as_str())?;
                is_date(rest).then_some(Fit::Snapshot)
            }
            Pattern::StartsWith(start) => part(model.starts_with(start), start),
            Pattern::EndsWith(end) => part(model.ends_with(end), end),
            Pattern::Contains(text) => part(model.contains(text), text),
            Pattern::Any(patterns) => patterns.iter().filter_map(|one| one.fit(model)).max(),
            Pattern::All(patterns) => {
                let fits: Option<Vec<Fit>> = patterns.iter().map(|one| one.fit(model)).collect();
                fits?.into_iter().min()
            }
        }
    }
}

/// `-2026-11-30`, `-20261130` or `@20261130`.
fn is_date(text: &str) -> bool {
    let Some(date) = text.strip_prefix(['-', '@']) else {
        return false;
    };
    let digits = date.bytes().filter(u8::is_ascii_digit).count();
    let has_other = date.bytes().any(|b| !b.is_ascii_digit() && b != b'-');
    digits == 8 && !has_other && date.starts_with("20")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn equals(name: &str) -> Pattern {
        Pattern::Equals(name.to_owned())
    }

    #[test]
    fn a_snapshot_has_the_price_of_its_model() {
        let model = equals("gpt-4.1");
        assert_eq!(model.fit("gpt-4.1"), Some(Fit::Exact));
        assert_eq!(model.fit("gpt-4.1-2025-04-14"), Some(Fit::Snapshot));
        assert_eq!(
            equals("claude-x").fit("claude-x@20250514"),
            Some(Fit::Snapshot)
        );
        for other in [
            "gpt-4.1-mini",
            "gpt-4.10",
            "gpt-4",
            "gpt-4.1-2025-04",
            "gpt-4.1-mini-2025-04-14",
        ] {
            assert_eq!(model.fit(other), None, "{other}");
        }
    }

    #[test]
    fn the_longest_part_is_the_best_fit() {
        let any = Pattern::Any(vec![
            Pattern::StartsWith("gpt-4".to_owned()),
            Pattern::Contains("4.1-mini".to_owned()),
        ]);
        assert_eq!(any.fit("gpt-4.1-mini"), Some(Fit::Part(8)));
        assert_eq!(any.fit("gpt-4o"), Some(Fit::Part(5)));
        let all = Pattern::All(vec![
            Pattern::StartsWith("gpt".to_owned()),
            Pattern::EndsWith("x".to_owned()),
        ]);
        assert_eq!(all.fit("gpt-x"), Some(Fit::Part(1)));
        assert_eq!(all.fit("gpt-y"), None);
        assert!(Fit::Exact > Fit::Snapshot && Fit::Snapshot > Fit::Part(100));
    }
}
