//! Serves on 127.0.0.1 until its standard input is closed, or for a given time.
//!
//! `cargo run -p unifiedai-loopback -- [--port N] [--fast | --load] [--each MS] [--workers N] [--coalesce N] [--seconds N] [--aws]
//! [--tls CA_FILE]
//! [--fault-rate SHARE --fault-seed N --faults SPEC;SPEC...]`
#![expect(
    clippy::disallowed_methods,
    reason = "a server has a clock and threads of its own"
)]

use std::io::Read as _;
use std::process::ExitCode;
use std::time::Duration;

use unifiedai_loopback::{AwsKeys, Config, Loopback};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let mut config = Config {
        record: false,
        ..Config::default()
    };
    let (mut seconds, mut tls) = (None, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(flag) = arguments.next() {
        let mut value = || {
            arguments
                .next()
                .ok_or_else(|| format!("{flag} needs a value"))
        };
        match flag.as_str() {
            "--fast" | "--load" => config.pace = Config::load().pace,
            "--each" => config.pace.each = Duration::from_millis(value()?.parse()?),
            "--port" => config.port = value()?.parse()?,
            "--workers" => config.workers = value()?.parse()?,
            "--coalesce" => config.pace.coalesce = value()?.parse()?,
            "--tls" => tls = Some(value()?),
            "--aws" => config.aws = Some(AwsKeys::default()),
            "--seconds" => seconds = Some(value()?.parse()?),
            "--fault-rate" => config.fault_rate = value()?.parse()?,
            "--fault-seed" => config.fault_seed = value()?.parse()?,
            "--faults" => config.fault_set = value()?.split(';').map(str::to_owned).collect(),
            _ => return Err(format!("unknown flag {flag}").into()),
        }
    }
    let server = Loopback::start(config)?;
    println!("{}", base_url(&server, tls)?);
    match seconds {
        Some(seconds) => std::thread::sleep(Duration::from_secs(seconds)),
        None => drop(std::io::stdin().read_to_end(&mut Vec::new())),
    }
    Ok(())
}

/// The base URL for clients. With TLS the certificate that they must trust is written into a file first.
#[cfg(feature = "tls")]
fn base_url(server: &Loopback, ca_file: Option<String>) -> std::io::Result<String> {
    let Some(path) = ca_file else {
        return Ok(server.base_url());
    };
    std::fs::write(path, server.tls_root_pem())?;
    Ok(server.tls_base_url())
}

#[cfg(not(feature = "tls"))]
fn base_url(server: &Loopback, ca_file: Option<String>) -> std::io::Result<String> {
    match ca_file {
        Some(_) => Err(std::io::Error::other(
            "--tls needs a build with `--features tls`",
        )),
        None => Ok(server.base_url()),
    }
}
