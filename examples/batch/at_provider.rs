//! The same lines as batches of the provider: cheaper, and completed within a day.

use super::{
    Job,
    arguments::Arguments,
    common::{TransportName, bad_usage},
    input::Task,
    savings::BatchTokens,
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

/// The state of the program, in a file next to the output until the run is over.
#[derive(Serialize, Deserialize)]
struct Saved {
    /// The number of lines of the input. The run counts them in the same order.
    lines: usize,
    #[serde(default)]
    tokens: BatchTokens,
    run: RunState,
}

/// Makes one call, and passes on its results.
type Caller =
    Box<dyn FnMut(BatchCall, &mut dyn FnMut(BatchItem<Json>)) -> Result<BatchAnswer, Error>>;

impl Job {
    /// Carries out the run. Returns the tasks for live calls: with `--then-live` those that no batch ran.
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
        if let Some(patience) = arguments.patience {
            options.patience = patience;
        }
        let (mut run, mut tokens) =
            begin_or_resume(&place, provider.clone(), options, tasks.len())?;
        let mut caller = caller(provider, arguments)?;
        let mut for_live = Vec::new();
        loop {
            match run.poll(SystemTime::now()) {
                RunStep::Line(line) => match task(&tasks, line) {
                    Some(task) if answered.contains(&task.id) => run.skip_line(),
                    Some(task) => run.push(&task.request),
                    None => run.end_of_input(),
                },
                RunStep::Save => {
                    // The outcomes must be on disk before the state that no longer has their lines.
                    self.output.sync()?;
                    let saved = Saved {
                        lines: tasks.len(),
                        tokens,
                        run: run.state().clone(),
                    };
                    save(&place, &saved)?;
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
                    if let ItemOutcome::Succeeded(response) = &outcome {
                        tokens.add(response);
                    }
                    if arguments.then_live && never_ran(&outcome) {
                        for_live.push(line);
                    } else {
                        self.take_outcome(&task.id, outcome)?;
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
        self.progress.end_of_run(tokens.savings(arguments.prices));
        let for_live: HashSet<u64> = for_live.into_iter().collect();
        let numbered = (0_u64..).zip(tasks);
        let left = numbered.filter(|(line, _)| for_live.contains(line));
        Ok(left.map(|(_, task)| task).collect())
    }

    fn take_outcome(&mut self, id: &str, outcome: ItemOutcome) -> Result<(), Error> {
        let why = match outcome {
            ItemOutcome::Succeeded(response) => {
                return self.take((id.to_owned(), Ok(*response)));
            }
            ItemOutcome::Failed(error) => return self.take((id.to_owned(), Err(error))),
            ItemOutcome::Expired => "the batch expired before it ran this line",
            ItemOutcome::Cancelled => "the batch was cancelled before it ran this line",
            _ => "the batch ended, and no result has the id of this line",
        };
        // A retryable error: the next start of the program makes a new request of the line.
        let error = Error::new(ErrorKind::ServiceUnavailable, why);
        self.take((id.to_owned(), Err(error)))
    }
}

/// Whether the provider certainly did not run a line, or gave no result for it. A line that was refused before it was sent (too
/// few lines for a batch) has no status; if the refusal has another reason, a call is refused as well and costs nothing.
fn never_ran(outcome: &ItemOutcome) -> bool {
    match outcome {
        ItemOutcome::Succeeded(_) => false,
        ItemOutcome::Failed(error) => {
            error.kind() == ErrorKind::InvalidRequest && error.status().is_none()
        }
        _ => true,
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
) -> Result<(BatchRun, BatchTokens), Error> {
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
            let run = BatchRun::new(provider, id.get(..24).unwrap_or(&id), options)?;
            return Ok((run, BatchTokens::default()));
        }
        Err(error) => return Err(unusable(place, &error)),
    };
    let saved: Saved = serde_json::from_slice(&text).map_err(|e| unusable(place, &e))?;
    if saved.lines != lines {
        let what = format!(
            "the run was started with {} lines, and the input now has {lines}: use the same input, or another output",
            saved.lines
        );
        return Err(unusable(place, &what));
    }
    Ok((
        BatchRun::resume(provider, saved.run, options)?,
        saved.tokens,
    ))
}

/// Replaces the file in one step. A process that ends at any moment leaves the old state or the new one.
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
