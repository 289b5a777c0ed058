//! Cases about futures: dropping them, and running several.

use crate::{
    Authority, BlockOn, Blocking, Peer, Server, SourceStep, TestSource,
    cases::{settle, soon},
};
use rustls::ClientConfig;
use std::{
    any::Any,
    cell::RefCell,
    future::{Future, poll_fn},
    pin::pin,
    sync::{Arc, Mutex, mpsc},
    task::{Context, Poll, Wake, Waker},
    thread,
    time::{Duration, Instant},
};
use unifiedai_transport::{
    AsyncResponseBody as _, AsyncTransport, AttemptDeadlines, RequestBody, ResponseBody as _,
    Transport,
};

type Make<T, E> = fn(Arc<ClientConfig>) -> Blocking<T, E>;

pub fn a_dropped_send_closes_its_connection<T: AsyncTransport, E: BlockOn>(make: Make<T, E>) {
    let (closed, seen) = mpsc::channel();
    let server = Server::new(move |peer| {
        peer.request();
        closed.send(peer.sees_close()).unwrap();
    });
    let transport = plain(make);
    let limits = soon(&transport);
    let until = transport.now().saturating_add(Duration::from_millis(200));
    let Blocking(client, executor) = &transport;
    executor.block_on(async {
        let mut send = Box::pin(client.send(get(&server), limits));
        let mut sleep = pin!(client.sleep_until(until));
        poll_fn(|cx| {
            assert!(send.as_mut().poll(cx).is_pending());
            sleep.as_mut().poll(cx)
        })
        .await;
        drop(send);
    });
    assert!(seen.recv().unwrap(), "the connection was left open");
}

/// Whether the server has stopped reading or the source has stopped giving.
pub fn a_dropped_upload_closes_its_connection<T: AsyncTransport, E: BlockOn>(make: Make<T, E>) {
    let (closed, seen) = mpsc::channel();
    let server = Server::new(move |peer| {
        peer.head();
        thread::sleep(Duration::from_millis(400));
        closed.send(peer.sees_close()).unwrap();
    });
    let endless = vec![SourceStep::Piece(64 * 1024); 1024];
    let stalled = vec![
        SourceStep::Piece(1000),
        SourceStep::Stall,
        SourceStep::Piece(1),
    ];
    for steps in [endless, stalled] {
        let transport = plain(make);
        let limits = soon(&transport);
        let until = transport.now().saturating_add(Duration::from_millis(200));
        let Blocking(client, executor) = &transport;
        let body = TestSource::new(steps).body();
        let request = http::Request::post(server.uri("/")).body(body).unwrap();
        executor.block_on(async {
            let mut send = Box::pin(client.send(request, limits));
            let mut sleep = pin!(client.sleep_until(until));
            poll_fn(|cx| {
                assert!(send.as_mut().poll(cx).is_pending());
                sleep.as_mut().poll(cx)
            })
            .await;
            drop(send);
        });
        assert!(seen.recv().unwrap(), "the connection was left open");
    }
}

pub fn unpolled_send_does_not_connect<T: AsyncTransport, E: BlockOn>(make: Make<T, E>) {
    let server = Server::answering("HTTP/1.1 204 No Content\r\n\r\n");
    let transport = plain(make);
    let limits = soon(&transport);
    let Blocking(client, executor) = &transport;
    executor.block_on(async { drop(client.send(get(&server), limits)) });
    settle();
    assert_eq!(server.connections(), 0);
}

/// The server may go on to wait for the rest.
pub fn early_response_closes_the_connection<T: AsyncTransport, E: BlockOn>(make: Make<T, E>) {
    let authority = Authority::new("127.0.0.1");
    for (tls, long) in [(false, 0), (false, 3_000), (true, 0), (true, 3_000)] {
        let (over, wait) = mpsc::channel::<()>();
        let wait = Mutex::new(wait);
        let server = serve(tls, &authority, move |peer| {
            let Some(head) = peer.head() else { return };
            if head.starts_with("POST") {
                let long = "y".repeat(long);
                let large = "HTTP/1.1 413 Large\r\nx-long: ";
                peer.write(format!("{large}{long}\r\ncontent-length: 2\r\n\r\nno").as_bytes());
                // Nothing more is read: a request that was taken to its end would leave the connection to the next.
                let _ = wait.lock().unwrap().recv_timeout(Duration::from_secs(3));
            } else {
                peer.write(b"HTTP/1.1 204 No Content\r\n\r\n");
            }
        });
        let transport = make(authority.client());
        let upload =
            http::Request::post(server.uri("/")).body(RequestBody::from(vec![0; 64 << 20]));
        let response = transport.send(upload.unwrap(), soon(&transport));
        let mut response = response.unwrap_or_else(|e| panic!("TLS: {tls}, {long}: {e}"));
        assert_eq!(response.status(), 413, "TLS: {tls}, {long}");
        let deadline = soon(&transport).headers;
        let mut read = || response.body_mut().chunk(deadline).unwrap();
        assert_eq!(read().unwrap(), "no");
        assert_eq!(read(), None);
        let response = transport.send(get(&server), soon(&transport));
        let response = response.unwrap_or_else(|e| panic!("TLS: {tls}, {long}, next: {e}"));
        assert_eq!(response.status(), 204, "TLS: {tls}, {long}");
        assert_eq!(server.connections(), 2);
        drop(over);
    }
}

/// Whoever polls it last is woken, be the next bytes read already or still to come.
pub fn a_body_may_move_between_tasks<T: AsyncTransport, E: BlockOn + Send + 'static>(
    make: Make<T, E>,
) {
    let (go, wait) = mpsc::channel();
    let wait = Mutex::new(wait);
    let server = Server::new(move |peer| {
        peer.request();
        peer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 24000\r\n\r\n");
        peer.write(&[b'a'; 12_000]);
        wait.lock().unwrap().recv().unwrap();
        settle();
        peer.write(&[b'b'; 12_000]);
        peer.request();
    });
    let transport = plain(make);
    let response = transport.send(get(&server), soon(&transport)).unwrap();
    let Blocking(mut body, executor) = response.into_body();
    let deadline = soon(&transport).headers;
    let mut size = 0;
    while size < 12_000 {
        let next = poll_fn(|cx| body.poll_chunk(cx, deadline));
        size += executor.block_on(next).unwrap().unwrap().len();
    }
    executor.block_on(async {
        let mut elsewhere = Context::from_waker(Waker::noop());
        assert!(body.poll_chunk(&mut elsewhere, deadline).is_pending());
    });
    let rest = thread::spawn(move || {
        executor.block_on(async {
            go.send(()).unwrap();
            let mut size = 0;
            while let Some(chunk) = poll_fn(|cx| body.poll_chunk(cx, deadline)).await.unwrap() {
                size += chunk.len();
            }
            size
        })
    });
    assert_eq!(rest.join().unwrap(), 12_000);
}

/// As a thread's own executor does when the thread ends.
pub fn a_body_may_be_dropped_when_its_thread_ends<
    T: AsyncTransport,
    E: BlockOn + Send + 'static,
>(
    make: Make<T, E>,
) {
    thread_local! {
        static HELD: RefCell<Option<Box<dyn Any>>> = const { RefCell::new(None) };
    }
    let (closed, seen) = mpsc::channel();
    let server = Server::new(move |peer| {
        peer.request();
        peer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf");
        closed.send(peer.sees_close()).unwrap();
    });
    let transport = plain(make);
    let response = transport.send(get(&server), soon(&transport)).unwrap();
    let Blocking(mut body, executor) = response.into_body();
    let deadline = soon(&transport).headers;
    let thread = thread::spawn(move || {
        // What a thread holds is dropped in the opposite order of its first use.
        HELD.with_borrow_mut(|held| *held = None);
        let first = executor.block_on(poll_fn(|cx| body.poll_chunk(cx, deadline)));
        assert_eq!(first.unwrap().unwrap(), "half");
        executor.block_on(async {
            let mut nobody = Context::from_waker(Waker::noop());
            assert!(body.poll_chunk(&mut nobody, deadline).is_pending());
        });
        HELD.with_borrow_mut(|held| *held = Some(Box::new(body)));
    });
    thread.join().unwrap();
    assert!(seen.recv().unwrap(), "the connection was left open");
}

/// Neither its socket nor its timer does.
pub fn a_connection_that_waits_holds_no_task<T: AsyncTransport, E: BlockOn>(make: Make<T, E>) {
    struct Task(Mutex<Waker>);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            let outer = self.0.lock().unwrap().clone();
            outer.wake();
        }
    }

    let server = Server::new(|peer| {
        while let Some(request) = peer.request() {
            let head = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n";
            settle();
            if request.head.starts_with("GET /long") {
                let long = "x".repeat(3_000);
                peer.write(format!("{head}long: {long}\r\n\r\nfull").as_bytes());
            } else {
                peer.write(format!("{head}\r\nha").as_bytes());
                settle();
                peer.write(b"lf");
            }
        }
    });
    let transport = plain(make);
    let soon = soon(&transport);
    let mut to_connect = AttemptDeadlines::NONE;
    to_connect.connect = soon.connect;
    let Blocking(client, executor) = &transport;
    for (path, limits) in [
        ("/", to_connect),
        ("/", soon),
        ("/", soon),
        ("/long", AttemptDeadlines::NONE),
        ("/long", soon),
    ] {
        let get = http::Request::get(server.uri(path))
            .body(RequestBody::default())
            .unwrap();
        let task = Arc::new(Task(Mutex::new(Waker::noop().clone())));
        executor.block_on(async {
            let mut call = Box::pin(async {
                let mut body = client.send(get, limits).await.unwrap().into_body();
                let mut chunk = async || poll_fn(|cx| body.poll_chunk(cx, limits.headers)).await;
                while chunk().await.unwrap().is_some() {}
            });
            poll_fn(|cx| {
                task.0.lock().unwrap().clone_from(cx.waker());
                let waker = Waker::from(Arc::clone(&task));
                call.as_mut().poll(&mut Context::from_waker(&waker))
            })
            .await;
        });
        // A reactor forgets a dropped timer's task at its next turn, of which nothing tells.
        let by = Instant::now() + Duration::from_secs(3);
        while Arc::strong_count(&task) > 1 && Instant::now() < by {
            settle();
        }
        assert_eq!(Arc::strong_count(&task), 1, "{path}, {limits:?}");
    }
    assert_eq!(server.connections(), 1);
}

pub fn sends_can_run_side_by_side<T: AsyncTransport, E: BlockOn>(make: Make<T, E>) {
    let server = Server::answering("HTTP/1.1 204 No Content\r\n\r\n");
    let transport = plain(make);
    let limits = soon(&transport);
    let Blocking(client, executor) = &transport;
    executor.block_on(async {
        let send = |_| Box::pin(client.send(get(&server), limits));
        let mut open: Vec<_> = (0..20).map(send).collect();
        poll_fn(|cx| {
            open.retain_mut(|send| match send.as_mut().poll(cx) {
                Poll::Ready(answer) => {
                    assert_eq!(answer.unwrap().status(), 204);
                    false
                }
                Poll::Pending => true,
            });
            if open.is_empty() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    });
    assert!(server.connections() <= 20);
}

fn plain<T, E>(make: Make<T, E>) -> Blocking<T, E> {
    make(Authority::new("nobody.example").client())
}

fn serve(
    tls: bool,
    authority: &Authority,
    handle: impl Fn(&mut Peer) + Send + Sync + 'static,
) -> Server {
    if tls {
        Server::tls(authority.server(&[]), handle)
    } else {
        Server::new(handle)
    }
}

fn get(server: &Server) -> http::Request<RequestBody> {
    http::Request::get(server.uri("/"))
        .body(RequestBody::default())
        .unwrap()
}
