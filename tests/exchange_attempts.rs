//! Later attempts: each attempt encodes its request again, or asks for the rest of a response.
#![cfg(feature = "bedrock")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that goes wrong is to stop"
)]

mod manual_driver;
mod resume;

use manual_driver::*;
use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};
use unifiedai::{
    ChatRequest, ContentPart, Error, ErrorKind,
    policy::{Fallback, FallbackTarget},
    provider::{
        Anthropic, Auth, AwsCredentials, Bedrock, ChatDecoder, Cohere, EncodedRequest, Gemini,
        GeminiInteractions, Ollama, OpenAiChat, OpenAiResponses, Provider, openai_responses,
    },
    sans_io::Exchange,
};

fn wires() -> Vec<Arc<dyn Provider>> {
    let responses = OpenAiResponses::builder()
        .profile(openai_responses::ResponsesProfile::OPENAI)
        .api_key("k");
    let bedrock = Bedrock::builder().region("us-east-1").api_key("k");
    let credentials = AwsCredentials::new("AKIDEXAMPLE", "secret", None).unwrap();
    let signed = Bedrock::builder()
        .region("us-east-1")
        .credentials(credentials);
    vec![
        cerebras(),
        Arc::new(Anthropic::new("k").unwrap()),
        Arc::new(Gemini::new("k").unwrap()),
        Arc::new(GeminiInteractions::new("k").unwrap()),
        Arc::new(responses.unwrap().build().unwrap()),
        Arc::new(Cohere::new("k").unwrap()),
        Arc::new(Ollama::local().unwrap()),
        Arc::new(bedrock.unwrap().build().unwrap()),
        Arc::new(signed.build().unwrap()),
    ]
}

/// A request with a feature that each API must drop, and with all settings outside the body.
fn laden(stream: bool) -> ChatRequest {
    let mut request = request(stream)
        .system("s")
        .seed(7)
        .top_k(5)
        .logprobs(true)
        .client_request_id("c")
        .header("x-own", "o");
    request.drop_unsupported = true;
    request
}

/// A request without its signature and date.
fn sent(call: &mut Call) -> String {
    let (mut request, _) = call.send();
    if request.headers_mut().remove("x-amz-date").is_some() {
        request.headers_mut().remove("authorization").unwrap();
    }
    // `Debug` hides sensitive headers.
    let headers = request
        .headers()
        .iter()
        .map(|(name, value)| (name, value.as_bytes()));
    format!(
        "{} {} {:?} {:?}",
        request.method(),
        request.uri(),
        headers.collect::<Vec<_>>(),
        request.body()
    )
}

#[test]
fn another_attempt_sends_the_same_request() {
    for provider in wires() {
        for stream in [false, true] {
            let mut call = Call::new(provider.clone(), laden(stream), options());
            let first = sent(&mut call);
            assert!(first.contains("x-own") && first.contains("x-request-id"));
            call.head(503, &[]).end();
            call.sleep();
            assert_eq!(sent(&mut call), first);
        }
    }
}

#[test]
fn each_warning_is_reported_once_after_several_attempts() {
    let mut call = Call::new(cerebras(), laden(false), options());
    call.answer(503, &[], "").sleep();
    call.answer(200, &[JSON], WHOLE);
    let warned = call.result().unwrap().warnings;
    let expected = cerebras().encode_chat(&laden(false)).unwrap().warnings;
    assert!(!expected.is_empty());
    assert_eq!(warned, expected);
}

/// The headers of the next request that the library did not set.
fn own_headers(call: &mut Call) -> Vec<(String, String)> {
    let (request, _) = call.send();
    let own = request.headers().iter().filter(|(name, _)| {
        name.as_str().starts_with("x-") || *name == "cookie" || *name == "traceparent"
    });
    let text = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        (name.to_string(), value.to_str().unwrap().to_owned())
    };
    own.map(text).collect()
}

#[test]
fn caller_headers_are_sent_to_the_first_target_only_unless_shared() {
    let targets = Fallback::new(FallbackTarget::new(named("one"), "m1").header("x-one", "1"))
        .then(FallbackTarget::new(named("two"), "m2").header("x-two", "2"))
        .then(FallbackTarget::new(named("three"), "m3"));
    let asked = request(false)
        .header("x-gateway-key", "canary")
        .header("cookie", "canary")
        .shared_header("traceparent", "00-1");
    assert!(!format!("{targets:?} {asked:?}").contains("canary"));
    let mut call = Call::whole(with(|options| options.retry.max_retries = 1));
    call.exchange =
        Exchange::with_fallback(targets, Arc::new(asked), Arc::new(options()), start(1)).unwrap();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let shared = pair("traceparent", "00-1");
    assert_eq!(
        own_headers(&mut call),
        [
            shared.clone(),
            pair("x-gateway-key", "canary"),
            pair("cookie", "canary"),
            pair("x-one", "1"),
        ]
    );
    call.head(503, &[]).end();
    assert_eq!(own_headers(&mut call), [shared.clone(), pair("x-two", "2")]);
    call.head(503, &[]).end();
    assert_eq!(own_headers(&mut call), std::slice::from_ref(&shared));
    // Another attempt at the same target has the same headers.
    call.head(503, &[]).end();
    call.sleep();
    assert_eq!(own_headers(&mut call), [shared]);
}

#[test]
fn skipped_first_target_keeps_the_callers_headers() {
    let targets = Fallback::new(FallbackTarget::new(
        Arc::new(Anthropic::new("k").unwrap()),
        "m1",
    ))
    .then(FallbackTarget::new(named("two"), "m2").header("x-two", "2"));
    let sound = ContentPart::audio("audio/wav", vec![1, 2, 3]);
    let asked = request(false)
        .user_parts(vec![sound])
        .header("x-gateway-key", "canary");
    let mut call = Call::whole(options());
    call.exchange =
        Exchange::with_fallback(targets, Arc::new(asked), Arc::new(options()), start(1)).unwrap();
    let two = ("x-two".to_owned(), "2".to_owned());
    assert_eq!(own_headers(&mut call), [two]);
}

#[test]
fn framing_headers_and_a_foreign_host_are_refused() {
    let made = |name: &str, value: &str| {
        let asked = Arc::new(request(false).header(name, value));
        Exchange::new(named("one"), asked, Arc::new(options()), start(1))
    };
    for (name, value) in [
        ("host", "two.test"),
        ("Host", "one.test:81"),
        ("content-length", "3"),
        ("Content-Length", "0"),
        ("transfer-encoding", "chunked"),
        ("connection", "close"),
        ("upgrade", "h2c"),
    ] {
        let error = made(name, value).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{name}");
        let named = format!("header `{}`", name.to_lowercase());
        assert!(error.message().contains(&named), "{error}");
    }
    for name in ["host", "content-length", "transfer-encoding"] {
        let builder = OpenAiChat::custom("https://one.test/v1");
        let error = builder.header(name, "1").unwrap_err();
        assert!(error.message().contains(name), "{error}");
    }
    assert!(made("host", "One.test").is_ok());
    assert!(made("x-own", "o").is_ok());
}

#[test]
fn each_target_gets_its_own_request() {
    let targets = Fallback::new(FallbackTarget::new(named("one"), "m1")).then(FallbackTarget::new(
        Arc::new(Anthropic::new("k").unwrap()),
        "m2",
    ));
    let mut call = Call::whole(once());
    let request = Arc::new(laden(false));
    call.exchange =
        Exchange::with_fallback(targets, request, Arc::new(options()), start(1)).unwrap();
    call.answer(503, &[], "");
    let first = sent(&mut call);
    assert!(first.contains("api.anthropic.com") && first.contains("m2"));
    call.head(503, &[]).end();
    call.sleep();
    assert_eq!(sent(&mut call), first);
}

/// A provider that can encode a request once.
#[derive(Debug)]
struct Once {
    wire: OpenAiChat,
    encoded: AtomicU32,
}

impl Provider for Once {
    fn name(&self) -> &str {
        "once"
    }

    fn auth(&self) -> &Auth {
        self.wire.auth()
    }

    fn encode_chat(&self, request: &ChatRequest) -> Result<EncodedRequest, Error> {
        match self.encoded.fetch_add(1, Ordering::Relaxed) {
            0 => self.wire.encode_chat(request),
            _ => Err(Error::new(ErrorKind::InvalidRequest, "not again")),
        }
    }

    fn chat_decoder(&self, request: &ChatRequest) -> Box<dyn ChatDecoder> {
        self.wire.chat_decoder(request)
    }
}

#[test]
fn failed_reencoding_ends_the_call_with_earlier_attempts_listed() {
    let provider = Once {
        wire: OpenAiChat::cerebras("k").unwrap(),
        encoded: AtomicU32::new(0),
    };
    let mut call = Call::new(Arc::new(provider), request(false), options());
    call.answer(503, &[], "").sleep();
    let error = call.error();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    assert_eq!(error.message(), "not again");
    assert_eq!(error.provider(), Some("once"));
    let statuses: Vec<_> = error.attempts().iter().map(|a| a.status).collect();
    assert_eq!(statuses, [Some(503)]);
}
