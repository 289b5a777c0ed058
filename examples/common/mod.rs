//! What the example programs share: arguments, providers, and the line that they print.
#![allow(
    dead_code,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "each program uses a part of this, prints, and looks at the machine that it runs on"
)]

use lexopt::ValueExt;
use serde::Serialize;
use std::{net::TcpStream, sync::Arc};
use unifiedai::{
    Error, ErrorKind,
    provider::{self, BatchStorage, Bedrock, Provider},
};
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
            "ureq" if !cfg!(feature = "ureq") => Err(not_built(name)),
            "smol" if !cfg!(feature = "smol") => Err(not_built(name)),
            "ureq" => Ok(TransportName::Ureq),
            "hyper" => Ok(TransportName::Hyper),
            "smol" => Ok(TransportName::Smol),
            other => Err(bad_usage(format!(
                "there is no transport `{other}`; known are ureq, hyper, smol"
            ))),
        }
    }
}

/// What the small programs take: which model of which provider, where, and what to say.
pub(crate) struct Question {
    pub(crate) provider: String,
    pub(crate) model: Option<String>,
    pub(crate) base_url: Option<String>,
    pub(crate) words: Vec<String>,
}

impl Question {
    /// `None` if only help was asked for, which is printed then, with the options behind it.
    pub(crate) fn parse(help: &str, provider: &str) -> Result<Option<Self>, Error> {
        use lexopt::prelude::{Long, Short, Value};
        let mut question = Question {
            provider: provider.to_owned(),
            model: None,
            base_url: None,
            words: Vec::new(),
        };
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next().map_err(bad_argument)? {
            match argument {
                Long("provider") => question.provider = text(&mut parser)?,
                Long("model") => question.model = Some(text(&mut parser)?),
                Long("base-url") => question.base_url = Some(text(&mut parser)?),
                Long("help") | Short('h') => {
                    print_help(&format!("{help}\n\n{}", options(provider)));
                    return Ok(None);
                }
                Value(word) => question.words.push(word.string().map_err(bad_argument)?),
                other => return Err(bad_argument(other.unexpected())),
            }
        }
        Ok(Some(question))
    }

    /// The provider, and the server on loopback if it is that.
    pub(crate) fn provider(&self) -> Result<(Arc<dyn Provider>, Option<Loopback>), Error> {
        provider(&self.provider, self.base_url.as_deref())
    }

    pub(crate) fn model(&self) -> &str {
        let default = || default_model(&self.provider);
        self.model.as_deref().unwrap_or_else(default)
    }

    /// The words, or `default` if there are none.
    pub(crate) fn text(&self, default: &str) -> String {
        if self.words.is_empty() {
            default.to_owned()
        } else {
            self.words.join(" ")
        }
    }
}

fn options(provider: &str) -> String {
    format!(
        "  --provider NAME  {provider} (default), or another provider's name
  --model NAME     the model to ask
  --base-url URL   another address, version path included

Without a key and without --base-url the provider is played by one on loopback."
    )
}

/// Prints the help of a program, which ends in the same line for each.
pub(crate) fn print_help(help: &str) {
    println!(
        "{help}\n\nExit status: 0 if all went well, 1 if not; an error is one line on stderr."
    );
}

/// Whether help is asked for, which is printed then; for programs that read their arguments by position.
pub(crate) fn help_asked(help: &str) -> bool {
    let asked = std::env::args()
        .skip(1)
        .any(|word| word == "--help" || word == "-h");
    if asked {
        print_help(help);
    }
    asked
}

/// The exit status of a program, and its error as one line on stderr.
pub(crate) fn finish<E: std::fmt::Display>(result: Result<(), E>) -> std::process::ExitCode {
    match result {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            std::process::ExitCode::FAILURE
        }
    }
}

/// The provider of this name, at `base_url` if one is given. Without a key and without an address it is one that runs in
/// this process, which ends when the second value is dropped; so it is where the usual address is on this machine and
/// nothing listens there.
pub(crate) fn provider(
    name: &str,
    base_url: Option<&str>,
) -> Result<(Arc<dyn Provider>, Option<Loopback>), Error> {
    let found = provider::from_env(name, base_url);
    let why = match &found {
        _ if base_url.is_some() => None,
        Err(missing) if missing.code() == Some("missing_key") => Some(missing.message().to_owned()),
        Ok(provider) if !has_address(name) => no_server(&**provider),
        _ => None,
    };
    let Some(why) = why else {
        return Ok((found?, None));
    };
    let server = Loopback::start(Config::default())
        .map_err(|e| Error::new(ErrorKind::Connection, format!("no server on loopback: {e}")))?;
    eprintln!(
        "{} Using a provider on loopback, {}.",
        capitalised(&why),
        server.origin()
    );
    Ok((on_loopback(name, &server)?, Some(server)))
}

/// The provider of this name as the loopback provider plays it.
pub(crate) fn on_loopback(name: &str, server: &Loopback) -> Result<Arc<dyn Provider>, Error> {
    if name == "bedrock" {
        // Its batches are in S3, which has an address of its own.
        let role = "arn:aws:iam::111122223333:role/loopback";
        let storage = BatchStorage::new(role, "s3://loopback/batches/")?;
        let storage = storage.endpoint_url(server.origin() + "/s3");
        let builder = Bedrock::builder().base_url(server.origin());
        return Ok(Arc::new(
            builder.batch_storage(storage).read_env()?.build()?,
        ));
    }
    provider::from_env(name, Some(&server.provider_url(name)))
}

/// Whether the environment says where the provider is.
fn has_address(name: &str) -> bool {
    let own = format!("{}_BASE_URL", name.to_ascii_uppercase().replace('-', "_"));
    [own.as_str(), "OLLAMA_HOST"]
        .iter()
        .any(|variable| std::env::var_os(variable).is_some())
}

/// What to say of a provider that would be on this machine and is not.
fn no_server(provider: &dyn Provider) -> Option<String> {
    let ping = provider.encode_check().ok()?;
    let place = ping.uri().authority()?;
    let is_here = ["localhost", "127.0.0.1"].contains(&place.host());
    let address = (place.host(), place.port_u16()?);
    (is_here && TcpStream::connect(address).is_err()).then(|| format!("nothing listens at {place}"))
}

/// The model that is asked where none is named.
pub(crate) fn default_model(provider: &str) -> &'static str {
    match provider {
        "anthropic" | "azure-anthropic" => "claude-sonnet-4-5",
        "vertex-anthropic" => "claude-sonnet-4-5@20250929",
        "bedrock" => "amazon.nova-lite-v1:0",
        "cohere" => "command-a-03-2025",
        "gemini" | "vertex" | "gemini-interactions" | "vertex-interactions" => "gemini-2.5-flash",
        "ollama" => "llama3.2",
        "openai" | "openai-responses" | "azure" | "azure-responses" => "gpt-4.1-mini",
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

fn not_built(transport: &str) -> Error {
    bad_usage(format!(
        "this program was built without the transport `{transport}`: run it with `--features {transport}`"
    ))
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
