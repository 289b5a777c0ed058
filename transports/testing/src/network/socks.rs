//! SOCKS 5 proxies (RFC 1928, RFC 1929).

use super::{error_contains, options, plain};
use crate::{
    Authority, Peer, Server,
    cases::{failure, soon, text},
};
use std::sync::mpsc;
use unifiedai_http::{Options, proxy::Proxies};
use unifiedai_transport::{RequestBody, RequestDelivery, Transport, TransportErrorKind};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";
const TUNNEL_OPEN: &[u8] = &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0];

/// What a proxy answers, message by message, and what comes of it.
type Refusal = (&'static [&'static [u8]], TransportErrorKind, &'static str);

const REFUSALS: &[Refusal] = &[
    (&[&[5, 255]], TransportErrorKind::Proxy, "credentials"),
    (&[&[5, 2], &[1, 1]], TransportErrorKind::Proxy, "password"),
    (
        &[&[5, 0], &[5, 2, 0, 1, 0, 0, 0, 0, 0, 0]],
        TransportErrorKind::Proxy,
        "rules",
    ),
    (
        &[b"HTTP/1.1 400 Bad Request\r\n\r\n"],
        TransportErrorKind::Proxy,
        "not SOCKS",
    ),
    (
        &[&[5, 0], &[5, 5, 0, 1, 0, 0, 0, 0, 0, 0]],
        TransportErrorKind::Connect,
        "refused (SOCKS",
    ),
    (
        &[&[5, 0], &[5, 4, 0, 1, 0, 0, 0, 0, 0, 0]],
        TransportErrorKind::Connect,
        "unreachable",
    ),
    (&[], TransportErrorKind::Connect, "closed"),
];

/// The target as the proxy is told: kind of address, address, port.
type Asked = (u8, Vec<u8>, u16);

/// Without credentials, by the target's name.
pub fn socks_5_carries_plain_and_tls<T: Transport>(make: fn(Options) -> T) {
    let authority = Authority::new("a.test");
    let config = authority.server(&[]);
    let (seen, asked) = mpsc::channel();
    let proxy = Server::new(move |peer| {
        let target = greet(peer, None, TUNNEL_OPEN);
        if target.2 == 443 {
            peer.start_tls(&config);
        }
        seen.send(target).unwrap();
        while peer.request().is_some() {
            peer.write(OK.as_bytes());
        }
    });
    let url = format!("socks5h://{}", proxy.address());
    let transport = make(options(&authority).proxies(Proxies::all(&url)));
    for (uri, port) in [("http://a.test:8080/", 8080), ("https://a.test/", 443)] {
        for _ in 0..2 {
            let request = http::Request::get(uri)
                .body(RequestBody::default())
                .unwrap();
            let response = transport.send(request, soon(&transport));
            let response = response.unwrap_or_else(|e| panic!("{uri}: {e}"));
            assert_eq!(text(&transport, response), "hi");
        }
        assert_eq!(asked.recv().unwrap(), (3, b"a.test".to_vec(), port));
    }
    assert_eq!(proxy.connections(), 2);
}

/// `socks5` resolves here and gives an address.
pub fn socks_5_with_a_password_and_a_resolved_target<T: Transport>(make: fn(Options) -> T) {
    let (seen, asked) = mpsc::channel();
    let proxy = Server::new(move |peer| {
        seen.send(greet(peer, Some(("us@er", "p:w")), TUNNEL_OPEN))
            .unwrap();
        while peer.request().is_some() {
            peer.write(OK.as_bytes());
        }
    });
    let url = format!("socks5://us%40er:p%3Aw@{}", proxy.address());
    let resolved = ["10.1.2.3".parse().unwrap()];
    let options = plain()
        .proxies(Proxies::all(&url))
        .resolve("a.test", &resolved);
    let transport = make(options);
    for (uri, kind, address) in [
        ("http://a.test/", 1, vec![10, 1, 2, 3]),
        ("http://10.9.8.7/", 1, vec![10, 9, 8, 7]),
        (
            "http://[fd00::1]/",
            4,
            [&[0xfd][..], &[0; 14], &[1]].concat(),
        ),
    ] {
        let request = http::Request::get(uri)
            .body(RequestBody::default())
            .unwrap();
        let response = transport.send(request, soon(&transport));
        let response = response.unwrap_or_else(|e| panic!("{uri}: {e}"));
        assert_eq!(text(&transport, response), "hi");
        assert_eq!(asked.recv().unwrap(), (kind, address, 80));
    }
}

/// And those that may pass are not.
pub fn socks_5_refusals_are_final<T: Transport>(make: fn(Options) -> T) {
    for (answers, kind, word) in REFUSALS {
        let proxy = Server::new(move |peer| {
            for answer in *answers {
                peer.some();
                peer.write(answer);
            }
            if answers.is_empty() {
                peer.some();
            } else {
                peer.sees_close();
            }
        });
        let url = format!("socks5h://user:CANARY@{}", proxy.address());
        let transport = make(plain().proxies(Proxies::all(&url)));
        let failure = failure(&transport, "https://a.test/");
        assert_eq!(failure.kind(), *kind, "{failure:?}");
        assert_eq!(failure.delivery(), RequestDelivery::NotSent);
        let shown = format!("socks5h://{}", proxy.address());
        error_contains(&failure, &[&shown, *word]);
        assert!(!format!("{failure:?}").contains("CANARY"));
        assert_eq!(proxy.connections(), 1);
    }
}

/// Plays the proxy's part until the connection stands.
fn greet(peer: &mut Peer, login: Option<(&str, &str)>, reply: &[u8]) -> Asked {
    let count = peer.read(2).unwrap()[1];
    let methods = peer.read(count.into()).unwrap();
    let Some((user, password)) = login else {
        assert_eq!(methods, [0]);
        peer.write(&[5, 0]);
        return request(peer, reply);
    };
    assert!(methods.contains(&2));
    peer.write(&[5, 2]);
    assert_eq!(peer.read(1).unwrap(), [1]);
    for expected in [user, password] {
        let length = peer.read(1).unwrap()[0];
        assert_eq!(peer.read(length.into()).unwrap(), expected.as_bytes());
    }
    peer.write(&[1, 0]);
    request(peer, reply)
}

fn request(peer: &mut Peer, reply: &[u8]) -> Asked {
    let head = peer.read(4).unwrap();
    assert_eq!(head[..3], [5, 1, 0]);
    let size = match head[3] {
        1 => 4,
        4 => 16,
        _ => peer.read(1).unwrap()[0].into(),
    };
    let address = peer.read(size).unwrap();
    let port = peer.read(2).unwrap();
    peer.write(reply);
    (head[3], address, u16::from_be_bytes([port[0], port[1]]))
}
