//! Batches of LLM calls on PostgreSQL: many workers on several machines share runs of items, one provider account and its rate limit.
//!
//! A **run** has **items**: requests, each with an id that is unique in the run. Items are leased to workers in **chunks**. Before a call a
//! worker takes a **slot**: the time at which the call may start so that all workers together keep the account's limit. The slot is handed
//! out with an **intent**, a record of the attempt. Each item gets exactly one **outcome**, the first that is stored.
//!
//! The program `fleet` is the usual way to use it; the page `docs/fleet.md` of the repository describes it. As a library:
//! [`submit`](submit::submit) adds items to a [`Store`](store::Store), a [`Worker`](worker::Worker) asks for them, [`export`](export::export)
//! writes the outcomes. [`PostgresStore`](store::PostgresStore) is the store for many machines, [`SqliteStore`](store::SqliteStore) that
//! for one.
//!
//! The crate does I/O: it reads clocks, files and sockets. It needs tokio.
#![allow(
    clippy::arithmetic_side_effects,
    reason = "counts of items and microseconds, far from the ends of 64 bits"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "this crate reads clocks and files; the ban is for the core"
)]

mod error;
pub mod export;
mod input;
pub mod pace;
pub mod status;
pub mod store;
pub mod submit;
pub mod worker;

pub use error::FleetError;
pub use input::{ItemSource, read_item};
