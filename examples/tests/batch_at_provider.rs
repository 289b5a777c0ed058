//! The batch program with `--at-provider`: killed at random moments while the provider fails, and the calls after batches.
//!
//! `BATCH_KILLS=200 cargo test -p unifiedai-examples --all-features --test batch_at_provider -- --nocapture` kills at so many
//! moments and prints figures.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    reason = "a test that goes wrong is to stop, and this one looks at real clocks"
)]

mod support;

use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    process::{Child, Stdio},
    sync::Mutex,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};
use support::{program, stderr};
use unifiedai_loopback::{Config, Loopback};

const LINES: usize = 60;

/// The wires that differ in how a lost creation is found: by file and metadata, by metadata, by size and time, by name.
const PROVIDERS: [&str; 4] = ["openai", "mistral", "anthropic", "gemini"];

/// A folder with an input, and the file for its output.
struct Files {
    folder: PathBuf,
    input: PathBuf,
    output: PathBuf,
}

impl Files {
    fn new(name: &str, texts: &[String]) -> Self {
        let folder = format!("unifiedai-at-provider-{}-{name}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        fs::create_dir_all(&folder).unwrap();
        let (input, output) = (folder.join("in.jsonl"), folder.join("out.jsonl"));
        let lines: Vec<String> = texts
            .iter()
            .enumerate()
            .map(|(id, text)| {
                let messages = json!([{"role": "user", "content": text}]);
                // Most providers accept one model in a batch, so that a run has three of them.
                let model = format!("m-{}", id / 20);
                let body = json!({"model": model, "messages": messages, "max_tokens": 20});
                json!({"custom_id": format!("id-{id}"), "body": body}).to_string()
            })
            .collect();
        fs::write(&input, lines.join("\n")).unwrap();
        Files {
            folder,
            input,
            output,
        }
    }

    /// How many lines of the output have each id.
    fn outcomes(&self) -> BTreeMap<String, usize> {
        let mut times = BTreeMap::new();
        for line in fs::read_to_string(&self.output).unwrap().lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            let id = line["custom_id"].as_str().unwrap().to_owned();
            *times.entry(id).or_insert(0) += 1;
        }
        times
    }

    /// The text of a response, or the code of an error.
    fn outcome(&self, id: &str) -> String {
        let text = fs::read_to_string(&self.output).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        let line = lines
            .into_iter()
            .find(|line: &Value| line["custom_id"] == id);
        let line = line.unwrap();
        match line["error"]["code"].as_str() {
            Some(code) => code.to_owned(),
            None => line["response"]["body"]["choices"][0]["message"]["content"]
                .as_str()
                .unwrap()
                .to_owned(),
        }
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn command(files: &Files, server: &Loopback, provider: &str) -> Option<std::process::Command> {
    let mut command = program("batch")?;
    command
        .args([&files.input, &files.output])
        .args(["--at-provider", "--provider", provider, "--poll", "1"])
        .args([
            "--base-url",
            &server.provider_url(provider),
            "--transport",
            "ureq",
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    Some(command)
}

/// Kills the program after this time. Whether it was still running.
fn kill_after(mut child: Child, time: Duration) -> bool {
    let end = Instant::now() + time;
    while Instant::now() < end {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    true
}

fn faulty(seed: u64) -> Loopback {
    // Refused before it is processed, processed without an answer, an answer that is cut, and late answers.
    let faults = [
        "status-429",
        "status-503",
        "no-head",
        "half-head",
        "cut-at-40",
        "delay=300",
    ];
    Loopback::start(Config {
        batch_step: Duration::from_millis(400),
        fault_rate: 0.05,
        fault_seed: seed,
        fault_set: faults.map(str::to_owned).to_vec(),
        ..Config::fast()
    })
    .unwrap()
}

/// What happened to one run.
#[derive(Default)]
struct Figures {
    runs: usize,
    killed: usize,
    killed_after_a_creation: usize,
    batches: usize,
    requests: usize,
    searches: usize,
}

fn one_life(number: usize) -> Option<Figures> {
    let provider = PROVIDERS[number % PROVIDERS.len()];
    let texts: Vec<String> = (0..LINES).map(|id| format!("Question {id}.")).collect();
    let files = Files::new(&format!("{provider}-{number}"), &texts);
    let server = faulty(number as u64 * 7919 + 1);
    // Multiples of the golden ratio cover the life of a run, which takes some 2.2 s, evenly.
    let moment = (number as f64 * 0.618_034).fract() * 2.2;
    let child = command(&files, &server, provider)?.spawn().unwrap();
    let was_running = kill_after(child, Duration::from_secs_f64(moment));
    let had_batches = !server.batches().is_empty();
    let child = command(&files, &server, provider)?.spawn().unwrap();
    let is_late = kill_after(child, Duration::from_secs(90));
    assert!(!is_late, "{provider} {number}: the run does not end");
    let outcomes = files.outcomes();
    assert_eq!(outcomes.len(), LINES, "{provider} {number}");
    let twice: Vec<_> = outcomes.iter().filter(|(_, times)| **times != 1).collect();
    assert!(twice.is_empty(), "{provider} {number}: {twice:?}");
    let taken = server.batches();
    let mut ids: Vec<&String> = taken.iter().flatten().collect();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(
        (all, ids.len()),
        (LINES, LINES),
        "{provider} {number}, killed after {moment:.2} s"
    );
    assert!(!files.folder.join("out.jsonl.run.json").exists());
    let requests = server.requests();
    let list = ["/batches", "/batches?", "/batch/jobs?"];
    let is_search = |path: &str| {
        list.iter().any(|end| {
            path.split_inclusive('?')
                .next()
                .unwrap_or_default()
                .ends_with(end)
        })
    };
    let searches = requests
        .iter()
        .filter(|request| request.method == "GET" && is_search(&request.path));
    Some(Figures {
        runs: 1,
        killed: usize::from(was_running),
        killed_after_a_creation: usize::from(was_running && had_batches),
        batches: taken.len(),
        requests: requests.len(),
        searches: searches.count(),
    })
}

#[test]
fn killed_at_any_moment_it_makes_no_batch_twice_and_every_line_has_one_outcome() {
    let kills = std::env::var("BATCH_KILLS")
        .ok()
        .and_then(|n| n.parse().ok());
    let kills: usize = kills.unwrap_or(16);
    let (next, figures) = (AtomicUsize::new(0), Mutex::new(Figures::default()));
    // Most of a run is waiting.
    thread::scope(|scope| {
        for _ in 0..kills.min(16) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= kills {
                        return;
                    }
                    let Some(life) = one_life(number) else {
                        return;
                    };
                    let mut all = figures.lock().unwrap();
                    all.runs += life.runs;
                    all.killed += life.killed;
                    all.killed_after_a_creation += life.killed_after_a_creation;
                    all.batches += life.batches;
                    all.requests += life.requests;
                    all.searches += life.searches;
                }
            });
        }
    });
    let all = figures.into_inner().unwrap();
    println!(
        "{} runs of {LINES} lines: {} killed before their end, {} of them after a batch was created; {} batches, {} requests, {} searches",
        all.runs, all.killed, all.killed_after_a_creation, all.batches, all.requests, all.searches
    );
    // Nothing was built to run, or the moments cover the life of a run.
    assert!(
        all.runs == 0 || all.killed * 3 > all.runs,
        "{} of {}",
        all.killed,
        all.runs
    );
}

#[test]
fn lines_that_no_batch_ran_are_answered_by_calls_if_that_is_asked_for() {
    let faults = [
        "",
        " batch fault: lost",
        " batch fault: expired",
        " batch fault: status-400",
    ];
    let texts: Vec<String> = faults
        .iter()
        .map(|fault| format!("echo: hello{fault}"))
        .collect();
    for then_live in [false, true] {
        let files = Files::new(&format!("then-live-{then_live}"), &texts);
        let server = Loopback::start(Config::fast()).unwrap();
        let Some(mut command) = command(&files, &server, "openai") else {
            return;
        };
        command.args(then_live.then_some("--then-live"));
        command.args(["--price-in", "2", "--price-out", "8"]);
        let output = command.stderr(Stdio::piped()).output().unwrap();
        let said = stderr(&output);
        let outcomes: Vec<String> = (0..4)
            .map(|id| files.outcome(&format!("id-{id}")))
            .collect();
        let missing = |text: &str| match then_live {
            true => text.to_owned(),
            false => "service_unavailable".to_owned(),
        };
        let expected = [
            "hello".to_owned(),
            missing("hello batch fault: lost"),
            missing("hello batch fault: expired"),
            // It ran, and was refused: a call would be refused as well.
            "bad_request".to_owned(),
        ];
        assert_eq!(outcomes, expected, "{said}");
        assert!(said.contains("By batch: "), "{said}");
        assert!(said.contains("USD saved"), "{said}");
        let calls = server.requests();
        let calls = calls
            .iter()
            .filter(|call| call.path.ends_with("/chat/completions"));
        assert_eq!(calls.count(), if then_live { 2 } else { 0 });
    }
}

#[test]
fn lines_that_are_too_few_for_a_batch_are_answered_by_calls_if_that_is_asked_for() {
    let texts = ["echo: a".to_owned(), "echo: b".to_owned()];
    for then_live in [false, true] {
        let files = Files::new(&format!("too-few-{then_live}"), &texts);
        let server = Loopback::start(Config::fast()).unwrap();
        let Some(mut command) = command(&files, &server, "bedrock") else {
            return;
        };
        let role = "arn:aws:iam::111122223333:role/batches";
        command
            .env("BEDROCK_BATCH_ROLE_ARN", role)
            .env("BEDROCK_BATCH_S3_URI", "s3://my-bucket/runs/")
            .env("AWS_ENDPOINT_URL_S3", server.origin() + "/s3")
            .args(then_live.then_some("--then-live"));
        let output = command.stderr(Stdio::piped()).output().unwrap();
        assert_eq!(output.status.success(), then_live);
        let reason = "requires at least 100 requests in a batch";
        assert_eq!(stderr(&output).contains(reason), !then_live);
        let expected = if then_live { "a" } else { "invalid_request" };
        assert_eq!(files.outcome("id-0"), expected);
        assert!(server.batches().is_empty());
    }
}

#[test]
fn the_savings_are_said_without_prices_too() {
    let files = Files::new("savings", &["echo: hello".to_owned()]);
    let server = Loopback::start(Config::fast()).unwrap();
    let Some(mut command) = command(&files, &server, "anthropic") else {
        return;
    };
    let output = command.stderr(Stdio::piped()).output().unwrap();
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("half of the list price"), "{said}");
    assert!(!said.contains("USD saved"), "{said}");
    let mut wrong = program("batch").unwrap();
    let output = wrong
        .args([&files.input, &files.output])
        .args(["--price-in", "-1"])
        .output()
        .unwrap();
    assert!(stderr(&output).contains("not negative"));
}
