//! Keys that a program prints.

use super::keys;
use crate::{
    Error,
    credentials::{
        Fetcher, ProcessCommand, Supply, Token,
        errors::{config, excerpt, missing, refused},
        wire::SecretJson,
    },
};
use std::{io, time::Duration};

const LIMIT: Duration = Duration::from_secs(25);
const MAX_OUTPUT_BYTES: usize = 64 * 1024;

/// Runs a command line of the profile in the system's shell. No error shows it, because it may contain a password.
pub(super) async fn fetch(io: &Fetcher, line: &str) -> Result<Token, Error> {
    io.hide(line);
    let supply = Supply::RunProcess {
        command: ProcessCommand::Shell(line.to_owned()),
        environment: Vec::new(),
        directory: None,
        max_bytes: MAX_OUTPUT_BYTES,
    };
    let output = io.supply(supply, LIMIT).await?.map_err(|error| {
        let what = excerpt(&error.to_string());
        match error.kind() {
            io::ErrorKind::Unsupported => config("the driver of this call runs no processes"),
            io::ErrorKind::NotFound => missing(format!("its program does not exist: {what}")),
            io::ErrorKind::TimedOut => config(format!("its program did not end within {LIMIT:?}")),
            _ => refused(format!("its program failed: {what}")),
        }
    })?;
    let json = SecretJson::parse(&output)
        .ok_or_else(|| config("its program printed something else than a JSON object"))?;
    if json.number("Version") != Some(1) {
        return Err(config("its program printed JSON whose `Version` is not 1"));
    }
    keys::from_json(&json, "SessionToken", "its program").map_err(|error| config(error.message()))
}
