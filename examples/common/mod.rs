//! What the example programs share: arguments, providers, and the line that they print.
#![allow(
    dead_code,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "each program uses a part of this, and prints"
)]

use lexopt::ValueExt;
use serde::Serialize;
use std::sync::Arc;
use unifiedai::{Error, ErrorKind, Provider, provider_from_env};
use unifiedai_loopback::{Config, Loopback};

/// Which crate carries the HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TransportName {
    Ureq,
    Hyper,
    Smol,
}

impl TransportName {
    pub(crate) fn parse(name: &str) -> Result<Self, Error> {
        match name {
            "ureq" => Ok(TransportName::Ureq),
            "hyper" => Ok(TransportName::Hyper),
            "smol" => Ok(TransportName::Smol),
            other => Err(bad_usage(format!(
                "there is no transport `{other}`; known are ureq, hyper, smol"
            ))),
        }
    }
}

/// The provider of this name, at `base_url` if one is given. Without a key and without an address it is one that runs in
/// this process, which ends when the second value is dropped.
pub(crate) fn provider(
    name: &str,
    base_url: Option<&str>,
) -> Result<(Arc<dyn Provider>, Option<Loopback>), Error> {
    match provider_from_env(name, base_url) {
        Ok(provider) => Ok((provider, None)),
        Err(missing) if base_url.is_none() && missing.code() == Some("missing_key") => {
            let server = Loopback::start(Config::default()).map_err(|e| {
                Error::new(ErrorKind::Connection, format!("no server on loopback: {e}"))
            })?;
            eprintln!(
                "{} Using a provider on loopback, {}.",
                capitalised(missing.message()),
                server.base_url()
            );
            let provider = provider_from_env(name, Some(&loopback_url(name, &server)))?;
            Ok((provider, Some(server)))
        }
        Err(error) => Err(error),
    }
}

/// The part of the loopback provider that speaks this provider's wire.
fn loopback_url(name: &str, server: &Loopback) -> String {
    match name {
        "bedrock" => server.origin(),
        _ => server.base_url(),
    }
}

/// The model that is asked where none is named.
pub(crate) fn default_model(provider: &str) -> &'static str {
    match provider {
        "bedrock" => "amazon.nova-lite-v1:0",
        _ => "gpt-oss-120b",
    }
}

/// The line of a result, `{"ok": ..}` or `{"error": ..}`, and what the program exits with.
pub(crate) fn print_line<T: Serialize>(result: &Result<T, Error>) -> std::process::ExitCode {
    #[derive(Serialize)]
    #[serde(rename_all = "snake_case")]
    enum Line<'a, T> {
        Ok(&'a T),
        Error(&'a Error),
    }
    let line = match result {
        Ok(value) => Line::Ok(value),
        Err(error) => Line::Error(error),
    };
    println!(
        "{}",
        serde_json::to_string(&line)
            .unwrap_or_else(|e| format!("{{\"error\":{{\"message\":\"{e}\"}}}}"))
    );
    exit_code(result)
}

pub(crate) fn exit_code<T>(result: &Result<T, Error>) -> std::process::ExitCode {
    if result.is_ok() {
        std::process::ExitCode::SUCCESS
    } else {
        std::process::ExitCode::FAILURE
    }
}

pub(crate) fn bad_usage(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidRequest, message)
}

pub(crate) fn bad_argument(error: lexopt::Error) -> Error {
    bad_usage(error.to_string())
}

/// The value of an option.
pub(crate) fn text(parser: &mut lexopt::Parser) -> Result<String, Error> {
    parser
        .value()
        .and_then(|value| value.string())
        .map_err(bad_argument)
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    let first: String = chars
        .next()
        .into_iter()
        .flat_map(char::to_uppercase)
        .collect();
    format!("{first}{}.", chars.as_str())
}
