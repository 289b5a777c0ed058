use super::common::{TransportName, bad_argument, bad_usage, default_model, print_help, text};
use lexopt::prelude::*;
use std::{path::PathBuf, str::FromStr, time::Duration};
use unifiedai::{CallOptions, Error};

const HELP: &str = "\
Makes a request of every line of a file, and adds a line with the response to another file.

Usage: batch [OPTIONS] IN.jsonl OUT.jsonl

  --provider NAME         cerebras (default), bedrock, ...
  --model NAME            for lines whose body names none
  --transport NAME        ureq, hyper (default) or smol
  --base-url URL          another address, version path included
  --concurrency N         calls at once (default 8)
  --retries N             attempts after the first (default 2)
  --at-provider           as the provider's own batches: cheaper, answered within a day
  --poll SECONDS          time from one poll of a batch to the next (default: the provider's value, or 30)
  --patience HOURS        how long after its expiry a batch is still polled (default 24)
  --then-live             makes calls for the lines that no batch ran: expired, lost, too few for a batch
  --price-in USD          list price of a million prompt tokens, to print what the batches saved
  --price-out USD         list price of a million completion tokens

A line is {\"custom_id\": .., \"body\": {\"model\": .., \"messages\": [..], ..}}. Ended at any moment, even by
SIGKILL, and started again with the same files, it continues with the lines that have no response yet. Without a
key and without --base-url it uses a provider that it starts itself, on loopback.";

/// What the command line asks for.
pub(crate) struct Arguments {
    pub(crate) provider: String,
    pub(crate) model: Option<String>,
    pub(crate) transport: TransportName,
    pub(crate) base_url: Option<String>,
    pub(crate) concurrency: usize,
    pub(crate) retries: Option<u32>,
    pub(crate) at_provider: bool,
    pub(crate) poll: Option<Duration>,
    pub(crate) patience: Option<Duration>,
    pub(crate) then_live: bool,
    /// List prices of a million prompt and completion tokens.
    pub(crate) prices: (Option<f64>, Option<f64>),
    pub(crate) input: PathBuf,
    pub(crate) output: PathBuf,
}

impl Arguments {
    /// `None` if only help was asked for.
    pub(crate) fn parse() -> Result<Option<Self>, Error> {
        let mut files = Vec::new();
        let mut arguments = Arguments {
            provider: "cerebras".into(),
            model: None,
            transport: TransportName::Hyper,
            base_url: None,
            concurrency: 8,
            retries: None,
            at_provider: false,
            poll: None,
            patience: None,
            then_live: false,
            prices: (None, None),
            input: PathBuf::new(),
            output: PathBuf::new(),
        };
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next().map_err(bad_argument)? {
            match argument {
                Long("provider") => arguments.provider = text(&mut parser)?,
                Long("model") => arguments.model = Some(text(&mut parser)?),
                Long("transport") => {
                    arguments.transport = TransportName::parse(&text(&mut parser)?)?;
                }
                Long("base-url") => arguments.base_url = Some(text(&mut parser)?),
                Long("concurrency") => arguments.concurrency = number(&text(&mut parser)?)?,
                Long("retries") => arguments.retries = Some(number(&text(&mut parser)?)?),
                Long("at-provider") => arguments.at_provider = true,
                Long("then-live") => arguments.then_live = true,
                Long("poll") => arguments.poll = Some(time(&mut parser, "--poll", 1.0)?),
                Long("patience") => {
                    arguments.patience = Some(time(&mut parser, "--patience", 3600.0)?);
                }
                Long("price-in") => arguments.prices.0 = Some(price(&mut parser)?),
                Long("price-out") => arguments.prices.1 = Some(price(&mut parser)?),
                Long("help") | Short('h') => {
                    print_help(HELP);
                    return Ok(None);
                }
                Value(file) => files.push(PathBuf::from(file)),
                other => return Err(bad_argument(other.unexpected())),
            }
        }
        let [input, output] = <[PathBuf; 2]>::try_from(files)
            .map_err(|_| bad_usage("name two files: batch IN.jsonl OUT.jsonl"))?;
        Ok(Some(Arguments {
            input,
            output,
            ..arguments
        }))
    }

    pub(crate) fn options(&self) -> CallOptions {
        let mut options = CallOptions::default();
        if let Some(retries) = self.retries {
            options.retry.max_retries = retries;
        }
        options
    }

    pub(crate) fn default_model(&self) -> String {
        let model = self.model.as_deref();
        model.unwrap_or(default_model(&self.provider)).to_owned()
    }
}

/// A time in units of so many seconds.
fn time(parser: &mut lexopt::Parser, flag: &str, unit: f64) -> Result<Duration, Error> {
    let number: f64 = number(&text(parser)?)?;
    Duration::try_from_secs_f64(number * unit)
        .map_err(|_| bad_usage(format!("{flag} takes a number that is not negative")))
}

fn price(parser: &mut lexopt::Parser) -> Result<f64, Error> {
    let price: f64 = number(&text(parser)?)?;
    match price.is_finite() && price >= 0.0 {
        true => Ok(price),
        false => Err(bad_usage("a price is a number that is not negative")),
    }
}

fn number<N: FromStr>(text: &str) -> Result<N, Error> {
    text.parse()
        .map_err(|_| bad_usage(format!("`{text}` is not a number")))
}
