//! The programs for what most people come for, against the provider on loopback.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::arithmetic_side_effects,
    reason = "a test that goes wrong is to stop, and these look at real clocks"
)]

mod support;

use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, ChildStdout, Command, Stdio},
    thread::JoinHandle,
    time::{Duration, Instant},
};
use support::{program, stderr, stdout};
use unifiedai::{
    AsyncClient, ChatRequest,
    transport::{HyperTransport, testing::Recorder},
};
use unifiedai_loopback::{Config, Loopback, Pace};

#[test]
fn tools_calls_the_function_and_gets_the_answer() {
    let Some(mut program) = program("tools") else {
        return;
    };
    let output = program.output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let text = stdout(&output);
    let mut lines = text.lines();
    assert!(lines.next().unwrap().starts_with("temperature({"), "{text}");
    // The loopback provider quotes the result.
    assert!(lines.any(|line| line.contains("celsius")), "{text}");
}

#[test]
fn hosted_tools_prints_the_search_the_answer_and_its_source() {
    for provider in ["anthropic", "openai-responses"] {
        let Some(mut program) = program("hosted_tools") else {
            return;
        };
        let output = program.args(["--provider", provider]).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        let text = stdout(&output);
        for line in [
            "searched for: Search the web: what is new in Rust?",
            "pages: 1",
            "- A page of the loopback https://loopback.example/page",
            "billed searches: 1",
        ] {
            assert!(text.lines().any(|own| own == line), "{provider}: {text}");
        }
    }
}

#[test]
fn structured_prints_the_recipe() {
    let Some(mut program) = program("structured") else {
        return;
    };
    let output = program.output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(
        stdout(&output).contains(" minutes\n- "),
        "{}",
        stdout(&output)
    );
}

#[test]
fn structured_asks_again_where_the_answer_is_no_recipe() {
    let Some(mut program) = program("structured") else {
        return;
    };
    let recipe = r#"{"name": "Pancakes", "minutes": 20, "ingredients": ["flour"]}"#;
    let (url, requests) = scripted(["It takes flour and eggs.", recipe]);
    let output = program.args(["--base-url", &url]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stdout(&output), "Pancakes in 20 minutes\n- flour\n");
    assert!(
        stderr(&output).starts_with("asked again: "),
        "{}",
        stderr(&output)
    );
    let second: Value = serde_json::from_str(&requests.join().unwrap()[1]).unwrap();
    assert_eq!(second["messages"][1]["content"], "It takes flour and eggs.");
    assert_eq!(second["messages"][2]["role"], "user");
}

/// A server that answers with these texts, one after the other: its base URL, and the bodies that it was sent.
fn scripted(answers: [&'static str; 2]) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        answers
            .map(|text| {
                let mut socket = BufReader::new(listener.accept().unwrap().0);
                let (mut line, mut length) = (String::new(), 0);
                assert!(socket.read_line(&mut line).unwrap() > 0, "a connection without a request");
                while line != "\r\n" {
                    line.clear();
                    assert!(socket.read_line(&mut line).unwrap() > 0);
                    let lower = line.to_ascii_lowercase();
                    if let Some(value) = lower.strip_prefix("content-length:") {
                        length = value.trim().parse().unwrap();
                    }
                }
                let mut body = vec![0; length];
                socket.read_exact(&mut body).unwrap();
                let answer = json!({"choices": [{"message": {"content": text}, "finish_reason": "stop"}]});
                let answer = answer.to_string();
                let head = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    answer.len()
                );
                socket.get_mut().write_all((head + &answer).as_bytes()).unwrap();
                String::from_utf8(body).unwrap()
            })
            .to_vec()
    });
    (url, server)
}

#[test]
fn fallback_names_each_target_and_why_it_was_left() {
    let Some(mut program) = program("fallback") else {
        return;
    };
    let models = [
        "cerebras/gpt-oss-120b~status-503",
        "openai/gpt-4.1-mini~status-429",
        "anthropic/claude-sonnet-4-5",
    ];
    let output = program.args(models).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(!stdout(&output).trim().is_empty());
    let attempts = stderr(&output);
    let attempts: Vec<&str> = attempts
        .lines()
        .filter(|line| !line.contains("loopback,"))
        .collect();
    assert_eq!(attempts.len(), 3, "{attempts:?}");
    assert!(attempts[0].starts_with("cerebras"), "{attempts:?}");
    assert!(attempts[1].starts_with("openai"), "{attempts:?}");
    assert!(attempts[2].starts_with("anthropic") && attempts[2].ends_with(": answered"));
}

#[test]
fn background_reads_the_response_in_another_process() {
    let server = Loopback::start(Config::fast()).unwrap();
    let run = |text: &str| {
        let mut program = program("background")?;
        let url = server.provider_url("openai-responses");
        let output = program.args(["--base-url", &url, text]).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        Some((stdout(&output), stderr(&output)))
    };
    let Some((text, notes)) = run("echo: one two three") else {
        return;
    };
    assert_eq!(text.trim(), "one two three");
    let position = notes.lines().find(|line| line.starts_with('{')).unwrap();
    let (again, _) = run(position).unwrap();
    assert_eq!(again, text);
    // One creation and two readings.
    assert_eq!(server.served(), 3);
}

#[test]
fn vision_sends_the_picture_twice_with_a_cache_point() {
    let server = Loopback::start(Config::fast()).unwrap();
    let Some(mut program) = program("vision") else {
        return;
    };
    let output = program
        .args(["--base-url", &server.base_url()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stdout(&output).lines().count(), 2);
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    for request in requests {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let picture = &body["messages"][0]["content"][0];
        assert_eq!(picture["type"], "image");
        assert_eq!(picture["source"]["media_type"], "image/png");
        assert_eq!(picture["cache_control"]["type"], "ephemeral");
    }
}

#[test]
fn caching_writes_first_and_reads_then() {
    let Some(mut program) = program("caching") else {
        return;
    };
    let output = program.output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let text = stdout(&output);
    let number = |line: usize, at: usize| -> u64 {
        let line = text.lines().nth(line).unwrap();
        line.split_whitespace().nth(at).unwrap().parse().unwrap()
    };
    assert!(number(0, 1) > 10, "{text}");
    let (written, read) = (number(1, 1), number(2, 7));
    assert!(written > 10 && read >= written, "{text}");
    assert!(text.contains("changed: lost from `system"), "{text}");
}

#[test]
fn embeddings_are_ordered_by_likeness() {
    let Some(mut program) = program("embeddings") else {
        return;
    };
    let output = program.output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let text = stdout(&output);
    let values: Vec<f32> = text
        .lines()
        .map(|line| line.split_once("  ").unwrap().0.parse().unwrap())
        .collect();
    assert_eq!(values.len(), 3, "{text}");
    assert!(values.is_sorted_by(|a, b| a >= b), "{text}");
}

#[test]
fn a_visitor_of_the_server_who_leaves_ends_the_call() {
    let provider = slow();
    let Some(mut program) = program("server") else {
        return;
    };
    program.args(["--base-url", &provider.base_url(), "0"]);
    let mut server = Running::start(program);
    let address = server.line();
    let address = address.trim().strip_prefix("http://").unwrap();

    let mut page = String::new();
    let mut socket = get(address, "/");
    socket.read_to_string(&mut page).unwrap();
    assert!(page.contains("EventSource"), "{page}");

    // To its end.
    let mut answer = String::new();
    get(address, "/chat?prompt=echo:%20Hi")
        .read_to_string(&mut answer)
        .unwrap();
    assert!(answer.contains("event: text\ndata: \""), "{answer}");
    assert!(answer.contains("event: done"), "{answer}");
    assert!(!answer.contains("event: failed"), "{answer}");
    assert_eq!(provider.aborted(), 0);

    // To its first piece, then away.
    let mut lines = BufReader::new(get(address, "/chat?prompt=fast%20inference"));
    let mut line = String::new();
    while !line.starts_with("event: text") {
        line.clear();
        assert!(lines.read_line(&mut line).unwrap() > 0, "no piece came");
    }
    drop(lines);
    until(|| provider.aborted() == 1);
}

#[test]
fn a_cut_answer_of_the_server_is_failed_and_not_done() {
    let provider = Loopback::start(Config::fast()).unwrap();
    let Some(mut program) = program("server") else {
        return;
    };
    let model = "gpt-oss-120b~cut-clean-at-60";
    program.args(["--base-url", &provider.base_url(), "--model", model, "0"]);
    let mut server = Running::start(program);
    let address = server.line();
    let address = address.trim().strip_prefix("http://").unwrap();
    let mut answer = String::new();
    get(address, "/chat?prompt=fast%20inference")
        .read_to_string(&mut answer)
        .unwrap();
    assert!(answer.contains("event: text"), "{answer}");
    assert_eq!(answer.matches("event: failed").count(), 1, "{answer}");
    assert!(!answer.contains("event: done"), "{answer}");
}

#[test]
fn chat_loop_reports_input_that_is_not_text() {
    let Some(mut program) = program("chat_loop") else {
        return;
    };
    program.args(["--base-url", "http://127.0.0.1:9/v1"]);
    program.stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut chat = program.stdout(Stdio::null()).spawn().unwrap();
    let mut stdin = chat.stdin.take().unwrap();
    stdin.write_all(b"\xff\n").unwrap();
    drop(stdin);
    let output = chat.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let message = stderr(&output);
    assert!(message.contains("cannot read the input: "), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
}

#[cfg(unix)]
#[test]
fn ctrl_c_stops_an_answer_of_the_chat_and_keeps_what_came() {
    let provider = slow();
    let Some(mut program) = program("chat_loop") else {
        return;
    };
    program
        .args(["--base-url", &provider.base_url()])
        .stdin(Stdio::piped());
    let mut chat = Running::start(program);
    let mut stdin = chat.child.stdin.take().unwrap();
    writeln!(stdin, "Why is fast inference important?").unwrap();
    let first = chat.until("Fast inference");
    let interrupt = Command::new("kill")
        .args(["-INT", &chat.child.id().to_string()])
        .status();
    assert!(interrupt.unwrap().success());
    let stopped = chat.until("[stopped]");
    let kept = format!("{first}{stopped}");
    let kept = kept.trim_start_matches("> ").trim_end_matches(" [stopped]");
    until(|| provider.aborted() == 1);

    writeln!(stdin, "echo: On.").unwrap();
    chat.until("On.");
    drop(stdin);
    assert!(chat.child.wait().unwrap().success());
    let requests = provider.requests();
    let body: Value = serde_json::from_slice(&requests[1].body).unwrap();
    assert_eq!(body["messages"][1]["role"], "assistant");
    assert_eq!(body["messages"][1]["content"], kept, "{body}");
    assert_eq!(body["messages"][2]["content"], "echo: On.");
}

#[test]
fn replay_reads_the_recording_of_the_repository() {
    replays(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/replay/recording.jsonl"
    ));
}

/// The recording of the repository was made by this test.
#[test]
fn replay_reads_what_a_recorder_wrote() {
    let server = Loopback::start(Config::fast()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let recorder = Recorder::new(HyperTransport::new(), "cerebras", "openai-chat");
    let provider = unifiedai::provider::from_env("cerebras", Some(&server.base_url())).unwrap();
    let client = AsyncClient::shared(recorder.clone(), provider);
    let request = ChatRequest::new("gpt-4.1-mini").user("echo: Hello from a recording.");
    runtime.block_on(async {
        client.chat(&request).await.unwrap();
        client
            .stream(&request)
            .unwrap()
            .into_response()
            .await
            .unwrap();
    });
    let file = concat!(env!("CARGO_TARGET_TMPDIR"), "/recording.jsonl");
    std::fs::write(file, recorder.to_lines()).unwrap();
    replays(file);
}

fn replays(file: &str) {
    for options in [&[][..], &["--chunk", "1"], &["--chunk", "7"]] {
        let Some(mut program) = program("replay") else {
            return;
        };
        let output = program.arg(file).args(options).output().unwrap();
        assert!(output.status.success(), "{}", stdout(&output));
        let text = stdout(&output);
        let lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 2);
        for line in &lines {
            let content = &line["ok"]["choices"][0]["message"]["content"];
            assert_eq!(content, "Hello from a recording.");
        }
    }
    let output = program("replay")
        .unwrap()
        .args([file, "--cut", "40"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stdout(&output)
            .lines()
            .all(|line| line.starts_with(r#"{"error":"#)),
        "{}",
        stdout(&output)
    );
}

/// A provider that takes a while over each token.
fn slow() -> Loopback {
    let mut config = Config::fast();
    config.pace = Pace {
        first: Duration::ZERO,
        each: Duration::from_millis(20),
        coalesce: 1,
    };
    Loopback::start(config).unwrap()
}

fn get(address: &str, path: &str) -> TcpStream {
    let mut socket = TcpStream::connect(address).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).unwrap();
    socket
}

fn until(what: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !what() {
        assert!(Instant::now() < end, "it did not come to that in 20 s");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A program that runs until this is dropped.
struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Running {
    fn start(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Running { child, stdout }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line
    }

    /// What it prints up to `end`.
    #[cfg(unix)]
    fn until(&mut self, end: &str) -> String {
        let mut text = Vec::new();
        let mut byte = [0];
        while !text.ends_with(end.as_bytes()) {
            self.stdout.read_exact(&mut byte).unwrap();
            text.extend_from_slice(&byte);
        }
        String::from_utf8(text).unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
