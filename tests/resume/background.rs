//! Responses in the background: streams that are cut and resumed, responses that are asked for until they are complete.

use super::server::*;
use crate::manual_driver::*;
use std::{sync::Arc, time::Duration};
use unifiedai::{
    CallOptions, ErrorKind, FinishReason, StreamEvent, Timeouts,
    chat::{Continuation, Cursor},
    policy::{ProviderLimits, ResumePolicy},
    sans_io::Exchange,
};

const CREATE: &str = "POST /v1/responses";
const GET: &str = "GET /v1/responses/resp_1";

#[test]
fn a_stream_cut_anywhere_and_resumed_gives_every_event_once() {
    let (events, whole) = undisturbed();
    let bytes = self::events().concat().len();
    let created = self::events()[0].len();
    // The length of the events differs, so the cuts are at every place of some event.
    for cut in (0..bytes).step_by(13) {
        for reply in [Reply::Ends(cut), Reply::Breaks(cut)] {
            let mut call = call(true, options());
            let mut server = Server::new([reply, Reply::Whole]);
            server.run(&mut call, usize::MAX);
            // Before its id is known, the response cannot be found. At the end of a body the last frame counts without its end.
            let needed = created
                - if matches!(reply, Reply::Ends(_)) {
                    2
                } else {
                    0
                };
            if cut < needed {
                let error = call.error();
                assert_eq!(error.continuation(), None, "{reply:?}");
                assert_eq!(server.requests.len(), 1, "{reply:?}");
                continue;
            }
            assert_eq!(call.events, events, "{reply:?}");
            let what = format!("{reply:?}");
            assert_same(&call.result().unwrap(), &whole, &what);
        }
    }
}

#[test]
fn every_event_of_a_stream_that_is_cut_after_each_event_is_given_once() {
    let (events, whole) = undisturbed();
    let first = self::events()[0].len();
    let mut replies = vec![Reply::Breaks(first)];
    replies.extend(
        self::events()[1..]
            .iter()
            .map(|event| Reply::Ends(event.len())),
    );
    let mut call = call(true, options());
    let mut server = Server::new(replies);
    server.run(&mut call, usize::MAX);
    assert_eq!(call.events, events);
    assert_eq!(server.targets()[0], CREATE);
    let resumed = |number: usize| format!("{GET}?stream=true&starting_after={number}");
    let expected: Vec<String> = (0..self::events().len() - 1).map(resumed).collect();
    assert_eq!(server.targets()[1..], expected);
    assert_same(&call.result().unwrap(), &whole, "cut after each event");
}

#[test]
fn failures_of_the_resumed_request_are_followed_by_further_ones() {
    let (events, whole) = undisturbed();
    let some = self::events()[..7].concat().len();
    for replies in [
        vec![
            Reply::Ends(some),
            Reply::Status(503),
            Reply::Refused,
            Reply::Whole,
        ],
        vec![
            Reply::Breaks(some),
            Reply::Ends(0),
            Reply::Breaks(20),
            Reply::Status(429),
            Reply::Whole,
        ],
        vec![Reply::Ends(some), Reply::FromStart],
        // It can no longer be streamed, but read.
        vec![
            Reply::Ends(some),
            Reply::Status(400),
            Reply::Object("in_progress"),
            Reply::Status(500),
            Reply::Whole,
        ],
    ] {
        let what = format!("{replies:?}");
        let mut call = call(true, options());
        let mut server = Server::new(replies);
        server.run(&mut call, usize::MAX);
        assert_eq!(call.text(), "One two three.", "{what}");
        let response = call.exchange.into_result().unwrap();
        assert_same(&response, &whole, &what);
        assert!(
            server.targets()[1..]
                .iter()
                .all(|target| target.starts_with(GET)),
            "{what}"
        );
        let failed = response
            .metrics
            .attempts
            .iter()
            .filter(|attempt| attempt.error.is_some());
        assert!(failed.count() >= 1, "{what}");
        assert_eq!(call.events.first(), events.first(), "{what}");
        let visible = |events: &[StreamEvent]| -> String {
            events.iter().filter_map(StreamEvent::text).collect()
        };
        assert_eq!(visible(&call.events), visible(&events), "{what}");
    }
}

#[test]
fn a_resume_that_is_refused_is_the_error_with_the_partial_response() {
    let some = self::events()[..11].concat().len();
    for (status, kind, goes_on) in [
        (404, ErrorKind::NotFound, false),
        (401, ErrorKind::Authentication, true),
    ] {
        let mut call = call(true, options());
        let mut server = Server::new([Reply::Ends(some), Reply::Status(status)]);
        server.run(&mut call, usize::MAX);
        let error = call.error();
        assert_eq!((error.kind(), error.status()), (kind, Some(status)));
        assert_eq!(error.partial().unwrap().text(), "One two three.");
        assert_eq!(error.continuation().is_some(), goes_on);
        assert_eq!(server.requests.len(), 2);
        assert_eq!(error.attempts().len(), 2);
    }
}

#[test]
fn an_error_says_where_another_call_goes_on() {
    let some = self::events()[..10].concat().len();
    let no_resume = || options().resume(ResumePolicy::none());
    for (options, requests) in [
        (no_resume(), 1),
        (options().resume(ResumePolicy::default().max_resumes(3)), 4),
    ] {
        let mut call = call(true, options);
        let mut server = Server::new([Reply::Ends(some), Reply::Status(503)]);
        server.run(&mut call, usize::MAX);
        assert_eq!(server.requests.len(), requests);
        let error = call.error();
        let position = error.continuation().unwrap();
        assert_eq!(position.response_id, "resp_1");
        assert_eq!(position.cursor, Some(Cursor::Number(9)));
        let text = serde_json::to_string(position).unwrap();
        assert_eq!(
            text,
            r#"{"provider":"openai-responses","model":"m","response_id":"resp_1","streamed":true,"cursor":9}"#
        );
        assert!(!format!("{error:#?}").contains("sk-secret"));
        let error: serde_json::Value = serde_json::to_value(&error).unwrap();
        assert_eq!(error["continuation"]["cursor"], 9);
    }
}

/// Another process goes on after each event that the first one has returned.
#[test]
fn another_call_returns_the_events_after_the_position_and_the_complete_response() {
    let (events, whole) = undisturbed();
    for returned in 0..events.len() {
        let mut first = call(true, options());
        Server::new([Reply::Whole]).run(&mut first, returned);
        let Some(position) = first.exchange.continuation() else {
            assert_eq!(returned, 0);
            continue;
        };
        let position: Continuation =
            serde_json::from_str(&serde_json::to_string(&position).unwrap()).unwrap();
        let some = self::events()[..9].concat().len();
        for replies in [
            vec![Reply::Whole],
            vec![Reply::Refused, Reply::Ends(some), Reply::Whole],
        ] {
            let mut second = resumed(&position, true);
            let mut server = Server::new(replies);
            server.run(&mut second, usize::MAX);
            assert_eq!(server.targets()[0], format!("{GET}?stream=true"));
            // An event of a frame that was not returned to its end is returned again.
            let seen = events.len() - second.events.len();
            assert!(
                seen <= returned && returned - seen <= 3,
                "{returned} {seen}"
            );
            assert_eq!(second.events, events[seen..], "{returned}");
            assert_same(&second.result().unwrap(), &whole, "resumed");
        }
    }
}

fn resumed(position: &Continuation, stream: bool) -> Call {
    let exchange =
        Exchange::resume_response(openai(), position, stream, Arc::new(options()), start(1));
    Call {
        exchange: exchange.unwrap(),
        now: unifiedai::transport::Time::ZERO,
        events: Vec::new(),
    }
}

#[test]
fn a_position_that_can_no_longer_be_streamed_gives_all_events_after_a_warning() {
    let (_, whole) = undisturbed();
    let mut position = Continuation::new("openai-responses", "m", "resp_1").streamed(true);
    position.cursor = Some(Cursor::Number(9));
    let mut call = resumed(&position, true);
    let mut server = Server::new([Reply::Status(400), Reply::Whole]);
    server.run(&mut call, usize::MAX);
    assert_eq!(
        server.targets(),
        [format!("{GET}?stream=true"), GET.to_owned()]
    );
    assert_eq!(call.text(), "One two three.");
    let warnings: Vec<&str> = call
        .events
        .iter()
        .filter_map(|event| match event {
            StreamEvent::Warning(warning) => Some(warning.code),
            _ => None,
        })
        .collect();
    assert_eq!(warnings, ["restarted"]);
    assert_eq!(call.result().unwrap().choices, whole.choices);
}

#[test]
fn a_response_that_is_not_complete_is_asked_for_again() {
    let (_, whole) = undisturbed();
    let mut call = call(false, options());
    let replies = [
        Reply::Object("queued"),
        Reply::Object("queued"),
        Reply::Object("in_progress"),
        Reply::Status(503),
        Reply::Object("in_progress"),
        Reply::Whole,
    ];
    let mut server = Server::new(replies);
    server.run(&mut call, usize::MAX);
    assert_eq!(server.targets(), [CREATE, GET, GET, GET, GET, GET]);
    let polls: Vec<u64> = server
        .waits
        .iter()
        .copied()
        .filter(|wait| *wait == 2000)
        .collect();
    assert_eq!(polls.len(), 4, "{:?}", server.waits);
    let response = call.result().unwrap();
    assert_eq!(response.choices, whole.choices);
    assert_eq!(response.usage, whole.usage);
    assert_eq!(response.metrics.attempts.len(), 6);
}

#[test]
fn without_the_policy_a_queued_response_is_an_error_with_its_position() {
    let options = options().resume(ResumePolicy::none()).max_retries(3);
    let mut call = call(false, options);
    let mut server = Server::new([Reply::Object("queued")]);
    server.run(&mut call, usize::MAX);
    let error = call.error();
    assert_eq!(error.kind(), ErrorKind::Truncated);
    assert!(error.message().contains("`queued`"), "{error}");
    assert_eq!(
        server.targets(),
        [CREATE],
        "a second response would be billed too"
    );
    let position = error.continuation().unwrap().clone();
    assert!(!position.streamed);

    // A stream cannot be read later, because the response was not created as one.
    let mut later = resumed(&position, true);
    let mut server = Server::new([Reply::Object("in_progress"), Reply::Whole]);
    server.run(&mut later, usize::MAX);
    assert_eq!(server.targets(), [GET, GET]);
    assert_eq!(later.text(), "One two three.");
}

#[test]
fn an_ambiguous_retry_does_not_create_a_second_response() {
    let mut options = options().resume(ResumePolicy::none());
    options.retry.retry_ambiguous = true;
    for (stream, reply) in [
        (false, Reply::Object("queued")),
        (true, Reply::Ends(self::events()[..3].concat().len())),
    ] {
        let mut call = call(stream, options.clone());
        let mut server = Server::new([reply]);
        server.run(&mut call, usize::MAX);
        assert_eq!(server.targets(), [CREATE]);
        assert!(call.error().continuation().is_some());
    }
}

#[test]
fn the_total_timeout_covers_resumes_and_polls() {
    let seconds = Duration::from_secs;
    let limited = |total| CallOptions::default().timeouts(Timeouts::default().total(total));
    let mut polled = call(false, limited(seconds(5)));
    let mut server = Server::new([Reply::Object("in_progress")]);
    server.run(&mut polled, usize::MAX);
    assert_eq!(
        at(&polled).saturating_since(unifiedai::transport::Time::ZERO),
        seconds(5)
    );
    let error = polled.error();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_eq!(error.continuation().unwrap().response_id, "resp_1");
    assert_eq!(server.requests.len(), 3);

    // The wait before the next request would exceed the limit.
    let some = self::events()[..10].concat().len();
    let mut cut = call(true, limited(Duration::from_millis(20)));
    let mut server = Server::new([Reply::Ends(some), Reply::Whole]);
    server.run(&mut cut, usize::MAX);
    let error = cut.error();
    assert_eq!(error.kind(), ErrorKind::Truncated);
    assert_eq!(error.partial().unwrap().text(), "One ");
    assert_eq!(server.requests.len(), 1);
}

#[test]
fn resumes_take_tokens_of_the_retry_budget() {
    let some = self::events()[..10].concat().len();
    let limits = Arc::new(ProviderLimits::default());
    let mut most = usize::MAX;
    for _ in 0..60 {
        let mut call = call(
            true,
            options().resume(ResumePolicy::default().max_resumes(4)),
        );
        call.exchange = call.exchange.with_provider_limits(limits.clone());
        let mut server = Server::new([Reply::Ends(some), Reply::Status(503)]);
        server.run(&mut call, usize::MAX);
        most = most.min(server.requests.len());
    }
    assert!(most <= 1, "with an empty budget no request follows: {most}");
}

/// The provider does the work once, for the request that created the response.
#[test]
fn requests_for_the_rest_are_not_billed_and_the_usage_is_recorded_once() {
    let some = self::events()[..10].concat().len();
    let mut cut = call(true, options());
    Server::new([Reply::Ends(some), Reply::Status(503), Reply::Whole]).run(&mut cut, usize::MAX);
    let mut polled = call(false, options());
    let replies = [
        Reply::Object("queued"),
        Reply::Object("in_progress"),
        Reply::Whole,
    ];
    Server::new(replies).run(&mut polled, usize::MAX);
    for call in [cut, polled] {
        let attempts = call.result().unwrap().metrics.attempts;
        let billed = attempts.iter().map(|attempt| attempt.may_have_been_billed);
        assert_eq!(billed.collect::<Vec<_>>(), [true, false, true]);
        let totals: Vec<_> = attempts
            .iter()
            .map(|attempt| attempt.usage.usage().and_then(|usage| usage.total_tokens))
            .collect();
        assert_eq!(totals, [None, None, Some(8)]);
    }
}

#[test]
fn a_failed_response_is_its_error_and_nothing_follows() {
    let failed = r#"{"id":"resp_1","status":"failed","background":true,"output":[],"error":{"code":"server_error","message":"it broke"}}"#;
    let mut call = call(true, options());
    call.send();
    let last = format!(
        "data: {{\"type\":\"response.failed\",\"sequence_number\":9,\"response\":{failed}}}\n\n"
    );
    call.head(200, &[SSE])
        .body(self::events()[..9].concat() + &last);
    let error = call.error();
    assert_eq!(error.kind(), ErrorKind::InternalServer);
    assert_eq!(error.message(), "it broke");
    assert_eq!(error.continuation(), None);
    assert_eq!(error.attempts().len(), 1);
}

#[test]
fn a_foreground_stream_is_not_resumed() {
    let events = self::events()
        .concat()
        .replace("\"background\":true", "\"background\":false");
    let mut call = Call::new(openai(), request(true), options());
    call.send();
    call.head(200, &[SSE])
        .body(events[..events.len() / 2].to_owned())
        .end();
    let error = call.error();
    assert_eq!(error.kind(), ErrorKind::Truncated);
    assert_eq!(error.continuation(), None);
}

#[test]
fn cancelling_gives_the_response_so_far_and_its_usage() {
    let position = Continuation::new("openai-responses", "m", "resp_1");
    let cancel = || {
        let options = Arc::new(options());
        let exchange = Exchange::cancel_response(openai(), &position, options, start(1));
        Call {
            exchange: exchange.unwrap(),
            now: unifiedai::transport::Time::ZERO,
            events: Vec::new(),
        }
    };
    const POST: &str = "POST /v1/responses/resp_1/cancel";
    let cancelled = |usage: &str| {
        format!(
            r#"{{"id":"resp_1","model":"m-1","status":"cancelled","background":true,"usage":{usage},"output":[{{"type":"message","id":"msg_1","content":[{{"type":"output_text","text":"One"}}]}}]}}"#
        )
    };
    let counts = r#"{"input_tokens":3,"output_tokens":1,"total_tokens":4}"#;

    // The usage is reported later.
    let mut call = cancel();
    let (request, _) = call.send();
    assert_eq!(
        format!("{} {}", request.method(), request.uri().path()),
        POST
    );
    call.head(200, &[JSON]).body(cancelled("null")).end();
    assert_eq!(call.sleep(), Duration::from_secs(2));
    let (request, _) = call.send();
    assert_eq!(
        format!("{} {}", request.method(), request.uri().path()),
        GET
    );
    call.head(200, &[JSON]).body(cancelled(counts)).end();
    let response = call.result().unwrap();
    assert_eq!(response.text(), "One");
    assert_eq!(
        response.finish_reason(),
        Some(&FinishReason::Other("cancelled".into()))
    );
    assert_eq!(response.usage.unwrap().total_tokens, Some(4));

    // The usage is never reported.
    let mut call = cancel();
    call.answer(200, &[JSON], &cancelled("null"));
    for _ in 0..3 {
        call.sleep();
        call.answer(200, &[JSON], &cancelled("null"));
    }
    let response = call.result().unwrap();
    assert_eq!((&*response.text(), &response.usage), ("One", &None));

    // It was complete before.
    let mut call = cancel();
    let mut server = Server::new([
        Reply::Status(503),
        Reply::Object("in_progress"),
        Reply::Object("completed"),
    ]);
    server.run(&mut call, usize::MAX);
    assert_eq!(server.targets(), [POST, POST, GET]);
    assert_eq!(
        call.result().unwrap().finish_reason(),
        Some(&FinishReason::ToolCalls)
    );

    let mut call = cancel();
    Server::new([Reply::Status(404)]).run(&mut call, usize::MAX);
    let error = call.error();
    assert_eq!(
        (error.kind(), error.continuation()),
        (ErrorKind::NotFound, None)
    );
}

#[test]
fn a_position_of_another_provider_is_refused() {
    let position = Continuation::new("azure-responses", "m", "resp_1");
    let options = Arc::new(options());
    let error =
        Exchange::resume_response(openai(), &position, true, options, start(1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    assert!(error.message().contains("`azure-responses`"), "{error}");
    let options = Arc::new(CallOptions::default());
    let position = Continuation::new("cerebras", "m", "c1");
    let error = Exchange::cancel_response(cerebras(), &position, options, start(1)).unwrap_err();
    assert_eq!(error.message(), "`cerebras` cannot cancel a response");
}
