use crate::PriceTable;
use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};
use unifiedai::cost::{Charge, Cost, PriceSource};

/// A price table that can be replaced while calls run. Clones share it.
///
/// ```
/// use unifiedai::CallOptions;
/// use unifiedai_prices::{PriceTable, SharedPrices};
///
/// let prices = SharedPrices::new(PriceTable::bundled());
/// let options = CallOptions::default().prices(prices.clone());
/// // Once a day, with the text of a newer file:
/// # let text = r#"{"rows": []}"#;
/// prices.replace(PriceTable::from_json(text)?);
/// # let _ = options;
/// # Ok::<(), unifiedai_prices::InvalidPrices>(())
/// ```
#[derive(Clone)]
pub struct SharedPrices(Arc<RwLock<Arc<PriceTable>>>);

impl SharedPrices {
    /// Shares a table.
    #[must_use]
    pub fn new(table: PriceTable) -> Self {
        SharedPrices(Arc::new(RwLock::new(Arc::new(table))))
    }

    /// Replaces the table. Attempts that end later have the new prices.
    pub fn replace(&self, table: PriceTable) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(table);
    }

    /// The current table.
    #[must_use]
    pub fn current(&self) -> Arc<PriceTable> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl PriceSource for SharedPrices {
    fn cost(&self, charge: &Charge<'_>) -> Cost {
        self.current().cost(charge)
    }
}

impl fmt::Debug for SharedPrices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SharedPrices")
            .field(&self.current())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;
    use unifiedai::Usage;

    #[test]
    fn a_new_table_applies_to_clones() {
        let prices = SharedPrices::new(PriceTable::bundled());
        let clone = prices.clone();
        let mut usage = Usage::default();
        (usage.prompt_tokens, usage.completion_tokens) = (Some(1), Some(0));
        let charge = Charge::new("openai", "gpt-4.1", UNIX_EPOCH, &usage);
        assert!(clone.cost(&charge).total().is_some());
        prices.replace(PriceTable::from_json(r#"{"rows": []}"#).unwrap());
        assert_eq!(clone.cost(&charge).unknown, ["model"]);
    }
}
