//! The same lines as batches of the provider: cheaper, and answered within a day.

use super::{
    Job,
    arguments::Arguments,
    common::{TransportName, bad_usage},
    input::Task,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashSet,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, SystemTime},
};
use unifiedai::{
    AsyncClient, Client, Error, ErrorKind, Json,
    provider::Provider,
    provider_batch::{
        BatchAnswer, BatchCall, BatchItem, BatchRun, ItemOutcome, RunOptions, RunState, RunStep,
    },
};

/// What is kept beside the output until the run is over.
#[derive(Serialize, Deserialize)]
struct Saved {
    /// How many lines the input had: their numbers are those of the run.
    lines: usize,
    run: RunState,
}

/// Makes one call, and hands out the results that it brings.
type Caller =
    Box<dyn FnMut(BatchCall, &mut dyn FnMut(BatchItem<Json>)) -> Result<BatchAnswer, Error>>;

impl Job {
    /// Carries the run to its end. Gives the tasks that have no answer because they expired, were cancelled or were lost.
    pub(crate) fn at_provider(
        &mut self,
        provider: Arc<dyn Provider>,
        arguments: &Arguments,
        tasks: Vec<Task>,
        mut answered: HashSet<String>,
    ) -> Result<Vec<Task>, Error> {
        let mut name = arguments.output.clone().into_os_string();
        name.push(".run.json");
        let place = PathBuf::from(name);
        let mut options = RunOptions::default();
        options.poll = arguments.poll;
        let mut run = begin_or_resume(&place, provider.clone(), options, tasks.len())?;
        let mut caller = caller(provider, arguments)?;
        let (mut unanswered, mut tokens) = (Vec::new(), 0);
        loop {
            match run.poll(SystemTime::now()) {
                RunStep::Line(line) => match task(&tasks, line) {
                    Some(task) if answered.contains(&task.id) => run.skip_line(),
                    Some(task) => run.push(&task.request),
                    None => run.end_of_input(),
                },
                RunStep::Save => {
                    // What was written of outcomes must be there before the state says that it is.
                    self.output.sync()?;
                    let lines = tasks.len();
                    let state = run.state().clone();
                    save(&place, &Saved { lines, run: state })?;
                    run.saved();
                }
                RunStep::Call(call) => {
                    let answer = caller(call, &mut |item| run.on_item(item));
                    run.on_answer(answer, SystemTime::now())?;
                }
                RunStep::Outcome(line, outcome) => {
                    let Some(task) = task(&tasks, line) else {
                        continue;
                    };
                    if !answered.insert(task.id.clone()) {
                        continue;
                    }
                    match self.take_outcome(&task.id, outcome, arguments.then_live)? {
                        Some(used) => tokens += used,
                        None => unanswered.push(line),
                    }
                }
                RunStep::Wait(until) => {
                    let progress = run.progress();
                    self.progress.at_provider(&progress);
                    let left = until.duration_since(SystemTime::now());
                    thread::sleep(left.unwrap_or_default().min(Duration::from_secs(1)));
                }
                RunStep::Done => break,
                other => return Err(bad_usage(format!("a step of a later version: {other:?}"))),
            }
        }
        self.output.sync()?;
        fs::remove_file(&place).map_err(|e| unusable(&place, &e))?;
        if tokens > 0 {
            eprintln!(
                "{tokens} tokens at the price of batches, which is about half of the list price."
            );
        }
        let unanswered: HashSet<u64> = unanswered.into_iter().collect();
        let numbered = (0_u64..).zip(tasks);
        let left = numbered.filter(|(line, _)| unanswered.contains(line));
        Ok(left.map(|(_, task)| task).collect())
    }

    /// Writes an outcome. Gives the tokens that it took; `None` if the line is to be asked by a call.
    fn take_outcome(
        &mut self,
        id: &str,
        outcome: ItemOutcome,
        then_live: bool,
    ) -> Result<Option<u64>, Error> {
        let why = match outcome {
            ItemOutcome::Succeeded(response) => {
                let usage = response.usage.as_ref();
                let tokens = usage.and_then(|usage| usage.total_tokens).unwrap_or(0);
                self.take((id.to_owned(), Ok(*response)))?;
                return Ok(Some(tokens));
            }
            ItemOutcome::Failed(error) => {
                self.take((id.to_owned(), Err(error)))?;
                return Ok(Some(0));
            }
            _ if then_live => return Ok(None),
            ItemOutcome::Expired => "the batch expired before this line's turn",
            ItemOutcome::Cancelled => "the batch was cancelled before this line's turn",
            _ => "the batch is over, and no result names this line",
        };
        // An error that can pass: the next start of the program asks again.
        let error = Error::new(ErrorKind::ServiceUnavailable, why);
        self.take((id.to_owned(), Err(error)))?;
        Ok(Some(0))
    }
}

fn task(tasks: &[Task], line: u64) -> Option<&Task> {
    tasks.get(usize::try_from(line).ok()?)
}

fn unusable(place: &Path, error: &dyn std::fmt::Display) -> Error {
    bad_usage(format!("{}: {error}", place.display()))
}

fn begin_or_resume(
    place: &Path,
    provider: Arc<dyn Provider>,
    options: RunOptions,
    lines: usize,
) -> Result<BatchRun, Error> {
    let text = match fs::read(place) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            let now = now.unwrap_or_default();
            let id = format!(
                "u{:x}{:x}{:x}",
                now.as_secs(),
                now.subsec_nanos(),
                std::process::id()
            );
            return BatchRun::new(provider, id.get(..24).unwrap_or(&id), options);
        }
        Err(error) => return Err(unusable(place, &error)),
    };
    let saved: Saved = serde_json::from_slice(&text).map_err(|e| unusable(place, &e))?;
    if saved.lines != lines {
        let what = format!(
            "the run was begun with {} lines, and the input has {lines} now: give it the same input, or another output",
            saved.lines
        );
        return Err(unusable(place, &what));
    }
    BatchRun::resume(provider, saved.run, options)
}

/// Replaces the file in one step, so that an end at any moment leaves the old state or the new one.
fn save(place: &Path, saved: &Saved) -> Result<(), Error> {
    let part = place.with_extension("part");
    let text = serde_json::to_vec(saved).map_err(|e| unusable(place, &e))?;
    let written = File::create(&part).and_then(|mut file| {
        file.write_all(&text)?;
        file.sync_data()
    });
    written
        .and_then(|()| fs::rename(&part, place))
        .map_err(|e| unusable(place, &e))
}

fn caller(provider: Arc<dyn Provider>, arguments: &Arguments) -> Result<Caller, Error> {
    let options = arguments.options();
    Ok(match arguments.transport {
        TransportName::Ureq => {
            let client = Client::shared(unifiedai::transport::UreqTransport::new(), provider);
            let client = client.with_options(options);
            Box::new(move |call, take| client.batch_call(None, call, take))
        }
        TransportName::Hyper => {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|e| bad_usage(format!("no tokio runtime: {e}")))?;
            let client = AsyncClient::shared(unifiedai::transport::HyperTransport::new(), provider);
            let client = client.with_options(options);
            Box::new(move |call, take| runtime.block_on(client.batch_call(None, call, take)))
        }
        TransportName::Smol => {
            let client = AsyncClient::shared(unifiedai::transport::SmolTransport::new(), provider);
            let client = client.with_options(options);
            Box::new(move |call, take| smol::block_on(client.batch_call(None, call, take)))
        }
    })
}
