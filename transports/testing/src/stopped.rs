//! A client that is stopped again and again while its server closes the connections that it keeps.

use std::{
    env,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::{Command, Stdio},
    thread,
    time::Duration,
};
use unifiedai_transport::{
    AttemptDeadlines, RequestBody, RequestDelivery, ResponseBody as _, Time, Transport,
};

const CALLS: usize = 3_000;
const URL: &str = "UNIFIEDAI_STOPPED_URL";

/// Of 3,000 calls at most one may be lost: between the look at a connection and the first byte on it there is always a moment. A run in
/// which a loaded machine stretches that moment is repeated.
///
/// `client` is the name of an ignored test that calls [`client`], which runs in a process of its own.
pub fn at_most_one_call_is_lost(client: &str) {
    let lost: Vec<_> = std::iter::repeat_with(|| run(client))
        .take(3)
        .take_while(|lost| *lost > 1)
        .collect();
    assert!(lost.len() < 3, "{lost:?} of {CALLS} calls were lost");
}

fn run(test: &str) -> usize {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    thread::spawn(move || {
        for tcp in listener.incoming() {
            let mut tcp = tcp.unwrap();
            thread::spawn(move || while answered(&mut tcp) {});
        }
    });
    let mut process = Command::new(env::current_exe().unwrap())
        .args(["--ignored", "--exact", test, "--nocapture"])
        .env(URL, url)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = process.id().to_string();
    let signal = |name: &str| Command::new("kill").args([name, &pid]).status().unwrap();
    let mut stops = 0;
    while process.try_wait().unwrap().is_none() {
        signal("-STOP");
        thread::sleep(Duration::from_millis(40));
        signal("-CONT");
        stops += 1;
        thread::sleep(Duration::from_millis(20));
    }
    let mut output = String::new();
    let stdout = process.stdout.as_mut().unwrap();
    stdout.read_to_string(&mut output).unwrap();
    let lost = output.lines().find_map(|line| line.strip_prefix("lost: "));
    println!("{stops} stops, lost: {lost:?}");
    assert!(stops > 10, "{stops}");
    lost.unwrap().parse().unwrap()
}

/// Answers one request. False if the connection is idle for longer than 15 ms, or ended.
fn answered(tcp: &mut TcpStream) -> bool {
    let mut request = Vec::new();
    let mut wait = Duration::from_millis(15);
    while !request.ends_with(b"\r\n\r\n{}") {
        tcp.set_read_timeout(Some(wait)).unwrap();
        let mut buffer = [0; 4096];
        match tcp.read(&mut buffer) {
            Ok(size) if size > 0 => request.extend_from_slice(&buffer[..size]),
            _ => return false,
        }
        wait = Duration::from_secs(5);
    }
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";
    tcp.write_all(answer).is_ok()
}

/// Makes the calls and prints how many were lost.
pub fn client<T: Transport>(transport: &T) {
    let url = env::var(URL).unwrap();
    let mut lost = 0;
    for call in 0..CALLS {
        let request = http::Request::post(&url)
            .body(RequestBody::from("{}"))
            .unwrap();
        match transport.send(request, AttemptDeadlines::NONE) {
            Ok(response) => {
                let mut body = response.into_body();
                while body.chunk(Time::MAX).unwrap().is_some() {}
            }
            // The core sends it again for free.
            Err(failure) if failure.delivery() == RequestDelivery::NotSent => {}
            Err(_) => lost += 1,
        }
        if call % 3 == 0 {
            thread::sleep(Duration::from_millis(1));
        }
    }
    println!("\nlost: {lost}");
}
