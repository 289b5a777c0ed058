//! A key is only in the request that it belongs to: a canary is put into every place that accepts a secret, and
//! searched in everything that can be displayed.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    reason = "a test that goes wrong is to stop"
)]

mod manual_driver;

use manual_driver::*;
use std::{
    error::Error as _,
    fmt::{Debug, Write},
    sync::Arc,
};
use unifiedai::{
    ChatRequest, Error, ErrorKind, Secret, StreamEvent,
    policy::{Fallback, FallbackTarget, ProviderLimits},
    provider::{Auth, Credential, OpenAiChat, Provider},
    sans_io::{Exchange, Input, Step},
    transport::{RequestDelivery, TransportError, TransportErrorKind},
};

const KEY: &str = "k3yc4n4rybird-2718281828";
const HEADER: &str = "h34dc4n4rybird-1414213562";
const PROMPT: &str = "canary-prompt-1732050807";

fn provider() -> Arc<dyn Provider> {
    Arc::new(OpenAiChat::cerebras(KEY).unwrap())
}

fn asked(stream: bool) -> ChatRequest {
    let mut request = ChatRequest::new("m").user(PROMPT);
    request.stream = stream;
    request.headers.push(("x-own-key".into(), HEADER.into()));
    request
}

fn call(stream: bool) -> Call {
    Call::new(provider(), asked(stream), options())
}

#[track_caller]
fn clean(what: &str, shown: &str) {
    for secret in [KEY, HEADER] {
        // Half of the secret is too much, too.
        for half in [&secret[..12], &secret[secret.len() - 10..]] {
            assert!(!shown.contains(half), "{what} shows {secret}: {shown}");
        }
    }
}

fn shown(value: &(impl Debug + ?Sized)) -> String {
    format!("{value:?}\n{value:#?}")
}

fn everything_of(error: &Error) -> String {
    let mut all = format!("{error}\n{error:#}\n{}", shown(error));
    all += &serde_json::to_string(error).unwrap();
    let mut source = error.source();
    while let Some(inner) = source {
        let _ = write!(all, "{inner}\n{inner:?}");
        source = inner.source();
    }
    for text in [
        error.code(),
        error.error_type(),
        error.param(),
        error.request_id(),
    ] {
        all += text.unwrap_or_default();
    }
    all += error.message();
    all += &shown(error.attempts());
    all += &shown(&error.partial());
    all + &error.body().escape_ascii().to_string()
}

// F108
#[test]
fn types_with_keys_hide_them_in_debug() {
    let secret = Secret::new(KEY).unwrap();
    let fixed = Credential::from(secret.clone());
    let source = secret.clone();
    let ask = Credential::Callback(Arc::new(move || Ok(source.clone())));
    let bearer = Auth::Bearer(fixed.clone());
    let own = Auth::Header(http::HeaderName::from_static("x-api-key"), ask.clone());
    let builder = OpenAiChat::custom("https://x.test/v1")
        .api_key(KEY)
        .unwrap();
    let target = FallbackTarget::new(provider(), "m").limits(Arc::new(ProviderLimits::new()));
    let things: [(&str, String); 10] = [
        ("Secret", shown(&secret)),
        ("Credential", shown(&[fixed, ask])),
        ("Auth", shown(&[bearer, own])),
        ("Builder", shown(&builder)),
        ("OpenAiChat", shown(&builder.build().unwrap())),
        ("dyn Provider", shown(&provider())),
        ("Fallback", shown(&Fallback::new(target))),
        ("ChatRequest", shown(&asked(true))),
        ("Exchange", shown(&call(true).exchange)),
        ("Start", shown(&start(1))),
    ];
    for (what, shown) in things {
        clean(what, &shown);
    }
}

#[cfg(feature = "bedrock")]
#[test]
fn types_with_aws_credentials_hide_them_in_debug() {
    use unifiedai::provider::{AwsCredentialSource, AwsCredentials, Signer};
    let credentials = AwsCredentials::new("AKIDEXAMPLE", KEY, Some(HEADER.into())).unwrap();
    let source = AwsCredentialSource::from(credentials.clone());
    let signer = Signer::new(credentials.clone(), "us-east-1", "bedrock").unwrap();
    clean("AwsCredentials", &shown(&credentials));
    clean("AwsCredentialSource", &shown(&source));
    clean("Signer", &shown(&signer));
    let provider = OpenAiChat::custom("https://x.test/v1").auth(Auth::SigV4(signer));
    let mut call = Call::new(Arc::new(provider.build().unwrap()), request(true), once());
    let (request, _) = call.send();
    let authorization = request.headers()["authorization"].to_str().unwrap();
    assert!(!authorization.contains(KEY));
    clean("signed request", &shown(&request));
    clean("Exchange", &shown(&call.exchange));
}

#[cfg(all(feature = "ureq", feature = "hyper", feature = "smol"))]
#[test]
fn a_client_does_not_show_its_key() {
    use unifiedai::{AsyncClient, Client, transport};
    let blocking = Client::shared(transport::UreqTransport::new(), provider());
    clean("Client", &shown(&blocking));
    clean("ChatStream", &shown(&blocking.stream(asked(true)).unwrap()));
    let of_hyper = AsyncClient::shared(transport::HyperTransport::new(), provider());
    clean("AsyncClient", &shown(&of_hyper));
    clean(
        "AsyncChatStream",
        &shown(&of_hyper.stream(asked(true)).unwrap()),
    );
    clean(
        "AsyncClient",
        &shown(&AsyncClient::shared(
            transport::SmolTransport::new(),
            provider(),
        )),
    );
}

// F108, F113
#[test]
fn steps_and_exchanges_show_neither_key_nor_prompt() {
    let mut call = call(true);
    let unsent = shown(&call.exchange);
    clean("Exchange", &unsent);
    assert!(!unsent.contains(PROMPT), "{unsent}");
    let step = call.step();
    let Step::Send { request, .. } = &step else {
        panic!("{step:?}");
    };
    assert_eq!(request.headers()["authorization"], format!("Bearer {KEY}"));
    assert_eq!(request.headers()["x-own-key"], HEADER);
    assert!(request.headers()["authorization"].is_sensitive());
    assert!(request.headers()["x-own-key"].is_sensitive());
    clean("Step", &shown(&step));
    clean("request", &shown(request));
    for text in [&[preamble(), delta("x")][..], &[finish()], &[DONE.into()]] {
        call.head_once();
        call.body(text.concat());
        let exchange = shown(&call.exchange);
        clean("Exchange", &exchange);
        assert!(!exchange.contains(PROMPT), "{exchange}");
    }
}

// F109, F113
#[test]
fn exchange_debug_hides_the_body() {
    let answer = "canary-answer-2236067977";
    let text = format!("{answer} {KEY}");
    for (stream, status, kind, begin) in [
        (true, 200, SSE, ""),
        (true, 200, SSE, "data: {"),
        (true, 200, SSE, "event: "),
        (false, 200, JSON, "{\"id\":\""),
        (false, 401, JSON, "{\"error\":\""),
    ] {
        let mut call = call(stream);
        call.send();
        call.head(status, &[kind, ("location", KEY)]);
        for _ in 0..2 {
            call.body([begin, &text].concat());
            let exchange = shown(&call.exchange);
            let bytes = format!("{:?}", answer.as_bytes());
            clean(begin, &exchange);
            assert!(!exchange.contains(answer), "{exchange}");
            assert!(
                !exchange.contains(bytes.trim_matches(['[', ']'])),
                "{exchange}"
            );
        }
    }
}

impl Call {
    fn head_once(&mut self) {
        if self.events.is_empty()
            && matches!(self.exchange.poll(self.now), Step::Receive { .. })
            && !format!("{:?}", self.exchange).contains("Body")
        {
            self.head(200, &[SSE]);
        }
    }
}

// F109: a provider that echoes the key in every field that an error can keep.
#[test]
fn no_error_repeats_the_key_that_a_provider_echoes() {
    let object = format!(
        r#"{{"error":{{"message":"Incorrect key {KEY}!","type":"{KEY}","code":"{KEY}","param":"{KEY}","request_id":"{KEY}"}}}}"#
    );
    let bodies = [
        object.clone(),
        format!("<html>{KEY}</html>"),
        format!("{}{KEY}", "x".repeat(2034)),
        KEY.to_owned(),
    ];
    for status in [200, 307, 400, 401, 403, 429, 500, 503] {
        for body in &bodies {
            for stream in [false, true] {
                let mut call = Call::new(provider(), asked(stream), once());
                let location = format!("https://{KEY}.test/{KEY}");
                call.send();
                call.head(
                    status,
                    &[
                        ("x-request-id", KEY),
                        ("location", &location),
                        ("content-type", KEY),
                    ],
                );
                call.body(body.as_str()).end();
                clean(&format!("{status} {body}"), &everything_of(&call.error()));
            }
        }
    }
    let events = [
        format!("data: {object}\n\n"),
        format!("event: error\ndata: {object}\n\n"),
        format!("data: {{\"id\": {KEY}\n\n"),
        format!("event: {KEY}\ndata: {{\"error\":\"{KEY}\"}}\n\n"),
    ];
    for event in events {
        for before in [String::new(), delta("x")] {
            let mut call = Call::new(provider(), asked(true), once());
            call.send();
            call.head(200, &[SSE])
                .body(before)
                .body(event.as_str())
                .end();
            clean(&event, &everything_of(&call.error()));
        }
    }
}

// F109
#[test]
fn a_key_is_found_however_the_server_spells_it() {
    const KEY: &str = "k3y/c4n4ry+b1rd=27";
    let provider: Arc<dyn Provider> = Arc::new(OpenAiChat::cerebras(KEY).unwrap());
    for spelled in [
        KEY,
        r"k3y\/c4n4ry+b1rd=27",
        r"k3y\u002fc4n4ry\u002Bb1rd\u003d27",
        r"k3y\\\/c4n4ry+b1rd=27",
        "k3y%2Fc4n4ry%2Bb1rd%3D27",
        "k3y&#x2F;c4n4ry&#43;b1rd&#61;27",
    ] {
        for (status, body) in [
            (
                401,
                format!(r#"{{"error":{{"message":"wrong key: {spelled}"}}}}"#),
            ),
            (502, format!("<p>authorization: Bearer {spelled}</p>")),
            (
                200,
                format!("data: {{\"error\":{{\"message\":\"wrong key: {spelled}\"}}}}\n\n"),
            ),
        ] {
            let mut call = Call::new(provider.clone(), asked(true), once());
            call.send();
            let kind = if status == 200 { SSE } else { JSON };
            call.head(status, &[kind]);
            call.body(body.as_str()).end();
            let all = everything_of(&call.error());
            assert!(all.contains("[secret]"), "{all}");
            for part in ["k3y", "c4n4ry", "b1rd"] {
                assert!(!all.contains(part), "{spelled}: {all}");
            }
        }
    }
}

// F109
#[test]
fn the_log_of_attempts_does_not_repeat_the_key_either() {
    let mut call = call(false);
    let echo = format!(r#"{{"error":{{"message":"busy, {KEY}"}}}}"#);
    call.answer(503, &[JSON], &echo);
    call.sleep();
    call.answer(200, &[JSON], WHOLE);
    let response = call.result().unwrap();
    let log = shown(&response.metrics);
    assert!(log.contains("busy, [secret]"), "{log}");
    clean("metrics", &log);
    clean("response", &serde_json::to_string(&response).unwrap());
}

// F107
#[test]
fn a_key_that_cannot_be_one_is_not_shown() {
    let tail = &KEY[KEY.len() - 10..];
    for bad in [
        format!("{KEY}\n"),
        format!(" {KEY}"),
        format!("{KEY}\r\nx: y"),
        format!("{KEY}\0"),
        format!("{KEY}é"),
    ] {
        let error = Secret::new(bad.clone()).unwrap_err();
        assert!(!everything_of(&error).contains(tail), "{error}");
        let error = OpenAiChat::cerebras(bad.clone()).unwrap_err();
        assert!(!everything_of(&error).contains(tail), "{error}");
        let mut request = asked(false);
        request.headers.push(("x-other".into(), bad));
        let made = Exchange::new(provider(), Arc::new(request), Arc::new(options()), start(1));
        match made {
            Err(error) => clean("header", &everything_of(&error)),
            Ok(exchange) => clean("exchange", &shown(&exchange)),
        }
    }
}

#[test]
fn transport_and_driver_failures_show_no_secrets() {
    let failures: [fn(&mut Call); 4] = [
        |call| {
            call.failed(TransportErrorKind::Reset, RequestDelivery::MaybeProcessed);
        },
        |call| {
            call.after(seconds(10_000));
        },
        |call| {
            call.handle(Input::BodyEnd);
        },
        |call| {
            let failure =
                TransportError::new(TransportErrorKind::Other, RequestDelivery::Answered, "x")
                    .with_source(std::io::Error::other("y"));
            call.handle(Input::TransportError(failure));
        },
    ];
    for fail in failures {
        let mut call = Call::new(provider(), asked(false), once());
        call.send();
        fail(&mut call);
        clean("error", &everything_of(&call.error()));
    }
}

// F71, F96: each target gets only its own key.
#[test]
fn another_target_does_not_get_the_first_ones_key() {
    let other = OpenAiChat::custom("https://two.test/v1").name("two");
    let other = Arc::new(other.api_key("another-key").unwrap().build().unwrap());
    let fallback =
        Fallback::new(FallbackTarget::new(provider(), "m")).then(FallbackTarget::new(other, "m"));
    let mut call = Call::stream(once());
    call.exchange = Exchange::with_fallback(
        fallback,
        Arc::new(request(false)),
        Arc::new(options()),
        start(1),
    )
    .unwrap();
    call.answer(503, &[], "");
    let (request, _) = call.send();
    assert_eq!(request.headers()["authorization"], "Bearer another-key");
    let all = request.headers().iter().map(|(_, value)| value.as_bytes());
    let all = all.collect::<Vec<_>>().concat();
    assert!(!all.escape_ascii().to_string().contains(KEY));
}

#[test]
fn events_show_no_key() {
    let mut call = call(true);
    call.send();
    call.head(200, &[SSE, ("x-request-id", "r")])
        .body(delta("x"));
    call.deadline();
    clean("events", &shown(&call.events));
    assert!(call.events.iter().any(StreamEvent::is_visible));
    let misuse = call.exchange.into_result().unwrap_err();
    assert_eq!(misuse.kind(), ErrorKind::Misuse);
    clean("misuse", &everything_of(&misuse));
}

// F112
#[test]
fn lookalike_host_gets_no_provider_data() {
    for url in [
        "https://evil.test/api.cerebras.ai/v1",
        "https://api.cerebras.ai.evil.test/v1",
    ] {
        let provider = Arc::new(OpenAiChat::custom(url).build().unwrap());
        let mut call = Call::new(provider, request(false), once());
        let (request, _) = call.send();
        assert!(!request.headers().contains_key("authorization"), "{url}");
        assert!(request.uri().to_string().starts_with(url));
    }
}
