//! Asks a few times, and shows what Prometheus reads of it.
//!
//! ```text
//! cargo run --example prometheus --all-features
//! cargo run --example prometheus --all-features -- --serve 60
//! ```
//!
//! The first prints the page and ends, which is enough to look at. The second serves it as `/metrics` on loopback for so
//! many seconds, to point a Prometheus at; a program of one's own would leave that to the exporter's own listener.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a program"
)]

#[path = "../common/mod.rs"]
mod common;
mod serve;

use lexopt::prelude::*;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use std::{process::ExitCode, time::Duration};
use unifiedai::{ChatRequest, Client, Error, observe::MetricsObserver, transport::UreqTransport};

const HELP: &str = "\
Asks a few times, and prints the page that Prometheus reads.

Usage: prometheus [OPTIONS]

  --serve SECONDS  serve the page as /metrics on loopback instead, for so long";

fn main() -> ExitCode {
    if common::help_asked(HELP) {
        return ExitCode::SUCCESS;
    }
    common::finish(run())
}

fn run() -> Result<(), Error> {
    let serving = arguments()?;
    let prometheus = recorder().map_err(|e| common::bad_usage(format!("no recorder: {e}")))?;
    let (provider, _server) = common::provider("cerebras", None)?;
    let client =
        Client::shared(UreqTransport::new(), provider).with_observer(MetricsObserver::new());
    let model = common::default_model("cerebras");
    for number in 1..=5 {
        let request = ChatRequest::new(model).user(format!("What is {number} squared?"));
        client.chat(request.clone())?;
        client.stream(request)?.into_response()?;
    }
    // A failure, to see it counted: on loopback the name asks for a refusal, elsewhere nobody knows it.
    let refused = client.chat(ChatRequest::new("fault-status-400").user("Hello?"));
    if let Err(error) = refused {
        eprintln!("{error}");
    }
    match serving {
        Some(time) => serve::serve(time, || prometheus.render())
            .map_err(|e| common::bad_usage(format!("cannot serve the page: {e}"))),
        None => {
            print!("{}", prometheus.render());
            Ok(())
        }
    }
}

/// For how long the page is to be served, if at all.
fn arguments() -> Result<Option<Duration>, Error> {
    let mut parser = lexopt::Parser::from_env();
    let mut serving = None;
    while let Some(argument) = parser.next().map_err(common::bad_argument)? {
        match argument {
            Long("serve") => {
                let seconds = common::text(&mut parser)?;
                let seconds = seconds.parse().map_err(|_| {
                    common::bad_usage(format!("`{seconds}` is not a number of seconds"))
                })?;
                serving = Some(Duration::from_secs(seconds));
            }
            other => return Err(common::bad_argument(other.unexpected())),
        }
    }
    Ok(serving)
}

/// Histograms with the bounds that OpenTelemetry's conventions advise. Without bounds the exporter makes summaries.
fn recorder() -> Result<PrometheusHandle, BuildError> {
    const SECONDS: [f64; 14] = [
        0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
    ];
    const TOKENS: [f64; 14] = [
        1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262144.0, 1048576.0,
        4194304.0, 16777216.0, 67108864.0,
    ];
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Prefix("gen_ai_client_operation".into()), &SECONDS)?
        .set_buckets_for_metric(Matcher::Prefix("gen_ai_client_token".into()), &TOKENS)?
        .install_recorder()
}
