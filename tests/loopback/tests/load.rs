//! Many concurrent streams, and their cost for the server.
//!
//! `cargo test --release -p unifiedai-loopback --test load -- --ignored --nocapture` prints the figures of 10,000; it
//! needs a larger `ulimit -n`.
#![expect(clippy::disallowed_methods, reason = "a test with real sockets")]

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use unifiedai_loopback::{Config, Loopback};

/// Runs the streams and returns the total bytes of all responses.
fn run(address: SocketAddr, streams: usize, model: &str, stream: bool) -> usize {
    let body = format!(
        r#"{{"model":"{model}","stream":{stream},"messages":[{{"role":"user","content":"hello"}}]}}"#
    );
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let request: &'static [u8] = Box::leak(request.into_bytes().into_boxed_slice());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let calls: Vec<_> = (0..streams)
            .map(|_| {
                tokio::spawn(async move {
                    let mut connection = TcpStream::connect(address).await.unwrap();
                    connection.write_all(request).await.unwrap();
                    let mut buffer = vec![0; 4096];
                    let mut total = 0;
                    loop {
                        match connection.read(&mut buffer).await.unwrap() {
                            0 => return total,
                            n => total += n,
                        }
                    }
                })
            })
            .collect();
        let mut total = 0;
        for call in calls {
            total += call.await.unwrap();
        }
        total
    })
}

#[test]
fn five_hundred_concurrent_streams() {
    let server = Loopback::start(Config::load()).unwrap();
    let one = run(server.address(), 1, "load-200", true);
    assert!(one > 200 * 230);
    let all = run(server.address(), 500, "load-200", true);
    // Only the counts in the headers differ in length.
    assert!(all.abs_diff(one * 500) < 500 * 10, "{all} {one}");
    assert_eq!((server.connections(), server.aborted()), (501, 0));
}

#[test]
#[ignore = "needs many descriptors and some seconds"]
fn ten_thousand_concurrent_streams() {
    for (flags, model, stream) in [
        (&["--load"][..], "load-16", false),
        (&["--load"], "load-500", true),
        (&["--load", "--coalesce", "8"], "load-500", true),
        (&[], "load-500", true),
    ] {
        let mut server = Command::new(env!("CARGO_BIN_EXE_unifiedai-loopback"))
            .args(flags)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(server.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let address = line
            .trim()
            .trim_start_matches("http://")
            .trim_end_matches("/v1")
            .parse()
            .unwrap();
        let start = Instant::now();
        let bytes = run(address, 10_000, model, stream);
        let wall = start.elapsed().as_secs_f64();
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.id())).unwrap();
        let ticks: f64 = stat
            .split(' ')
            .skip(13)
            .take(2)
            .map(|ticks| ticks.parse::<f64>().unwrap())
            .sum();
        let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
        let peak = status
            .lines()
            .find(|line| line.starts_with("VmHWM"))
            .unwrap();
        println!(
            "{flags:?} {model}: {bytes} bytes in {wall:.2} s, server {:.2} s of CPU, {peak}",
            ticks / 100.0
        );
        drop(server.stdin.take());
        assert!(server.wait().unwrap().success());
    }
}
