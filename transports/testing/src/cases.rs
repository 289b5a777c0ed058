//! The cases. Each takes a function that makes a transport with the given TLS configuration.

use crate::{
    Authority, Peer, Server,
    server::{self},
};
use bytes::Bytes;
use http::StatusCode;
use rustls::ClientConfig;
use std::{
    error::Error,
    net::TcpListener,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};
use unifiedai_transport::{
    Body, Delivery, FailureKind, Limits, Phase, Time, Transport, TransportError,
};

const OK: &str = "HTTP/1.1 200 OK\r\n";

type Tls = Arc<ClientConfig>;

// The way there

pub fn a_get_adds_no_header<T: Transport>(make: fn(Tls) -> T) {
    let (server, heads) = recording("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-a: b\r\n\r\nhi");
    let transport = plain(make);
    let request = http::Request::get(server.uri("/a?b=c"))
        .header("x-mine", "1")
        .body(Bytes::new());
    let response = transport.send(request.unwrap(), soon(&transport)).unwrap();
    assert_eq!(response.headers()["x-a"], "b");
    assert_eq!(text(&transport, response), "hi");

    let head = heads.recv().unwrap().head;
    assert!(head.starts_with("GET /a?b=c HTTP/1.1\r\n"), "{head}");
    assert_eq!(names(&head), ["host", "x-mine"]);
    let host = server::header(&head, "host").unwrap();
    assert_eq!(host, server.address().to_string());
}

pub fn a_post_carries_its_body<T: Transport>(make: fn(Tls) -> T) {
    let (server, requests) = recording("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    let transport = plain(make);
    let body = Bytes::from("x".repeat(300_000));
    let request = http::Request::post(server.uri("/")).body(body.clone());
    let response = transport.send(request.unwrap(), soon(&transport)).unwrap();
    assert_eq!(text(&transport, response), "");

    let request = requests.recv().unwrap();
    assert_eq!(names(&request.head), ["content-length", "host"]);
    assert_eq!(request.body, body);
}

pub fn an_empty_post_has_a_length<T: Transport>(make: fn(Tls) -> T) {
    let (server, requests) = recording("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    let transport = plain(make);
    let request = http::Request::post(server.uri("/")).body(Bytes::new());
    transport.send(request.unwrap(), soon(&transport)).unwrap();
    let head = requests.recv().unwrap().head;
    assert_eq!(server::header(&head, "content-length"), Some("0"));
}

// The way back

pub fn a_chunked_body_arrives<T: Transport>(make: fn(Tls) -> T) {
    let server = Server::answering(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\
         3;x=y\r\nabc\r\n0a\r\ndefghijklm\r\n0\r\nx-trailer: 1\r\n\r\n",
    );
    assert_eq!(get_text(&plain(make), &server), "abcdefghijklm");
}

pub fn a_body_ended_by_the_connection_arrives<T: Transport>(make: fn(Tls) -> T) {
    let server = Server::closing(format!("{OK}connection: close\r\n\r\nuntil the end"));
    assert_eq!(get_text(&plain(make), &server), "until the end");
}

pub fn answers_without_a_body_end_at_once<T: Transport>(make: fn(Tls) -> T) {
    let transport = plain(make);
    for status in ["204 No Content", "304 Not Modified"] {
        let server = Server::answering(format!("HTTP/1.1 {status}\r\n\r\n"));
        assert_eq!(get_text(&transport, &server), "");
    }
    let server = Server::answering(format!("{OK}content-length: 5\r\n\r\n"));
    let request = http::Request::head(server.uri("/")).body(Bytes::new());
    let response = transport.send(request.unwrap(), soon(&transport)).unwrap();
    assert_eq!(text(&transport, response), "");
}

pub fn an_http_1_0_answer_is_read<T: Transport>(make: fn(Tls) -> T) {
    let server = Server::closing("HTTP/1.0 200 OK\r\n\r\nold");
    assert_eq!(get_text(&plain(make), &server), "old");
}

pub fn statuses_above_400_are_answers<T: Transport>(make: fn(Tls) -> T) {
    let server = Server::answering(
        "HTTP/1.1 429 Too Many Requests\r\nretry-after: 7\r\ncontent-length: 4\r\n\r\nwait",
    );
    let transport = plain(make);
    let response = get(&transport, &server).unwrap();
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(response.headers()["retry-after"], "7");
    assert_eq!(text(&transport, response), "wait");
}

pub fn redirects_are_not_followed<T: Transport>(make: fn(Tls) -> T) {
    let transport = plain(make);
    let other = Server::answering(format!("{OK}content-length: 0\r\n\r\n"));
    for (status, body) in [(301, ""), (302, "there"), (307, "there"), (308, "")] {
        let server = Server::answering(format!(
            "HTTP/1.1 {status} Moved\r\nlocation: {}\r\ncontent-length: {}\r\n\r\n{body}",
            other.uri("/"),
            body.len(),
        ));
        let request = http::Request::post(server.uri("/")).body(Bytes::from("secret"));
        let response = transport.send(request.unwrap(), soon(&transport)).unwrap();
        assert_eq!(response.status(), status);
        assert_eq!(response.headers()["location"], other.uri("/"));
        assert_eq!(text(&transport, response), body);
    }
    assert_eq!(other.connections(), 0);
}

pub fn interim_answers_are_skipped<T: Transport>(make: fn(Tls) -> T) {
    let server = Server::answering(
        "HTTP/1.1 100 Continue\r\n\r\n\
         HTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\n\r\n\
         HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi",
    );
    assert_eq!(get_text(&plain(make), &server), "hi");
}

pub fn a_head_of_60_kib_is_accepted<T: Transport>(make: fn(Tls) -> T) {
    let long = "y".repeat(60 * 1024);
    let server = Server::answering(format!("{OK}x-long: {long}\r\ncontent-length: 2\r\n\r\nhi"));
    let transport = plain(make);
    let response = get(&transport, &server).unwrap();
    assert_eq!(response.headers()["x-long"], long);
    assert_eq!(text(&transport, response), "hi");
}

pub fn a_long_head_may_come_in_pieces_and_for_any_method<T: Transport>(make: fn(Tls) -> T) {
    let long = "y".repeat(3_000);
    let server = Server::new({
        let long = long.clone();
        move |peer| {
            while let Some(request) = peer.request() {
                peer.write(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nx-long: ");
                peer.write(long.as_bytes());
                settle();
                peer.write(b"\r\ncontent-length: 2\r\n\r\n");
                if !request.head.starts_with("HEAD") {
                    peer.write(b"hi");
                }
            }
        }
    });
    let transport = plain(make);
    for (method, body) in [("POST", "hi"), ("HEAD", ""), ("GET", "hi"), ("HEAD", "")] {
        let request = http::Request::builder().method(method).uri(server.uri("/"));
        let request = request.body(Bytes::new()).unwrap();
        let response = transport.send(request, soon(&transport)).unwrap();
        assert_eq!(response.headers()["x-long"], long, "{method}");
        assert_eq!(text(&transport, response), body, "{method}");
        settle();
    }
    assert_eq!(server.connections(), 1);
}

pub fn a_long_head_and_its_body_may_come_at_once<T: Transport>(make: fn(Tls) -> T) {
    let authority = Authority::new("127.0.0.1");
    let (long, piece) = ("y".repeat(5_000), "z".repeat(0x1800));
    let interim = format!("HTTP/1.1 103 Early Hints\r\nlink: {long}\r\n\r\n");
    let chunks = format!("1800;extended=yes\r\n{piece}\r\n").repeat(3);
    let head = format!("{OK}x-long: {long}\r\ntransfer-encoding: chunked\r\n\r\n");
    let answer = format!("{interim}{interim}{head}{chunks}0\r\n\r\n");
    let handle = move |peer: &mut Peer| {
        while peer.request().is_some() {
            peer.write(answer.as_bytes());
        }
    };
    for server in [Server::new(handle.clone()), secure(&authority, handle)] {
        let transport = make(authority.client());
        for _ in 0..3 {
            let response = get(&transport, &server).unwrap();
            assert_eq!(response.headers()["x-long"], long);
            assert_eq!(text(&transport, response), piece.repeat(3));
            settle();
        }
        assert_eq!(server.connections(), 1);
    }
}

pub fn a_long_head_before_an_end_of_the_connection_is_read<T: Transport>(make: fn(Tls) -> T) {
    let authority = Authority::new("127.0.0.1");
    let long = "y".repeat(3_000);
    for (framing, cut) in [("connection: close", false), ("content-length: 9", true)] {
        let answer = format!("{OK}x-long: {long}\r\n{framing}\r\n\r\nhalf");
        let handle = move |peer: &mut Peer| {
            peer.request();
            peer.write(answer.as_bytes());
            peer.close_notify();
        };
        for server in [Server::new(handle.clone()), secure(&authority, handle)] {
            let transport = make(authority.client());
            let (text, end) = read(&transport, get(&transport, &server).unwrap());
            assert_eq!(text, "half");
            let end = end.map_err(|failure| failure.kind());
            let expected = if cut {
                Err(FailureKind::Truncated)
            } else {
                Ok(())
            };
            assert_eq!(end, expected, "{framing}");
        }
    }
    let cut = Server::closing(format!("{OK}x-long: {long}"));
    refused(make, &cut, FailureKind::Reset);
}

pub fn a_header_bomb_is_refused<T: Transport>(make: fn(Tls) -> T) {
    let long = "y".repeat(128 * 1024);
    let server = Server::answering(format!("{OK}x-long: {long}\r\ncontent-length: 0\r\n\r\n"));
    refused(make, &server, FailureKind::HeadTooLarge);
}

pub fn too_many_headers_are_refused<T: Transport>(make: fn(Tls) -> T) {
    let headers = "a: b\r\n".repeat(5_000);
    let server = Server::answering(format!("{OK}{headers}content-length: 0\r\n\r\n"));
    refused(make, &server, FailureKind::HeadTooLarge);
}

pub fn a_garbage_head_is_a_protocol_error<T: Transport>(make: fn(Tls) -> T) {
    for garbage in ["SSH-2.0-OpenSSH_9.6\r\n\r\n", "\0\x01\x02\x03 what\r\n\r\n"] {
        let server = Server::closing(garbage);
        refused(make, &server, FailureKind::Protocol);
    }
}

pub fn a_garbage_chunk_is_a_protocol_error<T: Transport>(make: fn(Tls) -> T) {
    let server = Server::new(|peer| {
        peer.request();
        peer.write(format!("{OK}transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n").as_bytes());
        settle();
        peer.write(b"not a length\r\n");
        peer.sees_close();
    });
    broken_off(make, &server, "abc", FailureKind::Protocol);
}

// Connections

pub fn a_read_connection_is_used_again<T: Transport + Clone>(make: fn(Tls) -> T) {
    let server = Server::answering(format!("{OK}content-length: 2\r\n\r\nhi"));
    let transport = plain(make);
    for _ in 0..5 {
        assert_eq!(get_text(&transport.clone(), &server), "hi");
        settle();
    }
    assert_eq!(server.connections(), 1);
}

pub fn a_connection_after_chunks_is_used_again<T: Transport>(make: fn(Tls) -> T) {
    let server = Server::answering(format!(
        "{OK}transfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
    ));
    let transport = plain(make);
    for _ in 0..5 {
        assert_eq!(get_text(&transport, &server), "hi");
        settle();
    }
    assert_eq!(server.connections(), 1);
}

pub fn a_connection_that_was_asked_to_close_is_not_used_again<T: Transport>(make: fn(Tls) -> T) {
    for long in [0, 3_000] {
        let long = "y".repeat(long);
        let server =
            Server::answering(format!("{OK}x-long: {long}\r\ncontent-length: 2\r\n\r\nhi"));
        let transport = plain(make);
        for _ in 0..2 {
            let request = http::Request::get(server.uri("/")).header("connection", "close");
            let request = request.body(Bytes::new()).unwrap();
            let response = transport.send(request, soon(&transport)).unwrap();
            assert_eq!(text(&transport, response), "hi");
            settle();
        }
        assert_eq!(server.connections(), 2);
    }
}

pub fn a_connection_after_long_trailers_is_used_again<T: Transport>(make: fn(Tls) -> T) {
    let trailer = "y".repeat(5_000);
    let server = Server::answering(format!(
        "{OK}transfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nx-long: {trailer}\r\n\r\n"
    ));
    let transport = plain(make);
    for _ in 0..3 {
        assert_eq!(get_text(&transport, &server), "hi");
        settle();
    }
    assert_eq!(server.connections(), 1);
}

pub fn a_connection_is_used_again_when_only_the_end_was_left<T: Transport>(make: fn(Tls) -> T) {
    let server = Server::answering(format!(
        "{OK}transfer-encoding: chunked\r\n\r\n6\r\n[DONE]\r\n0\r\n\r\n"
    ));
    let transport = plain(make);
    for _ in 0..3 {
        let mut response = get(&transport, &server).unwrap();
        let first = response.body_mut().chunk(limit(&transport)).unwrap();
        assert_eq!(first.unwrap(), "[DONE]");
        drop(response);
        settle();
    }
    assert_eq!(server.connections(), 1);
}

pub fn a_half_read_connection_is_not_used_again<T: Transport>(make: fn(Tls) -> T) {
    let server = Server::new(|peer| {
        while let Some(request) = peer.request() {
            if request.head.starts_with("GET /half") {
                peer.write(format!("{OK}content-length: 100\r\n\r\nhalf").as_bytes());
                settle();
                peer.write(b" and the rest that nobody reads");
            } else {
                peer.write(format!("{OK}content-length: 5\r\n\r\nwhole").as_bytes());
            }
        }
    });
    let transport = plain(make);
    for read in [false, true] {
        let mut response = transport
            .send(request(&server, "/half"), soon(&transport))
            .unwrap();
        if read {
            let first = response.body_mut().chunk(limit(&transport)).unwrap();
            assert_eq!(first.unwrap(), "half");
        }
        drop(response);
        assert_eq!(get_text(&transport, &server), "whole");
    }
    assert!(server.connections() >= 2);
}

/// Wherever they wait: not read yet, read ahead, or beside a head that was too long for the usual buffer.
pub fn bytes_after_an_answer_are_no_answer<T: Transport>(make: fn(Tls) -> T) {
    let stray = format!("{OK}content-length: 5\r\n\r\nstray");
    for long in [0, 3_000] {
        let head = format!("{OK}x-long: {}\r\n", "y".repeat(long));
        let answers = [
            format!("{head}content-length: 5\r\n\r\nfirst{stray}"),
            format!("{head}content-length: 5\r\n\r\nfirst{}", stray.repeat(400)),
            format!("{head}transfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n0\r\n\r\n{stray}"),
        ];
        for answer in answers {
            let server = Server::new(move |peer| {
                if peer.request().is_some() {
                    peer.write(answer.as_bytes());
                    peer.linger();
                }
            });
            let transport = plain(make);
            for _ in 0..3 {
                assert_eq!(get_text(&transport, &server), "first");
                settle();
            }
            assert_eq!(server.connections(), 3);
        }
    }
}

pub fn an_idle_connection_that_died_is_not_used<T: Transport>(make: fn(Tls) -> T) {
    let server = Server::closing(format!("{OK}content-length: 2\r\n\r\nhi"));
    let transport = plain(make);
    for _ in 0..3 {
        assert_eq!(get_text(&transport, &server), "hi");
        settle();
    }
    assert_eq!(server.connections(), 3);
}

/// Whether the server says why or not.
pub fn a_connection_that_closes_while_it_waits_is_not_used<T: Transport>(make: fn(Tls) -> T) {
    let authority = Authority::new("127.0.0.1");
    for tls in [false, true] {
        for why in ["", "HTTP/1.1 408 Late\r\ncontent-length: 0\r\n\r\n"] {
            let (closing, closed) = mpsc::channel();
            let handle = move |peer: &mut Peer| {
                if peer.request().is_some() {
                    peer.write(format!("{OK}content-length: 2\r\n\r\nhi").as_bytes());
                    settle();
                    peer.write(why.as_bytes());
                    closing.send(()).unwrap();
                }
            };
            let server = if tls {
                secure(&authority, handle)
            } else {
                Server::new(handle)
            };
            let transport = make(authority.client());
            for _ in 0..3 {
                assert_eq!(get_text(&transport, &server), "hi");
                closed.recv().unwrap();
                settle();
            }
            assert_eq!(server.connections(), 3);
        }
    }
}

pub fn a_dropped_body_closes_its_connection<T: Transport>(make: fn(Tls) -> T) {
    let (closed, seen) = mpsc::channel();
    let server = Server::new(move |peer| {
        peer.request();
        peer.write(format!("{OK}transfer-encoding: chunked\r\n\r\n2\r\nhi\r\n").as_bytes());
        closed.send(peer.sees_close()).unwrap();
    });
    let transport = plain(make);
    let mut response = get(&transport, &server).unwrap();
    let first = response.body_mut().chunk(limit(&transport)).unwrap();
    assert_eq!(first.unwrap(), "hi");
    drop(response);
    assert!(seen.recv().unwrap(), "the connection was left open");
}

// Time

/// On the same connection, whichever of two is the longer one.
pub fn a_limit_holds_for_its_request_alone<T: Transport>(make: fn(Tls) -> T) {
    let server = Server::new(|peer| {
        while let Some(request) = peer.request() {
            if request.head.starts_with("GET /slow") {
                thread::sleep(SHORT * 2);
            } else if request.head.starts_with("GET /never") {
                peer.sees_close();
            } else {
                settle();
            }
            peer.write(format!("{OK}content-length: 2\r\n\r\nhi").as_bytes());
        }
    });
    let transport = plain(make);
    let hasty = |transport: &T| {
        let mut limits = soon(transport);
        limits.head = transport.now().saturating_add(SHORT);
        limits
    };
    for (path, hurry) in [("/", true), ("/slow", false), ("/", false), ("/", true)] {
        let limits = if hurry {
            hasty(&transport)
        } else {
            soon(&transport)
        };
        let response = transport.send(request(&server, path), limits).unwrap();
        assert_eq!(text(&transport, response), "hi");
    }
    let started = Instant::now();
    let failure = transport.send(request(&server, "/never"), hasty(&transport));
    let kind = failure.err().unwrap().kind();
    assert_eq!(kind, FailureKind::Timeout(Phase::Head));
    in_time(started);
    assert_eq!(server.connections(), 1);
}

pub fn a_silent_server_runs_into_the_head_limit<T: Transport>(make: fn(Tls) -> T) {
    let server = silent();
    let transport = plain(make);
    let mut limits = soon(&transport);
    limits.head = transport.now().saturating_add(SHORT);
    late(
        &transport,
        &server,
        limits,
        Phase::Head,
        Delivery::MaybeProcessed,
    );
}

pub fn the_total_limits_the_head_too<T: Transport>(make: fn(Tls) -> T) {
    let server = silent();
    let transport = plain(make);
    let mut limits = soon(&transport);
    limits.total = transport.now().saturating_add(SHORT);
    late(
        &transport,
        &server,
        limits,
        Phase::Head,
        Delivery::MaybeProcessed,
    );
}

pub fn the_head_may_take_longer_than_a_pause_in_the_body<T: Transport>(make: fn(Tls) -> T) {
    let server = Server::new(|peer| {
        peer.request();
        thread::sleep(SHORT * 2);
        peer.write(format!("{OK}content-length: 2\r\n\r\nhi").as_bytes());
        peer.request();
    });
    let transport = plain(make);
    let mut limits = soon(&transport);
    limits.idle = SHORT / 2;
    let response = transport.send(request(&server, "/"), limits).unwrap();
    assert_eq!(text(&transport, response), "hi");
}

pub fn a_pause_runs_into_the_deadline_and_is_no_end<T: Transport>(make: fn(Tls) -> T) {
    let (go, wait) = mpsc::channel();
    let wait = std::sync::Mutex::new(wait);
    let server = Server::new(move |peer| {
        peer.request();
        peer.write(format!("{OK}content-length: 8\r\n\r\nhalf").as_bytes());
        wait.lock().unwrap().recv().unwrap();
        peer.write(b"rest");
        peer.request();
    });
    let transport = plain(make);
    let mut response = get(&transport, &server).unwrap();
    let body = response.body_mut();
    assert_eq!(body.chunk(limit(&transport)).unwrap().unwrap(), "half");
    for _ in 0..2 {
        let started = Instant::now();
        let failure = body
            .chunk(transport.now().saturating_add(SHORT))
            .unwrap_err();
        assert_eq!(failure.kind(), FailureKind::Timeout(Phase::Body));
        assert_eq!(failure.delivery(), Delivery::Answered);
        in_time(started);
    }
    go.send(()).unwrap();
    assert_eq!(body.chunk(limit(&transport)).unwrap().unwrap(), "rest");
    assert_eq!(body.chunk(limit(&transport)).unwrap(), None);
}

pub fn a_dripping_head_runs_into_the_head_limit<T: Transport>(make: fn(Tls) -> T) {
    let server = Server::new(|peer| {
        peer.request();
        peer.write(format!("{OK}x-long: ").as_bytes());
        drip(peer, b"y");
    });
    let transport = plain(make);
    let mut limits = soon(&transport);
    limits.head = transport.now().saturating_add(SHORT);
    late(
        &transport,
        &server,
        limits,
        Phase::Head,
        Delivery::MaybeProcessed,
    );
}

/// Bytes that are no data do not put the deadline off.
pub fn a_dripping_chunk_runs_into_the_deadline<T: Transport>(make: fn(Tls) -> T) {
    let server = Server::new(|peer| {
        peer.request();
        peer.write(format!("{OK}transfer-encoding: chunked\r\n\r\n1;").as_bytes());
        drip(peer, b"x");
    });
    let transport = plain(make);
    let mut response = get(&transport, &server).unwrap();
    let started = Instant::now();
    let deadline = transport.now().saturating_add(SHORT);
    let failure = response.body_mut().chunk(deadline).unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Timeout(Phase::Body));
    in_time(started);
    let started = Instant::now();
    drop(response);
    assert!(started.elapsed() < SHORT);
}

pub fn a_deadline_in_the_past_still_reads_what_is_there<T: Transport>(make: fn(Tls) -> T) {
    let server = Server::answering(format!("{OK}content-length: 2\r\n\r\nhi"));
    let transport = plain(make);
    let mut response = get(&transport, &server).unwrap();
    settle();
    let chunk = response.body_mut().chunk(Time::ZERO).unwrap();
    assert_eq!(chunk.unwrap(), "hi");
}

pub fn no_limit_is_no_limit<T: Transport>(make: fn(Tls) -> T) {
    let server = Server::answering(format!("{OK}content-length: 2\r\n\r\nhi"));
    let transport = plain(make);
    for limits in [Limits::NONE, {
        let mut limits = Limits::NONE;
        limits.connect = Time::from_nanos(u64::MAX - 1);
        limits.head = Time::from_nanos(u64::MAX - 1);
        limits.total = Time::from_nanos(u64::MAX - 1);
        limits
    }] {
        let mut response = transport.send(request(&server, "/"), limits).unwrap();
        let chunk = response.body_mut().chunk(limits.total).unwrap();
        assert_eq!(chunk.unwrap(), "hi");
        assert_eq!(response.body_mut().chunk(Time::MAX).unwrap(), None);
    }
    transport.sleep_until(Time::ZERO);
}

// Failures before the request

pub fn a_closed_port_is_not_sent<T: Transport>(make: fn(Tls) -> T) {
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    for uri in [format!("http://{closed}/"), format!("https://{closed}/")] {
        let failure = failure(&plain(make), &uri);
        assert_eq!(failure.kind(), FailureKind::Connect);
        assert_eq!(failure.delivery(), Delivery::NotSent);
    }
}

pub fn an_unknown_name_is_not_sent<T: Transport>(make: fn(Tls) -> T) {
    let failure = failure(&plain(make), "http://no-such-host.invalid/");
    assert_eq!(failure.kind(), FailureKind::Dns);
    assert_eq!(failure.delivery(), Delivery::NotSent);
    assert!(
        failure.to_string().contains("no-such-host.invalid"),
        "{failure}"
    );
}

pub fn a_uri_without_a_host_is_not_sent<T: Transport>(make: fn(Tls) -> T) {
    for uri in ["/only/a/path", "ftp://127.0.0.1/"] {
        let failure = failure(&plain(make), uri);
        assert_eq!(failure.kind(), FailureKind::Request, "{uri}: {failure:?}");
        assert_eq!(failure.delivery(), Delivery::NotSent);
    }
}

pub fn a_handshake_that_hangs_runs_into_the_connect_limit<T: Transport>(make: fn(Tls) -> T) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!("https://{}/", listener.local_addr().unwrap());
    let transport = plain(make);
    let mut limits = soon(&transport);
    limits.connect = transport.now().saturating_add(SHORT);
    let started = Instant::now();
    let request = http::Request::get(uri).body(Bytes::new()).unwrap();
    let failure = transport.send(request, limits).err().unwrap();
    assert_eq!(failure.kind(), FailureKind::Timeout(Phase::Connect));
    assert_eq!(failure.delivery(), Delivery::NotSent);
    in_time(started);
}

// Failures after it

pub fn a_connection_closed_before_the_answer_may_be_processed<T: Transport>(make: fn(Tls) -> T) {
    for answer in ["", "HTTP/1.1 200 OK\r\ncontent-le"] {
        let server = Server::closing(answer);
        refused(make, &server, FailureKind::Reset);
    }
}

pub fn a_cut_length_is_truncated<T: Transport>(make: fn(Tls) -> T) {
    let server = Server::closing(format!("{OK}content-length: 9\r\n\r\nhalf"));
    broken_off(make, &server, "half", FailureKind::Truncated);
}

pub fn a_cut_chunk_is_truncated<T: Transport>(make: fn(Tls) -> T) {
    let server = Server::closing(format!("{OK}transfer-encoding: chunked\r\n\r\n9\r\nhalf"));
    broken_off(make, &server, "half", FailureKind::Truncated);
}

pub fn a_cut_in_the_framing_of_chunks_is_truncated<T: Transport>(make: fn(Tls) -> T) {
    for cut in ["\r", "\r\n5", "\r\n5\r", "\r\n0", "\r\n0\r\nx-a: b"] {
        let server = Server::closing(format!(
            "{OK}transfer-encoding: chunked\r\n\r\n4\r\nhalf{cut}"
        ));
        broken_off(make, &server, "half", FailureKind::Truncated);
    }
}

pub fn a_missing_last_chunk_is_truncated<T: Transport>(make: fn(Tls) -> T) {
    let server = Server::closing(format!(
        "{OK}transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n"
    ));
    broken_off(make, &server, "half", FailureKind::Truncated);
}

pub fn a_refused_upload_tells_its_status<T: Transport>(make: fn(Tls) -> T) {
    let server = Server::new(|peer| {
        peer.head();
        peer.write(b"HTTP/1.1 413 Too Large\r\nconnection: close\r\ncontent-length: 3\r\n\r\nbig");
        settle();
    });
    let transport = plain(make);
    let body = Bytes::from(vec![b'x'; 16 << 20]);
    let request = http::Request::post(server.uri("/")).body(body).unwrap();
    let response = transport.send(request, soon(&transport)).unwrap();
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
}

// TLS

pub fn tls_to_a_trusted_server_works<T: Transport>(make: fn(Tls) -> T) {
    let authority = Authority::new("127.0.0.1");
    let server = secure(&authority, |peer| {
        while peer.request().is_some() {
            peer.write(format!("{OK}content-length: 2\r\n\r\nhi").as_bytes());
        }
    });
    assert_eq!(get_text(&make(authority.client()), &server), "hi");
}

pub fn tls_sessions_are_used_again<T: Transport>(make: fn(Tls) -> T) {
    let authority = Authority::new("127.0.0.1");
    let server = secure(&authority, |peer| {
        while peer.request().is_some() {
            peer.write(format!("{OK}content-length: 2\r\n\r\nhi").as_bytes());
        }
    });
    let transport = make(authority.client());
    for _ in 0..5 {
        assert_eq!(get_text(&transport, &server), "hi");
        settle();
    }
    assert_eq!(server.connections(), 1);
}

pub fn an_untrusted_certificate_is_not_sent<T: Transport>(make: fn(Tls) -> T) {
    let server = secure(&Authority::new("127.0.0.1"), |peer| drop(peer.request()));
    let failure = failure(&plain(make), &server.uri("/"));
    assert_eq!(failure.kind(), FailureKind::Tls);
    assert_eq!(failure.delivery(), Delivery::NotSent);
}

pub fn a_certificate_for_another_host_is_not_sent<T: Transport>(make: fn(Tls) -> T) {
    let authority = Authority::new("other.example");
    let server = secure(&authority, |peer| drop(peer.request()));
    let failure = failure(&make(authority.client()), &server.uri("/"));
    assert_eq!(failure.kind(), FailureKind::Tls);
    assert_eq!(failure.delivery(), Delivery::NotSent);
}

pub fn an_expired_certificate_is_not_sent<T: Transport>(make: fn(Tls) -> T) {
    let authority = Authority::expired("127.0.0.1");
    let server = secure(&authority, |peer| drop(peer.request()));
    let failure = failure(&make(authority.client()), &server.uri("/"));
    assert_eq!(failure.kind(), FailureKind::Tls);
    assert_eq!(failure.delivery(), Delivery::NotSent);
}

/// Servers that speak TLS 1.0 or 1.1 alone refuse newer hellos with an alert.
pub fn an_old_version_of_tls_is_not_sent<T: Transport>(make: fn(Tls) -> T) {
    let server = Server::new(|peer| {
        peer.write(PROTOCOL_VERSION_ALERT);
        peer.sees_close();
    });
    let failure = failure(&plain(make), &server.uri("/").replace("http:", "https:"));
    assert_eq!(failure.kind(), FailureKind::Tls);
    assert_eq!(failure.delivery(), Delivery::NotSent);
}

/// A record of TLS 1.0: fatal, `protocol_version` (RFC 5246, 7.2).
const PROTOCOL_VERSION_ALERT: &[u8] = &[0x15, 3, 1, 0, 2, 2, 70];

pub fn plain_text_in_place_of_tls_is_not_sent<T: Transport>(make: fn(Tls) -> T) {
    let server = Server::new(|peer| {
        peer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        peer.sees_close();
    });
    let failure = failure(&plain(make), &server.uri("/").replace("http:", "https:"));
    assert_eq!(failure.kind(), FailureKind::Tls);
    assert_eq!(failure.delivery(), Delivery::NotSent);
}

pub fn tls_closed_without_notice_is_truncated<T: Transport>(make: fn(Tls) -> T) {
    let authority = Authority::new("127.0.0.1");
    for framing in [
        "connection: close",
        "content-length: 9",
        "transfer-encoding: chunked",
    ] {
        let half = if framing.ends_with("chunked") {
            "4\r\nhalf\r\n"
        } else {
            "half"
        };
        let answer = format!("{OK}{framing}\r\n\r\n{half}");
        let server = secure(&authority, move |peer| {
            peer.request();
            peer.write(answer.as_bytes());
        });
        let transport = make(authority.client());
        let (text, end) = read(&transport, get(&transport, &server).unwrap());
        assert_eq!(text, "half");
        let failure = end.unwrap_err();
        assert_eq!(
            failure.kind(),
            FailureKind::Truncated,
            "{framing}: {failure:?}"
        );
        assert_eq!(failure.delivery(), Delivery::Answered);
    }
}

pub fn tls_closed_with_notice_ends_a_body<T: Transport>(make: fn(Tls) -> T) {
    let authority = Authority::new("127.0.0.1");
    let server = secure(&authority, |peer| {
        peer.request();
        peer.write(format!("{OK}connection: close\r\n\r\nuntil the end").as_bytes());
        peer.close_notify();
    });
    assert_eq!(
        get_text(&make(authority.client()), &server),
        "until the end"
    );
}

pub fn tls_closed_without_notice_after_a_framed_end_is_fine<T: Transport>(make: fn(Tls) -> T) {
    let authority = Authority::new("127.0.0.1");
    let server = secure(&authority, |peer| {
        peer.request();
        peer.write(format!("{OK}content-length: 5\r\n\r\nwhole").as_bytes());
    });
    let transport = make(authority.client());
    for _ in 0..2 {
        assert_eq!(get_text(&transport, &server), "whole");
        settle();
    }
}

// Secrets

pub fn failures_tell_no_secret<T: Transport>(make: fn(Tls) -> T) {
    let transport = plain(make);
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let garbage = Server::closing("SSH-2.0\r\n\r\n");
    let cut = Server::closing("");
    let uris = [
        format!("http://user:CANARY@{closed}/CANARY?key=CANARY"),
        format!("http://user:CANARY@{}/CANARY?key=CANARY", garbage.address()),
        format!("http://user:CANARY@{}/CANARY?key=CANARY", cut.address()),
        "ftp://user:CANARY@127.0.0.1/CANARY?key=CANARY".to_owned(),
        "http://user:CANARY@no-such-host.invalid/CANARY?key=CANARY".to_owned(),
        "/CANARY?key=CANARY".to_owned(),
    ];
    for uri in uris {
        let request = http::Request::post(&uri)
            .header("authorization", "Bearer CANARY")
            .body(Bytes::from("CANARY"));
        let failure = transport
            .send(request.unwrap(), soon(&transport))
            .err()
            .unwrap();
        let mut told = format!("{failure} {failure:?}");
        let mut cause = failure.source();
        while let Some(error) = cause {
            told += &format!(" {error} {error:?}");
            cause = error.source();
        }
        assert!(!told.contains("CANARY"), "{told}");
    }
}

// Help

const SHORT: Duration = Duration::from_millis(200);

/// Connections are put back and closed by other threads or tasks, for which nothing tells when they are done.
pub(crate) fn settle() {
    thread::sleep(Duration::from_millis(50));
}

fn in_time(started: Instant) {
    let took = started.elapsed();
    assert!(took >= SHORT && took < SHORT * 5, "{took:?}");
}

fn plain<T>(make: fn(Tls) -> T) -> T {
    make(Authority::new("nobody.example").client())
}

fn secure(authority: &Authority, handle: impl Fn(&mut Peer) + Send + Sync + 'static) -> Server {
    Server::tls(authority.server(&[]), handle)
}

/// Faster than a transport may round its waits.
fn drip(peer: &mut Peer, bytes: &[u8]) {
    for _ in 0..4_000 {
        peer.write(bytes);
        thread::sleep(Duration::from_micros(250));
    }
}

fn silent() -> Server {
    Server::new(|peer| {
        peer.request();
        peer.sees_close();
    })
}

fn recording(answer: &'static str) -> (Server, mpsc::Receiver<crate::Request>) {
    let (sender, requests) = mpsc::channel();
    let server = Server::new(move |peer| {
        while let Some(request) = peer.request() {
            sender.send(request).unwrap();
            peer.write(answer.as_bytes());
        }
    });
    (server, requests)
}

fn limit<T: Transport>(transport: &T) -> Time {
    transport.now().saturating_add(Duration::from_secs(5))
}

pub(crate) fn soon<T: Transport>(transport: &T) -> Limits {
    let mut limits = Limits::NONE;
    limits.connect = limit(transport);
    limits.head = limit(transport);
    limits.total = transport.now().saturating_add(Duration::from_secs(10));
    limits
}

fn request(server: &Server, path: &str) -> http::Request<Bytes> {
    http::Request::get(server.uri(path))
        .body(Bytes::new())
        .unwrap()
}

fn get<T: Transport>(
    transport: &T,
    server: &Server,
) -> Result<http::Response<T::Body>, TransportError> {
    transport.send(request(server, "/"), soon(transport))
}

pub(crate) fn get_text<T: Transport>(transport: &T, server: &Server) -> String {
    text(transport, get(transport, server).unwrap())
}

pub(crate) fn text<T: Transport>(transport: &T, response: http::Response<T::Body>) -> String {
    let (text, end) = read(transport, response);
    end.unwrap();
    text
}

/// What arrived, and how it ended.
fn read<T: Transport>(
    transport: &T,
    response: http::Response<T::Body>,
) -> (String, Result<(), TransportError>) {
    let mut body = response.into_body();
    let mut bytes = Vec::new();
    let end = loop {
        match body.chunk(limit(transport)) {
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
            Ok(None) => break Ok(()),
            Err(failure) => break Err(failure),
        }
    };
    if end.is_ok() {
        assert!(matches!(body.chunk(limit(transport)), Ok(None)));
    }
    (String::from_utf8(bytes).unwrap(), end)
}

pub(crate) fn failure<T: Transport>(transport: &T, uri: &str) -> TransportError {
    let request = http::Request::post(uri).body(Bytes::from("{}")).unwrap();
    transport.send(request, soon(transport)).err().unwrap()
}

fn refused<T: Transport>(make: fn(Tls) -> T, server: &Server, kind: FailureKind) {
    let failure = failure(&plain(make), &server.uri("/"));
    assert_eq!(failure.kind(), kind, "{failure:?}");
    assert_eq!(failure.delivery(), Delivery::MaybeProcessed);
    assert_eq!(server.connections(), 1, "the request was repeated");
}

fn broken_off<T: Transport>(make: fn(Tls) -> T, server: &Server, half: &str, kind: FailureKind) {
    let transport = plain(make);
    let (text, end) = read(&transport, get(&transport, server).unwrap());
    assert_eq!(text, half);
    let failure = end.unwrap_err();
    assert_eq!(failure.kind(), kind, "{failure:?}");
    assert_eq!(failure.delivery(), Delivery::Answered);
}

fn late<T: Transport>(
    transport: &T,
    server: &Server,
    limits: Limits,
    phase: Phase,
    delivery: Delivery,
) {
    let started = Instant::now();
    let failure = transport.send(request(server, "/"), limits).err().unwrap();
    assert_eq!(failure.kind(), FailureKind::Timeout(phase));
    assert_eq!(failure.delivery(), delivery);
    in_time(started);
}

fn names(head: &str) -> Vec<&str> {
    let mut names: Vec<_> = head
        .lines()
        .skip(1)
        .filter_map(|line| Some(line.split_once(':')?.0))
        .filter(|name| *name != "connection")
        .collect();
    names.sort_unstable();
    names
}
