//! What calls cost: the tokens and the price of each attempt, sums of them, and the interface to prices.
//!
//! Every [`Attempt`](crate::chat::Attempt) of a call says which tokens it used as far as the provider reported them
//! ([`AttemptUsage`]), and whether it may be billed. With [`CallOptions::prices`](crate::CallOptions::prices) it also
//! has its [`Cost`]. A [`Ledger`] gets one line for each attempt of a client, also for those that failed, were hedged or
//! were cancelled, and adds them up. A [`Budget`](crate::policy::Budget) refuses calls before they are sent.
//!
//! The crate `unifiedai-prices` is a [`PriceSource`].

mod attempt_usage;
mod labels;
mod ledger;
mod pricing;
mod usd;

pub use attempt_usage::AttemptUsage;
pub(crate) use attempt_usage::{BilledTokens, may_have_been_billed};
pub use labels::Labels;
pub use ledger::{Ledger, LedgerEntry, Totals};
pub use pricing::{Charge, Cost, PriceSource, Prices};
pub use usd::{InvalidUsd, Usd};
