//! A fleet on PostgreSQL with workers as processes, and the operations of both stores. Tests that need PostgreSQL say if they skip.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    clippy::print_stderr,
    unused_crate_dependencies,
    reason = "a test that goes wrong is to stop"
)]

mod faults;
mod operation;
mod pace;
mod remote;
mod stores;
mod support;

use support::{
    Folder,
    database::{Query, Server},
    program::Fleet,
};

const FLEET: &str = env!("CARGO_BIN_EXE_fleet");

/// A database of its own for a test.
async fn fleet(name: &str) -> Option<(Fleet, Query, Folder)> {
    let url = Server::shared()?.database();
    let fleet = Fleet::new(FLEET, &url);
    fleet.run("status");
    Some((fleet, Query::open(&url).await, Folder::new(name)))
}
