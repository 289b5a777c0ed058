//! Trials of a fleet that take minutes, with PostgreSQL from the system's packages. Each prints its figures as one line of JSON.
//!
//! ```text
//! cargo build --release -p unifiedai-fleet --bin fleet
//! cargo run --release -p unifiedai-fleet --example trial -- kills 200000 50 1200
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    unused_crate_dependencies,
    reason = "a program that stops at what it does not expect"
)]

mod engine;
mod processes;
#[path = "../../tests/fleet/support/mod.rs"]
mod support;

const HELP: &str = "\
Usage: trial NAME [NUMBERS]

  engine ITEMS WORKERS          claim, slots, outcomes and finish without a provider: items a second
  grants RATE CONNECTIONS SECS  so many requests for slots a second: their durations
  xmin SECS                     rates of claims and slots before and while another transaction stays open
  kills ITEMS WORKERS RPM       20 % of the workers are killed each minute: outcomes, repeated calls
  pace RPM WORKERS SECS         the largest numbers of calls in 10 s and 60 s, and the share of the limit that is used
  freeze SECS                   a worker is stopped by SIGSTOP for so long
  away SECS                     the server is killed and away for so long
  overhead ITEMS                processor time of a worker an item, and of the library alone";

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |place: usize| -> u64 {
        let word = words.get(place).unwrap_or_else(|| panic!("{HELP}"));
        word.parse()
            .unwrap_or_else(|_| panic!("`{word}` is not a number"))
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        match words.first().map(String::as_str) {
            Some("engine") => engine::items(number(1), number(2)).await,
            Some("grants") => engine::grants(number(1), number(2), number(3)).await,
            Some("xmin") => engine::open_transaction(number(1)).await,
            Some("kills") => processes::kills(number(1), number(2), number(3)).await,
            Some("pace") => processes::pace(number(1), number(2), number(3)).await,
            Some("freeze") => processes::freeze(number(1)).await,
            Some("away") => processes::away(number(1)).await,
            Some("overhead") => processes::overhead(number(1)).await,
            Some("plain") => processes::plain(number(1), words.get(2).unwrap()).await,
            _ => println!("{HELP}"),
        }
    });
}
