//! Opening connections and closing them: limits, addresses, idle times.

use super::{options, plain};
use crate::{
    Authority, Peer, Server,
    cases::{get_text, settle, soon, text},
};
use socket2::{Domain, Socket, Type};
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};
use unifiedai_http::Options;
use unifiedai_transport::{
    Phase, RequestBody, RequestDelivery, ResponseBody, Time, Transport, TransportErrorKind,
};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

pub fn a_connect_limit_of_zero_uses_a_kept_connection_alone<T: Transport>(make: fn(Options) -> T) {
    let server = Server::answering(OK);
    let transport = make(plain());
    let now = |transport: &T| {
        let mut limits = soon(transport);
        limits.connect = transport.now();
        limits
    };
    let get = || {
        http::Request::get(server.uri("/"))
            .body(RequestBody::default())
            .unwrap()
    };
    let failure = transport.send(get(), now(&transport)).err().unwrap();
    assert_eq!(failure.kind(), TransportErrorKind::Timeout(Phase::Connect));
    assert_eq!(failure.delivery(), RequestDelivery::NotSent);
    assert_eq!(get_text(&transport, &server), "hi");
    settle();
    let response = transport.send(get(), now(&transport)).unwrap();
    assert_eq!(text(&transport, response), "hi");
}

pub fn a_connect_limit_may_be_long<T: Transport>(make: fn(Options) -> T) {
    let server = Server::answering(OK);
    let transport = make(plain().resolve("a.test", &[HERE]));
    let uri = format!("http://a.test:{}/", server.address().port());
    for connect in [Time::MAX, Time::from_nanos(u64::MAX - 1)] {
        let mut limits = soon(&transport);
        limits.connect = connect;
        let request = http::Request::get(&uri).header("connection", "close");
        let request = request.body(RequestBody::default()).unwrap();
        let response = transport.send(request, limits).unwrap();
        assert_eq!(text(&transport, response), "hi");
    }
}

/// Also where the limit for connecting is short: the first address must not use it up.
pub fn a_dead_first_address_costs_at_most_300_ms<T: Transport>(make: fn(Options) -> T) {
    for limit in [600, 5_000] {
        let server = Server::answering(OK);
        let port = server.address().port();
        let _dead = Dead::at(SocketAddr::new(ELSEWHERE, port));
        let transport = make(plain().resolve("a.test", &[ELSEWHERE, HERE]));
        let request = http::Request::get(format!("http://a.test:{port}/"));
        let request = request.body(RequestBody::default()).unwrap();
        let mut limits = soon(&transport);
        limits.connect = transport.now().saturating_add(Duration::from_millis(limit));
        let started = Instant::now();
        let response = transport.send(request, limits).unwrap();
        assert_eq!(text(&transport, response), "hi");
        let took = started.elapsed();
        // The rest is for a loaded machine.
        assert!(
            took >= Duration::from_millis(200) && took < Duration::from_millis(450),
            "{took:?}"
        );
    }
}

pub fn a_refused_address_costs_nothing<T: Transport>(make: fn(Options) -> T) {
    let server = Server::answering(OK);
    let port = server.address().port();
    let transport = make(plain().resolve("a.test", &[ELSEWHERE, HERE]));
    let request = http::Request::get(format!("http://a.test:{port}/"));
    let request = request.body(RequestBody::default()).unwrap();
    let started = Instant::now();
    let response = transport.send(request, soon(&transport)).unwrap();
    assert_eq!(text(&transport, response), "hi");
    assert!(started.elapsed() < Duration::from_millis(200));
}

pub fn all_addresses_dead_run_into_the_connect_limit<T: Transport>(make: fn(Options) -> T) {
    let dead = Dead::at(SocketAddr::new(ELSEWHERE, 0));
    for addresses in [&[ELSEWHERE][..], &[ELSEWHERE, ELSEWHERE]] {
        let transport = make(plain().resolve("a.test", addresses));
        let uri = format!("https://a.test:{}/", dead.address.port());
        let request = http::Request::get(&uri)
            .body(RequestBody::default())
            .unwrap();
        let mut limits = soon(&transport);
        limits.connect = transport.now().saturating_add(Duration::from_millis(300));
        let started = Instant::now();
        let failure = transport.send(request, limits).err().unwrap();
        assert_eq!(
            failure.kind(),
            TransportErrorKind::Timeout(Phase::Connect),
            "{failure:?}"
        );
        super::error_contains(&failure, &[&format!("a.test:{}", dead.address.port())]);
        let took = started.elapsed();
        assert!(
            took > Duration::from_millis(250) && took < Duration::from_secs(1),
            "{took:?}"
        );
    }
}

/// Not at the next call.
pub fn an_idle_connection_is_closed_when_its_time_is_over<T: Transport>(make: fn(Options) -> T) {
    let (closed, seen) = mpsc::channel();
    let server = Server::new(move |peer| {
        peer.request();
        peer.write(OK.as_bytes());
        let answered = Instant::now();
        let is_closed = peer.sees_close();
        closed.send((is_closed, answered.elapsed())).unwrap();
    });
    let transport = make(plain().idle_timeout(Duration::from_millis(300)));
    assert_eq!(get_text(&transport, &server), "hi");
    let (is_closed, after) = seen.recv().unwrap();
    assert!(is_closed, "the connection was left open");
    assert!(
        after >= Duration::from_millis(250) && after < Duration::from_millis(1500),
        "{after:?}"
    );
}

/// What the server closed does not stay half open until the next call.
pub fn a_connection_that_the_server_closed_is_closed_here_too<T: Transport>(
    make: fn(Options) -> T,
) {
    let (closed, seen) = mpsc::channel();
    let server = Server::new(move |peer| {
        peer.request();
        peer.write(OK.as_bytes());
        settle();
        peer.close_write();
        closed.send(peer.sees_close()).unwrap();
    });
    let transport = make(plain());
    assert_eq!(get_text(&transport, &server), "hi");
    assert!(seen.recv().unwrap(), "the connection was left half open");
}

pub fn no_connection_is_kept_where_none_may_be<T: Transport>(make: fn(Options) -> T) {
    let server = Server::answering(OK);
    let transport = make(plain().max_idle_connections(0));
    for _ in 0..3 {
        assert_eq!(get_text(&transport, &server), "hi");
        settle();
    }
    assert_eq!(server.connections(), 3);
}

/// The server may go on to wait for the rest of the request, or close.
pub fn an_early_response_wins<T: Transport>(make: fn(Options) -> T) {
    let authority = Authority::new("127.0.0.1");
    for (tls, close) in [(false, false), (false, true), (true, false)] {
        let serve = move |peer: &mut Peer| {
            if peer.head().is_some_and(|head| head.starts_with("POST")) {
                peer.write(b"HTTP/1.1 413 Large\r\ncontent-length: 2\r\n\r\nno");
                if !close {
                    thread::sleep(Duration::from_secs(2));
                }
            } else {
                peer.write(OK.as_bytes());
            }
        };
        let server = match tls {
            true => Server::tls(authority.server(&[]), serve),
            false => Server::new(serve),
        };
        let transport = make(options(&authority));
        for _ in 0..3 {
            let upload = http::Request::post(server.uri("/"));
            let upload = upload.body(RequestBody::from(vec![0; 16 << 20])).unwrap();
            let started = Instant::now();
            let response = transport.send(upload, soon(&transport));
            let response = response.unwrap_or_else(|e| panic!("TLS: {tls}, closes: {close}: {e}"));
            assert_eq!(response.status(), 413);
            let deadline = soon(&transport).headers;
            let body = response.into_body().chunk(deadline).unwrap();
            assert_eq!(body.unwrap(), "no");
            assert!(started.elapsed() < Duration::from_millis(1500));
        }
        assert_eq!(get_text(&transport, &server), "hi");
    }
}

/// An address that never answers: its queue of connections is full.
struct Dead {
    address: SocketAddr,
    _listener: Socket,
    _queued: Vec<TcpStream>,
}

impl Dead {
    fn at(address: SocketAddr) -> Self {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&address.into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let queue = || TcpStream::connect_timeout(&address, Duration::from_millis(100)).ok();
        let queued: Vec<_> = std::iter::from_fn(queue).take(16).collect();
        assert!(queued.len() < 16, "the queue has no end");
        Dead {
            address,
            _listener: listener,
            _queued: queued,
        }
    }
}
