//! HTTP proxies that do what they are asked for.

use super::{options, plain};
use crate::{
    Authority, Peer, Server,
    cases::{get_text, settle, soon, text},
    server::header,
};
use std::sync::{Arc, Mutex, mpsc};
use unifiedai_http::{Options, proxy::Proxies};
use unifiedai_transport::{RequestBody, Transport};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";

/// With the credentials, in the target's `host`.
pub fn plain_http_uses_the_absolute_url_at_a_proxy<T: Transport>(make: fn(Options) -> T) {
    let (heads, asked) = mpsc::channel();
    let proxy = Server::new(move |peer| {
        while let Some(request) = peer.request() {
            heads.send((request.head, request.body)).unwrap();
            peer.write(OK.as_bytes());
        }
    });
    let url = format!("http://us%40er:p%3Aw@{}", proxy.address());
    let transport = make(plain().proxies(Proxies::all(&url)));
    for (uri, line, host) in [
        (
            "http://a.test/x?y=z",
            "POST http://a.test/x?y=z HTTP/1.1",
            "a.test",
        ),
        (
            "http://a.test/x?y=z",
            "POST http://a.test/x?y=z HTTP/1.1",
            "a.test",
        ),
        ("http://a.test", "POST http://a.test/ HTTP/1.1", "a.test"),
    ] {
        let request = http::Request::post(uri).body(RequestBody::from("body"));
        let response = transport.send(request.unwrap(), soon(&transport)).unwrap();
        assert_eq!(text(&transport, response), "hi");
        let (head, body) = asked.recv().unwrap();
        assert_eq!(head.lines().next().unwrap(), line);
        assert_eq!(header(&head, "host"), Some(host));
        assert_eq!(
            header(&head, "proxy-authorization"),
            Some("Basic dXNAZXI6cDp3")
        );
        assert_eq!(body, b"body");
    }
    let request = http::Request::get("http://[fd00::1]:8080/").body(RequestBody::default());
    let response = transport.send(request.unwrap(), soon(&transport)).unwrap();
    assert_eq!(text(&transport, response), "hi");
    let (head, _) = asked.recv().unwrap();
    assert!(
        head.starts_with("GET http://[fd00::1]:8080/ HTTP/1.1\r\n"),
        "{head}"
    );
    assert_eq!(header(&head, "host"), Some("[fd00::1]:8080"));
}

/// Some proxies close a connection without announcing it, and a request that is on its way then is lost.
pub fn a_plain_connection_to_a_proxy_is_kept_if_announced<T: Transport>(make: fn(Options) -> T) {
    for (head, body, connections) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 2", "hi", 3),
        ("HTTP/1.1 204 No Content\r\nconnection: close", "", 3),
        ("HTTP/1.1 204 No Content", "", 3),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nConnection: x, Keep-Alive",
            "hi",
            1,
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nProxy-Connection: keep-alive",
            "hi",
            1,
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nConnection: keep-alive\r\nProxy-Connection: close",
            "hi",
            3,
        ),
        (
            "HTTP/1.0 200 OK\r\ncontent-length: 2\r\nConnection: keep-alive",
            "hi",
            1,
        ),
        ("HTTP/1.0 200 OK\r\ncontent-length: 2", "hi", 3),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive",
            "2\r\nhi\r\n0\r\n\r\n",
            1,
        ),
    ] {
        let proxy = Server::answering(format!("{head}\r\n\r\n{body}"));
        let url = format!("http://{}", proxy.address());
        let transport = make(plain().proxies(Proxies::all(&url)));
        for _ in 0..3 {
            assert_eq!(
                fetch(&transport, "http://a.test/").is_empty(),
                body.is_empty()
            );
            settle();
        }
        assert_eq!(proxy.connections(), connections, "{head}");
    }
}

/// The credentials stay with the proxy, and the connection is used again.
pub fn https_goes_through_a_tunnel<T: Transport>(make: fn(Options) -> T) {
    let authority = Authority::new("a.test");
    let (proxy, heads) = tunnel(&authority, "200 Connection established");
    let url = format!("http://user:pass@{}", proxy.address());
    let transport = make(options(&authority).proxies(Proxies::all(&url)));
    for _ in 0..3 {
        assert_eq!(fetch(&transport, "https://a.test/x"), "hi");
    }
    let connect = heads.recv().unwrap();
    assert!(
        connect.starts_with("CONNECT a.test:443 HTTP/1.1\r\n"),
        "{connect}"
    );
    assert_eq!(header(&connect, "host"), Some("a.test:443"));
    assert_eq!(
        header(&connect, "proxy-authorization"),
        Some("Basic dXNlcjpwYXNz")
    );
    for _ in 0..3 {
        let inside = heads.recv().unwrap();
        assert!(inside.starts_with("GET /x HTTP/1.1\r\n"), "{inside}");
        assert!(!inside.to_lowercase().contains("proxy"), "{inside}");
    }
    assert_eq!(proxy.connections(), 1);
}

pub fn any_2xx_opens_the_tunnel<T: Transport>(make: fn(Options) -> T) {
    for status in ["200", "201 Created", "204 No Content", "299 Odd"] {
        let authority = Authority::new("a.test");
        let (proxy, _heads) = tunnel(&authority, status);
        let url = format!("http://{}", proxy.address());
        let transport = make(options(&authority).proxies(Proxies::all(&url)));
        assert_eq!(fetch(&transport, "https://a.test:8443/"), "hi", "{status}");
    }
}

/// To it and, inside that, to the target.
pub fn a_proxy_may_speak_tls<T: Transport>(make: fn(Options) -> T) {
    let authority = Authority::of_names(&["127.0.0.1", "a.test"]);
    let inner = authority.server(&[]);
    let proxy = Server::tls(authority.server(&[]), move |peer| {
        while let Some(head) = peer.head() {
            if head.starts_with("CONNECT a.test:443 ") {
                peer.write(b"HTTP/1.1 200 OK\r\n\r\n");
                peer.start_tls(&inner);
            } else {
                peer.write(OK.as_bytes());
            }
        }
    });
    let url = format!("https://{}", proxy.address());
    let transport = make(options(&authority).proxies(Proxies::all(&url)));
    for uri in ["https://a.test/", "https://a.test/", "http://a.test/"] {
        assert_eq!(fetch(&transport, uri), "hi", "{uri}");
    }
    assert_eq!(proxy.connections(), 2);
}

pub fn loopback_and_exceptions_are_reached_directly<T: Transport>(make: fn(Options) -> T) {
    let proxy = Server::closing("HTTP/1.1 500 Wrong Way\r\ncontent-length: 0\r\n\r\n");
    let server = Server::answering(OK);
    let proxies = Proxies::all(&format!("http://{}", proxy.address())).except("corp.test");
    let local = [server.address().ip()];
    let transport = make(plain().proxies(proxies).resolve("api.corp.test", &local));
    assert_eq!(get_text(&transport, &server), "hi");
    let port = server.address().port();
    assert_eq!(
        fetch(&transport, &format!("http://localhost:{port}/")),
        "hi"
    );
    assert_eq!(
        fetch(&transport, &format!("http://api.corp.test:{port}/")),
        "hi"
    );
    assert_eq!(proxy.connections(), 0);
}

fn fetch<T: Transport>(transport: &T, uri: &str) -> String {
    let request = http::Request::get(uri)
        .body(RequestBody::default())
        .unwrap();
    let response = transport.send(request, soon(transport));
    text(transport, response.unwrap_or_else(|e| panic!("{uri}: {e}")))
}

/// A proxy that is the target, too. Gives the heads of all requests.
fn tunnel(authority: &Authority, status: &'static str) -> (Server, mpsc::Receiver<String>) {
    let (heads, asked) = mpsc::channel();
    let heads = Arc::new(Mutex::new(heads));
    let config = authority.server(&[]);
    let serve = move |peer: &mut Peer| {
        let mut is_open = false;
        while let Some(head) = peer.head() {
            heads.lock().unwrap().send(head).unwrap();
            if is_open {
                peer.write(OK.as_bytes());
            } else {
                peer.write(format!("HTTP/1.1 {status}\r\nvia: test\r\n\r\n").as_bytes());
                peer.start_tls(&config);
                is_open = true;
            }
        }
    };
    (Server::new(serve), asked)
}
