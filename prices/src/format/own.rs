//! This crate's own format: `data/prices.json` describes it by example.

use super::{Members, RateNames, decimal, per_million, rates};
use crate::{
    PriceTable, date,
    row::{Pattern, Prices, Rates, Row},
};
use serde::{Deserialize, de::Error};
use serde_json::value::RawValue;
use std::{collections::BTreeMap, ops::Mul};
use unifiedai::cost::Usd;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OwnRow {
    provider: String,
    models: Vec<String>,
    /// The first day of these prices; always without it.
    from: Option<String>,
    input: Option<Box<RawValue>>,
    cached_input: Option<Box<RawValue>>,
    cache_write: Option<Box<RawValue>>,
    cache_write_1h: Option<Box<RawValue>>,
    audio_input: Option<Box<RawValue>>,
    output: Option<Box<RawValue>>,
    /// Rates of requests with more input tokens than the name says.
    #[serde(default)]
    above: BTreeMap<String, Members>,
    /// Dollars for a thousand web searches.
    web_search_per_thousand: Option<Box<RawValue>>,
    /// The rates of service tiers, in percent of the standard rates.
    #[serde(default)]
    tiers_percent: BTreeMap<String, u64>,
    /// Where the price is from. Not used, but required.
    source: String,
    checked: String,
}

const NAMES: RateNames<'static> = RateNames {
    input: "input",
    cached_input: "cached_input",
    cache_write: "cache_write",
    cache_write_1h: "cache_write_1h",
    audio_input: "audio_input",
    output: "output",
};

pub(super) fn read(rows: &str) -> serde_json::Result<PriceTable> {
    let rows: Vec<OwnRow> = serde_json::from_str(rows)?;
    let mut known: BTreeMap<(String, Vec<String>), Vec<Prices>> = BTreeMap::new();
    for row in rows {
        let prices = row.prices()?;
        known
            .entry((row.provider, row.models))
            .or_default()
            .push(prices);
    }
    let mut table = PriceTable::default();
    for ((provider, models), mut prices) in known {
        prices.sort_by_key(|prices| prices.from);
        let models = Pattern::Any(models.into_iter().map(Pattern::Equals).collect());
        table.add(&provider, Row { models, prices });
    }
    Ok(table)
}

impl OwnRow {
    fn prices(&self) -> serde_json::Result<Prices> {
        let wrong = |what: &str| {
            let models = self.models.join(", ");
            serde_json::Error::custom(format!("the row of {models} has a wrong `{what}`"))
        };
        if self.source.is_empty() || date::midnight(&self.checked).is_none() {
            return Err(wrong("source` or `checked"));
        }
        let from = match &self.from {
            Some(day) => Some(date::midnight(day).ok_or_else(|| wrong("from"))?),
            None => None,
        };
        let members = [
            (NAMES.input, &self.input),
            (NAMES.cached_input, &self.cached_input),
            (NAMES.cache_write, &self.cache_write),
            (NAMES.cache_write_1h, &self.cache_write_1h),
            (NAMES.audio_input, &self.audio_input),
            (NAMES.output, &self.output),
        ];
        let members = members
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)));
        let read = |members: &Members| match rates(members, &NAMES, per_million) {
            (rates, errors) if errors.is_empty() => Ok(rates),
            (_, errors) => Err(wrong(&errors.join("`, `"))),
        };
        let mut standard = Rates {
            base: read(&members.collect())?,
            ..Rates::default()
        };
        for (limit, members) in &self.above {
            let limit = limit.parse().map_err(|_| wrong("above"))?;
            standard.above.push((limit, read(members)?));
        }
        if let Some(price) = &self.web_search_per_thousand {
            let each = decimal(price).and_then(|price| price.checked_div_exact(1_000));
            standard.web_search = Some(each.ok_or_else(|| wrong("web_search_per_thousand"))?);
        }
        let mut tiers = BTreeMap::new();
        for (name, percent) in &self.tiers_percent {
            let part = |price: Usd| Mul::mul(price, *percent).checked_div_exact(100);
            let tier = Rates {
                base: standard.base.map(part),
                above: standard
                    .above
                    .iter()
                    .map(|(limit, rates)| (*limit, rates.map(part)))
                    .collect(),
                web_search: standard.web_search,
            };
            tiers.insert(name.clone(), tier);
        }
        Ok(Prices {
            from,
            standard,
            tiers,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_row_is_named() {
        for (member, what) in [
            (r#""input": "a""#, "`input`"),
            (r#""input": "0.0000000000001""#, "`input`"),
            (r#""from": "2026""#, "`from`"),
            (r#""above": {"x": {}}"#, "`above`"),
            (r#""inputs": 1"#, "unknown field `inputs`"),
        ] {
            let text = format!(
                r#"[{{"provider": "p", "models": ["m"], "source": "s", "checked": "2026-01-01", {member}}}]"#
            );
            let error = read(&text).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
        let error =
            read(r#"[{"provider": "p", "models": ["m"], "source": "", "checked": "2026-01-01"}]"#);
        assert!(error.unwrap_err().to_string().contains("`source`"));
    }
}
