//! Prices of LLM providers for [`unifiedai`]: exact decimals, by provider, model, time and service tier.
//!
//! ```
//! use std::time::{Duration, UNIX_EPOCH};
//! use unifiedai::{Usage, cost::{Charge, PriceSource}};
//! use unifiedai_prices::PriceTable;
//!
//! let prices = PriceTable::bundled();
//! let mut usage = Usage::default();
//! (usage.prompt_tokens, usage.completion_tokens) = (Some(1_000), Some(200));
//! usage.cached_tokens = Some(600);
//!
//! let at = UNIX_EPOCH + Duration::from_secs(1_764_000_000);
//! let cost = prices.cost(&Charge::new("openai", "gpt-4.1", at, &usage));
//! // 400 tokens at $2 a million, 600 cached ones at $0.50, and 200 at $8.
//! assert_eq!(cost.total(), Some("0.0027".parse()?));
//!
//! let unknown = prices.cost(&Charge::new("openai", "gpt-99", at, &usage));
//! assert_eq!(unknown.total(), None);
//! # Ok::<(), unifiedai::cost::InvalidUsd>(())
//! ```
//!
//! Give a table to a client by [`CallOptions::prices`](unifiedai::CallOptions::prices). Then every attempt of a call has
//! its price.
//!
//! # Where prices come from
//! [`PriceTable::bundled`] is a small table in this crate; each row names its source and the date on which that was
//! read. Prices change, so a program should load a newer file: [`PriceTable::from_json`] reads this crate's own format,
//! the `data.json` of `genai-prices`, the `api.json` of models.dev, and LiteLLM's
//! `model_prices_and_context_window.json`. A [`SharedPrices`] can be replaced while calls run.
//!
//! # What is unknown
//! A model without a row, a service tier without prices, and a kind of token without a rate are named in
//! [`Cost::unknown`](unifiedai::cost::Cost::unknown). They never count as zero.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod date;
mod format;
mod price;
mod row;
mod shared;
mod table;

pub use format::InvalidPrices;
pub use shared::SharedPrices;
pub use table::PriceTable;
