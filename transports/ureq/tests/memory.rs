//! What stays in memory of a key.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

use bytes::Bytes;
use http::HeaderValue;
use std::{
    env,
    fs::{self, File},
    io::{BufRead as _, BufReader, Read as _},
    os::unix::fs::FileExt as _,
    process::{Command, Stdio},
    sync::Mutex,
};
use unifiedai_transport::{AttemptDeadlines, ResponseBody as _, Time, Transport as _};
use unifiedai_transport_testing::{Authority, Peer, Server};
use unifiedai_ureq::{Options, UreqTransport, proxy::Proxies};

/// As it is in the test's own memory, so that it is not found there.
const HIDDEN: [u8; 24] = *b"dbobsz.lfz.uibu.jt.mpohz";

/// What one test holds another would find.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Places in this process's writable memory that hold the key.
fn copies() -> usize {
    let memory = File::open("/proc/self/mem").unwrap();
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let mut found = 0;
    let mut part = vec![0; 64 * 1024];
    let zeros = part.clone();
    for map in maps.lines().filter(|map| map.contains(" rw")) {
        let (range, _) = map.split_once(' ').unwrap();
        let (start, end) = range.split_once('-').unwrap();
        let [mut at, end] = [start, end].map(|at| u64::from_str_radix(at, 16).unwrap());
        while at < end {
            let Ok(size) = memory.read_at(&mut part, at) else {
                break;
            };
            let is_key = |window: &[u8]| {
                let same = |(a, b): (&u8, u8)| *a == b.wrapping_sub(1);
                window.iter().zip(HIDDEN).all(same)
            };
            // Most memory was never written, and compares fast.
            if part[..size] != zeros[..size] {
                let windows = part[..size].windows(HIDDEN.len());
                found += windows.filter(|window| is_key(window)).count();
            }
            // Or it would find itself.
            part.fill(0);
            at += u64::try_from(size.saturating_sub(HIDDEN.len()).max(1)).unwrap();
        }
    }
    found
}

/// The key, wiped when it is dropped, as the core does it.
struct Key(Vec<u8>);

impl Key {
    fn header() -> HeaderValue {
        let key = HIDDEN.iter().map(|byte| byte.wrapping_sub(1)).collect();
        let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(Key(key))).unwrap();
        value.set_sensitive(true);
        value
    }
}

impl AsRef<[u8]> for Key {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        self.0.fill(0);
        std::hint::black_box(&self.0);
    }
}

#[test]
fn no_copy_of_a_key_stays_after_its_call() {
    let server = Server::new(answer);
    stays_nowhere(Options::new(), &server.uri("/"));
}

/// The server is in a process of its own, or its copies would be found.
#[test]
fn no_copy_of_a_key_stays_after_its_call_over_tls() {
    let mut server = Command::new(env::current_exe().unwrap())
        .args(["--ignored", "--exact", "serve", "--nocapture"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let mut line = lines.find(|line| line.as_ref().unwrap().starts_with("https://"));
    let uri = line.take().unwrap().unwrap();
    let pem: Vec<_> = lines
        .by_ref()
        .map(Result::unwrap)
        .take_while(|line| line != "end")
        .collect();
    let options = Options::new().extra_roots_pem(pem.join("\n").as_bytes());
    stays_nowhere(options.unwrap(), &uri);
    drop(server.stdin.take());
    server.wait().unwrap();
}

#[test]
#[ignore = "run by the test over TLS"]
fn serve() {
    let authority = Authority::new("127.0.0.1");
    let server = Server::tls(authority.server(&[]), answer);
    println!("\n{}\n{}end", server.uri("/"), authority.pem().0);
    // Until the other process has what it wants.
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

/// Wipes what it reads, because it may be in this process.
fn answer(peer: &mut Peer) {
    while peer.some_wiped().is_some() {
        peer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi");
    }
}

fn stays_nowhere(options: Options, uri: &str) {
    let one_at_a_time = ONE_AT_A_TIME.lock().unwrap();
    let agent = UreqTransport::with_options(options.proxies(Proxies::none())).unwrap();
    let held = Key::header();
    assert!(copies() >= 1, "the search does not find what is there");
    drop(held);
    for _ in 0..3 {
        let request = http::Request::get(uri).header("authorization", Key::header());
        let request = request.body(Bytes::new()).unwrap();
        let mut body = agent
            .send(request, AttemptDeadlines::NONE)
            .unwrap()
            .into_body();
        while body.chunk(Time::MAX).unwrap().is_some() {}
    }
    assert_eq!(copies(), 0);
    drop(one_at_a_time);
}
