//! Connections, requests and pacing.
#![expect(clippy::disallowed_methods, reason = "a test with real sockets")]

mod client;

use std::time::{Duration, Instant};

use client::{Client, End};
use serde_json::{Value, json};
use unifiedai_loopback::{Config, Loopback, Pace};

fn hello() -> Value {
    json!({"model": "m", "messages": [{"role": "user", "content": "echo: a b c d e"}]})
}

fn eventually(what: impl Fn() -> bool) {
    let start = Instant::now();
    while !what() {
        assert!(start.elapsed() < Duration::from_secs(10));
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_connection_serves_many_requests_and_is_counted() {
    let server = Loopback::start(Config::fast()).unwrap();
    let mut client = Client::new(&server);
    for _ in 0..5 {
        assert_eq!(client.chat(&hello()).status, 200);
        assert_eq!(client.get("/v1/models").status, 200);
    }
    assert_eq!(
        (
            server.connections(),
            server.open_connections(),
            server.served()
        ),
        (1, 1, 10)
    );
    drop(client);
    eventually(|| server.open_connections() == 0);
    assert_eq!(server.aborted(), 0);
}

#[test]
fn requests_are_recorded() {
    let server = Loopback::start(Config::fast()).unwrap();
    Client::new(&server).request(
        "POST",
        "/v1/chat/completions?x=1",
        "Authorization: Bearer k\r\n",
        &hello().to_string(),
    );
    let requests = server.requests();
    assert_eq!(
        (requests[0].method.as_str(), requests[0].path.as_str()),
        ("POST", "/v1/chat/completions?x=1")
    );
    assert_eq!(requests[0].header("authorization"), Some("Bearer k"));
    assert_eq!(
        serde_json::from_slice::<Value>(&requests[0].body).unwrap(),
        hello()
    );
    assert_eq!(requests[0].connection, 1);
    assert!(
        Loopback::start(Config::load())
            .unwrap()
            .requests()
            .is_empty()
    );
}

#[test]
fn chunked_and_dribbled_requests_are_read() {
    let server = Loopback::start(Config::fast()).unwrap();
    let mut client = Client::new(&server);
    let body = hello().to_string();
    let (a, b) = body.split_at(7);
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{:x};ext=1\r\n{a}\r\n{:X}\r\n{b}\r\n0\r\nx: y\r\n\r\n",
        a.len(),
        b.len()
    );
    for piece in request.as_bytes().chunks(5) {
        client.send(piece);
    }
    assert_eq!(
        client.response(false).json()["choices"][0]["message"]["content"],
        "a b c d e"
    );
}

#[test]
fn pipelined_requests_get_responses_in_order() {
    let server = Loopback::start(Config::fast()).unwrap();
    let mut client = Client::new(&server);
    client.send(b"GET /v1/models HTTP/1.1\r\n\r\nGET /v1/nothing HTTP/1.1\r\n\r\nHEAD /v1/nothing HTTP/1.1\r\nconnection: close\r\n\r\n");
    assert_eq!(client.response(false).status, 200);
    let nothing = client.response(false);
    assert_eq!(
        (nothing.status, nothing.json()["type"].as_str()),
        (404, Some("not_found_error"))
    );
    assert_eq!(client.response(true).status, 404);
    assert_eq!(client.rest(), (Vec::new(), End::Cut));
}

#[test]
fn expect_gets_its_continue() {
    let server = Loopback::start(Config::fast()).unwrap();
    let mut client = Client::new(&server);
    let body = hello().to_string();
    client.send(format!("POST /v1/chat/completions HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n", body.len()).as_bytes());
    assert_eq!(client.response(false).status, 100);
    client.send(body.as_bytes());
    assert_eq!(client.response(false).status, 200);
}

#[test]
fn non_http_connections_are_closed() {
    let server = Loopback::start(Config::fast()).unwrap();
    let mut client = Client::new(&server);
    client.send(b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03 not http\r\n\r\n");
    assert!(matches!(client.rest(), (rest, End::Cut | End::Reset) if rest.is_empty()));
    let mut client = Client::new(&server);
    client.send(b"POST / HTTP/1.1\r\ncontent-length: 99999999999\r\n\r\n");
    assert!(matches!(client.rest(), (rest, End::Cut | End::Reset) if rest.is_empty()));
}

#[test]
fn pacing_is_applied() {
    let pace = Pace {
        first: Duration::from_millis(40),
        each: Duration::from_millis(4),
        coalesce: 1,
    };
    let server = Loopback::start(Config {
        pace,
        ..Config::default()
    })
    .unwrap();
    let mut client = Client::new(&server);
    for streams in [false, true] {
        let mut request = hello();
        request["model"] = "load-20".into();
        request["stream"] = streams.into();
        let start = Instant::now();
        assert_eq!(client.chat(&request).end, End::Framed);
        assert!(
            start.elapsed() >= Duration::from_millis(40 + 20 * 4),
            "{:?}",
            start.elapsed()
        );
    }
}

#[test]
fn events_share_chunks_on_request() {
    let pace = Pace {
        coalesce: 10,
        ..Config::fast().pace
    };
    let server = Loopback::start(Config {
        pace,
        ..Config::fast()
    })
    .unwrap();
    let mut client = Client::new(&server);
    for model in ["load-100", "load-100~ok"] {
        let request =
            json!({"model": model, "stream": true, "messages": [{"role": "user", "content": "x"}]});
        let response = client.chat(&request);
        assert_eq!((response.events().len(), response.chunks.len()), (102, 11));
    }
}

#[test]
fn client_disconnect_is_detected() {
    let server = Loopback::start(Config::default()).unwrap();
    let mut client = Client::new(&server).patience(Duration::from_millis(5));
    let request = json!({"model": "load-100000", "stream": true, "messages": [{"role": "user", "content": "x"}]});
    assert_eq!(client.chat(&request).end, End::Silence);
    drop(client);
    eventually(|| server.aborted() == 1 && server.open_connections() == 0);
}

#[test]
fn a_server_starts_and_stops_inside_a_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let address = runtime.block_on(async {
        let server = Loopback::start(Config::fast()).unwrap();
        let address = server.address();
        assert!(tokio::net::TcpStream::connect(address).await.is_ok());
        address
    });
    eventually(|| std::net::TcpStream::connect(address).is_err());
}
