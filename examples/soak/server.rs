//! The provider, in a process of its own.

use super::Failure;
use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio},
    time::Duration,
};
use unifiedai_loopback::{Config, Loopback, Pace};

/// The share of calls that break.
const FAULT_RATE: f64 = 0.05;

const FAULTS: [&str; 20] = [
    "status-500",
    "status-503",
    "status-429",
    "status-401",
    "html-502",
    "html-200",
    "empty-200",
    "half-json",
    "redirect-302",
    "garbage-3k",
    "cut-at-300",
    "cut-clean-at-3",
    "reset-at-3",
    "stall-at-3",
    "no-head",
    "half-head",
    "bad-head",
    "error-in-stream-at-2",
    "delay=500+comments+crlf",
    "close-after+split-bytes-7",
];

pub(crate) fn serve() -> ExitCode {
    let config = Config {
        pace: Pace {
            first: Duration::from_millis(500),
            each: Duration::from_millis(200),
            coalesce: 1,
        },
        record: false,
        fault_rate: FAULT_RATE,
        fault_set: FAULTS.map(str::to_owned).to_vec(),
        ..Config::default()
    };
    let Ok(server) = Loopback::start(config) else {
        return ExitCode::FAILURE;
    };
    println!("{}", server.base_url());
    // Each line is the question how many connections are open; the end of them is the end.
    for _ in std::io::stdin().lines().map_while(Result::ok) {
        println!("{}", server.open_connections());
    }
    ExitCode::SUCCESS
}

pub(crate) struct Server {
    child: Child,
    questions: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    base_url: String,
}

impl Server {
    pub(crate) fn start() -> Result<Server, Failure> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("serve")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let answers = child.stdout.take().ok_or("no output")?;
        let mut server = Server {
            questions: child.stdin.take(),
            child,
            answers: BufReader::new(answers),
            base_url: String::new(),
        };
        server.base_url = server.line()?;
        Ok(server)
    }

    pub(crate) fn base_url(&self) -> &str {
        &self.base_url
    }

    /// How many connections are open once the client has let go of all, waiting a little for the last of them.
    pub(crate) fn connections_left(&mut self) -> Result<u64, Failure> {
        let mut left = 0;
        for _ in 0..100 {
            if let Some(questions) = &mut self.questions {
                questions.write_all(b"\n")?;
            }
            left = self.line()?.parse()?;
            if left == 0 {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(left)
    }

    fn line(&mut self) -> Result<String, Failure> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.questions.take());
        let _ = self.child.wait();
    }
}
