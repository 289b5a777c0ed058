//! What the pool remembers of hosts to which there is no connection.

#![allow(clippy::unwrap_used, clippy::unreachable, reason = "tests")]

use super::*;
use crate::{client::Client, proxy::Proxies};
use hyper::rt::Sleep;
use socket2::SockRef;
use std::{
    cell::RefCell,
    future::Future,
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
    time::Instant,
};
use tokio::io::DuplexStream;
use unifiedai_transport::{AsyncTransport as _, AttemptDeadlines, RequestBody};

/// A runtime without a network. The test runs its tasks.
struct Unreachable;

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

thread_local! {
    static TASKS: RefCell<Vec<Task>> = const { RefCell::new(Vec::new()) };
}

impl Runtime for Unreachable {
    type Id = ();
    type Tcp = DuplexStream;
    const NO_RUNTIME: &'static str = "";
    const READS_ASK_SOCKET: bool = true;

    fn id() -> Option<()> {
        Some(())
    }

    fn spawn(task: impl Future<Output = ()> + Send + 'static) {
        TASKS.with_borrow_mut(|tasks| tasks.push(Box::pin(task)));
    }

    fn timer() -> impl hyper::rt::Timer + Send + Sync + 'static {
        Elapsed
    }

    async fn resolve(_: String, _: u16) -> io::Result<Vec<SocketAddr>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    async fn connect(_: SocketAddr) -> io::Result<DuplexStream> {
        Err(io::ErrorKind::ConnectionRefused.into())
    }

    fn socket(_: &DuplexStream) -> SockRef<'_> {
        unreachable!("there is no connection")
    }
}

/// A timer whose waits are over at once.
struct Elapsed;

impl hyper::rt::Timer for Elapsed {
    fn sleep(&self, _: Duration) -> Pin<Box<dyn Sleep>> {
        Box::pin(Elapsed)
    }

    fn sleep_until(&self, _: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(Elapsed)
    }
}

impl Sleep for Elapsed {}

impl Future for Elapsed {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

/// Otherwise a client whose hosts are all unreachable would grow with each of them.
#[test]
fn hosts_that_cannot_be_reached_are_forgotten() {
    let options = Options::new().proxies(Proxies::none());
    let client = Client::<Unreachable>::with_options(options).unwrap();
    let mut cx = Context::from_waker(Waker::noop());
    for host in 1..=20 {
        let request = http::Request::get(format!("http://127.0.0.{host}/"));
        let request = request.body(RequestBody::default()).unwrap();
        let sent = pin!(client.send(request, AttemptDeadlines::NONE)).poll(&mut cx);
        assert!(matches!(sent, Poll::Ready(Err(_))));
    }
    for mut task in TASKS.take() {
        assert!(task.as_mut().poll(&mut cx).is_ready());
    }
    let inner = client.0.pool.lock();
    assert_eq!((inner.hosts.len(), inner.reaped.len()), (0, 0));
}
