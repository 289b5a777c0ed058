//! Bedrock over a real socket, with a server that checks signatures like the service.
#![cfg(all(feature = "bedrock", feature = "ureq"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that goes wrong is to stop"
)]

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use unifiedai::{
    CallOptions, ChatRequest, Client, Error, ErrorKind, ReasoningEffort, RetryPolicy, Tool,
    ToolResult,
    provider::{AwsCredentialSource, AwsCredentials, Bedrock, ProviderBuilder},
    transport::UreqTransport,
};
use unifiedai_loopback::{AwsKeys, Config, Loopback};

const MODEL: &str = "amazon.nova-lite-v1:0";
const ARN: &str =
    "arn:aws:bedrock:us-east-1:111122223333:inference-profile/us.amazon.nova-lite-v1:0";

fn server(session_token: Option<&str>) -> Loopback {
    let aws = AwsKeys {
        session_token: session_token.map(str::to_owned),
        ..AwsKeys::default()
    };
    Loopback::start(Config {
        aws: Some(aws),
        ..Config::fast()
    })
    .unwrap()
}

fn keys(secret: &str, token: Option<&str>) -> AwsCredentials {
    AwsCredentials::new("AKIDLOOPBACK", secret, token.map(str::to_owned)).unwrap()
}

fn client(
    server: &Loopback,
    auth: impl FnOnce(ProviderBuilder<Bedrock>) -> ProviderBuilder<Bedrock>,
) -> Client {
    let builder = Bedrock::builder()
        .region("us-east-1")
        .base_url(server.origin());
    let mut options = CallOptions::default();
    options.retry = RetryPolicy::none();
    Client::new(UreqTransport::new(), auth(builder).build().unwrap()).with_options(options)
}

fn ask(model: &str) -> ChatRequest {
    ChatRequest::new(model)
        .user("Why is fast inference important?")
        .max_tokens(50)
}

fn stream(client: &Client, request: ChatRequest) -> Result<(String, String), Error> {
    let mut stream = client.stream(request)?;
    let mut text = String::new();
    for event in &mut stream {
        text.push_str(event?.text().unwrap_or_default());
    }
    Ok((text, stream.into_response()?.text().into_owned()))
}

#[test]
fn signed_requests_are_accepted_for_any_model_name() {
    for token in [None, Some("session+/=token")] {
        let server = server(token);
        let client = client(&server, |b| b.credentials(keys("loopback-secret", token)));
        for model in [MODEL, ARN, "a b/../!'()*?#%2F\u{e9}"] {
            let whole = client.chat(ask(model)).unwrap();
            assert!(!whole.text().is_empty());
            assert!(whole.provider_metadata.request_id.is_some());
            assert!(whole.usage.as_ref().unwrap().completion_tokens.is_some());
            assert!(whole.metrics.server.total.is_some());
            let (events, response) = stream(&client, ask(model)).unwrap();
            assert_eq!(
                (&*events, &*response),
                (&*whole.text(), &*whole.text()),
                "{model}"
            );
        }
    }
}

#[test]
fn wrong_credentials_are_reported_without_their_value() {
    let server = server(Some("token"));
    let refused = [
        client(&server, |b| {
            b.credentials(keys("canary-secret", Some("token")))
        }),
        client(&server, |b| {
            b.credentials(keys("loopback-secret", Some("canary-token")))
        }),
        client(&server, |b| b.credentials(keys("loopback-secret", None))),
        client(&server, |b| b.api_key("canary-key").unwrap()),
        client(&server, |b| b),
    ];
    for client in refused {
        let error = client.chat(ask(MODEL)).unwrap_err();
        let denied = matches!(
            error.kind(),
            ErrorKind::Authentication | ErrorKind::PermissionDenied
        );
        assert!(denied, "{error}");
        assert_eq!(error.status(), Some(403));
        assert!(error.request_id().is_some());
        assert!(!format!("{error} {error:#?}").contains("canary"), "{error}");
    }
}

#[test]
fn an_api_key_and_a_credentials_callback_work_too() {
    let server = server(None);
    let with_key = client(&server, |b| b.api_key("loopback-key").unwrap());
    assert!(!with_key.chat(ask(MODEL)).unwrap().text().is_empty());
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let source = AwsCredentialSource::Callback(Arc::new(move || {
        count.fetch_add(1, Ordering::Relaxed);
        Ok(keys("loopback-secret", None))
    }));
    let rotating = client(&server, |b| b.credentials(source));
    rotating.chat(ask(MODEL)).unwrap();
    rotating.chat(ask(MODEL)).unwrap();
    assert_eq!(asked.load(Ordering::Relaxed), 2);
}

#[test]
fn models_and_profiles_are_listed_with_a_signature_over_the_query() {
    let server = server(None);
    let signed = |b: ProviderBuilder<Bedrock>| b.credentials(keys("loopback-secret", None));
    let models = client(&server, signed).list_models(None).unwrap();
    assert!(models.iter().any(|model| model.id == MODEL));
    let all = client(&server, |b| signed(b).list_profiles(true))
        .list_models(None)
        .unwrap();
    assert_eq!(all.len(), 2 * models.len());
    assert!(all.iter().any(|model| model.id == format!("us.{MODEL}")));
    let one = client(&server, signed).retrieve_model(MODEL).unwrap();
    assert_eq!((one.id.as_str(), one.provider.as_str()), (MODEL, "bedrock"));
}

#[test]
fn a_tool_is_called_and_its_result_read() {
    let server = server(None);
    let client = client(&server, |b| b.credentials(keys("loopback-secret", None)));
    let schema = serde_json::json!({"type": "object", "properties": {"city": {"type": "string"}}});
    let tool = Tool::function("weather", "The weather of a city", &schema).unwrap();
    let mut request = ask(MODEL)
        .tool(tool)
        .tool_choice(unifiedai::ToolChoice::Required);
    let mut answer = client.chat(request.clone()).unwrap();
    let calls: Vec<String> = answer.tool_calls().map(|call| call.id.clone()).collect();
    assert!(!calls.is_empty());
    request = request.message(std::mem::take(&mut answer.choices[0].message));
    for id in calls {
        request = request.tool_result(ToolResult::new(id, "Sunny"));
    }
    request.tool_choice = None;
    assert!(client.chat(request).is_ok());
}

#[test]
fn failures_are_distinguished() {
    let server = server(None);
    let client = client(&server, |b| b.credentials(keys("loopback-secret", None)));
    let cases = [
        ("status-400", ErrorKind::BadRequest),
        ("context-overflow", ErrorKind::ContextOverflow),
        ("status-429", ErrorKind::RateLimit),
        ("status-503", ErrorKind::ServiceUnavailable),
        ("status-424", ErrorKind::InternalServer),
        ("html-502", ErrorKind::InternalServer),
        ("empty-500", ErrorKind::InternalServer),
        ("error-in-200", ErrorKind::InternalServer),
        ("error-in-stream-at-0", ErrorKind::RateLimit),
        ("error-in-stream-at-3", ErrorKind::RateLimit),
        ("cut-clean-at-3", ErrorKind::Truncated),
        ("corrupt-at-2", ErrorKind::Protocol),
    ];
    for (fault, kind) in cases {
        let request = ask(MODEL).header("x-loopback-fault", fault);
        let error = stream(&client, request).unwrap_err();
        assert_eq!(error.kind(), kind, "{fault}: {error}");
    }
    let request = ask(MODEL).reasoning_effort(ReasoningEffort::High);
    assert!(client.chat(request).is_ok());
}
