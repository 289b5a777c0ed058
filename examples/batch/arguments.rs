use super::common::{TransportName, bad_argument, bad_usage, default_model, print_help, text};
use lexopt::prelude::*;
use std::{path::PathBuf, str::FromStr, time::Duration};
use unifiedai::{CallOptions, Error};

const HELP: &str = "\
Asks for every line of a file, and adds a line with the answer to another.

Usage: batch [OPTIONS] IN.jsonl OUT.jsonl

  --provider NAME         cerebras (default), bedrock, ...
  --model NAME            for lines whose body names none
  --transport NAME        ureq, hyper (default) or smol
  --base-url URL          another address, version path included
  --concurrency N         calls at once (default 8)
  --retries N             attempts after the first (default 2)
  --at-provider           as the provider's own batches: cheaper, answered within a day
  --poll SECONDS          from one question after a batch to the next (default: what the provider names, or 30)
  --then-live             asks by calls for what expired or was lost in a batch

A line is {\"custom_id\": .., \"body\": {\"model\": .., \"messages\": [..], ..}}. Ended at any moment, even by
SIGKILL, and started again with the same files, it asks only for what has no answer yet. Without a key and
without --base-url it asks a provider that it starts itself, on loopback.";

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
    pub(crate) then_live: bool,
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
            then_live: false,
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
                Long("poll") => {
                    let seconds: f64 = number(&text(&mut parser)?)?;
                    let poll = Duration::try_from_secs_f64(seconds);
                    let poll = poll.map_err(|_| bad_usage("--poll takes a number of seconds"))?;
                    arguments.poll = Some(poll);
                }
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

fn number<N: FromStr>(text: &str) -> Result<N, Error> {
    text.parse()
        .map_err(|_| bad_usage(format!("`{text}` is not a number")))
}
