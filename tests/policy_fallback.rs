//! Fallback to other targets.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that goes wrong is to stop"
)]

mod manual_driver;

use manual_driver::*;
use std::sync::Arc;
use unifiedai::{
    CallOptions, Error, ErrorKind, StreamEvent,
    error::TimeoutKind,
    policy::{CircuitBreakerConfig, Fallback, FallbackTarget, ProviderLimits},
    sans_io::Exchange,
    transport::{RequestDelivery, TransportErrorKind},
};

fn targets() -> Fallback {
    Fallback::new(FallbackTarget::new(named("one"), "m1"))
        .then(FallbackTarget::new(named("two"), "m2"))
}

fn call(fallback: Fallback, stream: bool, options: CallOptions) -> Call {
    let mut call = Call::stream(once());
    let request = Arc::new(request(stream));
    call.exchange =
        Exchange::with_fallback(fallback, request, Arc::new(options), start(1)).unwrap();
    call
}

/// Whether the call moves to the second target after this response of the first.
fn moves_on(fallback: Fallback, status: u16, body: &str) -> bool {
    let mut call = call(fallback, false, options());
    call.answer(status, &[JSON], body);
    match call.step() {
        unifiedai::sans_io::Step::Send { request, .. } => {
            assert_eq!(request.uri().host(), Some("two.test"));
            let body = std::str::from_utf8(request.body().as_bytes().unwrap()).unwrap();
            assert!(
                body.contains("\"m2\"") && !body.contains("\"m1\""),
                "{body}"
            );
            true
        }
        unifiedai::sans_io::Step::Done => false,
        step => panic!("{step:?}"),
    }
}

#[test]
fn falls_back_for_errors_that_another_target_can_fix() {
    let coded = |code: &str| format!(r#"{{"error":{{"message":"m","code":"{code}"}}}}"#);
    let cases = [
        (500, "x", true),
        (502, "x", true),
        (503, "x", true),
        (529, "x", true),
        (429, "x", true),
        (429, "insufficient_quota", true),
        (408, "x", true),
        (400, "x", false),
        (401, "x", true),
        (403, "x", true),
        (404, "x", true),
        (404, "model_not_found", true),
        (307, "x", true),
        (409, "x", true),
        (400, "unsupported_parameter", true),
        (400, "unsupported_value", true),
        (422, "unknown_parameter", true),
        (413, "x", false),
        (422, "x", false),
        (400, "content_filter", false),
        (400, "context_length_exceeded", false),
    ];
    for (status, code, wanted) in cases {
        assert_eq!(
            moves_on(targets(), status, &coded(code)),
            wanted,
            "{status} {code}"
        );
    }
    // How xAI, Mistral, Bedrock, OpenRouter, DeepSeek, Groq and servers with pydantic refuse a model, a key or a
    // parameter.
    for body in [
        r#"{"code":"invalid-argument","error":"Incorrect API key provided. You can obtain an API key."}"#,
        r#"{"code":"1500","message":"Invalid model: no-such-model","object":"error","type":"invalid_model"}"#,
        r#"{"message":"The provided model identifier is invalid."}"#,
        r#"{"error":{"code":400,"message":"openai/none is not a valid model ID"}}"#,
        r#"{"error":{"message":"Model Not Exist","type":"invalid_request_error","code":"invalid_request_error"}}"#,
        r#"{"error":{"message":"property 'logprobs' is unsupported","type":"invalid_request_error"}}"#,
    ] {
        assert!(moves_on(targets(), 400, body), "{body}");
    }
    for body in [
        r#"{"detail":[{"type":"extra_forbidden","loc":["body","top_k"],"msg":"Extra inputs are not permitted","input":1}]}"#,
        r#"{"object":"error","message":{"detail":[{"type":"extra_forbidden","loc":["body","top_k"],"msg":"Extra inputs are not permitted"}]}}"#,
        r#"{"error":{"code":"Invalid input","status":422,"message":"invalid input error","details":[{"type":"extra_forbidden","loc":["body","stream_options"],"msg":"Extra inputs are not permitted"}]}}"#,
        r#"{"detail":[{"type":"value_error.extra","loc":["body","seed"],"msg":"extra fields not permitted"}]}"#,
        r#"{"type":"error","error":{"type":"invalid_request_error","message":"top_n: Extra inputs are not permitted"}}"#,
        r#"{"message":"This model doesn't support tool use in streaming mode."}"#,
        r#"{"error":"registry.ollama.ai/library/gemma:2b does not support tools"}"#,
        r#"{"error":{"message":"`tool calling` is not supported with this model","type":"invalid_request_error"}}"#,
        r#"[{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT"}}]"#,
    ] {
        for status in [400, 422] {
            assert!(moves_on(targets(), status, body), "{status} {body}");
        }
    }
    let missing =
        r#"{"detail":[{"type":"missing","loc":["body","messages"],"msg":"Field required"}]}"#;
    assert!(!moves_on(targets(), 422, missing));
    for body in [
        r#"{"error":{"message":"`top_k` is unsupported."}}"#,
        r#"{"error":{"message":"the parameter \"seed\" is unsupported"}}"#,
    ] {
        assert!(moves_on(targets(), 400, body), "{body}");
    }
    for body in [
        r#"{"error":{"message":"The type of this file is unsupported"}}"#,
        r#"{"error":{"message":"Your country is unsupported."}}"#,
    ] {
        assert!(!moves_on(targets(), 400, body), "{body}");
    }
    let quoted = r#"{"error":{"message":"`messages[0]` has 'Model Not Exist' in it: too long"}}"#;
    assert!(!moves_on(targets(), 400, quoted));
    let overflow = coded("context_length_exceeded");
    assert!(moves_on(targets().on_context_overflow(), 400, &overflow));
    let filtered = coded("content_filter");
    assert!(moves_on(targets().on_content_filtered(), 400, &filtered));
}

#[test]
fn caller_chooses_the_fallback_errors() {
    use ErrorKind::*;
    let refusal = r#"{"error":{"message":"m"}}"#;
    let lacks = r#"{"error":{"message":"m","code":"unsupported_parameter"}}"#;
    for (fallback, status, body, wanted) in [
        (targets().fall_back_on([BadRequest]), 400, refusal, true),
        (targets().fall_back_on([BadRequest]), 503, refusal, true),
        (
            targets().never_fall_back_on([Authentication]),
            401,
            refusal,
            false,
        ),
        (
            targets().never_fall_back_on([Authentication]),
            403,
            refusal,
            true,
        ),
        (
            targets().never_fall_back_on([BadRequest]),
            400,
            lacks,
            false,
        ),
        (targets().fall_back_only_on([NotFound]), 404, refusal, true),
        (targets().fall_back_only_on([NotFound]), 503, refusal, false),
        (targets().fall_back_only_on([NotFound]), 400, lacks, false),
    ] {
        let mut call = call(fallback, false, once());
        call.answer(status, &[JSON], body);
        let moved = matches!(call.step(), unifiedai::sans_io::Step::Send { .. });
        assert_eq!(moved, wanted, "{status} {body}");
    }
}

#[test]
fn every_kind_has_a_rule() {
    use ErrorKind::*;
    let stays = [
        BadRequest,
        UnprocessableEntity,
        ContextOverflow,
        ContentFiltered,
        TooLarge,
        Cancelled,
        Misuse,
    ];
    for kind in ErrorKind::ALL {
        let error = Error::new(*kind, "x");
        assert_eq!(
            targets().applies_to(&error),
            !stays.contains(kind),
            "{kind}"
        );
        let all = targets().fall_back_on(ErrorKind::ALL.iter().copied());
        let ends = matches!(kind, Cancelled | Misuse);
        assert_eq!(all.applies_to(&error), !ends, "{kind}");
        let none = targets().never_fall_back_on(ErrorKind::ALL.iter().copied());
        assert!(!none.applies_to(&error), "{kind}");
    }
}

/// A model without the parameter that the test's request has.
fn lacking(name: &str) -> FallbackTarget {
    let wire = unifiedai::provider::Cohere::builder().name(name);
    FallbackTarget::new(Arc::new(wire.api_key("k").unwrap().build().unwrap()), "m0")
}

#[test]
fn parameter_missing_on_the_first_target_falls_back() {
    let mut wanted = request(false);
    wanted.clear_reasoning = Some(true);
    let wanted = Arc::new(wanted);
    let begin =
        |fallback| Exchange::with_fallback(fallback, wanted.clone(), Arc::new(options()), start(1));
    let two = FallbackTarget::new(cerebras(), "m2");
    let mut exchange = begin(Fallback::new(lacking("cohere")).then(two.clone())).unwrap();
    let unifiedai::sans_io::Step::Send { request, .. } =
        exchange.poll(unifiedai::transport::Time::ZERO)
    else {
        panic!("nothing was sent");
    };
    assert_eq!(request.uri().host(), Some("api.cerebras.ai"));

    let refused = begin(Fallback::new(lacking("a")).then(lacking("b"))).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidRequest);
    assert!(refused.message().contains("`clear_reasoning`"), "{refused}");
    let staying = Fallback::new(lacking("a"))
        .then(two)
        .never_fall_back_on([ErrorKind::InvalidRequest]);
    assert_eq!(
        begin(staying).unwrap_err().kind(),
        ErrorKind::InvalidRequest
    );
}

#[test]
fn a_thousand_skipped_targets_do_not_nest() {
    let slow = Arc::new(ProviderLimits::new().requests_per_minute(1));
    let mut first = Call::whole(once());
    first.exchange = first.exchange.with_provider_limits(slow.clone());
    first.send();
    let target = FallbackTarget::new(named("one"), "m1").limits(slow);
    let many = (0..20_000).fold(Fallback::new(target.clone()), |all, _| {
        all.then(target.clone())
    });
    let mut call = call(many, false, options());
    assert!(call.sleep().as_secs() >= 60, "the last one waits");
}

#[test]
fn result_names_the_final_target_and_the_other_errors() {
    let mut call = call(targets(), false, options());
    call.answer(529, &[JSON], r#"{"error":{"message":"too many at once"}}"#);
    call.answer(200, &[JSON], WHOLE);
    let response = call.result().unwrap();
    assert_eq!(response.provider_metadata.provider, "two");
    let attempts = response.metrics.attempts;
    assert_eq!(attempts[0].target.as_deref(), Some("one.m1"));
    assert_eq!(attempts[0].error, Some(ErrorKind::Overloaded));
    assert_eq!(attempts[0].message.as_deref(), Some("too many at once"));
    assert_eq!(attempts[1].target.as_deref(), Some("two.m2"));
    assert_eq!(attempts[1].error, None);
}

#[test]
fn only_the_last_target_is_retried() {
    let mut call = call(targets(), false, options());
    call.answer(503, &[], "");
    for _ in 0..2 {
        call.answer(503, &[], "");
        call.sleep();
    }
    call.answer(503, &[], "");
    let error = call.error();
    assert_eq!(error.provider(), Some("two"));
    assert_eq!(error.attempts().len(), 4);
}

#[test]
fn an_outage_falls_back_even_if_the_request_may_have_been_processed() {
    let fail: [fn(&mut Call); 4] = [
        |call| {
            call.failed(TransportErrorKind::Dns, RequestDelivery::NotSent);
        },
        |call| {
            call.failed(TransportErrorKind::Reset, RequestDelivery::MaybeProcessed);
        },
        |call| {
            call.after(seconds(120));
        },
        |call| {
            call.head(200, &[SSE]).body(preamble()).end();
        },
    ];
    for fail in fail {
        let mut call = call(targets(), true, options());
        call.send();
        fail(&mut call);
        let (request, _) = call.send();
        assert_eq!(request.uri().host(), Some("two.test"));
    }
}

#[test]
fn each_target_has_its_own_first_token_timeout() {
    let one = FallbackTarget::new(named("one"), "m1").first_token_timeout(seconds(3));
    let two = FallbackTarget::new(named("two"), "m2").first_token_timeout(seconds(7));
    let mut call = call(Fallback::new(one).then(two), true, options());
    call.send();
    call.head(200, &[SSE]).body(preamble()).after(seconds(3));
    call.send();
    call.head(200, &[SSE]).body(preamble());
    assert_eq!(call.deadline(), call.now.saturating_add(seconds(7)));
    call.after(seconds(7));
    let error = call.error();
    assert_eq!(error.timeout(), Some(TimeoutKind::FirstToken));
    assert!(error.message().contains("within 7s"), "{error}");
    assert_eq!(error.attempts()[0].error, Some(ErrorKind::Timeout));
}

#[test]
fn first_token_timeout_applies_to_headers_of_single_bodies() {
    let one = FallbackTarget::new(named("one"), "m1").first_token_timeout(seconds(3));
    let mut call = call(
        Fallback::new(one).then(FallbackTarget::new(named("two"), "m2")),
        false,
        options(),
    );
    call.send();
    call.after(seconds(3)).send();
    assert_eq!(call.deadline(), call.now.saturating_add(seconds(600)));
}

// F61
#[test]
fn the_calls_deadline_holds_over_all_targets() {
    let mut call = call(
        targets(),
        false,
        with(|o| o.timeouts.total = Some(seconds(5))),
    );
    call.send();
    call.after(seconds(5)).head(503, &[]).end();
    let error = call.error();
    assert_eq!(error.attempts().len(), 1);
}

// F54, F71
#[test]
fn after_visible_output_it_stays_where_it_is() {
    let mut call = call(targets(), true, options());
    call.send();
    call.head(200, &[SSE]).body(delta("x")).end();
    let error = call.error();
    assert_eq!(error.kind(), ErrorKind::Truncated);
    assert_eq!(error.attempts().len(), 1);
}

// F71
#[test]
fn restart_warning_precedes_the_new_response() {
    let mut call = call(targets().allow_restart_mid_stream(), true, options());
    call.send();
    call.head(200, &[SSE]).body(delta("old")).end();
    call.send();
    call.head(200, &[SSE]).body(delta("new")).body(finish());
    call.body(DONE);
    assert!(call.is_done());
    let restarted = call.events.iter().position(
        |event| matches!(event, StreamEvent::Warning(warning) if warning.code == "restarted"),
    );
    let after: String = call.events[restarted.unwrap()..]
        .iter()
        .filter_map(StreamEvent::text)
        .collect();
    assert_eq!(after, "new");
    assert_eq!(call.result().unwrap().text(), "new");
}

// F71
#[test]
fn restart_warning_survives_failures_before_the_new_response() {
    let three = FallbackTarget::new(named("three"), "m3");
    let mut call = call(
        targets().then(three).allow_restart_mid_stream(),
        true,
        options(),
    );
    call.send();
    call.head(200, &[SSE]).body(delta("old")).end();
    call.send();
    call.failed(TransportErrorKind::Reset, RequestDelivery::NotSent);
    for host in ["two.test", "three.test"] {
        let (request, _) = call.send();
        assert_eq!(request.uri().host(), Some(host));
        call.head(503, &[]).end();
    }
    call.sleep();
    call.send();
    call.head(200, &[SSE]).body(delta("new")).body(finish());
    call.body(DONE);
    assert!(call.is_done());
    let told = |event: &&StreamEvent| matches!(event, StreamEvent::Warning(warning) if warning.code == "restarted");
    assert_eq!(call.events.iter().filter(told).count(), 1);
    let warnings = call.result().unwrap().warnings;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
}

#[test]
fn open_circuit_or_rate_limit_falls_back_immediately() {
    let open = Arc::new(ProviderLimits::new().circuit_breaker(CircuitBreakerConfig::default()));
    let slow = Arc::new(ProviderLimits::new().requests_per_minute(1));
    for _ in 0..5 {
        let mut failing = Call::whole(once());
        failing.exchange = failing.exchange.with_provider_limits(open.clone());
        failing.answer(503, &[], "");
    }
    let mut first = Call::whole(once());
    first.exchange = first.exchange.with_provider_limits(slow.clone());
    first.send();
    for guard in [open, slow] {
        let one = FallbackTarget::new(named("one"), "m1").limits(guard);
        let fallback = Fallback::new(one).then(FallbackTarget::new(named("two"), "m2"));
        let (request, _) = call(fallback, false, options()).send();
        assert_eq!(request.uri().host(), Some("two.test"));
    }
}

#[test]
fn rate_limits_of_one_target_do_not_apply_to_another() {
    let guard = || Arc::new(ProviderLimits::new().honor_rate_limit_headers());
    let (one, two) = (guard(), guard());
    let fallback = Fallback::new(FallbackTarget::new(named("one"), "m1").limits(one.clone()))
        .then(FallbackTarget::new(named("two"), "m2").limits(two.clone()));
    let mut call = call(fallback, false, once());
    let used_up = [
        ("x-ratelimit-remaining-requests-minute", "0"),
        ("x-ratelimit-reset-requests-minute", "20"),
    ];
    call.answer(429, &used_up, "");
    call.send();
    call.failed(TransportErrorKind::Connect, RequestDelivery::NotSent);
    assert!(call.is_done());
    for (guard, waits) in [(one, true), (two, false)] {
        let mut next = Call::whole(once());
        next.exchange = next.exchange.with_provider_limits(guard);
        assert_eq!(
            matches!(next.step(), unifiedai::sans_io::Step::Sleep { .. }),
            waits
        );
    }
}

#[test]
fn last_target_waits_for_its_rate_limit() {
    let slow = Arc::new(ProviderLimits::new().requests_per_minute(1));
    let mut first = Call::whole(once());
    first.exchange = first.exchange.with_provider_limits(slow.clone());
    first.send();
    let last = Fallback::new(FallbackTarget::new(named("one"), "m1").limits(slow));
    let mut call = call(last, false, options());
    assert!(call.sleep().as_secs() >= 60);
    call.send();
}

#[test]
fn invalid_request_is_rejected_before_sending() {
    let request = Arc::new(unifiedai::ChatRequest::new("m"));
    let error = Exchange::with_fallback(targets(), request, Arc::new(options()), start(1));
    assert_eq!(error.unwrap_err().kind(), ErrorKind::InvalidRequest);
}
