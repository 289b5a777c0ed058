//! Every limit by name: a response at the limit passes, one byte more is refused with an error that names the limit.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that goes wrong is to stop"
)]

mod manual_driver;

use manual_driver::*;
use unifiedai::{
    Error, ErrorKind, FinishReason,
    chat::{ResponseStart, Warning},
    policy::SizeLimits,
    provider::{ResponseBuilder, ResponseLimits},
};

/// The charge of a delta in addition to its text.
const PIECE: usize = 16;

fn sized(change: impl FnOnce(&mut SizeLimits)) -> unifiedai::CallOptions {
    with(|options| {
        options.retry = unifiedai::RetryPolicy::none();
        change(&mut options.sizes);
    })
}

#[track_caller]
fn refused(error: &Error, limit: &str) {
    assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
    assert!(error.message().contains(limit), "{error}");
}

#[test]
fn the_event_limit_is_inclusive() {
    let event = delta(&"x".repeat(500));
    let data = event.trim_end().strip_prefix("data: ").unwrap();
    let answer = |limit| {
        let mut call = Call::stream(sized(|sizes| sizes.event = limit));
        call.answer(200, &[SSE], &[&event, &finish(), DONE].concat());
        call.result()
    };
    // The event's name and each of its lines count too.
    let fits = (data.len()..data.len() + 64)
        .find(|limit| answer(*limit).is_ok())
        .unwrap();
    assert_eq!(answer(fits).unwrap().text().len(), 500);
    refused(
        &answer(fits - 1).unwrap_err(),
        &format!("{} bytes", fits - 1),
    );
}

#[test]
fn the_body_limit_is_inclusive() {
    let answer = |limit| {
        let mut call = Call::whole(sized(|sizes| sizes.body = limit));
        call.answer(200, &[JSON], WHOLE);
        call.result()
    };
    assert_eq!(answer(WHOLE.len()).unwrap().text(), "hello");
    let short = WHOLE.len() - 1;
    refused(
        &answer(short).unwrap_err(),
        &format!("the body is larger than the limit of {short} bytes"),
    );
}

#[test]
fn an_error_body_is_kept_up_to_its_limit() {
    let body = "x".repeat(100);
    for limit in [99, 100, 101] {
        let mut call = Call::whole(sized(|sizes| sizes.error_body = limit));
        call.answer(500, &[], &body);
        let error = call.error();
        assert_eq!(error.kind(), ErrorKind::InternalServer);
        assert_eq!(error.body().len(), limit.min(100));
    }
}

#[test]
fn the_stream_limit_is_inclusive() {
    let stream = [delta("x"), finish(), DONE.into()].concat();
    let answer = |limit| {
        let mut call = Call::stream(sized(|sizes| sizes.stream = Some(limit)));
        call.answer(200, &[SSE], &stream);
        call.result()
    };
    let all = stream.len() as u64;
    assert_eq!(answer(all).unwrap().text(), "x");
    let short = all - 1;
    refused(
        &answer(short).unwrap_err(),
        &format!("the stream is larger than the limit of {short} bytes"),
    );
}

#[test]
fn stream_size_is_limited() {
    let letters = 100;
    let finish_reason = "stop".len() + PIECE;
    let head = "c1m".len();
    let all = letters * (1 + PIECE) + finish_reason + head;
    let answer = |limit| {
        let mut call = Call::stream(sized(|sizes| sizes.body = limit));
        call.answer(
            200,
            &[SSE],
            &[delta("x").repeat(letters), finish(), DONE.into()].concat(),
        );
        call.result()
    };
    assert_eq!(answer(all).unwrap().text().len(), letters);
    refused(
        &answer(all - 1).unwrap_err(),
        &format!("the response is larger than the limit of {} bytes", all - 1),
    );
}

fn assembler(change: impl FnOnce(&mut ResponseLimits)) -> ResponseBuilder {
    let mut limits = ResponseLimits::default();
    change(&mut limits);
    ResponseBuilder::new(true, limits)
}

#[test]
fn tool_calls_per_choice_are_limited() {
    let mut out = assembler(|limits| limits.tool_calls = 3);
    for part in 0..3 {
        out.tool_start(0, part, "id", "name").unwrap();
    }
    refused(
        &out.tool_start(0, 3, "id", "name").unwrap_err(),
        "more than 3 tool calls",
    );
    out.tool_start(1, 0, "id", "name").unwrap();
}

#[test]
fn choices_are_limited() {
    let mut out = assembler(|limits| limits.choices = 3);
    for choice in [7, 0, u32::MAX] {
        out.choice(choice).unwrap();
    }
    out.text(7, 0, "x").unwrap();
    refused(&out.text(1, 0, "x").unwrap_err(), "more than 3 choices");
}

/// Names, ids, signatures, refusals and finish reasons are charged like texts.
#[test]
fn all_buffered_content_counts() {
    type Put = fn(&mut ResponseBuilder, &str) -> Result<(), Error>;
    let puts: [(&str, Put); 8] = [
        ("text", |out, x| out.text(0, 0, x)),
        ("reasoning", |out, x| out.reasoning(0, 0, x)),
        ("signature", |out, x| out.reasoning_signature(0, 0, x)),
        ("refusal", |out, x| out.refusal(0, 0, x)),
        ("tool id", |out, x| out.tool_start(0, 0, x, "")),
        ("tool name", |out, x| out.tool_start(0, 0, "", x)),
        ("finish reason", |out, x| {
            out.finish(0, Some(FinishReason::Stop), x)
        }),
        ("tool arguments", |out, x| out.tool_arguments(0, 0, x)),
    ];
    for (name, put) in puts {
        let overhead = match name {
            // The call itself is charged as a delta too.
            "tool arguments" => 2 * PIECE,
            _ => PIECE,
        };
        for (length, fits) in [(100, true), (101, false)] {
            let mut out = assembler(|limits| limits.retained_bytes = 100 + overhead);
            let result = put(&mut out, &"x".repeat(length));
            assert_eq!(result.is_ok(), fits, "{name} of {length}: {result:?}");
            if let Err(error) = result {
                refused(&error, "larger than the limit of");
            }
        }
    }
}

/// These cannot fail by themselves: the next delta does.
#[test]
fn metadata_and_warnings_count_towards_the_queue_limit() {
    type Put = fn(&mut ResponseBuilder, String);
    let puts: [(&str, Put); 5] = [
        ("id", |out, x| {
            out.response_start(with_head(|head| head.id = x))
        }),
        ("model", |out, x| {
            out.response_start(with_head(|head| head.model = x))
        }),
        ("fingerprint", |out, x| {
            out.response_start(with_head(|head| head.system_fingerprint = Some(x)));
        }),
        ("service tier", |out, x| {
            out.response_start(with_head(|head| head.service_tier = Some(x)));
        }),
        ("warning", |out, x| out.warn(Warning::new("w", x))),
    ];
    for (name, put) in puts {
        for (limit, fits) in [(101 + PIECE, true), (100 + PIECE, false)] {
            let mut out = assembler(|limits| limits.retained_bytes = limit);
            put(&mut out, "x".repeat(100));
            assert_eq!(out.text(0, 0, "x").is_ok(), fits, "{name}");
        }
    }
}

fn with_head(change: impl FnOnce(&mut ResponseStart)) -> ResponseStart {
    let mut head = ResponseStart::default();
    change(&mut head);
    head
}
