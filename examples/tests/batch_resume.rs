//! The batch program, killed again and again, loses nothing and repeats nothing that was answered.
//!
//! It runs the example that `cargo test` builds beside the tests, and says so where that is not there.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    clippy::field_reassign_with_default,
    reason = "a test that goes wrong is to stop, and this one looks at real clocks"
)]

mod support;

use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Child, ExitStatus, Stdio},
    time::{Duration, Instant},
};
use support::program;
use unifiedai_loopback::{Config, Loopback, Pace};

const LINES: usize = 300;

/// Runs until one ends by itself; by then each must have had its chance.
const RUNS: usize = 200;

fn server() -> Loopback {
    let mut config = Config::default();
    config.pace = Pace {
        first: Duration::from_millis(20),
        each: Duration::ZERO,
        coalesce: 1000,
    };
    Loopback::start(config).unwrap()
}

fn question(id: usize) -> String {
    format!("question-{id}-")
}

/// Good lines, and among them one of each kind that cannot be asked.
fn input() -> String {
    let mut lines: Vec<String> = (0..LINES)
        .map(|id| {
            let messages = json!([{"role": "user", "content": question(id)}]);
            json!({"custom_id": format!("id-{id}"), "body": {"model": "gpt-oss-120b", "messages": messages}})
                .to_string()
        })
        .collect();
    lines.insert(40, lines[3].clone());
    lines.insert(20, r#"{"custom_id": "no-body"}"#.into());
    lines.insert(10, "this is no JSON".into());
    lines.join("\n")
}

/// `None` if the program was not built.
fn start(files: [&Path; 2], server: &Loopback, transport: &str) -> Option<Child> {
    let child = program("batch")?
        .args(files)
        .args(["--base-url", &server.base_url(), "--transport", transport])
        .args(["--concurrency", "4"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    Some(child.unwrap())
}

/// Waits so long, then kills. How it ended, if it did so by itself.
fn run_for(mut child: Child, time: Duration) -> Option<ExitStatus> {
    let end = Instant::now() + time;
    while Instant::now() < end {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    None
}

/// The lines that are whole, by their id.
fn answered(output: &Path) -> BTreeMap<String, String> {
    let text = fs::read(output).unwrap_or_default();
    let whole = text
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    let mut lines = BTreeMap::new();
    for line in String::from_utf8(text[..whole].to_vec()).unwrap().lines() {
        let value: Value = serde_json::from_str(line).unwrap();
        let Some(id) = value["custom_id"].as_str() else {
            continue;
        };
        if value["error"].is_null() {
            let before = lines.insert(id.to_owned(), line.to_owned());
            assert_eq!(before, None, "{id} was answered twice");
        }
    }
    lines
}

/// How often each question was asked so far.
fn asked(server: &Loopback) -> BTreeMap<String, usize> {
    let mut times = BTreeMap::new();
    for request in server.requests() {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let text = body["messages"][0]["content"].as_str().unwrap();
        let id = text.trim_matches(|c: char| !c.is_ascii_digit());
        *times.entry(format!("id-{id}")).or_insert(0) += 1;
    }
    times
}

fn killed_again_and_again(transport: &str) {
    if program("batch").is_none() {
        return;
    }
    let folder = std::env::temp_dir().join(format!(
        "unifiedai-batch-{}-{transport}",
        std::process::id()
    ));
    fs::create_dir_all(&folder).unwrap();
    let (input_file, output) = (folder.join("in.jsonl"), folder.join("out.jsonl"));
    fs::write(&input_file, input()).unwrap();
    let server = server();

    let (mut kills, mut midway, mut before) = (0, 0, BTreeMap::new());
    let status = (0..RUNS).find_map(|run| {
        let asked_before = asked(&server);
        let child = start([&input_file, &output], &server, transport).unwrap();
        // From before it has read the file to the middle of its work.
        let ended = run_for(child, Duration::from_millis(5 + 37 * run as u64 % 190));
        kills += usize::from(ended.is_none());
        // What the program asked for before it was killed may still be on its way to the server.
        std::thread::sleep(Duration::from_millis(30));
        let (now, asked_now) = (answered(&output), asked(&server));
        for (id, line) in &before {
            assert_eq!(now.get(id), Some(line), "{id} was lost or changed");
            assert_eq!(
                asked_now.get(id),
                asked_before.get(id),
                "{id} was asked again"
            );
        }
        midway += usize::from(ended.is_none() && now.len() > before.len());
        before = now;
        ended
    });

    assert_eq!(before.len(), LINES);
    assert!(
        midway > 2,
        "{midway} of {kills} runs were killed after their first answer"
    );
    assert_eq!(
        status.unwrap().code(),
        Some(1),
        "some lines could not be asked"
    );
    println!("{transport}: {LINES} answers, {kills} kills, {midway} of them after new answers");
    check_whole(&output);

    let (asked_before, text) = (asked(&server), fs::read(&output).unwrap());
    let again = start([&input_file, &output], &server, transport);
    assert!(run_for(again.unwrap(), Duration::from_secs(20)).is_some());
    assert_eq!(asked(&server), asked_before, "nothing is left to ask");
    assert_eq!(fs::read(&output).unwrap().len(), text.len());
    fs::remove_dir_all(&folder).unwrap();
}

/// Each line has an answer or an error that names it.
fn check_whole(output: &Path) {
    let text = fs::read_to_string(output).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), LINES + 3);
    let errors: Vec<&str> = lines
        .iter()
        .filter_map(|line| line["error"]["message"].as_str())
        .collect();
    for named in [
        "line 11: this is not JSON, from column 2",
        "line 22: ",
        "line 43: ",
    ] {
        assert!(
            errors.iter().any(|error| error.starts_with(named)),
            "{named} in {errors:?}"
        );
    }
    for line in &lines {
        if line["error"].is_null() {
            assert_eq!(line["response"]["status_code"], 200);
            assert_eq!(line["response"]["body"]["object"], "chat.completion");
        }
    }
}

#[test]
fn batch_loses_and_repeats_no_result_on_hyper() {
    killed_again_and_again("hyper");
}

#[test]
fn batch_loses_and_repeats_no_result_on_ureq() {
    killed_again_and_again("ureq");
}
