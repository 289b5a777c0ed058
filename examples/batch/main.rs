//! Many chats from a file of lines to another, as OpenAI's Batch API has them, and resumable.
//!
//! ```text
//! cargo run --example batch --all-features -- in.jsonl out.jsonl
//! ```
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    reason = "a program"
)]

mod arguments;
mod at_provider;
#[path = "../common/mod.rs"]
mod common;
mod input;
mod output;
mod progress;
mod savings;

use arguments::Arguments;
use common::TransportName;
use input::{Input, Task};
use output::Output;
use progress::Progress;
use std::{process::ExitCode, sync::Arc};
use unifiedai::{
    AsyncClient, ChatRequest, Client, Error,
    batch::{BatchOptions, BatchResult},
    provider::Provider,
};

fn main() -> ExitCode {
    let result = Arguments::parse().and_then(|arguments| match arguments {
        Some(arguments) => run(&arguments),
        None => Ok(ExitCode::SUCCESS),
    });
    result.unwrap_or_else(|error| {
        eprintln!("{error}");
        ExitCode::FAILURE
    })
}

fn run(arguments: &Arguments) -> Result<ExitCode, Error> {
    let (output, answered) = Output::open(&arguments.output)?;
    let input = Input::read(&arguments.input, &arguments.default_model())?;
    let mut job = Job {
        progress: Progress::new(input.tasks.len()),
        output,
        failed: 0,
    };
    for refused in &input.refused {
        eprintln!("{}: {}", arguments.input.display(), refused.error.message());
        job.failed += 1;
        match &refused.id {
            Some(id) if answered.contains(id) => {}
            id => job.output.write_error(id.as_deref(), &refused.error)?,
        }
    }
    if arguments.at_provider {
        let (provider, _server) =
            common::provider(&arguments.provider, arguments.base_url.as_deref())?;
        let before = answered.len();
        job.progress.skip(before);
        let left = job.at_provider(provider.clone(), arguments, input.tasks, answered)?;
        if !left.is_empty() {
            job.send(provider, arguments, left)?;
        }
        job.output.sync()?;
        job.progress.end();
        return Ok(match job.failed {
            0 => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        });
    }
    let todo: Vec<Task> = input
        .tasks
        .into_iter()
        .filter(|task| !answered.contains(&task.id))
        .collect();
    job.progress.skip(job.progress.total() - todo.len());
    if !todo.is_empty() {
        let (provider, _server) =
            common::provider(&arguments.provider, arguments.base_url.as_deref())?;
        job.send(provider, arguments, todo)?;
    }
    job.output.sync()?;
    job.progress.end();
    Ok(match job.failed {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

struct Job {
    progress: Progress,
    output: Output,
    failed: usize,
}

impl Job {
    fn send(
        &mut self,
        provider: Arc<dyn Provider>,
        arguments: &Arguments,
        todo: Vec<Task>,
    ) -> Result<(), Error> {
        let requests = todo.into_iter().map(|task| (task.id, task.request));
        let options = BatchOptions::default().concurrency(arguments.concurrency);
        match arguments.transport {
            TransportName::Ureq => {
                let client = Client::shared(unifiedai::transport::UreqTransport::new(), provider)
                    .with_options(arguments.options());
                client
                    .batch(requests, options)?
                    .try_for_each(|result| self.take(result))
            }
            TransportName::Hyper => {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .map_err(|e| common::bad_usage(format!("no tokio runtime: {e}")))?;
                let client =
                    AsyncClient::shared(unifiedai::transport::HyperTransport::new(), provider);
                runtime.block_on(self.nonblocking(client, arguments, requests, options))
            }
            TransportName::Smol => {
                let client =
                    AsyncClient::shared(unifiedai::transport::SmolTransport::new(), provider);
                smol::block_on(self.nonblocking(client, arguments, requests, options))
            }
        }
    }

    async fn nonblocking(
        &mut self,
        client: AsyncClient,
        arguments: &Arguments,
        requests: impl Iterator<Item = (String, ChatRequest)>,
        options: BatchOptions,
    ) -> Result<(), Error> {
        let client = client.with_options(arguments.options());
        let mut batch = client.batch(requests, options)?;
        while let Some(result) = batch.next().await {
            self.take(result)?;
        }
        Ok(())
    }

    fn take(&mut self, (id, result): BatchResult<String>) -> Result<(), Error> {
        match &result {
            Ok(response) => self.output.write_response(&id, response)?,
            Err(error) => {
                self.failed += 1;
                self.output.write_error(Some(&id), error)?;
            }
        }
        self.progress.count(&result);
        Ok(())
    }
}
