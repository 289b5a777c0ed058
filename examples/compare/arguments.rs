use super::common::{TransportName, bad_argument, bad_usage, print_help, text};
use lexopt::prelude::*;
use std::{path::PathBuf, time::Duration};
use unifiedai::{ChatRequest, Error, compare::ComparisonMetric};

const HELP: &str = "\
Asks several models the same question at once.

Usage: compare [OPTIONS] [PROMPT]

  --models A,B,...        as provider.model, such as cerebras.gpt-oss-120b
  --transport NAME        ureq, hyper (default) or smol
  --max-tokens N          the most tokens to write
  --timeout SECONDS       one deadline for all (default 60)
  --by CRITERION          what the winner is best in: ttft (default), duration, rate, tokens
  --json                  print one line of JSON
  --plot FILE.svg         write a picture

The keys come from the providers' environment variables. Without --models, those of Cerebras and Bedrock are asked whose
keys are there; without keys, two providers that the program starts itself, on loopback.";

/// What the command line asks for.
pub(crate) struct Arguments {
    pub(crate) models: Vec<String>,
    pub(crate) transport: TransportName,
    pub(crate) max_tokens: Option<u64>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) by: ComparisonMetric,
    pub(crate) json: bool,
    pub(crate) plot: Option<PathBuf>,
    pub(crate) prompt: String,
}

impl Arguments {
    /// `None` if only help was asked for.
    pub(crate) fn parse() -> Result<Option<Self>, Error> {
        let mut arguments = Arguments {
            models: Vec::new(),
            transport: TransportName::Hyper,
            max_tokens: None,
            timeout: Some(Duration::from_secs(60)),
            by: ComparisonMetric::FirstToken,
            json: false,
            plot: None,
            prompt: String::new(),
        };
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next().map_err(bad_argument)? {
            match argument {
                Long("models") => {
                    let names = text(&mut parser)?;
                    arguments.models.extend(names.split(',').map(str::to_owned));
                }
                Long("transport") => {
                    arguments.transport = TransportName::parse(&text(&mut parser)?)?;
                }
                Long("max-tokens") => {
                    let number = text(&mut parser)?.parse();
                    arguments.max_tokens =
                        Some(number.map_err(|_| bad_usage("--max-tokens takes a number"))?);
                }
                Long("timeout") => {
                    let seconds = text(&mut parser)?.parse().ok();
                    let timeout = seconds.and_then(|s| Duration::try_from_secs_f64(s).ok());
                    arguments.timeout =
                        Some(timeout.ok_or_else(|| bad_usage("--timeout takes seconds"))?);
                }
                Long("by") => arguments.by = criterion(&text(&mut parser)?)?,
                Long("json") => arguments.json = true,
                Long("plot") => arguments.plot = Some(text(&mut parser)?.into()),
                Long("help") | Short('h') => {
                    print_help(HELP);
                    return Ok(None);
                }
                Value(word) => {
                    if !arguments.prompt.is_empty() {
                        arguments.prompt.push(' ');
                    }
                    let word = word.string().map_err(bad_argument)?;
                    arguments.prompt.push_str(&word);
                }
                other => return Err(bad_argument(other.unexpected())),
            }
        }
        if arguments.prompt.is_empty() {
            arguments.prompt = "Why is fast inference important?".into();
        }
        Ok(Some(arguments))
    }

    pub(crate) fn request(&self) -> ChatRequest {
        let mut request = ChatRequest::new("").user(&self.prompt);
        request.max_tokens = self.max_tokens;
        request
    }
}

pub(crate) fn no_models() -> Error {
    bad_usage("name the models to compare, as --models provider.model,provider.model")
}

fn criterion(name: &str) -> Result<ComparisonMetric, Error> {
    match name {
        "ttft" => Ok(ComparisonMetric::FirstToken),
        "duration" => Ok(ComparisonMetric::Duration),
        "rate" => Ok(ComparisonMetric::TokensPerSecond),
        "tokens" => Ok(ComparisonMetric::Tokens),
        other => Err(bad_usage(format!(
            "--by takes ttft, duration, rate or tokens, not `{other}`"
        ))),
    }
}
