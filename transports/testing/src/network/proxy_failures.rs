//! HTTP proxies that refuse, fail, or are not there. Every error names the proxy and not its password.

use super::{chain, error_contains, options, plain};
use crate::{
    Authority, Server,
    cases::{failure, soon},
};
use std::{
    net::TcpListener,
    time::{Duration, Instant},
};
use unifiedai_http::{Options, proxy::Proxies};
use unifiedai_transport::{Phase, RequestBody, RequestDelivery, Transport, TransportErrorKind};

/// With its status: repeated wrong credentials can lock an account. Garbage and an endless head are final, too.
pub fn a_proxy_that_refuses_is_final<T: Transport>(make: fn(Options) -> T) {
    let endless = format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(200_000));
    for (answer, word) in [
        (
            "HTTP/1.1 407 Who\r\ncontent-length: 0\r\n\r\n",
            "status 407",
        ),
        (
            "HTTP/1.1 403 No\r\ncontent-length: 8\r\n\r\n<policy>",
            "status 403",
        ),
        (
            "HTTP/1.1 302 Found\r\nlocation: http://login.test/\r\n\r\n",
            "status 302",
        ),
        ("SSH-2.0-OpenSSH_9.2\r\n", "not HTTP"),
        (&*endless, "larger than"),
    ] {
        let answer = answer.to_owned();
        let proxy = Server::new(move |peer| {
            if peer.head().is_some() {
                peer.write(answer.as_bytes());
                peer.sees_close();
            }
        });
        let transport = make(plain().proxies(all(&proxy)));
        let failure = failure(&transport, "https://a.test/");
        assert_eq!(failure.kind(), TransportErrorKind::Proxy, "{failure:?}");
        assert_eq!(failure.delivery(), RequestDelivery::NotSent);
        let shown = format!("http://{}", proxy.address());
        error_contains(&failure, &[&shown, "a.test:443", word]);
        assert!(!format!("{failure:?}").contains("CANARY"));
        assert_eq!(proxy.connections(), 1);
    }
}

/// Only a proxy answers with status 407. Status 401 is the server's unless it asks to authenticate with a proxy.
pub fn credentials_refused_without_a_tunnel<T: Transport>(make: fn(Options) -> T) {
    for (answer, status) in [
        ("407 Who", "status 407"),
        (
            "401 No\r\nproxy-authenticate: Basic realm=\"x\"",
            "status 401",
        ),
    ] {
        let proxy = Server::answering(format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n"));
        let transport = make(plain().proxies(all(&proxy)));
        let failure = failure(&transport, "http://a.test/");
        assert_eq!(failure.kind(), TransportErrorKind::Proxy, "{failure:?}");
        assert_eq!(failure.delivery(), RequestDelivery::NotSent);
        let shown = format!("http://{}", proxy.address());
        error_contains(&failure, &[&shown, "a.test:80", status]);
    }
    let answer = "HTTP/1.1 401 No\r\nwww-authenticate: Bearer\r\ncontent-length: 0\r\n\r\n";
    let proxy = Server::answering(answer);
    let transport = make(plain().proxies(all(&proxy)));
    let request = http::Request::get("http://a.test/").body(RequestBody::default());
    let response = transport.send(request.unwrap(), soon(&transport));
    assert_eq!(response.unwrap().status(), 401);
}

pub fn unreachable_target_behind_a_proxy_is_retryable<T: Transport>(make: fn(Options) -> T) {
    for (answer, word) in [
        ("HTTP/1.1 502 Bad Gateway\r\n\r\n", "status 502"),
        ("HTTP/1.1 503 Unavailable\r\n\r\n", "status 503"),
        ("", "closed"),
    ] {
        let proxy = Server::new(move |peer| {
            peer.head();
            peer.write(answer.as_bytes());
        });
        let transport = make(plain().proxies(all(&proxy)));
        let failure = failure(&transport, "https://a.test/");
        assert_eq!(failure.kind(), TransportErrorKind::Connect, "{failure:?}");
        assert_eq!(failure.delivery(), RequestDelivery::NotSent);
        let shown = format!("http://{}", proxy.address());
        error_contains(&failure, &[&shown, word]);
    }
}

/// Not past the proxy either.
pub fn a_proxy_setting_that_cannot_be_used_sends_nothing<T: Transport>(make: fn(Options) -> T) {
    let server = Server::answering("HTTP/1.1 204 No Content\r\n\r\n");
    let port = server.address().port();
    for value in [
        "ftp://u:CANARY@p",
        "socks4://u:CANARY@p",
        "http://u:CANARY@p:x",
        "://CANARY",
    ] {
        let proxies = Proxies::from_variables(|name| (name == "ALL_PROXY").then(|| value.into()));
        let local = [server.address().ip()];
        let transport = make(plain().proxies(proxies).resolve("a.test", &local));
        for scheme in ["http", "https"] {
            let failure = failure(&transport, &format!("{scheme}://a.test:{port}/"));
            assert_eq!(failure.kind(), TransportErrorKind::Proxy, "{failure:?}");
            assert_eq!(failure.delivery(), RequestDelivery::NotSent);
            error_contains(&failure, &["ALL_PROXY"]);
            assert!(!format!("{failure:?}").contains("CANARY"));
        }
    }
    assert_eq!(server.connections(), 0);
}

/// Its name, its port, or its certificate.
pub fn a_proxy_that_is_not_there_is_named<T: Transport>(make: fn(Options) -> T) {
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let other = Authority::new("other.test");
    let tls = Server::tls(other.server(&[]), |peer| drop(peer.head()));
    for (url, kind, words) in [
        (
            format!("http://{closed}"),
            TransportErrorKind::Connect,
            "connection refused",
        ),
        (
            format!("socks5h://{closed}"),
            TransportErrorKind::Connect,
            "connection refused",
        ),
        (
            "http://no-such-proxy.invalid:3128".to_owned(),
            TransportErrorKind::Dns,
            "no-such-proxy",
        ),
        (
            format!("https://{}", tls.address()),
            TransportErrorKind::Tls,
            "wrong name",
        ),
    ] {
        let with_password = url.replace("://", "://user:CANARY@");
        let transport = make(options(&other).proxies(Proxies::all(&with_password)));
        for uri in ["http://a.test/", "https://a.test/"] {
            let failure = failure(&transport, uri);
            assert_eq!(failure.kind(), kind, "{failure:?}");
            assert_eq!(failure.delivery(), RequestDelivery::NotSent);
            error_contains(&failure, &[&format!("the proxy {url}"), words]);
            let text = chain(&failure);
            assert!(
                !text.contains("a.test") && !text.contains("CANARY"),
                "{text}"
            );
        }
    }
}

pub fn a_silent_proxy_runs_into_the_connect_limit<T: Transport>(make: fn(Options) -> T) {
    let silent = Server::new(|peer| {
        peer.sees_close();
    });
    for scheme in ["http", "https", "socks5h"] {
        let url = format!("{scheme}://{}", silent.address());
        let transport = make(plain().proxies(Proxies::all(&url)));
        let mut limits = soon(&transport);
        limits.connect = transport.now().saturating_add(Duration::from_millis(200));
        let request = http::Request::get("https://a.test/")
            .body(RequestBody::default())
            .unwrap();
        let started = Instant::now();
        let failure = transport.send(request, limits).err().unwrap();
        assert_eq!(
            failure.kind(),
            TransportErrorKind::Timeout(Phase::Connect),
            "{failure:?}"
        );
        assert_eq!(failure.delivery(), RequestDelivery::NotSent);
        let took = started.elapsed();
        assert!(
            took > Duration::from_millis(150) && took < Duration::from_secs(1),
            "{took:?}"
        );
    }
}

fn all(proxy: &Server) -> Proxies {
    Proxies::all(&format!("http://user:CANARY@{}", proxy.address()))
}
