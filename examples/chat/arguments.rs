use super::common::{TransportName, bad_argument, bad_usage, default_model, print_help, text};
use lexopt::prelude::*;
use std::time::Duration;
use unifiedai::{CallOptions, ChatRequest, Error, RetryPolicy};

const HELP: &str = "\
Asks a model and prints its answer.

Usage: chat [OPTIONS] [PROMPT]

  --provider NAME         cerebras (default), bedrock, openai, anthropic, gemini, cohere, groq, ...
  --model NAME            the model to ask
  --transport NAME        ureq, hyper (default) or smol
  --base-url URL          another address, version path included
  --stream                print the text as it arrives
  --json                  print one line of JSON
  --system TEXT           instructions
  --max-tokens N          the most tokens to write
  --temperature T         0 for the likeliest words
  --timeout SECONDS       for the whole call
  --idle-timeout SECONDS  between two bytes
  --retries N             attempts after the first (default 2)

The key comes from the provider's environment variable, such as CEREBRAS_API_KEY. Without a key and
without --base-url the program asks a provider that it starts itself, on loopback; so it does for a
local server (ollama, vllm, ...) that is not running.";

/// What the command line asks for.
pub(crate) struct Arguments {
    pub(crate) provider: String,
    pub(crate) model: Option<String>,
    pub(crate) transport: TransportName,
    pub(crate) base_url: Option<String>,
    pub(crate) stream: bool,
    pub(crate) json: bool,
    pub(crate) system: Option<String>,
    pub(crate) max_tokens: Option<u64>,
    pub(crate) temperature: Option<f64>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) retries: Option<u32>,
    pub(crate) prompt: String,
}

impl Arguments {
    /// `None` if only help was asked for.
    pub(crate) fn parse() -> Result<Option<Self>, Error> {
        let mut arguments = Arguments {
            provider: "cerebras".into(),
            model: None,
            transport: TransportName::Hyper,
            base_url: None,
            stream: false,
            json: false,
            system: None,
            max_tokens: None,
            temperature: None,
            timeout: None,
            idle_timeout: None,
            retries: None,
            prompt: String::new(),
        };
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next().map_err(bad_argument)? {
            match argument {
                Long("provider") => arguments.provider = text(&mut parser)?,
                Long("model") => arguments.model = Some(text(&mut parser)?),
                Long("transport") => {
                    arguments.transport = TransportName::parse(&text(&mut parser)?)?
                }
                Long("base-url") => arguments.base_url = Some(text(&mut parser)?),
                Long("stream") => arguments.stream = true,
                Long("json") => arguments.json = true,
                Long("system") => arguments.system = Some(text(&mut parser)?),
                Long("max-tokens") => {
                    arguments.max_tokens = Some(number("--max-tokens", &text(&mut parser)?)?)
                }
                Long("temperature") => {
                    arguments.temperature = Some(number("--temperature", &text(&mut parser)?)?)
                }
                Long("timeout") => {
                    arguments.timeout = Some(seconds("--timeout", &text(&mut parser)?)?)
                }
                Long("idle-timeout") => {
                    arguments.idle_timeout = Some(seconds("--idle-timeout", &text(&mut parser)?)?)
                }
                Long("retries") => {
                    arguments.retries = Some(number("--retries", &text(&mut parser)?)?)
                }
                Long("help") | Short('h') => {
                    print_help(HELP);
                    return Ok(None);
                }
                Value(word) => {
                    if !arguments.prompt.is_empty() {
                        arguments.prompt.push(' ');
                    }
                    arguments
                        .prompt
                        .push_str(&word.string().map_err(bad_argument)?);
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
        let model = self
            .model
            .as_deref()
            .unwrap_or_else(|| default_model(&self.provider));
        let mut request = ChatRequest::new(model);
        if let Some(system) = &self.system {
            request = request.system(system);
        }
        request = request.user(&self.prompt);
        request.max_tokens = self.max_tokens;
        request.temperature = self.temperature;
        request
    }

    pub(crate) fn options(&self) -> CallOptions {
        let mut options = CallOptions::default();
        options.timeouts.total = self.timeout;
        if self.idle_timeout.is_some() {
            options.timeouts.idle = self.idle_timeout;
        }
        if let Some(retries) = self.retries {
            options.retry = RetryPolicy::default().max_retries(retries);
        }
        options
    }
}

fn number<T: std::str::FromStr>(name: &str, text: &str) -> Result<T, Error> {
    text.parse()
        .map_err(|_| bad_usage(format!("{name} takes a number, not `{text}`")))
}

fn seconds(name: &str, text: &str) -> Result<Duration, Error> {
    Duration::try_from_secs_f64(number(name, text)?)
        .map_err(|_| bad_usage(format!("{name} takes a number of seconds, not `{text}`")))
}
