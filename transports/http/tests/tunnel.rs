//! What is said to a proxy before the connection leads to the target.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use unifiedai_http::{proxy::Proxies, target::Target, tunnel::Handshake};
use unifiedai_transport::{RequestDelivery, TransportError, TransportErrorKind};

fn handshake(proxy: &str, host: &str, port: u16) -> Handshake {
    let proxies = Proxies::all(proxy);
    let proxy = proxies.route(&target("a.test", 443)).unwrap().unwrap();
    Handshake::new(Arc::clone(proxy), &target(host, port).peer(), None).unwrap()
}

fn target(host: &str, port: u16) -> Target {
    Target::of(&format!("https://{host}:{port}").parse().unwrap()).unwrap()
}

/// What was written and how it ended, with the proxy's answers cut into pieces of this size.
fn run(
    mut handshake: Handshake,
    answers: &[&[u8]],
    size: usize,
) -> (Vec<Vec<u8>>, Result<bool, TransportError>) {
    let mut written = vec![handshake.output().to_vec()];
    let mut is_done = false;
    for answer in answers {
        for piece in answer.chunks(size) {
            match handshake.input(piece) {
                Ok(done) => is_done = done,
                failed => return (written, failed),
            }
        }
        written.push(handshake.output().to_vec());
    }
    (written, Ok(is_done))
}

fn failure(proxy: &str, answers: &[&[u8]]) -> TransportError {
    run(handshake(proxy, "a.test", 443), answers, 1000)
        .1
        .unwrap_err()
}

#[test]
fn any_2xx_response_to_connect_opens_the_tunnel() {
    for size in [1, 7, 1000] {
        for status in ["200 Connection established", "201", "204 X", "299"] {
            let answer = format!("HTTP/1.0 {status}\r\nvia: x\r\n\r\n");
            let asked = handshake("http://u:p%40@p", "a.test", 443);
            let (written, end) = run(asked, &[answer.as_bytes()], size);
            assert!(end.unwrap());
            let expected = "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\
                Proxy-Authorization: Basic dTpwQA==\r\n\r\n";
            assert_eq!(written, [expected.as_bytes(), b""]);
        }
    }
    let (written, _) = run(handshake("http://p", "[fd00::1]", 80), &[], 1);
    assert_eq!(
        written,
        [b"CONNECT [fd00::1]:80 HTTP/1.1\r\nHost: [fd00::1]:80\r\n\r\n"]
    );
}

#[test]
fn a_refusal_is_final_and_has_the_status() {
    for (answer, words) in [
        ("HTTP/1.1 407 Who Are You\r\n\r\n", "407"),
        (
            "HTTP/1.1 403 Forbidden\r\ncontent-length: 9\r\n\r\n<policy/>",
            "403",
        ),
        (
            "HTTP/1.1 302 Found\r\nlocation: http://login\r\n\r\n",
            "302",
        ),
        ("HTTP/1.1 101 Switch\r\n\r\n", "101"),
        ("HTTP/1.1 abc\r\n\r\n", "not HTTP"),
        ("SSH-2.0-OpenSSH\r\n", "not HTTP"),
        ("\u{15}\u{3}", "not HTTP"),
        ("HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK", "not asked for"),
    ] {
        let error = failure("http://u:CANARY@p:3128", &[answer.as_bytes()]);
        assert_eq!(error.kind(), TransportErrorKind::Proxy, "{answer}");
        assert_eq!(error.delivery(), RequestDelivery::NotSent);
        let text = error.to_string();
        for word in [words, "http://p:3128", "a.test:443"] {
            assert_eq!(text.matches(word).count(), 1, "{word}: {text}");
        }
        assert!(!format!("{error:?}").contains("CANARY"));
    }
}

#[test]
fn a_target_that_the_proxy_cannot_reach_may_be_tried_again() {
    for (answer, words) in [
        (&b"HTTP/1.1 502 Bad Gateway\r\n\r\n"[..], "502"),
        (b"HTTP/1.1 503 X\r\n\r\n", "503"),
        (b"HTTP/1.1 504 X\r\n\r\n", "504"),
    ] {
        let error = failure("http://p", &[answer]);
        assert_eq!(error.kind(), TransportErrorKind::Connect);
        assert!(error.to_string().contains(words), "{error}");
    }
    for reply in [1, 3, 4, 5, 6, 99] {
        let error = failure("socks5h://p", &[&[5, 0], &[5, reply, 0, 1]]);
        assert_eq!(error.kind(), TransportErrorKind::Connect);
        assert!(
            error.to_string().contains(&format!("reply {reply}")),
            "{error}"
        );
    }
    let closed = handshake("http://p", "a.test", 1).input(b"").unwrap_err();
    assert_eq!(closed.kind(), TransportErrorKind::Connect);
}

#[test]
fn endless_header_block_is_refused() {
    let mut asked = handshake("http://p", "a.test", 443);
    drop(asked.output());
    assert!(!asked.input(b"HTTP/1.1 200 OK\r\nx: ").unwrap());
    let error = (0..100).find_map(|_| asked.input(&[b'y'; 1024]).err());
    let error = error.unwrap();
    assert_eq!(error.kind(), TransportErrorKind::Proxy);
    assert!(error.to_string().contains("16 KiB"), "{error}");
}

#[test]
fn socks_5_names_the_target_by_name_or_address() {
    let bound_v4: &[u8] = &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    let bound_v6: &[u8] = &[
        5, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ];
    let bound_name: &[u8] = &[5, 0, 0, 3, 2, b'a', b'b', 0, 0];
    for size in [1, 3, 1000] {
        let (written, end) = run(
            handshake("socks5h://p", "a.test", 443),
            &[&[5, 0], bound_name],
            size,
        );
        assert!(end.unwrap());
        let request = [&[5, 1, 0, 3, 6][..], b"a.test", &[1, 187]].concat();
        assert_eq!(written, [&[5, 1, 0][..], &request, &[]]);

        let (written, end) = run(
            handshake("socks5://p", "10.0.0.1", 80),
            &[&[5, 0], bound_v4],
            size,
        );
        assert!(end.unwrap());
        assert_eq!(written.get(1).unwrap(), &[5, 1, 0, 1, 10, 0, 0, 1, 0, 80]);

        let asked = handshake("socks5://us:pw@p", "[::1]", 80);
        let (written, end) = run(asked, &[&[5, 2], &[1, 0], bound_v6], size);
        assert!(end.unwrap());
        let request = [&[5, 1, 0, 4][..], &[0; 15], &[1, 0, 80]].concat();
        let login = [&[1, 2][..], b"us", &[2], b"pw"].concat();
        assert_eq!(written, [&[5, 2, 0, 2][..], &login, &request, &[]]);
    }
}

#[test]
fn a_refusal_by_socks_is_final() {
    for (proxy, answers) in [
        ("socks5h://p", &[&[5, 0xff][..]][..]),
        ("socks5h://p", &[&[5, 2]]),
        ("socks5h://u:CANARY@p", &[&[5, 2], &[1, 1]]),
        ("socks5h://p", &[&[5, 0], &[5, 2, 0, 1]]),
        ("socks5h://p", &[&[5, 0], &[5, 7, 0, 1]]),
        ("socks5h://p", &[&[5, 0], &[5, 8, 0, 1]]),
        ("socks5h://p", &[&[4, 0]]),
        ("socks5h://p", &[b"HTTP/1.1 400"]),
        ("socks5h://p", &[&[5, 0], &[5, 0, 0, 9]]),
        (
            "socks5h://p",
            &[&[5, 0], &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1]],
        ),
        ("socks5h://p", &[&[5, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0]]),
    ] {
        let error = failure(proxy, answers);
        assert_eq!(
            error.kind(),
            TransportErrorKind::Proxy,
            "{answers:?}: {error}"
        );
        assert!(!error.to_string().contains("CANARY"));
    }
    let (long, proxies) = (target(&"x".repeat(256), 1), Proxies::all("socks5h://p"));
    let proxy = proxies.route(&target("a.test", 443)).unwrap().unwrap();
    let error = Handshake::new(Arc::clone(proxy), &long.peer(), None).unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Proxy);
}
