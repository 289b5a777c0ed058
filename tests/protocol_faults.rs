//! The same fault gives the same outcome over every transport, for streams and single bodies.
#![cfg(all(feature = "ureq", feature = "hyper", feature = "smol"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    reason = "a test that goes wrong is to stop, and its servers have threads"
)]

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::Arc,
    thread,
    time::Duration,
};
use unifiedai::{
    AsyncClient, CallOptions, ChatRequest, Client, Error, ErrorKind, RetryPolicy, StreamEvent,
    UnifiedChatResponse,
    provider::{OpenAiChat, Provider},
    transport,
};
use unifiedai_loopback::{Config, Loopback};

/// The server and the transports of all calls.
struct World {
    provider: Arc<dyn Provider>,
    tokio: tokio::runtime::Runtime,
    options: CallOptions,
    hyper: transport::HyperTransport,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Via {
    Ureq,
    Hyper,
    Smol,
}

const ALL: [Via; 3] = [Via::Ureq, Via::Hyper, Via::Smol];

type Outcome = Result<UnifiedChatResponse, Error>;

impl World {
    fn new(base_url: &str) -> World {
        let provider = OpenAiChat::builder()
            .profile(unifiedai::provider::openai_chat::CEREBRAS)
            .api_key("sk-test")
            .unwrap()
            .base_url(base_url);
        let mut options = CallOptions::default();
        options.retry = RetryPolicy::none();
        let timeouts = &mut options.timeouts;
        timeouts.idle = Some(Duration::from_millis(400));
        timeouts.progress = Some(Duration::from_millis(800));
        (timeouts.first_byte, timeouts.first_byte_stream) = (
            Some(Duration::from_millis(400)),
            Some(Duration::from_millis(400)),
        );
        timeouts.total = Some(Duration::from_secs(20));
        let tokio = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build();
        World {
            provider: Arc::new(provider.build().unwrap()),
            tokio: tokio.unwrap(),
            options,
            hyper: transport::HyperTransport::new(),
        }
    }

    fn call(&self, via: Via, model: &str, stream: bool) -> Outcome {
        let request = ChatRequest::new(model).user("Hello, which faults do you have?");
        let (provider, options) = (self.provider.clone(), self.options.clone());
        match via {
            Via::Ureq => {
                let client =
                    Client::shared(transport::UreqTransport::new(), provider).with_options(options);
                if stream {
                    folded(client.stream(request)?)
                } else {
                    client.chat(request)
                }
            }
            Via::Hyper => self.tokio.block_on(async {
                let client =
                    AsyncClient::shared(self.hyper.clone(), provider).with_options(options);
                async_call(client, request, stream).await
            }),
            Via::Smol => smol::block_on(async {
                let client = AsyncClient::shared(transport::SmolTransport::new(), provider)
                    .with_options(options);
                async_call(client, request, stream).await
            }),
        }
    }
}

async fn async_call(client: AsyncClient, request: ChatRequest, stream: bool) -> Outcome {
    if !stream {
        return client.chat(request).await;
    }
    let mut stream = client.stream(request)?;
    let mut text = String::new();
    while let Some(event) = stream.next().await {
        text.push_str(event?.text().unwrap_or_default());
    }
    checked(stream.into_response().await?, &text)
}

fn folded(mut stream: unifiedai::ChatStream) -> Outcome {
    let mut text = String::new();
    for event in stream.by_ref() {
        text.push_str(StreamEvent::text(&event?).unwrap_or_default());
    }
    checked(stream.into_response()?, &text)
}

fn checked(response: UnifiedChatResponse, text: &str) -> Outcome {
    assert_eq!(response.text(), text);
    Ok(response)
}

/// `ok`, or the error's kind and, for a timeout, its name.
fn brief(outcome: &Outcome) -> String {
    match outcome {
        Ok(_) => "ok".into(),
        Err(error) => match error.timeout() {
            Some(timeout) => format!("{}:{timeout}", error.kind()),
            None => error.kind().to_string(),
        },
    }
}

// F10, F14, F19, F20, F21, F26, F27, F28, F32, F33, F35, F37, F38, F39, F46, F59, F101, F104, F105
#[test]
fn every_fault_gives_the_same_outcome_over_every_transport() {
    // The fault, and the outcomes of a stream and of a single body.
    let cases = [
        ("ok", "ok", "ok"),
        ("status-400", "bad_request", "bad_request"),
        ("status-401", "authentication", "authentication"),
        ("status-429", "rate_limit", "rate_limit"),
        ("status-500", "internal_server", "internal_server"),
        ("status-503", "overloaded", "overloaded"),
        ("litellm-overflow", "context_overflow", "context_overflow"),
        ("error-as-event", "internal_server", "internal_server"),
        ("html-502", "internal_server", "internal_server"),
        ("html-200", "protocol", "protocol"),
        ("empty-200", "truncated", "truncated"),
        ("empty-204", "truncated", "truncated"),
        ("empty-503", "service_unavailable", "service_unavailable"),
        ("half-json", "truncated", "truncated"),
        ("garbage-3k", "truncated", "protocol"),
        ("echo-auth", "authentication", "authentication"),
        ("redirect-302", "redirect", "redirect"),
        ("redirect-307", "redirect", "redirect"),
        ("cut-at-100", "truncated", "truncated"),
        ("cut-clean-at-2", "truncated", "truncated"),
        ("reset-at-2", "truncated", "truncated"),
        ("stall-at-2", "timeout:idle", "timeout:idle"),
        ("stall-head", "timeout:first_byte", "timeout:first_byte"),
        ("no-head", "connection", "connection"),
        ("half-head", "connection", "connection"),
        ("bad-head", "protocol", "protocol"),
        ("1xx", "ok", "ok"),
        ("close-delimited", "ok", "ok"),
        ("wrong-length", "ok", "truncated"),
        ("extra-bytes", "ok", "ok"),
        ("close-after", "ok", "ok"),
        ("ctype", "ok", "ok"),
        ("ctype=text/html", "ok", "ok"),
        ("encoding=gzip", "protocol", "protocol"),
        ("split-bytes-1", "ok", "ok"),
        ("split-bytes-7+crlf+bom+comments", "ok", "ok"),
        ("hold-open-after-done", "ok", "ok"),
    ];
    let server = Loopback::start(Config::fast()).unwrap();
    let world = World::new(&server.base_url());
    let mut wrong = String::new();
    for (fault, stream, whole) in cases {
        for (streams, wanted) in [(true, stream), (false, whole)] {
            for via in ALL {
                let outcome = world.call(via, &format!("gpt-oss-120b~{fault}"), streams);
                let got = brief(&outcome);
                if got != wanted {
                    wrong += &format!(
                        "{fault} via {via:?}, stream {streams}: {got}, not {wanted}: {outcome:?}\n"
                    );
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn an_error_body_framed_as_an_event_is_read() {
    let server = Loopback::start(Config::fast()).unwrap();
    let world = World::new(&server.base_url());
    for via in ALL {
        for stream in [false, true] {
            let plain = world.call(via, "gpt-oss-120b~status-500", stream);
            let framed = world.call(via, "gpt-oss-120b~error-as-event", stream);
            let (plain, framed) = (plain.unwrap_err(), framed.unwrap_err());
            let said =
                |error: &Error| (error.message().to_owned(), error.code().map(str::to_owned));
            assert_eq!(said(&framed), said(&plain), "{via:?}");
        }
    }
}

// F44
#[test]
fn a_stream_of_only_pings_exceeds_the_progress_limit() {
    let server = Loopback::start(Config::fast()).unwrap();
    let world = World::new(&server.base_url());
    for via in ALL {
        let outcome = world.call(via, "gpt-oss-120b~pings-at-2", true);
        assert_eq!(brief(&outcome), "timeout:progress", "{via:?}: {outcome:?}");
        assert!(outcome.unwrap_err().partial().is_some());
    }
}

// F55, F61: the error lists exactly the attempts that the server saw.
#[test]
fn flaky_provider_succeeds_after_retries() {
    let server = Loopback::start(Config::fast()).unwrap();
    let mut world = World::new(&server.base_url());
    world.options.retry = RetryPolicy::default();
    world.options.retry.initial_backoff = Duration::from_millis(1);
    world.options.retry.throttled_initial_backoff = Duration::from_millis(1);
    for via in ALL {
        let before = server.served();
        let outcome = world.call(via, &format!("gpt-oss-120b~flaky-2@{via:?}"), true);
        assert_eq!(outcome.unwrap().metrics.attempts.len(), 3);
        assert_eq!(server.served() - before, 3);
    }
}

// F55: two retries, whichever transport; none of them adds its own.
#[test]
fn permanent_failure_is_retried_twice() {
    let server = Loopback::start(Config::fast()).unwrap();
    let mut world = World::new(&server.base_url());
    world.options.retry = RetryPolicy::default();
    world.options.retry.initial_backoff = Duration::from_millis(1);
    world.options.retry.throttled_initial_backoff = Duration::from_millis(1);
    for via in ALL {
        for fault in ["status-503", "no-head"] {
            let before = server.served();
            let error = world
                .call(via, &format!("gpt-oss-120b~{fault}"), false)
                .unwrap_err();
            // A connection that broke without a response may have been processed, so there is one request.
            let asked = if fault == "no-head" { 1 } else { 3 };
            assert_eq!(error.attempts().len(), asked, "{fault} via {via:?}");
            assert_eq!(
                server.served() - before,
                asked as u64,
                "{fault} via {via:?}"
            );
        }
    }
}

/// A server that passes each connection to `serve`.
fn raw(serve: impl Fn(&mut TcpStream) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for tcp in listener.incoming().take(64) {
            let Ok(mut tcp) = tcp else { return };
            let _ = tcp.set_read_timeout(Some(Duration::from_secs(5)));
            serve(&mut tcp);
        }
    });
    format!("http://{address}/v1")
}

fn read_request(tcp: &mut TcpStream) -> bool {
    let mut seen = Vec::new();
    let mut piece = [0; 4096];
    loop {
        match tcp.read(&mut piece) {
            Ok(count) if count > 0 => seen.extend_from_slice(&piece[..count]),
            _ => return false,
        }
        let text = String::from_utf8_lossy(&seen);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .lines()
            .find_map(|line| {
                line.to_ascii_lowercase()
                    .strip_prefix("content-length: ")
                    .map(str::to_owned)
            })
            .map_or(0, |length| length.trim().parse().unwrap());
        if body.len() >= length {
            return true;
        }
    }
}

const STREAM: &str = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"}}]}\n\n\
    data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";

// F19, F20, F21: a response cut anywhere, with any framing, is an error or complete.
#[test]
fn connection_cut_at_any_byte_is_never_a_shorter_response() {
    let chunked = format!("{:x}\r\n{STREAM}\r\n0\r\n\r\n", STREAM.len());
    let framings = [
        (
            format!("content-length: {}", STREAM.len()),
            STREAM.to_owned(),
        ),
        ("transfer-encoding: chunked".to_owned(), chunked),
        ("connection: close".to_owned(), STREAM.to_owned()),
    ];
    for (header, body) in framings {
        let answer =
            format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n{header}\r\n\r\n{body}");
        let cuts: Vec<usize> = (0..answer.len()).step_by(answer.len() / 16).collect();
        for cut in cuts {
            let part = answer[..cut].to_owned();
            let url = raw(move |tcp| {
                if read_request(tcp) {
                    let _ = tcp.write_all(part.as_bytes());
                }
            });
            let world = World::new(&url);
            let outcomes = ALL.map(|via| world.call(via, "m", true));
            for outcome in &outcomes {
                match outcome {
                    Ok(response) => assert_eq!(response.text(), "hi"),
                    Err(error) => assert!(
                        matches!(error.kind(), ErrorKind::Truncated | ErrorKind::Connection),
                        "{header}, {cut}: {error:?}"
                    ),
                }
            }
            let briefs = outcomes.each_ref().map(brief);
            assert!(
                briefs.iter().all(|b| *b == briefs[0]),
                "{header}, {cut}: {briefs:?}"
            );
        }
    }
}

// F59, F101: the server closes a pooled connection at the moment of its use.
#[test]
fn a_connection_closed_while_idle_does_no_harm() {
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {}\r\n\r\n{STREAM}",
        STREAM.len()
    );
    let url = raw(move |tcp| {
        if read_request(tcp) {
            let _ = tcp.write_all(answer.as_bytes());
        }
    });
    let world = World::new(&url);
    for via in ALL {
        for _ in 0..3 {
            let response = world.call(via, "m", false).unwrap();
            assert_eq!(response.text(), "hi");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

// F96, F97: nothing is sent to the target of a redirect.
#[test]
fn redirect_is_not_followed() {
    let (tell, told) = std::sync::mpsc::channel();
    let elsewhere = raw(move |_| tell.send(()).unwrap());
    for status in [301, 302, 303, 307, 308] {
        let location = elsewhere.clone();
        let url = raw(move |tcp| {
            read_request(tcp);
            let answer = format!(
                "HTTP/1.1 {status} Moved\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n"
            );
            let _ = tcp.write_all(answer.as_bytes());
        });
        let world = World::new(&url);
        for via in ALL {
            let error = world.call(via, "m", false).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Redirect);
        }
    }
    assert!(told.recv_timeout(Duration::from_millis(100)).is_err());
}

// F100
#[test]
fn closed_port_is_a_connection_error_not_sent() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
    let world = World::new(&format!("http://{}/v1", free.unwrap()));
    for via in ALL {
        let error = world.call(via, "m", true).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Connection);
        let delivery = error.transport().unwrap().delivery();
        assert_eq!(delivery, unifiedai::transport::RequestDelivery::NotSent);
    }
}

// F104: ambiguous headers give an error.
#[test]
fn contradictory_framing_is_never_a_shorter_response() {
    let whole = |text: &str| {
        format!(
            r#"{{"id":"c","model":"m","choices":[{{"message":{{"content":"{text}"}},"finish_reason":"stop"}}]}}"#
        )
    };
    let (short, long) = (whole("short"), whole("long, and longer"));
    let (a, b) = (short.len(), long.len());
    let chunked = format!("{a:x}\r\n{short}\r\n0\r\n\r\n");
    let answers = [
        format!("content-length: {a}\r\ncontent-length: {b}\r\n\r\n{short}{long}"),
        format!("content-length: {b}\r\ncontent-length: {a}\r\n\r\n{short}{long}"),
        format!("content-length: {a}, {b}\r\n\r\n{short}{long}"),
        format!("content-length: +{a}\r\n\r\n{short}"),
        format!("content-length: -1\r\n\r\n{short}"),
        format!("content-length: 99999999999999999999999\r\n\r\n{short}"),
    ];
    for head in answers {
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{head}");
        let url = raw(move |tcp| {
            read_request(tcp);
            let _ = tcp.write_all(answer.as_bytes());
        });
        let world = World::new(&url);
        for via in ALL {
            let outcome = world.call(via, "m", false);
            assert!(outcome.is_err(), "{head:?} via {via:?}: {outcome:?}");
        }
    }
    // With both framings, chunks count (RFC 9112, 6.3).
    let both = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\ntransfer-encoding: chunked\r\n\r\n{chunked}",
        a / 2
    );
    let url = raw(move |tcp| {
        read_request(tcp);
        let _ = tcp.write_all(both.as_bytes());
    });
    let world = World::new(&url);
    for via in ALL {
        match world.call(via, "m", false) {
            Ok(response) => assert_eq!(response.text(), "short", "{via:?}"),
            Err(error) => assert_ne!(error.kind(), ErrorKind::Timeout, "{via:?}: {error}"),
        }
    }
}
