use crate::{
    format::{self, InvalidPrices},
    price::price,
    row::{Fit, Row},
};
use std::{collections::BTreeMap, fmt};
use unifiedai::cost::{Charge, Cost, PriceSource};

/// Prices by provider and model.
#[derive(Clone, Default)]
pub struct PriceTable {
    providers: BTreeMap<String, Vec<Row>>,
    skipped: Vec<String>,
}

const BUNDLED: &str = include_str!("../data/prices.json");

impl PriceTable {
    /// The table of this crate. Each of its rows names a source and the date on which that was read: see
    /// `data/prices.json`.
    #[must_use]
    pub fn bundled() -> Self {
        // A test reads the file, so that it is valid.
        PriceTable::from_json(BUNDLED).unwrap_or_default()
    }

    /// Reads a price file. The format is recognised: this crate's own, `data.json` of `genai-prices`, `api.json` of
    /// models.dev, or LiteLLM's `model_prices_and_context_window.json`.
    ///
    /// # Errors
    /// The text is not JSON, or has none of these formats.
    pub fn from_json(text: &str) -> Result<Self, InvalidPrices> {
        format::read(text)
    }

    /// What of the file could not be used, and why: models without prices for tokens, patterns that are not supported,
    /// prices that cannot be represented.
    #[must_use]
    pub fn skipped(&self) -> &[String] {
        &self.skipped
    }

    /// Adds the rows of another table. They are preferred to the rows here that fit equally well.
    #[must_use]
    pub fn with(mut self, other: PriceTable) -> Self {
        for (provider, rows) in other.providers {
            let own = self.providers.entry(provider).or_default();
            own.splice(..0, rows);
        }
        self.skipped.extend(other.skipped);
        self
    }

    pub(crate) fn add(&mut self, provider: &str, row: Row) {
        match self.providers.get_mut(provider) {
            Some(rows) => rows.push(row),
            None => {
                self.providers.insert(provider.to_owned(), vec![row]);
            }
        }
    }

    pub(crate) fn skip(&mut self, what: String) {
        self.skipped.push(what);
    }

    fn find(&self, provider: &str, model: &str) -> Option<&Row> {
        if model.is_empty() {
            return None;
        }
        let mut best: Option<(Fit, &Row)> = None;
        for row in self.providers.get(provider)? {
            let fit = row.models.fit(model);
            // The first of equal ones.
            if let Some(fit) = fit.filter(|fit| best.is_none_or(|(known, _)| *fit > known)) {
                best = Some((fit, row));
            }
        }
        best.map(|(_, row)| row)
    }
}

impl PriceSource for PriceTable {
    fn cost(&self, charge: &Charge<'_>) -> Cost {
        let own = self.find(charge.provider, charge.response_model);
        let Some(row) = own.or_else(|| self.find(charge.provider, charge.model)) else {
            return Cost::unknown("model");
        };
        let Some(prices) = row.at(charge.at) else {
            return Cost::unknown("model at this time");
        };
        match prices.tier(charge.service_tier) {
            Some(rates) => price(rates, charge.usage),
            None => Cost::unknown(format!("service tier {}", charge.service_tier)),
        }
    }
}

impl fmt::Debug for PriceTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A table has thousands of rows.
        let rows: usize = self.providers.values().map(Vec::len).sum();
        f.debug_struct("PriceTable")
            .field("providers", &self.providers.len())
            .field("rows", &rows)
            .field("skipped", &self.skipped.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, SystemTime, UNIX_EPOCH};
    use unifiedai::{Usage, cost::Usd};

    fn cost(table: &PriceTable, model: &str, tier: &str, at: SystemTime) -> Cost {
        let mut usage = Usage::default();
        (usage.prompt_tokens, usage.completion_tokens) = (Some(1_000_000), Some(1_000_000));
        table.cost(&Charge::new("openai", model, at, &usage).service_tier(tier))
    }

    #[test]
    fn the_bundled_table_is_valid_and_complete() {
        let table = PriceTable::from_json(BUNDLED).unwrap();
        assert_eq!(table.skipped(), [] as [&str; 0]);
        let rows: usize = table.providers.values().map(Vec::len).sum();
        assert!(rows >= 20, "{table:?}");
        let now = UNIX_EPOCH + Duration::from_secs(1_790_000_000);
        assert_eq!(
            cost(&table, "gpt-4.1-mini-2025-04-14", "default", now).total(),
            Some(Usd::from_cents(200))
        );
        assert_eq!(
            cost(&table, "gpt-4.1-mini", "batch", now).total(),
            Some(Usd::from_cents(100))
        );
        assert_eq!(
            cost(&table, "gpt-4.1-mini", "secret", now).unknown,
            ["service tier secret"]
        );
        assert_eq!(cost(&table, "gpt-0", "", now).unknown, ["model"]);
    }

    #[test]
    fn prices_change_at_a_time() {
        let text = r#"{"rows": [
            {"provider": "openai", "models": ["m"], "input": "1", "output": "2", "source": "s", "checked": "2026-01-01"},
            {"provider": "openai", "models": ["m"], "from": "2026-06-01", "input": "3", "output": "4", "source": "s", "checked": "2026-06-02"}]}"#;
        let table = PriceTable::from_json(text).unwrap();
        let june = crate::date::midnight("2026-06-01").unwrap();
        let before = june - Duration::from_secs(1);
        assert_eq!(
            cost(&table, "m", "", before).total(),
            Some(Usd::from_cents(300))
        );
        assert_eq!(
            cost(&table, "m", "", june).total(),
            Some(Usd::from_cents(700))
        );
    }

    #[test]
    fn rows_of_an_added_table_are_preferred() {
        let row = |price: &str| {
            format!(
                r#"{{"rows": [{{"provider": "openai", "models": ["m"], "input": "{price}", "output": "0", "source": "s", "checked": "2026-01-01"}}]}}"#
            )
        };
        let old = PriceTable::from_json(&row("1")).unwrap();
        let table = old.with(PriceTable::from_json(&row("5")).unwrap());
        assert_eq!(
            cost(&table, "m", "", UNIX_EPOCH).total(),
            Some(Usd::from_cents(500))
        );
    }

    #[test]
    fn the_model_of_the_response_is_more_exact() {
        let table = PriceTable::bundled();
        let mut usage = Usage::default();
        (usage.prompt_tokens, usage.completion_tokens) = (Some(1_000_000), Some(0));
        let charge = Charge::new("openai", "my-alias", UNIX_EPOCH, &usage);
        assert_eq!(table.cost(&charge).unknown, ["model"]);
        let charge = charge.response_model("gpt-4.1-2025-04-14");
        assert_eq!(table.cost(&charge).total(), Some(Usd::from_cents(200)));
    }
}
