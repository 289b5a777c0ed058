//! The command line.

use lexopt::{Parser, prelude::*};
use std::{path::PathBuf, str::FromStr, time::Duration};
use unifiedai_fleet::{
    FleetError,
    store::{RunConfig, UnknownPolicy},
    submit::SubmitOptions,
    worker::WorkOptions,
};

pub(crate) const HELP: &str = "\
Batches of LLM calls by many workers, which share one account and its rate limit.

Usage: fleet COMMAND [OPTIONS]

  submit IN.jsonl --run NAME   add the lines of a file to a run; repeating it adds what is missing
      --provider NAME          cerebras (default), openai, anthropic, bedrock, ...
      --model NAME             for lines whose body names none
      --base-url URL           another address of the provider, version path included
      --rpm N, --tpm N         requests and tokens a minute of the account and model, for all workers together
      --account NAME           runs of the same account and model share one limit (default: provider and base URL)
      --weight N               the run's share of the workers, relative to other runs (default 1)
      --at-provider            as the provider's own batches: cheaper, answered within a day
      --on-unknown resend|hold what happens to an item whose call may have been made without a stored outcome
      --by-reference           store the places of lines, not the lines; workers read the file under the same path
      --source URL             the same for an object: workers read the lines from there by range requests
      --chunk N                items that are leased together (default 64; 5000 with --at-provider)
  work                         work until SIGTERM or Ctrl-C; then finish what is in progress and give the rest back
      --run NAME               work on this run alone
      --concurrency N          calls at once (default 32)
      --until-done             end when nothing is left
      --lease SECONDS          a worker that is silent for this long loses its work to others (default 60)
      --max-attempts N         attempts for one item (default 5)
      --call-timeout SECONDS   the longest duration of a call (default 600)
  status                       runs, limits, workers
      --run NAME, --json       one run; as JSON
      --watch                  again each 2 s
  pause, resume, cancel --run NAME
  export OUT.jsonl --run NAME  write a line for each item with an outcome

  --database URL               postgres://USER:PASSWORD@HOST/NAME, or sqlite:PATH (default: the variable DATABASE_URL; without it
                               sqlite:fleet.db, for one machine)

A line is {\"custom_id\": .., \"body\": {\"model\": .., \"messages\": [..], ..}}. The provider's key is read from its usual variable by
`work`. PGSSLROOTCERT names a PEM file with the roots of the database's certificate; FLEET_LOG is error, warn (default), info or debug.

Exit status: 0 if all went well; 1 if not, and with `export` and `work --until-done` if an item has no response; an error is one line on stderr.";

pub(crate) enum Command {
    Help,
    Submit {
        input: PathBuf,
        source: Option<String>,
        config: Box<RunConfig>,
        options: SubmitOptions,
    },
    Work(WorkOptions),
    Status {
        run: Option<String>,
        json: bool,
        watch: bool,
    },
    Pause(String),
    Resume(String),
    Cancel(String),
    Export {
        output: PathBuf,
        run: String,
    },
}

pub(crate) struct Arguments {
    pub(crate) command: Command,
    pub(crate) database: Option<String>,
}

/// All options of all commands, as far as they were given.
#[derive(Default)]
struct Given {
    names: Vec<String>,
    words: Vec<PathBuf>,
    database: Option<String>,
    run: Option<String>,
    provider: Option<String>,
    model: Option<String>,
    base_url: Option<String>,
    account: Option<String>,
    source: Option<String>,
    rpm: Option<f64>,
    tpm: Option<f64>,
    weight: Option<f64>,
    chunk: Option<i32>,
    on_unknown: Option<UnknownPolicy>,
    concurrency: Option<usize>,
    lease: Option<f64>,
    max_attempts: Option<i32>,
    call_timeout: Option<f64>,
}

impl Given {
    fn has(&self, flag: &str) -> bool {
        self.names.iter().any(|name| name == flag)
    }
}

impl Arguments {
    pub(crate) fn parse() -> Result<Self, FleetError> {
        Self::parse_from(Parser::from_env())
    }

    fn parse_from(mut parser: Parser) -> Result<Self, FleetError> {
        let mut given = Given::default();
        let mut command = None;
        while let Some(argument) = parser.next().map_err(usage)? {
            let name = match argument {
                Long("help") | Short('h') => {
                    return Ok(Arguments {
                        command: Command::Help,
                        database: None,
                    });
                }
                Value(word) if command.is_none() => {
                    command = Some(word.string().map_err(usage)?);
                    continue;
                }
                Value(word) => {
                    given.words.push(word.into());
                    continue;
                }
                Long(name) => name.to_owned(),
                other => return Err(usage(other.unexpected())),
            };
            read_option(&name, &mut given, &mut parser)?;
            given.names.push(name);
        }
        let Some(command) = command else {
            return Err(refuse("name a command; `fleet --help` lists them"));
        };
        let database = given.database.take();
        Ok(Arguments {
            command: self::command(&command, given)?,
            database,
        })
    }
}

fn read_option(name: &str, given: &mut Given, parser: &mut Parser) -> Result<(), FleetError> {
    match name {
        "database" => given.database = Some(text(parser)?),
        "run" => given.run = Some(text(parser)?),
        "provider" => given.provider = Some(text(parser)?),
        "model" => given.model = Some(text(parser)?),
        "base-url" => given.base_url = Some(text(parser)?),
        "account" => given.account = Some(text(parser)?),
        "source" => given.source = Some(text(parser)?),
        "rpm" => given.rpm = Some(number(name, parser)?),
        "tpm" => given.tpm = Some(number(name, parser)?),
        "weight" => given.weight = Some(number(name, parser)?),
        "chunk" => given.chunk = Some(number(name, parser)?),
        "concurrency" => given.concurrency = Some(number(name, parser)?),
        "lease" => given.lease = Some(number(name, parser)?),
        "max-attempts" => given.max_attempts = Some(number(name, parser)?),
        "call-timeout" => given.call_timeout = Some(number(name, parser)?),
        "on-unknown" => {
            given.on_unknown = Some(match text(parser)?.as_str() {
                "resend" => UnknownPolicy::Resend,
                "hold" => UnknownPolicy::Hold,
                other => {
                    return Err(refuse(format!(
                        "--on-unknown takes `resend` or `hold`, not `{other}`"
                    )));
                }
            });
        }
        "at-provider" | "by-reference" | "until-done" | "json" | "watch" => {}
        other => {
            return Err(refuse(format!(
                "there is no option --{other}; see `fleet --help`"
            )));
        }
    }
    Ok(())
}

const SUBMIT: &[&str] = &[
    "run",
    "provider",
    "model",
    "base-url",
    "rpm",
    "tpm",
    "account",
    "weight",
    "at-provider",
    "on-unknown",
    "by-reference",
    "source",
    "chunk",
];
const WORK: &[&str] = &[
    "run",
    "concurrency",
    "until-done",
    "lease",
    "max-attempts",
    "call-timeout",
];

fn command(name: &str, given: Given) -> Result<Command, FleetError> {
    let allowed: &[&str] = match name {
        "submit" => SUBMIT,
        "work" => WORK,
        "status" => &["run", "json", "watch"],
        "pause" | "resume" | "cancel" | "export" => &["run"],
        other => {
            return Err(refuse(format!(
                "there is no command `{other}`; `fleet --help` lists them"
            )));
        }
    };
    let foreign = given
        .names
        .iter()
        .find(|flag| *flag != "database" && !allowed.contains(&flag.as_str()));
    if let Some(flag) = foreign {
        return Err(refuse(format!(
            "`fleet {name}` takes no --{flag}; see `fleet --help`"
        )));
    }
    let words = usize::from(matches!(name, "submit" | "export"));
    if given.words.len() != words {
        let what = if words == 1 { "one file" } else { "no file" };
        return Err(refuse(format!(
            "`fleet {name}` takes {what}; see `fleet --help`"
        )));
    }
    let run = || {
        given
            .run
            .clone()
            .ok_or_else(|| refuse(format!("`fleet {name}` needs --run NAME")))
    };
    let file = || given.words.first().cloned().unwrap_or_default();
    Ok(match name {
        "submit" => submit(run()?, file(), &given)?,
        "work" => Command::Work(work(&given)?),
        "status" => Command::Status {
            json: given.has("json"),
            watch: given.has("watch"),
            run: given.run,
        },
        "pause" => Command::Pause(run()?),
        "resume" => Command::Resume(run()?),
        "cancel" => Command::Cancel(run()?),
        _ => Command::Export {
            output: file(),
            run: run()?,
        },
    })
}

fn submit(run: String, input: PathBuf, given: &Given) -> Result<Command, FleetError> {
    let provider = given.provider.as_deref().unwrap_or("cerebras");
    let mut config = RunConfig::new(run, provider);
    config.base_url.clone_from(&given.base_url);
    config.model.clone_from(&given.model);
    config.account = match (&given.account, &given.base_url) {
        (Some(account), _) => account.clone(),
        (None, Some(url)) => format!("{provider} {url}"),
        (None, None) => provider.to_owned(),
    };
    (config.rpm, config.tpm) = (given.rpm, given.tpm);
    config.weight = given.weight.unwrap_or(1.0);
    config.at_provider = given.has("at-provider");
    config.on_unknown = given.on_unknown.unwrap_or_default();
    let mut options = SubmitOptions::new(config.at_provider);
    options.by_reference = given.has("by-reference") || given.source.is_some();
    if let Some(chunk) = given.chunk {
        if !(1..=50_000).contains(&chunk) {
            return Err(refuse("--chunk takes a number from 1 to 50000"));
        }
        options.chunk = chunk;
    }
    Ok(Command::Submit {
        input,
        source: given.source.clone(),
        config: Box::new(config),
        options,
    })
}

fn work(given: &Given) -> Result<WorkOptions, FleetError> {
    let mut options = WorkOptions::default();
    options.run.clone_from(&given.run);
    options.until_done = given.has("until-done");
    options.concurrency = given.concurrency.unwrap_or(options.concurrency);
    options.max_attempts = given.max_attempts.unwrap_or(options.max_attempts).max(1);
    for (name, seconds, place) in [
        ("lease", given.lease, &mut options.lease),
        (
            "call-timeout",
            given.call_timeout,
            &mut options.call_timeout,
        ),
    ] {
        if let Some(seconds) = seconds {
            let given = Duration::try_from_secs_f64(seconds)
                .ok()
                .filter(|given| !given.is_zero());
            *place = given
                .ok_or_else(|| refuse(format!("--{name} takes a number of seconds above 0")))?;
        }
    }
    Ok(options)
}

fn text(parser: &mut Parser) -> Result<String, FleetError> {
    parser.value().and_then(ValueExt::string).map_err(usage)
}

fn number<N: FromStr>(name: &str, parser: &mut Parser) -> Result<N, FleetError> {
    let text = text(parser)?;
    text.parse()
        .map_err(|_| refuse(format!("--{name} takes a number, not `{text}`")))
}

fn usage(error: lexopt::Error) -> FleetError {
    FleetError::Refused(error.to_string())
}

fn refuse(what: impl Into<String>) -> FleetError {
    FleetError::Refused(what.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Arguments, FleetError> {
        Arguments::parse_from(Parser::from_args(line.split_whitespace()))
    }

    fn error(line: &str) -> String {
        match parse(line) {
            Ok(_) => panic!("{line} was accepted"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_submission_has_its_limits_and_its_account() {
        let arguments =
            parse("submit in.jsonl --run june --provider openai --base-url http://x/v1 --rpm 300 --tpm 1e6").unwrap();
        let Command::Submit {
            input,
            config,
            options,
            ..
        } = arguments.command
        else {
            panic!("another command");
        };
        assert_eq!(input, PathBuf::from("in.jsonl"));
        assert_eq!(
            (config.rpm, config.tpm, config.account.as_str()),
            (Some(300.0), Some(1e6), "openai http://x/v1")
        );
        assert_eq!((options.chunk, options.by_reference), (64, false));
    }

    #[test]
    fn what_a_command_does_not_take_is_refused_by_name() {
        assert!(error("").contains("name a command"));
        assert!(error("fly").contains("no command `fly`"));
        assert!(error("submit in.jsonl").contains("--run"));
        assert!(error("submit --run a").contains("one file"));
        assert!(error("work --rpm 5").contains("takes no --rpm"));
        assert!(error("work --concurrency many").contains("--concurrency takes a number"));
        assert!(error("work --lease 0").contains("above 0"));
        assert!(error("export out.jsonl").contains("--run"));
        assert!(error("status --frequency 1").contains("no option --frequency"));
        assert!(error("submit a --run b --on-unknown maybe").contains("`resend` or `hold`"));
    }
}
