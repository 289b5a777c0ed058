use super::Usd;
use crate::Usage;
use serde::Serialize;
use std::{
    borrow::Cow,
    fmt,
    ops::{AddAssign, Mul},
    sync::Arc,
    time::SystemTime,
};

/// Knows what tokens cost. The crate `unifiedai-prices` has tables for the providers that this crate knows.
///
/// ```
/// use unifiedai::cost::{Charge, Cost, PriceSource};
///
/// /// A server of one's own: every token costs the same.
/// #[derive(Debug)]
/// struct FlatRate;
///
/// impl PriceSource for FlatRate {
///     fn cost(&self, charge: &Charge<'_>) -> Cost {
///         match charge.usage.total_tokens {
///             Some(tokens) => Cost::new("0.000001".parse().unwrap_or_default()).times(tokens),
///             None => Cost::unknown("tokens"),
///         }
///     }
/// }
/// # let _: &dyn PriceSource = &FlatRate;
/// ```
pub trait PriceSource: fmt::Debug + Send + Sync {
    /// Returns what these tokens cost. What has no known price is [named](Cost::unknown), and never counted as zero.
    fn cost(&self, charge: &Charge<'_>) -> Cost;
}

/// The tokens of one attempt, for a [`PriceSource`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Charge<'a> {
    /// The provider's name, such as `openai`.
    pub provider: &'a str,
    /// The model of the request.
    pub model: &'a str,
    /// The model that the response names, which is often more exact; empty if it names none.
    pub response_model: &'a str,
    /// When the request was sent. Prices change.
    pub at: SystemTime,
    /// The service tier that the response names, such as `flex` or `priority`; `batch` for a line of a provider batch;
    /// empty for the standard tier.
    pub service_tier: &'a str,
    /// The tokens.
    pub usage: &'a Usage,
}

impl<'a> Charge<'a> {
    /// Creates a charge for tokens of the standard tier.
    #[must_use]
    pub fn new(provider: &'a str, model: &'a str, at: SystemTime, usage: &'a Usage) -> Self {
        Charge {
            provider,
            model,
            response_model: "",
            at,
            service_tier: "",
            usage,
        }
    }

    /// Sets the model that the response names.
    #[must_use]
    pub fn response_model(mut self, model: &'a str) -> Self {
        self.response_model = model;
        self
    }

    /// Sets the service tier.
    #[must_use]
    pub fn service_tier(mut self, tier: &'a str) -> Self {
        self.service_tier = tier;
        self
    }
}

/// A price, with the names of what it does not include.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Cost {
    /// The sum of everything with a known price.
    pub known: Usd,
    /// What has no known price: `model`, `tokens`, `audio tokens`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<Cow<'static, str>>,
}

impl Cost {
    /// Nothing to pay: the request was refused, or was not sent.
    pub const ZERO: Cost = Cost {
        known: Usd::ZERO,
        unknown: Vec::new(),
    };

    /// Creates a complete price.
    #[must_use]
    pub fn new(known: Usd) -> Self {
        Cost {
            known,
            ..Cost::ZERO
        }
    }

    /// Creates a price that is unknown because of `what`.
    #[must_use]
    pub fn unknown(what: impl Into<Cow<'static, str>>) -> Self {
        Cost::ZERO.without(what)
    }

    /// Adds the name of something that has no known price.
    #[must_use]
    pub fn without(mut self, what: impl Into<Cow<'static, str>>) -> Self {
        let what = what.into();
        if !self.unknown.contains(&what) {
            self.unknown.push(what);
        }
        self
    }

    /// Multiplies the known part.
    #[must_use]
    pub fn times(mut self, count: u64) -> Self {
        self.known = Mul::mul(self.known, count);
        self
    }

    /// The price, if all of it is known.
    #[must_use]
    pub fn total(&self) -> Option<Usd> {
        self.unknown.is_empty().then_some(self.known)
    }

    /// Adds another price.
    pub fn add(&mut self, other: &Cost) {
        self.known.add_assign(other.known);
        for what in &other.unknown {
            if !self.unknown.contains(what) {
                self.unknown.push(what.clone());
            }
        }
    }
}

/// A shared [`PriceSource`]. Two are equal if they share the same one.
#[derive(Clone)]
pub struct Prices(Arc<dyn PriceSource>);

impl Prices {
    /// Shares a source.
    #[must_use]
    pub fn new(source: impl PriceSource + 'static) -> Self {
        Prices(Arc::new(source))
    }

    /// Returns what these tokens cost.
    #[must_use]
    pub fn cost(&self, charge: &Charge<'_>) -> Cost {
        self.0.cost(charge)
    }
}

impl From<Arc<dyn PriceSource>> for Prices {
    fn from(source: Arc<dyn PriceSource>) -> Self {
        Prices(source)
    }
}

impl PartialEq for Prices {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for Prices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A table has thousands of rows.
        f.debug_tuple("Prices").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_part_is_named_once_and_hides_the_total() {
        let mut cost = Cost::new(Usd::from_cents(5));
        assert_eq!(cost.total(), Some(Usd::from_cents(5)));
        cost.add(&Cost::unknown("audio tokens"));
        cost.add(&Cost::new(Usd::from_cents(1)).without("audio tokens"));
        assert_eq!(cost.total(), None);
        assert_eq!(cost.known, Usd::from_cents(6));
        assert_eq!(cost.unknown, ["audio tokens"]);
        let json = serde_json::to_string(&cost).unwrap();
        assert_eq!(json, r#"{"known":"0.06","unknown":["audio tokens"]}"#);
    }
}
