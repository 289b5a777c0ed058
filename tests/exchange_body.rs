//! Detection of a body's format, its size limits, and its end.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    reason = "a test that goes wrong is to stop"
)]

mod manual_driver;

use bytes::Bytes;
use manual_driver::*;
use std::sync::Arc;
use unifiedai::{
    ChatRequest, Error, ErrorKind, FinishReason, UnifiedChatResponse,
    provider::{
        Auth, ChatDecoder, EncodedRequest, Frame, FrameOutcome, OpenAiChat, Provider,
        ResponseBuilder,
    },
    sans_io::Input,
    transport::{RequestDelivery, TransportErrorKind},
};

/// Runs a call with this response in chunks of every size; all must give the same.
fn answered(
    stream: bool,
    status: u16,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<UnifiedChatResponse, Error> {
    let run = |size: usize| {
        let mut call = Call::new(cerebras(), request(stream), once());
        call.send();
        call.head(status, headers);
        for piece in body.as_bytes().chunks(size) {
            call.handle(Input::Body(Bytes::copy_from_slice(piece)));
        }
        call.end();
        call.result()
    };
    let whole = run(body.len().max(1));
    for size in [1, 2, 3, 5, 7, 64] {
        let pieces = run(size);
        match (&whole, &pieces) {
            (Ok(whole), Ok(pieces)) => assert_eq!(whole, pieces, "in pieces of {size}: {body}"),
            (Err(whole), Err(pieces)) => assert_eq!(
                (whole.kind(), whole.message()),
                (pieces.kind(), pieces.message()),
                "in pieces of {size}: {body}"
            ),
            _ => panic!("in pieces of {size}: {whole:?} and {pieces:?}"),
        }
    }
    whole
}

fn stream_of_x() -> String {
    [delta("x"), finish(), DONE.into()].concat()
}

// F26
#[test]
fn single_body_to_a_stream_request_is_decoded() {
    for headers in [&[JSON][..], &[], &[("content-type", "text/plain")], &[SSE]] {
        let response = answered(true, 200, headers, WHOLE).unwrap();
        assert_eq!(response.text(), "hello");
    }
    let mut call = Call::stream(once());
    call.answer(200, &[JSON], WHOLE);
    assert!(call.is_done());
    assert_eq!(call.text(), "hello");
}

// F26, F31
#[test]
fn an_error_object_with_status_200_is_an_error() {
    for stream in [false, true] {
        let body = r#"{"error":{"message":"m","type":"rate_limit_error"}}"#;
        let error = answered(stream, 200, &[JSON], body).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RateLimit);
        assert_eq!(error.status(), Some(200));
    }
}

// F27
#[test]
fn unexpected_stream_is_decoded_as_a_stream() {
    for content_type in [
        "text/event-stream",
        "text/event-stream; charset=utf-8",
        "TEXT/EVENT-STREAM",
        "text/plain",
        "application/json",
    ] {
        let response = answered(
            false,
            200,
            &[("content-type", content_type)],
            &stream_of_x(),
        );
        assert_eq!(response.unwrap().text(), "x", "{content_type}");
    }
}

// F05, F27
#[test]
fn marks_and_space_before_a_body_do_not_matter() {
    for before in [
        "\u{feff}",
        " \r\n",
        "\u{feff}\n",
        "\n\n",
        "\n\u{feff} ",
        "\u{feff}\u{feff}",
    ] {
        let json = answered(false, 200, &[], &format!("{before}{WHOLE}"));
        assert_eq!(json.unwrap().text(), "hello", "{before:?}");
        let sse = answered(true, 200, &[], &format!("{before}{}", stream_of_x()));
        assert_eq!(sse.unwrap().text(), "x", "{before:?}");
    }
    for before in [": hi\n\n", "id: 1\n", "retry: 5\n\n", "event: message\n"] {
        let sse = answered(true, 200, &[], &format!("{before}{}", stream_of_x()));
        assert_eq!(sse.unwrap().text(), "x", "{before:?}");
    }
}

// F32, F33
#[test]
fn html_page_instead_of_a_response_is_shown_and_not_retried() {
    let page = "<!doctype html><title>Welcome to the hotel</title>";
    for stream in [false, true] {
        let error = answered(stream, 200, &[("content-type", "text/html")], page).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol);
        assert!(error.message().contains("Welcome to the hotel"), "{error}");
        assert!(error.message().contains("text/html"), "{error}");
        assert!(!error.is_retryable());
        assert_eq!(error.body(), page.as_bytes());
    }
    for text in ["error: no", "upstream gone"] {
        let error = answered(true, 200, &[], text).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{text}");
    }
    // The beginning of a stream is reported as a cut stream.
    for text in ["d", "da", "dat", "e", "retr"] {
        let error = answered(true, 200, &[], text).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Truncated, "{text}");
    }
}

// F32, F42
#[test]
fn an_error_page_keeps_its_status() {
    let cases = [
        (502, "text/html", "<h1>Bad</h1>", ErrorKind::InternalServer),
        (503, "text/plain", "busy", ErrorKind::ServiceUnavailable),
        (
            403,
            "application/xml",
            "<Error><Code>X</Code></Error>",
            ErrorKind::PermissionDenied,
        ),
    ];
    for (status, content_type, body, kind) in cases {
        let error = answered(false, status, &[("content-type", content_type)], body).unwrap_err();
        assert_eq!((error.kind(), error.status()), (kind, Some(status)));
        assert!(error.message().contains(body), "{error}");
    }
}

// F34, F35
#[test]
fn compressed_response_is_refused_and_never_parsed() {
    let mut call = Call::stream(once());
    let (request, _) = call.send();
    assert_eq!(request.headers()["accept-encoding"], "identity");
    call.head(200, &[SSE, ("content-encoding", "gzip")]);
    let error = call.error();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert!(error.message().contains("compressed"), "{error}");

    let identity = [JSON, ("content-encoding", "Identity")];
    assert!(answered(false, 200, &identity, WHOLE).is_ok());
    let error = answered(false, 500, &[("content-encoding", "gzip")], "\u{1}x").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InternalServer);
}

// F17: white space while the server generates, byte by byte.
#[test]
fn keep_alive_space_before_a_single_body_is_dropped() {
    let mut call = Call::whole(once());
    call.send();
    call.head(200, &[JSON]);
    for _ in 0..100_000 {
        call.body("\n");
    }
    call.body(WHOLE).end();
    let response = call.result().unwrap();
    assert_eq!(response.text(), "hello");
    let raw = response.provider_metadata.raw.unwrap();
    assert_eq!(raw.as_bytes(), WHOLE);
}

// F37
#[test]
fn empty_body_is_an_error() {
    for stream in [false, true] {
        for (status, body) in [(200, ""), (204, ""), (200, " \n ")] {
            let error = answered(stream, status, &[JSON], body).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Truncated, "{status} {body:?}");
            assert!(error.message().contains("body is empty"), "{error}");
        }
    }
}

// F38
#[test]
fn an_error_without_a_body_is_its_status() {
    for stream in [false, true] {
        let error = answered(stream, 429, &[SSE], "").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RateLimit);
        assert!(error.message().contains("without a body"), "{error}");
    }
}

// F39, F96, F97
#[test]
fn redirect_error_names_only_the_host() {
    for status in [300, 301, 302, 303, 304, 307, 308] {
        let location = ("location", "https://evil.test/path?key=sk-secret");
        let error = answered(false, status, &[location], "moved").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Redirect, "{status}");
        assert!(error.message().contains("evil.test"), "{error}");
        assert!(!format!("{error} {error:#?}").contains("sk-secret"));
        assert!(!error.is_retryable());
    }
}

// F19, F21
#[test]
fn a_partial_response_is_truncated_even_if_http_is_complete() {
    for end in 1..WHOLE.len() {
        let body = WHOLE.get(..end).unwrap();
        let mut call = Call::whole(once());
        call.answer(200, &[JSON], body);
        assert_eq!(call.error().kind(), ErrorKind::Truncated, "{body}");
    }
}

// F19, F22
#[test]
fn stream_completes_only_at_its_terminal_signal() {
    let stream = [delta("ab"), delta("cd"), finish(), DONE.into()].concat();
    let complete = stream.len() - DONE.len() - "\n\n".len();
    for end in 1..=stream.len() {
        let mut call = Call::stream(once());
        call.answer(200, &[SSE], stream.get(..end).unwrap());
        let result = call.result();
        if end < complete {
            let error = result.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Truncated, "{end}: {error}");
        } else {
            assert_eq!(result.unwrap().text(), "abcd", "{end}");
        }
    }
}

// F19: the usage may follow the finish reason.
#[test]
fn stream_cut_inside_an_event_after_its_finish_warns() {
    let usage = r#"data: {"id":"c1","choices":[],"usage":{"total_tokens":2}}"#;
    let before = [delta("x"), finish()].concat();
    for end in 0..=usage.len() {
        let body = [&before, usage.get(..end).unwrap()].concat();
        let response = answered(true, 200, &[SSE], &body).unwrap();
        let codes: Vec<_> = response
            .warnings
            .iter()
            .map(|warning| warning.code)
            .collect();
        let wanted: &[&str] = match end {
            _ if end == usage.len() => &[],
            0..=6 => &["missing_end"],
            _ => &["cut_event", "missing_end"],
        };
        assert_eq!(codes, wanted, "{body}");
        assert_eq!(response.usage.is_some(), end == usage.len(), "{body}");
    }
}

// F20, F98
#[test]
fn reset_after_the_end_marker_is_ignored() {
    let breaks = [
        TransportErrorKind::Reset,
        TransportErrorKind::Truncated,
        TransportErrorKind::Protocol,
    ];
    for kind in breaks {
        let mut call = Call::stream(once());
        call.send();
        call.head(200, &[SSE]).body(delta("x")).body(finish());
        call.failed(kind, RequestDelivery::Answered);
        let response = call.result().unwrap();
        assert_eq!(response.text(), "x");
        let codes: Vec<_> = response.warnings.iter().map(|w| w.code).collect();
        assert_eq!(codes, ["missing_end"], "reported once");

        let mut call = Call::stream(once());
        call.send();
        call.head(200, &[SSE]).body(delta("x"));
        call.failed(kind, RequestDelivery::Answered);
        let error = call.error();
        assert_ne!(error.kind(), ErrorKind::Connection);
        assert_eq!(error.partial().unwrap().text(), "x");
    }
}

// F98: a single-body response ends only by its framing.
#[test]
fn reset_truncates_a_single_body_response() {
    let mut call = Call::whole(once());
    call.send();
    call.head(200, &[JSON]).body(WHOLE);
    call.failed(TransportErrorKind::Truncated, RequestDelivery::Answered);
    assert_eq!(call.error().kind(), ErrorKind::Truncated);
}

// F13
#[test]
fn input_after_the_end_is_ignored() {
    let body = [stream_of_x(), delta("y"), "data: {junk\n\n".into()].concat();
    assert_eq!(answered(true, 200, &[SSE], &body).unwrap().text(), "x");
}

// F90
#[test]
fn body_limit_counts_received_bytes_not_content_length() {
    let options = with(|o| {
        o.retry = unifiedai::RetryPolicy::none();
        o.sizes.body = 1000;
    });
    let mut call = Call::whole(options);
    call.send();
    call.head(200, &[JSON, ("content-length", "10")]);
    call.body(format!("{{\"x\":\"{}", "y".repeat(990)));
    call.deadline();
    call.body("yyyyyyyy");
    let error = call.error();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(error.message().contains("1000"), "{error}");
}

// F90
#[test]
fn total_timeout_limits_a_stream() {
    let options = with(|o| {
        o.retry = unifiedai::RetryPolicy::none();
        o.sizes.stream = Some(2000);
    });
    let mut call = Call::stream(options);
    call.send();
    call.head(200, &[SSE]);
    for _ in 0..30 {
        call.body(delta("x"));
    }
    assert_eq!(call.error().kind(), ErrorKind::TooLarge);
}

// F15
#[test]
fn an_event_without_end_is_refused_at_the_limit() {
    for (size, refused) in [(999, false), (1100, true)] {
        let mut call = Call::stream(with(|o| {
            o.retry = unifiedai::RetryPolicy::none();
            o.sizes.event = 1000;
        }));
        call.send();
        call.head(200, &[SSE]).body("data: ");
        for _ in 0..size {
            call.body("x");
        }
        assert_eq!(call.is_done(), refused, "{size}");
        if refused {
            assert_eq!(call.error().kind(), ErrorKind::TooLarge);
        }
    }
}

// F90, F32
#[test]
fn an_endless_error_body_is_cut() {
    let mut call = Call::whole(once());
    call.send();
    call.head(500, &[]);
    for _ in 0..100 {
        call.body("e".repeat(1000));
    }
    let error = call.error();
    assert_eq!(error.kind(), ErrorKind::InternalServer);
    assert_eq!(error.body().len(), 64 << 10);
    assert!(error.message().len() < 3000);
}

#[test]
fn raw_frames_before_the_first_visible_event_are_bounded() {
    let mut wanted = request(true);
    wanted.include_raw_frames = true;
    let mut call = Call::new(
        cerebras(),
        wanted,
        with(|o| {
            o.retry = unifiedai::RetryPolicy::none();
            o.sizes.body = 10_000;
        }),
    );
    call.send();
    call.head(200, &[SSE]);
    for _ in 0..200 {
        call.body(preamble());
    }
    assert_eq!(call.error().kind(), ErrorKind::TooLarge);
}

// F28, F29
#[test]
fn an_error_inside_a_stream_keeps_its_code_and_the_status() {
    let body =
        "data: {\"error\":{\"message\":\"m\",\"type\":\"t\",\"code\":\"rate_limit_exceeded\"}}\n\n";
    let error = answered(true, 200, &[SSE], body).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RateLimit);
    assert_eq!(error.code(), Some("rate_limit_exceeded"));
    assert_eq!(error.status(), Some(200));
}

// F109
#[test]
fn key_echoed_by_the_provider_is_scrubbed() {
    let body = r#"{"error":{"message":"Incorrect API key provided: sk-test","code":"sk-test","param":"sk-test"}}"#;
    let error = answered(false, 401, &[JSON, ("x-request-id", "sk-test")], body).unwrap_err();
    let json = serde_json::to_string(&error).unwrap();
    let shown = format!(
        "{error} {error:#?} {json} {:?}",
        std::str::from_utf8(error.body())
    );
    assert!(!shown.contains("sk-test"), "{shown}");
    assert!(shown.contains("[secret]"));
}

/// A provider whose decoder reads text and states an end only as it is set to.
#[derive(Clone, Debug)]
struct Stating {
    inner: OpenAiChat,
    reason: Option<Option<FinishReason>>,
    end_marker: bool,
}

impl Provider for Stating {
    fn name(&self) -> &str {
        "stating"
    }

    fn auth(&self) -> &Auth {
        self.inner.auth()
    }

    fn encode_chat(&self, request: &ChatRequest) -> Result<EncodedRequest, Error> {
        self.inner.encode_chat(request)
    }

    fn chat_decoder(&self, _: &ChatRequest) -> Box<dyn ChatDecoder> {
        Box::new(self.clone())
    }
}

impl ChatDecoder for Stating {
    fn decode_frame(
        &mut self,
        _: Frame<'_>,
        _: &mut ResponseBuilder,
    ) -> Result<FrameOutcome, Error> {
        panic!("the response is a single body")
    }

    fn decode_body(&mut self, _: &Bytes, out: &mut ResponseBuilder) -> Result<(), Error> {
        out.text(0, 0, "x")?;
        if let Some(reason) = self.reason.take() {
            out.finish(0, reason, "")?;
        }
        if self.end_marker {
            out.end_marker();
        }
        Ok(())
    }
}

#[test]
fn a_single_body_is_complete_only_if_its_decoder_states_the_end() {
    for (reason, end_marker, complete) in [
        (None, false, false),
        (None, true, true),
        (Some(None), false, true),
        (Some(Some(FinishReason::Stop)), false, true),
    ] {
        let provider = Stating {
            inner: OpenAiChat::cerebras("k").unwrap(),
            reason: reason.clone(),
            end_marker,
        };
        let mut call = Call::new(Arc::new(provider), request(false), once());
        call.answer(200, &[], "{}");
        match call.result() {
            Ok(response) => {
                assert!(complete);
                assert_eq!(response.choices[0].finish_reason, reason.flatten());
            }
            Err(error) => {
                assert!(!complete, "{error}");
                assert_eq!(error.kind(), ErrorKind::Truncated);
                let message =
                    "the response has no finish reason for choice 0, so it may be incomplete";
                assert_eq!(error.message(), message);
                assert_eq!(error.partial().unwrap().text(), "x");
            }
        }
    }
}
