//! The program `fleet` as processes.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

/// The program, and the database that it works on.
#[derive(Clone)]
pub(crate) struct Fleet {
    program: PathBuf,
    database: String,
}

impl Fleet {
    pub(crate) fn new(program: impl Into<PathBuf>, database: impl Into<String>) -> Self {
        Fleet {
            program: program.into(),
            database: database.into(),
        }
    }

    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(line.split_whitespace())
            .env("DATABASE_URL", &self.database);
        command.env_remove("HTTP_PROXY").env_remove("http_proxy");
        command
    }

    pub(crate) fn output(&self, line: &str) -> Output {
        self.command(line).output().unwrap()
    }

    /// Runs a command that must succeed; returns its output.
    pub(crate) fn run(&self, line: &str) -> String {
        let output = self.output(line);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        assert!(
            output.status.success(),
            "fleet {line}: {}",
            text(output.stderr)
        );
        text(output.stdout)
    }

    /// Adds the items of a file to a run at this provider.
    pub(crate) fn submit(&self, input: &Path, run: &str, base_url: &str, more: &str) {
        self.run(&format!(
            "submit {} --run {run} --provider cerebras --model m --base-url {base_url} {more}",
            input.display()
        ));
    }

    pub(crate) fn worker(&self, options: &str) -> WorkerProcess {
        let mut command = self.command(&format!("work {options}"));
        command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .env("FLEET_LOG", "error");
        WorkerProcess(command.spawn().unwrap())
    }

    /// The state as JSON.
    pub(crate) fn status(&self) -> serde_json::Value {
        serde_json::from_str(&self.run("status --json")).unwrap()
    }
}

/// A worker that is killed when it is dropped.
pub(crate) struct WorkerProcess(Child);

impl WorkerProcess {
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([&format!("-{name}"), &self.0.id().to_string()])
            .status();
        assert!(status.unwrap().success());
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }

    /// Waits for the end; panics after `limit`.
    pub(crate) async fn wait(&mut self, limit: Duration) -> bool {
        let began = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.success();
            }
            assert!(
                began.elapsed() < limit,
                "a worker did not end within {limit:?}"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits until `done` holds; panics after `limit`.
pub(crate) async fn until(what: &str, limit: Duration, mut done: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !done().await {
        assert!(began.elapsed() < limit, "not within {limit:?}: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
