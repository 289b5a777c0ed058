//! The memory of a large run. Each transport has a process of its own, which sends and receives about a kilobyte for each line.

use crate::support::KEY;
use std::{
    env, fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::Command,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, SystemTime},
};
use unifiedai::{
    AsyncClient, ChatRequest, Client, Error, Json,
    provider::{OpenAiChat, Provider, openai_chat::profiles::OPENAI},
    provider_batch::{
        BatchAnswer, BatchCall, BatchItem, BatchRun, ItemOutcome, RequestIter, RunOptions, RunStep,
    },
    transport::{HyperTransport, SmolTransport, UreqTransport},
};

/// The lines of the short form. `UNIFIEDAI_BATCH_LINES` sets another number.
const LINES: u64 = 20_000;
const LIMIT_KB: u64 = 50 * 1024;

#[test]
fn a_large_run_stays_below_50_mb_on_each_transport() {
    for transport in ["ureq", "hyper", "smol"] {
        let name = format!("memory::inside_{transport}");
        let output = Command::new(env::current_exe().unwrap())
            .args(["--ignored", "--exact", &name, "--nocapture"])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{transport}: {text}");
        let figures = text.lines().find_map(|line| line.split_once("peak_kb="));
        let (before, peak) = figures.unwrap();
        println!("{transport}: {before}peak_kb={peak}");
        let peak: u64 = peak.trim().parse().unwrap();
        assert!(peak < LIMIT_KB, "{transport}: {text}");
    }
}

#[test]
#[ignore = "a process of its own: see the test above"]
fn inside_ureq() {
    large_run(|provider| {
        let client = Client::shared(UreqTransport::new(), provider);
        move |call: BatchCall, on_item: &mut dyn FnMut(BatchItem<Json>)| {
            client.batch_call(None, call, on_item)
        }
    });
}

#[test]
#[ignore = "a process of its own: see the test above"]
fn inside_hyper() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    large_run(|provider| {
        let client = AsyncClient::shared(HyperTransport::new(), provider);
        move |call: BatchCall, on_item: &mut dyn FnMut(BatchItem<Json>)| {
            runtime.block_on(client.batch_call(None, call, on_item))
        }
    });
}

#[test]
#[ignore = "a process of its own: see the test above"]
fn inside_smol() {
    large_run(|provider| {
        let client = AsyncClient::shared(SmolTransport::new(), provider);
        move |call: BatchCall, on_item: &mut dyn FnMut(BatchItem<Json>)| {
            smol::block_on(client.batch_call(None, call, on_item))
        }
    });
}

fn request(line: u64) -> ChatRequest {
    ChatRequest::new("gpt-4.1-mini").user(format!("{line} {}", "x".repeat(900)))
}

/// Makes a run of many lines and prints its figures.
fn large_run<C>(make: impl FnOnce(Arc<dyn Provider>) -> C)
where
    C: FnMut(BatchCall, &mut dyn FnMut(BatchItem<Json>)) -> Result<BatchAnswer, Error>,
{
    let lines = env::var("UNIFIEDAI_BATCH_LINES").map_or(LINES, |lines| lines.parse().unwrap());
    let server = Server::start();
    let provider: Arc<dyn Provider> = Arc::new(
        OpenAiChat::builder()
            .profile(OPENAI)
            .base_url(format!("http://{}/v1", server.address))
            .api_key(KEY)
            .unwrap()
            .build()
            .unwrap(),
    );
    let mut call = make(provider.clone());
    let options = RunOptions::default()
        .max_part_bytes(u64::MAX)
        .poll(Duration::from_secs(1));
    let source =
        move |first: u64| Ok(Box::new((first..lines).map(|n| Ok(Some(request(n))))) as RequestIter);
    let mut run = BatchRun::new(provider, "run1", options)
        .unwrap()
        .with_source(source);
    let (mut wall, mut outcomes) = (SystemTime::UNIX_EPOCH, 0);
    loop {
        match run.poll(wall) {
            RunStep::Line(line) if line < lines => run.push(&request(line)),
            RunStep::Line(_) => run.end_of_input(),
            RunStep::Save => run.saved(),
            RunStep::Call(next) => {
                let mut seen = Vec::new();
                let answer = call(next, &mut |item| {
                    run.on_item(item);
                    // The caller takes the outcomes as they come.
                    while let Some(outcome) = run.take_outcome() {
                        seen.push(matches!(outcome.1, ItemOutcome::Succeeded(_)));
                    }
                });
                assert!(seen.iter().all(|is_answer| *is_answer));
                outcomes += seen.len() as u64;
                run.on_answer(answer, wall).unwrap();
            }
            RunStep::Outcome(..) => outcomes += 1,
            RunStep::Wait(until) => wall = until,
            RunStep::Done => break,
            step => panic!("{step:?}"),
        }
    }
    assert_eq!(outcomes, lines);
    let (sent, received) = *server.bytes.lock().unwrap();
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.unwrap().trim().trim_end_matches(" kB");
    println!("lines={lines} sent={sent} received={received} peak_kb={peak}");
}

/// Batches of OpenAI that are complete at once. It keeps no file: it counts the lines of one, and makes the results as they are read.
struct Server {
    address: std::net::SocketAddr,
    bytes: Arc<Mutex<(u64, u64)>>,
}

/// The first line and the number of lines of each file.
type Files = Arc<Mutex<Vec<(u64, u64)>>>;

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Server {
            address: listener.local_addr().unwrap(),
            bytes: Arc::default(),
        };
        let (bytes, files) = (server.bytes.clone(), Files::default());
        thread::spawn(move || {
            for tcp in listener.incoming().map_while(Result::ok) {
                let (bytes, files) = (bytes.clone(), files.clone());
                thread::spawn(move || serve(tcp, &bytes, &files));
            }
        });
        server
    }
}

fn serve(tcp: TcpStream, bytes: &Mutex<(u64, u64)>, files: &Files) {
    let mut reader = BufReader::new(tcp.try_clone().unwrap());
    let mut tcp = tcp;
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).unwrap_or(0) == 0 {
                return;
            }
        }
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.trim().parse().unwrap())
        });
        let length: u64 = length.unwrap_or(0);
        let target = head.split(' ').nth(1).unwrap().to_owned();
        bytes.lock().unwrap().0 += length;
        let mut body = (&mut reader).take(length);
        if let Some(file) = target.strip_prefix("/v1/files/out-") {
            let file: usize = file.trim_end_matches("/content").parse().unwrap();
            let (first, count) = files.lock().unwrap()[file];
            let written = results(&mut tcp, first, count);
            bytes.lock().unwrap().1 += written;
            continue;
        }
        let answer = if target == "/v1/files" {
            let file = read_file(&mut body);
            let mut files = files.lock().unwrap();
            files.push(file);
            format!(r#"{{"id":"file-{}","object":"file"}}"#, files.len() - 1)
        } else {
            let mut text = String::new();
            body.read_to_string(&mut text).unwrap();
            let id = match text.split_once("\"file-") {
                Some((_, rest)) => rest.split('"').next().unwrap().to_owned(),
                None => target.rsplit('-').next().unwrap().to_owned(),
            };
            format!(
                r#"{{"id":"batch-{id}","object":"batch","status":"completed","input_file_id":"file-{id}","output_file_id":"out-{id}","created_at":1}}"#
            )
        };
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ";
        let answer = format!("{head}{}\r\n\r\n{answer}", answer.len());
        tcp.write_all(answer.as_bytes()).unwrap();
    }
}

/// The first line and the number of lines of an upload.
fn read_file(body: &mut impl std::io::BufRead) -> (u64, u64) {
    let (mut first, mut count, mut line) = (0, 0, Vec::new());
    while body.read_until(b'\n', &mut line).unwrap() > 0 {
        let text = std::str::from_utf8(&line).unwrap();
        if let Some((_, rest)) = text.split_once("\"custom_id\":\"run1-") {
            if count == 0 {
                first = rest.split('"').next().unwrap().parse().unwrap();
            }
            count += 1;
        }
        line.clear();
    }
    (first, count)
}

fn results(tcp: &mut TcpStream, first: u64, count: u64) -> u64 {
    let mut written = 0;
    tcp.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        .unwrap();
    let text = "y".repeat(850);
    for start in (first..first + count).step_by(50) {
        let lines: String = (start..(first + count).min(start + 50))
            .map(|line| {
                format!(
                    "{{\"id\":\"r\",\"custom_id\":\"run1-{line}\",\"response\":{{\"status_code\":200,\"request_id\":\"q\",\"body\":{{\"id\":\"c\",\"object\":\"chat.completion\",\"model\":\"m\",\"choices\":[{{\"index\":0,\"finish_reason\":\"stop\",\"message\":{{\"role\":\"assistant\",\"content\":\"{text}\"}}}}]}}}},\"error\":null}}\n"
                )
            })
            .collect();
        written += lines.len() as u64;
        let chunk = format!("{:x}\r\n{lines}\r\n", lines.len());
        tcp.write_all(chunk.as_bytes()).unwrap();
    }
    tcp.write_all(b"0\r\n\r\n").unwrap();
    written
}
