//! The commands of the program.

mod arguments;

pub(crate) use arguments::{Arguments, HELP};

use arguments::Command;
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};
use unifiedai_fleet::{
    FleetError, export,
    store::{PostgresStore, RunConfig, RunState, SqliteStore, Store},
    submit::{self, SubmitOptions},
    worker::{WorkOptions, Worker},
};

pub(crate) async fn run(arguments: Arguments) -> Result<ExitCode, FleetError> {
    let database = arguments.database.or_else(|| variable("DATABASE_URL"));
    if matches!(arguments.command, Command::Help) {
        println!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    }
    let store = open(database.as_deref()).await?;
    match arguments.command {
        Command::Help => Ok(ExitCode::SUCCESS),
        Command::Submit {
            input,
            source,
            config,
            options,
        } => submit(&*store, &input, source, &config, options).await,
        Command::Work(options) => work(store, options).await,
        Command::Status { run, json, watch } => status(&*store, run.as_deref(), json, watch).await,
        Command::Pause(run) => set_state(&*store, &run, RunState::Paused).await,
        Command::Resume(run) => set_state(&*store, &run, RunState::Open).await,
        Command::Cancel(run) => set_state(&*store, &run, RunState::Cancelled).await,
        Command::Export { output, run } => write_outcomes(&*store, &run, &output).await,
    }
}

/// The value of a variable, unless it is empty.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

async fn open(database: Option<&str>) -> Result<Arc<dyn Store>, FleetError> {
    let Some(url) = database else {
        eprintln!(
            "No --database and no DATABASE_URL: the SQLite file fleet.db is used, for one machine."
        );
        return Ok(Arc::new(SqliteStore::open(Path::new("fleet.db"))?));
    };
    if let Some(path) = url.strip_prefix("sqlite:") {
        return Ok(Arc::new(SqliteStore::open(Path::new(path))?));
    }
    let roots = variable("PGSSLROOTCERT");
    Ok(Arc::new(
        PostgresStore::connect(url, roots.as_deref()).await?,
    ))
}

async fn submit(
    store: &dyn Store,
    input: &Path,
    source: Option<String>,
    config: &RunConfig,
    options: SubmitOptions,
) -> Result<ExitCode, FleetError> {
    let absolute = std::path::absolute(input).unwrap_or_else(|_| PathBuf::from(input));
    let uri = source.unwrap_or_else(|| absolute.display().to_string());
    let done = submit::submit(store, config, input, &uri, options).await?;
    for (line, what) in &done.refused {
        eprintln!("{}: line {line}: {what}", input.display());
    }
    let listed = done.refused.len() as u64;
    if done.refused_count > listed {
        eprintln!(
            "{}: {} further lines are no items",
            input.display(),
            done.refused_count - listed
        );
    }
    eprintln!(
        "run {}: {} of {} items were added, {} were there before.",
        config.name,
        done.added,
        done.lines,
        done.lines - done.added
    );
    Ok(if done.refused_count == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn work(store: Arc<dyn Store>, options: WorkOptions) -> Result<ExitCode, FleetError> {
    let until_done = options.until_done;
    let stopped = stopped()?;
    let report = Worker::new(store, options).run(stopped).await?;
    eprintln!(
        "{} responses, {} items without one, {} attempts were repeated, {} outcomes came late.",
        report.ok, report.failed, report.retried, report.late
    );
    Ok(if until_done && report.failed > 0 {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// Completes at SIGTERM or Ctrl-C. The handlers are in place when this returns.
fn stopped() -> Result<impl Future<Output = ()>, FleetError> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let failed = |e| FleetError::File(format!("signals cannot be handled: {e}"));
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        Ok(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            // A second signal does not wait for calls in progress.
            tokio::spawn(async move {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                std::process::exit(1);
            });
        })
    }
    #[cfg(not(unix))]
    {
        Ok(async {
            let _ = tokio::signal::ctrl_c().await;
        })
    }
}

async fn status(
    store: &dyn Store,
    run: Option<&str>,
    json: bool,
    watch: bool,
) -> Result<ExitCode, FleetError> {
    loop {
        let status = store.status(run).await?;
        if json {
            let line = serde_json::to_string(&status);
            println!("{}", line.map_err(|e| FleetError::Database(e.to_string()))?);
        } else {
            if watch {
                // Clears the terminal.
                print!("\x1b[2J\x1b[H");
            }
            print!("{}", status.table());
        }
        if !watch {
            return Ok(ExitCode::SUCCESS);
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

async fn set_state(store: &dyn Store, run: &str, state: RunState) -> Result<ExitCode, FleetError> {
    let now = store.set_state(run, state, None).await?;
    eprintln!("run {run}: {}", now.as_str());
    if now == state {
        return Ok(ExitCode::SUCCESS);
    }
    Err(FleetError::Refused(format!(
        "the run `{run}` is {} and cannot become {}",
        now.as_str(),
        state.as_str()
    )))
}

async fn write_outcomes(
    store: &dyn Store,
    run: &str,
    output: &Path,
) -> Result<ExitCode, FleetError> {
    let done = export::export(store, run, output).await?;
    eprintln!(
        "{}: {} responses, {} errors; {} items have no outcome.",
        output.display(),
        done.ok,
        done.failed,
        done.missing
    );
    Ok(if done.failed + done.missing == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
