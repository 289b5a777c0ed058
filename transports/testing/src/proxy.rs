//! Cases about proxies. They come from the environment, so each case is a process of its own.

use crate::{
    Authority, Server,
    cases::{failure, get_text, soon, text},
    network::error_contains,
    server::header,
};
use rustls::ClientConfig;
use std::{process::Command, sync::Arc};
use unifiedai_transport::{RequestBody, RequestDelivery, Transport, TransportErrorKind};

/// Runs an ignored test of the same binary with the environment naming a proxy, which answers like this.
pub fn in_own_process(test: &str, answer: &'static str) {
    let proxy = Server::new(move |peer| {
        let head = peer.head().unwrap();
        let (_, asked) = head.split_once(' ').unwrap();
        assert!(asked.starts_with("http://a.test/ HTTP/1.1\r\n"), "{head}");
        assert_eq!(header(&head, "host"), Some("a.test"));
        assert_eq!(
            header(&head, "proxy-authorization"),
            Some("Basic dXNlcjpwYXNz")
        );
        let head = format!("HTTP/1.1 {answer}\r\ncontent-length: 7\r\n\r\nproxied");
        peer.write(head.as_bytes());
        peer.linger();
    });
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", test]);
    for name in [
        "ALL_PROXY",
        "all_proxy",
        "NO_PROXY",
        "no_proxy",
        "http_proxy",
        "https_proxy",
    ] {
        command.env_remove(name);
    }
    let uri = format!("http://user:pass@{}", proxy.address());
    // Neither is for plain HTTP.
    let closed = "http://127.0.0.1:9";
    command.env("HTTP_PROXY", &uri).env("HTTPS_PROXY", closed);
    command.env("ALL_PROXY", closed);
    let output = command.output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success() && told.contains("1 passed"),
        "{told}"
    );
    assert_eq!(proxy.connections(), 1);
}

/// Requests go through the proxy, but those to loopback.
pub fn tunnel<T: Transport>(make: fn(Arc<ClientConfig>) -> T) {
    let transport = make(Authority::new("nobody.example").client());
    let request = http::Request::get("http://a.test/").body(RequestBody::default());
    let response = transport.send(request.unwrap(), soon(&transport)).unwrap();
    assert_eq!(text(&transport, response), "proxied");

    let server = Server::answering("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\ndirect");
    assert_eq!(get_text(&transport, &server), "direct");
}

/// The proxy wants other credentials.
pub fn refusal<T: Transport>(make: fn(Arc<ClientConfig>) -> T) {
    let transport = make(Authority::new("nobody.example").client());
    let failure = failure(&transport, "http://a.test/");
    assert_eq!(failure.kind(), TransportErrorKind::Proxy, "{failure:?}");
    assert_eq!(failure.delivery(), RequestDelivery::NotSent);
    let url = std::env::var("HTTP_PROXY").unwrap();
    let shown = format!("the proxy {}", url.replace("user:pass@", ""));
    error_contains(&failure, &[&shown, "a.test:80", "(status 407)"]);
    assert!(!format!("{failure:?}").contains("pass"), "{failure:?}");
}
