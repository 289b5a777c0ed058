//! What stays in memory of a key.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    env,
    io::{BufRead as _, BufReader, Read as _},
    process::{Command, Stdio},
    sync::Mutex,
};
use unifiedai_transport_testing::{
    Authority, Server,
    memory::{a_proxy_password_is_wiped, answer, copies_after},
};
use unifiedai_ureq::{Options, UreqTransport, proxy::Proxies};

/// What one test holds another would find.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

#[test]
fn no_copy_of_a_key_stays_after_its_call() {
    let server = Server::new(answer);
    stays_nowhere(Options::new(), &server.uri("/"));
}

/// The server is in a process of its own, or its copies would be found.
#[test]
#[expect(clippy::disallowed_methods, reason = "the test is its own program")]
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

#[test]
fn no_copy_of_a_proxys_password_stays_after_its_transport() {
    let one_at_a_time = ONE_AT_A_TIME.lock().unwrap();
    a_proxy_password_is_wiped(
        |proxies| UreqTransport::with_options(Options::new().proxies(proxies)).unwrap(),
        &[
            (
                "http",
                "https://a.test/",
                b"HTTP/1.1 502 Bad Gateway\r\n\r\n",
            ),
            ("http", "http://a.test/", b"HTTP/1.1 204 No Content\r\n\r\n"),
            ("socks5h", "http://a.test/", &[5, 2]),
        ],
    );
    drop(one_at_a_time);
}

fn stays_nowhere(options: Options, uri: &str) {
    let one_at_a_time = ONE_AT_A_TIME.lock().unwrap();
    let agent = UreqTransport::with_options(options.proxies(Proxies::none())).unwrap();
    assert_eq!(copies_after(&agent, uri, 3), 0);
    drop(one_at_a_time);
}
