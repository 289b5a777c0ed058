//! Calls of the blocking client that another thread cancels.

#![cfg(feature = "ureq")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests own threads, sockets and clocks"
)]

use http::{Request, Response};
use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant, SystemTime},
};
use unifiedai::{
    CallOptions, ChatRequest, Client, ErrorKind,
    provider::{OpenAiChat, openai_chat::CEREBRAS},
    transport::{
        AttemptDeadlines, CancelHandle, Phase, RequestBody, RequestDelivery, Time, Transport,
        TransportError, TransportErrorKind, UreqTransport,
    },
};

static CONNECTIONS: AtomicUsize = AtomicUsize::new(0);

/// A server that sends `answer` and then nothing. Returns its base URL.
fn silent_after(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let mut open = Vec::<TcpStream>::new();
        for tcp in listener.incoming() {
            CONNECTIONS.fetch_add(1, Ordering::SeqCst);
            let mut tcp = tcp.unwrap();
            let _ = tcp.read(&mut [0; 64 * 1024]);
            tcp.write_all(answer.as_bytes()).unwrap();
            open.push(tcp);
        }
    });
    format!("http://{address}/v1")
}

fn client(base_url: &str) -> Client {
    let provider = OpenAiChat::builder()
        .profile(CEREBRAS)
        .base_url(base_url)
        .build();
    Client::new(UreqTransport::new(), provider.unwrap())
}

fn request() -> ChatRequest {
    ChatRequest::new("m").user("Hello")
}

fn soon(handle: CancelHandle) {
    thread::spawn(move || {
        thread::sleep(Duration::from_millis(200));
        handle.cancel();
    });
}

const HALF: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n\
    data: {\"id\":\"1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\
    \"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"half\"}}]}\n\n";

#[test]
fn a_call_ends_while_the_server_is_silent_and_is_not_repeated() {
    let client = client(&silent_after(""));
    let handle = CancelHandle::new();
    let before = CONNECTIONS.load(Ordering::SeqCst);
    soon(handle.clone());
    let started = Instant::now();
    let error = client.cancelled_by(&handle).chat(request()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}");
    assert!(!error.is_retryable());
    assert!(started.elapsed() < Duration::from_secs(1));
    assert_eq!(error.attempts().len(), 1);
    // Later calls with the handle send nothing; the client itself is not affected.
    let again = client.cancelled_by(&handle).chat(request()).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Cancelled);
    assert!(CONNECTIONS.load(Ordering::SeqCst) - before <= 2);
}

#[test]
fn cancelled_stream_of_an_idle_server_returns_partial_output() {
    let client = client(&silent_after(HALF));
    let mut stream = client.stream(request()).unwrap();
    let handle = stream.cancel_handle();
    let mut text = String::new();
    let started = Instant::now();
    let error = loop {
        match stream.next().unwrap() {
            Ok(event) => {
                if let Some(piece) = event.text() {
                    text += piece;
                    soon(handle.clone());
                }
            }
            Err(error) => break error,
        }
    };
    assert_eq!(text, "half");
    assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}");
    assert_eq!(error.partial().unwrap().text(), "half");
    assert!(started.elapsed() < Duration::from_secs(1));
    assert!(stream.next().is_none());
}

#[test]
fn a_call_that_waits_for_an_attempt_or_a_permit_ends() {
    let late = "HTTP/1.1 503 Late\r\nretry-after: 60\r\ncontent-length: 0\r\n\r\n";
    let mut options = CallOptions::default();
    options.retry.max_retry_after = Duration::from_secs(100);
    let client = client(&silent_after(late)).with_options(options);
    let handle = CancelHandle::new();
    soon(handle.clone());
    let started = Instant::now();
    let error = client.cancelled_by(&handle).chat(request()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}");
    assert!(started.elapsed() < Duration::from_secs(1));

    let one = crate::client(&silent_after(""))
        .with_max_concurrent("cerebras", 1)
        .unwrap();
    let (first, second) = (CancelHandle::new(), CancelHandle::new());
    let busy = one.cancelled_by(&first);
    let running = thread::spawn(move || busy.chat(request()).unwrap_err().kind());
    thread::sleep(Duration::from_millis(100));
    soon(second.clone());
    let started = Instant::now();
    let error = one.cancelled_by(&second).chat(request()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}");
    assert!(started.elapsed() < Duration::from_secs(1));
    first.cancel();
    assert_eq!(running.join().unwrap(), ErrorKind::Cancelled);
}

/// A transport that knows nothing of cancelling: its call runs into a time limit.
struct IgnoresCancelling(UreqTransport, CancelHandle);

impl Transport for IgnoresCancelling {
    type Body = <UreqTransport as Transport>::Body;

    fn now(&self) -> Time {
        self.0.now()
    }

    fn wall_clock(&self) -> SystemTime {
        self.0.wall_clock()
    }

    fn send(
        &self,
        _: Request<RequestBody>,
        _: AttemptDeadlines,
    ) -> Result<Response<Self::Body>, TransportError> {
        self.1.cancel();
        let (kind, delivery) = (
            TransportErrorKind::Timeout(Phase::Headers),
            RequestDelivery::MaybeProcessed,
        );
        Err(TransportError::new(kind, delivery, "the deadline passed"))
    }

    fn sleep_until(&self, at: Time) {
        self.0.sleep_until(at);
    }
}

#[test]
fn a_call_is_cancelled_also_over_a_transport_that_ignores_the_handle() {
    let handle = CancelHandle::new();
    let transport = IgnoresCancelling(UreqTransport::new(), handle.clone());
    let client = Client::new(transport, OpenAiChat::cerebras("my-key").unwrap());
    let error = client.cancelled_by(&handle).chat(request()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}");
    assert_eq!(error.attempts().len(), 1);
}
