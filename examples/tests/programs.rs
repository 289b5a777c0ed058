//! What the example programs refuse, and what they leave alone.
//!
//! It runs the examples that `cargo test` builds beside the tests, and says so where they are not there.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    reason = "a test that goes wrong is to stop"
)]

mod support;

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Output, Stdio},
};
use support::{program, stderr};

const REQUEST: &str = r#"{"custom_id": "a", "body": {"model": "m", "messages": [{"role": "user", "content": "Hi."}]}}"#;

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("unifiedai-{name}-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn batch(input: &Path, output: &Path) -> Option<Output> {
    Some(program("batch")?.args([input, output]).output().unwrap())
}

#[test]
fn batch_does_not_overwrite_foreign_files() {
    let folder = folder("foreign");
    let (input, other) = (folder.join("in.jsonl"), folder.join("other.jsonl"));
    fs::write(&input, REQUEST).unwrap();
    for foreign in [
        REQUEST.to_owned(),
        format!("{REQUEST}\n"),
        format!("{REQUEST}\n{REQUEST}\n"),
        "a letter\nof two lines".to_owned(),
        "{\"custom_id\": \"a\"}\n".to_owned(),
    ] {
        fs::write(&other, &foreign).unwrap();
        let Some(output) = batch(&input, &other) else {
            return;
        };
        assert!(!output.status.success(), "{foreign}");
        assert!(stderr(&output).contains("its line 1 is no result"));
        assert_eq!(fs::read_to_string(&other).unwrap(), foreign);
    }
    // One file for both.
    let output = batch(&input, &input).unwrap();
    assert!(!output.status.success());
    assert_eq!(fs::read_to_string(&input).unwrap(), REQUEST);
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_batch_goes_on_where_its_output_was_cut() {
    let folder = folder("cut");
    let (input, out) = (folder.join("in.jsonl"), folder.join("out.jsonl"));
    let wrong = r#"{"custom_id": "b", "body": {"model": 7, "messages": []}}"#;
    fs::write(&input, format!("\r\n{REQUEST}\r\n{wrong}")).unwrap();
    let Some(output) = batch(&input, &out) else {
        return;
    };
    assert!(stderr(&output).contains("line 3: `body.model` is no text"));
    let whole = fs::read_to_string(&out).unwrap();
    assert_eq!(whole.lines().count(), 2);
    // From nothing of the last line to all of it but its end.
    let last = whole.trim_end().rfind('\n').unwrap() + 1;
    for cut in [last, last + 1, last + 9, whole.len() - 20, whole.len() - 1] {
        fs::write(&out, &whole.as_bytes()[..cut]).unwrap();
        batch(&input, &out).unwrap();
        let lines = fs::read_to_string(&out).unwrap();
        let mut ids: Vec<String> = lines
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
            .map(|line| line["custom_id"].as_str().unwrap().to_owned())
            .collect();
        ids.sort();
        assert_eq!(ids, ["a", "b"], "cut at {cut}");
    }
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn unwritable_plot_path_fails_before_any_request() {
    let Some(mut compare) = program("compare") else {
        return;
    };
    let folder = folder("no-picture");
    let plot = folder.join("nowhere/out.svg");
    let output = compare.arg("--plot").arg(plot).output().unwrap();
    assert!(!output.status.success() && output.stdout.is_empty());
    let said = stderr(&output);
    assert!(said.contains("cannot write") && said.lines().count() == 1);
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn prometheus_can_read_its_page() {
    let Some(mut program) = program("prometheus") else {
        return;
    };
    let program = program.args(["--serve", "2"]).stdout(Stdio::piped());
    let mut running = program.stderr(Stdio::null()).spawn().unwrap();
    let mut url = String::new();
    let mut stdout = BufReader::new(running.stdout.take().unwrap());
    stdout.read_line(&mut url).unwrap();
    let host = url.trim().strip_prefix("http://").unwrap();
    let (host, path) = host.split_once('/').unwrap();
    for (path, status) in [(path, "200 OK"), ("else", "404 Not Found")] {
        let mut socket = TcpStream::connect(host).unwrap();
        write!(socket, "GET /{path} HTTP/1.1\r\nhost: {host}\r\n\r\n").unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{answer}"
        );
        assert_eq!(
            answer.contains("gen_ai_client_operation_duration_bucket{"),
            status == "200 OK",
            "{answer}"
        );
    }
    assert!(running.wait().unwrap().success());
}

#[test]
fn play_prints_a_document_per_case_and_reports_invalid_cases() {
    let Some(mut play) = program("play") else {
        return;
    };
    let good = r#"{"provider": "groq", "dialect": "openai-chat", "messages": [{"role": "user", "content": [{"type": "text", "text": "Go."}]}], "steps": [{"answers": [{"status": 200, "json": {"choices": [{"message": {"content": "Hi."}, "finish_reason": "stop"}]}}]}]}"#;
    let bad = r#"{"provider": "groq", "dialect": "openai-chat", "messages": [{"role": "user"}]}"#;
    let play = play.arg("-").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut running = play.stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = running.stdin.take().unwrap();
    writeln!(stdin, "{good}\n{bad}\n\n{good}").unwrap();
    drop(stdin);
    let output = running.wait_with_output().unwrap();
    assert!(!output.status.success());
    let documents: Vec<serde_json::Value> = output
        .stdout
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    assert_eq!(documents.len(), 3);
    assert_eq!(documents[0], documents[2]);
    assert_eq!(
        documents[0]["sent"][0]["body"]["messages"][0]["content"],
        "Go."
    );
    assert_eq!(documents[0]["answers"][0]["text"], "Hi.");
    let said = stderr(&output);
    assert_eq!(
        said,
        "stdin, case 2: line 1: `messages[0]`: `content`: is missing\n"
    );
    let message = documents[1]["error"]["message"].as_str().unwrap();
    assert_eq!(message, "line 1: `messages[0]`: `content`: is missing");
}

#[test]
fn play_names_the_line_and_the_member_of_a_file() {
    let Some(mut play) = program("play") else {
        return;
    };
    let folder = folder("play");
    let file = folder.join("case.json");
    let case = "{\"provider\": \"groq\", \"dialect\": \"openai-chat\", \"messages\": [],\n\"steps\": [\n{\"answers\": [{\"status\": 7}]}]}";
    fs::write(&file, case).unwrap();
    let output = play.arg(&file).output().unwrap();
    assert!(!output.status.success());
    let place = "case.json: line 3: `steps[0].answers[0].status`: this is no HTTP status";
    assert!(stderr(&output).contains(place), "{}", stderr(&output));
    let help = program("play").unwrap().arg("--help").output().unwrap();
    assert!(help.status.success());
    assert!(
        String::from_utf8(help.stdout)
            .unwrap()
            .contains("Usage: play CASE.json")
    );
    fs::remove_dir_all(&folder).unwrap();
}

/// The metadata service of an EC2 instance with a role; it counts its requests.
fn instance(keys: String) -> (String, std::sync::Arc<std::sync::atomic::AtomicUsize>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let count: std::sync::Arc<std::sync::atomic::AtomicUsize> = std::sync::Arc::default();
    let counter = count.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            let mut lines = BufReader::new(&stream).lines();
            let Some(Ok(line)) = lines.next() else {
                continue;
            };
            let headers: Vec<String> = lines
                .map(Result::unwrap)
                .take_while(|line| !line.is_empty())
                .collect();
            let has = |header: &str| headers.iter().any(|line| line.eq_ignore_ascii_case(header));
            let words: Vec<&str> = line.split(' ').collect();
            let body = match (words[0], words[1]) {
                ("PUT", "/latest/api/token") => "session",
                _ if !has("x-aws-ec2-metadata-token: session") => "{}",
                ("GET", "/latest/meta-data/iam/security-credentials/") => "llm-role",
                ("GET", "/latest/meta-data/iam/security-credentials/llm-role") => &keys,
                _ => "{}",
            };
            counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let text = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            (&stream).write_all(text.as_bytes()).unwrap();
        }
    });
    (origin, count)
}

#[test]
fn chat_uses_the_role_of_an_instance_for_bedrock() {
    use unifiedai_loopback::{AwsKeys, Config, Loopback};
    let aws = AwsKeys {
        session_token: Some("role-session".to_owned()),
        ..AwsKeys::default()
    };
    let (id, secret) = (aws.access_key.clone(), aws.secret_key.clone());
    // The provider checks each signature.
    let server = Loopback::start(Config {
        aws: Some(aws),
        ..Config::fast()
    });
    let server = server.unwrap();
    let keys = format!(
        r#"{{"Code":"Success","AccessKeyId":"{id}","SecretAccessKey":"{secret}","Token":"role-session","Expiration":"2099-01-01T00:00:00Z"}}"#
    );
    let (origin, asked) = instance(keys);
    for (metadata, succeeds) in [(Some(&origin), true), (None, false)] {
        let Some(mut chat) = program("chat") else {
            return;
        };
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("AWS_")) {
                chat.env_remove(name);
            }
        }
        chat.env("HOME", "/nowhere").env("AWS_REGION", "us-east-1");
        if let Some(origin) = metadata {
            chat.env("AWS_EC2_METADATA_SERVICE_ENDPOINT", origin);
        }
        let output = chat
            .args(["--provider", "bedrock", "--model", "amazon.nova-lite-v1:0"])
            .args([
                "--base-url",
                &server.origin(),
                "Why is fast inference important?",
            ])
            .output()
            .unwrap();
        assert_eq!(output.status.success(), succeeds, "{}", stderr(&output));
        assert!(!stderr(&output).contains(&secret), "{}", stderr(&output));
    }
    // A session, the role's name, and its keys.
    assert_eq!(asked.load(std::sync::atomic::Ordering::Relaxed), 3);
}
