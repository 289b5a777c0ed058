//! The step in the machine, driven by hand.

use super::{fake::credentials, manual_driver::*};
use bytes::Bytes;
use http::header::AUTHORIZATION;
use std::{
    io,
    sync::{Arc, atomic::AtomicUsize, atomic::Ordering},
    time::Duration,
};
use unifiedai::{
    ChatRequest, Client, ErrorKind, Secret,
    credentials::{Credentials, Environment, Supply, Token},
    observe::{CallEvent, CallObservation},
    policy::{CircuitBreakerConfig, Fallback, FallbackTarget, ProviderLimits},
    provider::{Auth, OpenAiChat, Provider, openai_chat},
    provider_batch::{BatchCall, NewFile},
    sans_io::{Exchange, Input, Step},
    transport::testing::{MockResponse, MockTransport, Recorder},
};

fn retrying(retries: u32) -> unifiedai::CallOptions {
    options().max_retries(retries)
}

fn provider(credentials: &Credentials) -> Arc<dyn Provider> {
    let auth = Auth::Bearer(credentials.clone().into());
    let provider = OpenAiChat::custom("https://llm.test/v1").auth(auth);
    Arc::new(provider.build().unwrap())
}

fn source() -> Credentials {
    credentials("https://auth.test")
}

fn call(credentials: &Credentials) -> Call {
    Call::new(provider(credentials), request(false), once())
}

/// The bearer token of the request that goes out next; it must be one to the provider.
fn bearer(call: &mut Call) -> String {
    let (request, _) = call.send();
    assert_eq!(request.uri().host(), Some("llm.test"));
    let value = request.headers()[AUTHORIZATION].to_str().unwrap();
    value.strip_prefix("Bearer ").unwrap().to_owned()
}

/// Answers the request for a token.
fn give(call: &mut Call, text: &str) {
    let (request, limits) = call.send();
    assert_eq!(request.uri(), "https://auth.test/token");
    assert_eq!(limits.total, call.now.saturating_add(seconds(10)));
    call.head(200, &[]).body(text).end();
}

/// Fetches a token with a call that is dropped then.
fn fetched(source: &Credentials, text: &str) {
    let mut call = call(source);
    give(&mut call, text);
    bearer(&mut call);
}

fn waits(call: &mut Call) -> Duration {
    match call.step() {
        Step::Sleep { until } => until.saturating_since(call.now),
        step => panic!("{step:?}"),
    }
}

#[test]
fn a_token_is_fetched_once_and_shared() {
    let source = source();
    let mut first = call(&source);
    give(&mut first, "one 3600");
    assert_eq!(bearer(&mut first), "one");
    first.head(200, &[JSON]).body(WHOLE).end();
    let response = first.result().unwrap();
    assert_eq!(response.text(), "hello");
    assert_eq!(response.metrics.attempts.len(), 1, "a fetch is no attempt");
    assert_eq!(bearer(&mut call(&source)), "one");
}

#[test]
fn other_calls_wait_at_most_50_ms_longer_than_the_fetch_takes() {
    let source = source();
    let (mut first, mut second) = (call(&source), call(&source));
    first.send();
    for _ in 0..20 {
        let wait = waits(&mut second);
        assert!(wait <= Duration::from_millis(50), "{wait:?}");
        second.after(wait);
        first.now = second.now;
        first.deadline();
    }
    first.head(200, &[]).body("one 3600").end();
    assert_eq!(bearer(&mut first), "one");
    assert_eq!(bearer(&mut second), "one");
}

#[test]
fn another_call_takes_over_from_one_that_is_dropped() {
    let source = source();
    let (mut first, mut second) = (call(&source), call(&source));
    first.send();
    second.sleep();
    drop(first);
    give(&mut second, "two 3600");
    assert_eq!(bearer(&mut second), "two");
}

#[test]
fn another_call_takes_over_from_one_that_is_not_polled() {
    let source = source();
    let (mut first, mut second) = (call(&source), call(&source));
    first.send();
    // The request may take ten seconds, and then the first call has to do something.
    second.after(seconds(10));
    waits(&mut second);
    second.after(seconds(1));
    give(&mut second, "two 3600");
    assert_eq!(bearer(&mut second), "two");
    first.at(second.now).head(200, &[]).body("one 60").end();
    assert_eq!(
        bearer(&mut first),
        "two",
        "the one that is good for longer stays"
    );
}

#[test]
fn a_token_is_renewed_ahead_while_others_use_it() {
    let source = source();
    let mut first = call(&source);
    give(&mut first, "one 3600");
    bearer(&mut first);
    let (mut ahead, mut beside) = (call(&source), call(&source));
    ahead.after(seconds(3400)).send();
    beside.after(seconds(3400));
    assert_eq!(bearer(&mut beside), "one");
    ahead.head(200, &[]).body("two 3600").end();
    assert_eq!(bearer(&mut ahead), "two");
}

#[test]
fn a_failed_renewal_ahead_of_time_disturbs_no_call() {
    let source = source();
    fetched(&source, "one 3600");
    let mut ahead = call(&source);
    ahead.after(seconds(3400)).send();
    ahead.head(403, &[]).body("no").end();
    assert_eq!(bearer(&mut ahead), "one");
}

#[test]
fn a_token_that_expires_between_two_attempts_is_renewed_before_the_second() {
    let source = source();
    let mut call = Call::new(provider(&source), request(false), retrying(1));
    give(&mut call, "one 30");
    assert_eq!(bearer(&mut call), "one");
    call.head(503, &[("retry-after", "29")]).body("busy").end();
    call.sleep();
    give(&mut call, "two 3600");
    assert_eq!(bearer(&mut call), "two");
}

#[test]
fn a_token_that_expires_during_a_stream_ends_nothing() {
    let source = source();
    let mut streamed = Call::new(provider(&source), request(true), once());
    give(&mut streamed, "one 30");
    assert_eq!(bearer(&mut streamed), "one");
    streamed.head(200, &[SSE]).body(delta("hel"));
    assert!(matches!(streamed.step(), Step::Receive { .. }));
    streamed.after(seconds(40)).body(delta("lo"));
    streamed.body([finish(), DONE.into()].concat()).end();
    assert!(streamed.is_done());
    assert_eq!(streamed.text(), "hello");
    let mut next = call(&source);
    next.at(streamed.now);
    give(&mut next, "two 30");
}

#[test]
fn a_token_that_the_provider_refuses_is_renewed_once() {
    let source = source();
    fetched(&source, "one 3600");
    let mut call = call(&source);
    call.after(seconds(61));
    assert_eq!(bearer(&mut call), "one");
    call.head(401, &[JSON]).body("{}").end();
    give(&mut call, "two 3600");
    assert_eq!(bearer(&mut call), "two");
    call.after(seconds(61)).head(401, &[JSON]).body("{}").end();
    let error = call.error();
    assert_eq!(error.kind(), ErrorKind::Authentication);
    assert_eq!(error.attempts().len(), 2);
}

#[test]
fn what_another_host_says_is_not_about_the_token() {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = count.clone();
    let source = Credentials::from_fn("test", move || {
        counter.fetch_add(1, Ordering::Relaxed);
        Ok(Token::bearer(Secret::new("one")?).expires_in(seconds(3600)))
    });
    let provider = OpenAiChat::builder()
        .profile(openai_chat::profiles::TOGETHER)
        .auth(Auth::Bearer(source.into()))
        .build()
        .unwrap();
    let file = NewFile::new("r.jsonl", "application/jsonl", "{}\n").purpose("batch");
    let mut upload = Exchange::batch_call(
        Arc::new(provider),
        BatchCall::UploadFile(file),
        Arc::new(once()),
        start(1),
    )
    .unwrap();
    let now = manual_time(0);
    let Step::Send { request, .. } = upload.poll(now) else {
        panic!("the upload does not begin");
    };
    assert_eq!(request.headers()[AUTHORIZATION], "Bearer one");
    let place = ("location", "https://bucket.test/x?signature=s");
    let id = ("x-together-file-id", "file-1");
    upload.handle(Input::Headers(head(302, &[place, id])), now);
    upload.handle(Input::BodyEnd, now);
    // Old enough that a refusal by the provider would renew the token.
    let now = manual_time(61);
    let Step::Send { request, .. } = upload.poll(now) else {
        panic!("the file is not sent");
    };
    assert_eq!(request.uri().host(), Some("bucket.test"));
    assert!(request.headers().get(AUTHORIZATION).is_none());
    upload.handle(Input::Headers(head(401, &[JSON])), now);
    upload.handle(Input::BodyEnd, now);
    assert!(matches!(upload.poll(now), Step::Done));
    let error = upload.into_result().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Authentication);
    assert_eq!(
        count.load(Ordering::Relaxed),
        1,
        "the token was fetched again"
    );
}

#[test]
fn a_young_token_that_the_provider_refuses_is_not_renewed() {
    let source = source();
    let mut call = call(&source);
    give(&mut call, "one 3600");
    bearer(&mut call);
    call.head(401, &[JSON]).body("{}").end();
    assert_eq!(call.error().kind(), ErrorKind::Authentication);
}

#[test]
fn a_permission_is_no_reason_to_renew() {
    let source = source();
    fetched(&source, "one 3600");
    let mut call = call(&source);
    call.after(seconds(61));
    bearer(&mut call);
    call.head(403, &[JSON]).body("{}").end();
    assert_eq!(call.error().kind(), ErrorKind::PermissionDenied);
}

#[test]
fn a_source_that_refuses_is_an_error_of_its_own() {
    let source = source();
    let limits = Arc::new(ProviderLimits::new().circuit_breaker(CircuitBreakerConfig::default()));
    for round in 0..50 {
        let exchange = Exchange::new(
            provider(&source),
            Arc::new(request(false)),
            Arc::new(retrying(3)),
            start(1),
        );
        let mut call = Call {
            exchange: exchange.unwrap().with_provider_limits(limits.clone()),
            now: manual_time(round * 10),
            events: Vec::new(),
        };
        call.send();
        call.head(403, &[])
            .body("denied to canary-header and canary-body")
            .end();
        let error = call.error();
        assert_eq!(error.kind(), ErrorKind::Credentials);
        assert_eq!(error.code(), Some("credentials_refused"));
        assert_eq!(error.status(), None);
        assert!(error.attempts().is_empty());
        assert!(error.message().contains("test source"), "{error}");
        assert!(error.message().contains("denied"), "{error}");
        assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
    }
    // The breaker heard of none of it.
    let mut sound = Call {
        exchange: Exchange::new(
            named("llm"),
            Arc::new(request(false)),
            Arc::new(once()),
            start(1),
        )
        .unwrap()
        .with_provider_limits(limits),
        now: manual_time(500),
        events: Vec::new(),
    };
    sound.send();
}

fn manual_time(seconds_after: u64) -> unifiedai::transport::Time {
    unifiedai::transport::Time::ZERO.saturating_add(seconds(seconds_after))
}

#[test]
fn an_unreachable_source_is_asked_three_times_and_its_failure_is_shared() {
    let source = source();
    let mut first = Call::new(provider(&source), request(false), retrying(3));
    for _ in 0..2 {
        first.send();
        first.head(503, &[]).body("").end();
        assert!(first.sleep() <= seconds(1));
    }
    first.send();
    first.head(503, &[]).body("").end();
    let now = first.now;
    let error = first.error();
    assert_eq!(error.kind(), ErrorKind::Credentials);
    let mut second = call(&source);
    second.at(now);
    assert_eq!(second.error().kind(), ErrorKind::Credentials);
}

#[test]
fn a_call_falls_back_when_a_source_fails() {
    let source = source();
    let fallback = Fallback::new(FallbackTarget::new(provider(&source), "m1"))
        .then(FallbackTarget::new(cerebras(), "m2"));
    let exchange = Exchange::with_fallback(
        fallback,
        Arc::new(request(false)),
        Arc::new(once()),
        start(1),
    );
    let mut call = Call {
        exchange: exchange.unwrap(),
        now: manual_time(0),
        events: Vec::new(),
    };
    call.send();
    call.head(400, &[]).body("no").end();
    let (request, _) = call.send();
    assert_eq!(request.uri().host(), Some("api.cerebras.ai"));
    assert_eq!(request.headers()[AUTHORIZATION], "Bearer sk-test");
}

#[test]
fn the_total_timeout_ends_a_fetch_and_blames_no_source() {
    let source = source();
    let mut first = Call::new(
        provider(&source),
        request(false),
        once().timeout(seconds(2)),
    );
    let (_, limits) = first.send();
    assert_eq!(limits.total, manual_time(2));
    first.after(seconds(2));
    assert_eq!(first.error().kind(), ErrorKind::Timeout);
    let mut second = call(&source);
    second.after(seconds(2));
    give(&mut second, "two 3600");
}

#[test]
fn redirects_long_answers_and_plain_http_are_refused() {
    let mut redirected = call(&source());
    redirected.send();
    redirected
        .head(307, &[("location", "https://evil.test/")])
        .end();
    let error = redirected.error();
    assert_eq!(error.code(), Some("credentials_config"));
    assert!(error.message().contains("redirect"), "{error}");

    let mut long = call(&source());
    for _ in 0..3 {
        long.send();
        long.head(200, &[]);
        for _ in 0..17 {
            if matches!(long.step(), Step::Receive { .. }) {
                long.body(" ".repeat(65_536));
            }
        }
        if matches!(long.step(), Step::Sleep { .. }) {
            long.sleep();
        }
    }
    assert!(long.error().message().contains("longer than"));

    let mut plain = call(&credentials("http://auth.test"));
    assert!(plain.is_done());
    let error = plain.error();
    assert!(error.message().contains("https"), "{error}");
}

fn file_source() -> Credentials {
    Credentials::from_async("file", |fetcher| async move {
        let content = fetcher.read_file("/run/token").await?;
        let text = String::from_utf8(content.to_vec()).unwrap();
        Ok(Token::bearer(Secret::new(text)?))
    })
}

#[test]
fn a_file_is_a_step_with_an_answer() {
    let mut call = call(&file_source());
    match call.step() {
        Step::Supply {
            supply: Supply::ReadFile { path, .. },
            ..
        } => assert_eq!(path.to_str(), Some("/run/token")),
        step => panic!("{step:?}"),
    }
    call.handle(Input::Supplied(Ok(Bytes::from("from-file"))));
    assert_eq!(bearer(&mut call), "from-file");
}

#[test]
fn a_driver_that_supplies_nothing_gets_an_error_that_names_the_file() {
    let mut call = call(&file_source());
    assert!(matches!(call.step(), Step::Supply { .. }));
    let error = call.error();
    assert_eq!(error.code(), Some("credentials_config"));
    assert!(error.message().contains("/run/token"), "{error}");
    let mut absent = self::call(&file_source());
    assert!(matches!(absent.step(), Step::Supply { .. }));
    absent.handle(Input::Supplied(Err(io::ErrorKind::NotFound.into())));
    assert_eq!(absent.error().code(), Some("credentials_missing"));
}

#[test]
fn a_driver_that_does_not_sign_gets_an_error_that_names_the_file_and_the_feature() {
    let environment = Environment::new(|name| {
        (name == "GOOGLE_APPLICATION_CREDENTIALS").then(|| "/run/key.json".to_owned())
    });
    let mut call = call(&environment.google());
    assert!(matches!(call.step(), Step::Supply { .. }));
    let file = r#"{"type":"service_account","client_email":"e","private_key":"-----BEGIN PRIVATE KEY-----Y2FuYXJ5-----END PRIVATE KEY-----"}"#;
    call.handle(Input::Supplied(Ok(Bytes::from(file))));
    let step = call.step();
    assert!(!format!("{step:?}").contains("canary"));
    match step {
        Step::Supply {
            supply: Supply::SignRs256 { key, message, .. },
            ..
        } => {
            assert_eq!(key, "canary");
            assert_eq!(message.split(|byte| *byte == b'.').count(), 2);
        }
        step => panic!("{step:?}"),
    }
    call.handle(Input::Supplied(Err(io::ErrorKind::Unsupported.into())));
    let error = call.error();
    assert_eq!(error.code(), Some("credentials_config"));
    assert!(error.message().contains("/run/key.json"), "{error}");
    assert!(error.message().contains("`rs256`"), "{error}");
}

#[test]
fn an_input_that_was_not_asked_for_is_misuse() {
    let mut call = call(&source());
    call.send();
    call.handle(Input::Supplied(Ok(Bytes::new())));
    assert_eq!(call.error().kind(), ErrorKind::Misuse);
}

#[test]
fn a_closure_is_asked_once_for_all_calls() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = asked.clone();
    let source = Credentials::from_fn("closure", move || {
        let count = counter.fetch_add(1, Ordering::Relaxed);
        Ok(Token::bearer(Secret::new(format!("t{count}"))?).expires_in(seconds(3600)))
    });
    for _ in 0..10 {
        assert_eq!(bearer(&mut call(&source)), "t0");
    }
    source.forget();
    assert_eq!(bearer(&mut call(&source)), "t1");
    assert_eq!(asked.load(Ordering::Relaxed), 2);
    let failing = Credentials::from_fn("closure", || {
        Err(unifiedai::Error::new(
            ErrorKind::InvalidRequest,
            "the library says no",
        ))
    });
    let error = call(&failing).error();
    assert_eq!(error.kind(), ErrorKind::Credentials);
    assert!(error.message().contains("the library says no"), "{error}");
}

#[test]
fn a_fetch_is_observed_but_is_no_attempt_and_not_recorded() {
    let script = MockTransport::new([
        MockResponse::new(200).chunk("canary-token 3600"),
        MockResponse::json(200, WHOLE),
    ]);
    let recorder = Recorder::new(script.clone(), "llm", "openai-chat");
    let auth = Auth::Bearer(source().into());
    let provider = OpenAiChat::custom("https://llm.test/v1").auth(auth).build();
    let (log, observer) = logged();
    let client = Client::new(recorder.clone(), provider.unwrap()).with_observer(observer);
    let response = client.chat(ChatRequest::new("m").user("hi")).unwrap();
    assert_eq!(response.metrics.attempts.len(), 1);
    let [fetch] = &response.metrics.credential_fetches[..] else {
        panic!("{:?}", response.metrics);
    };
    assert_eq!((&*fetch.source, &fetch.error), ("test source", &None));
    let metrics = serde_json::to_value(&response.metrics).unwrap();
    assert_eq!(metrics["credential_fetches"][0]["source"], "test source");
    assert_eq!(script.requests().len(), 2);
    let kept = recorder.to_lines();
    assert_eq!(kept.lines().count(), 1, "{kept}");
    assert!(!kept.contains("canary"), "{kept}");
    let log = log.lock().unwrap().join("\n");
    assert_eq!(
        log,
        "openai-compatible: test source fetched None\nopenai-compatible: attempt 1 at llm.test"
    );
}

type Log = Arc<std::sync::Mutex<Vec<String>>>;

/// What an observer sees of fetches, attempts and fallbacks.
fn logged() -> (Log, impl Fn(&CallObservation<'_>) + Send + Sync + 'static) {
    let log: Log = Arc::default();
    let kept = log.clone();
    let observer = move |seen: &CallObservation<'_>| {
        let event = match &seen.event {
            CallEvent::CredentialsFetched { source, error, .. } => {
                format!("{source} fetched {error:?}")
            }
            CallEvent::Attempt { number, host, .. } => format!("attempt {number} at {host}"),
            CallEvent::Fallback { error, .. } => format!("fallback after {error}"),
            _ => return,
        };
        let line = format!("{}: {event}", seen.call.provider);
        kept.lock().unwrap().push(line);
    };
    (log, observer)
}

#[test]
fn fetches_of_the_targets_of_a_fallback_are_observed_in_their_order() {
    let named = |name: &str, text: &'static str| {
        let credentials = Credentials::from_fn(format!("source of {name}"), move || match text {
            "" => Err(unifiedai::Error::new(
                ErrorKind::InvalidRequest,
                "the library says no",
            )),
            text => Ok(Token::bearer(Secret::new(text)?)),
        });
        let auth = Auth::Bearer(credentials.into());
        let provider = OpenAiChat::custom(format!("https://{name}.test/v1")).name(name);
        provider.auth(auth).build().unwrap()
    };
    let script = MockTransport::new([
        MockResponse::json(404, "{}"),
        MockResponse::json(200, WHOLE),
    ]);
    let (log, observer) = logged();
    let target = |name: &str, text| FallbackTarget::new(Arc::new(named(name, text)), "m");
    let fallback = Fallback::new(target("a", ""))
        .then(target("b", "tb"))
        .then(target("c", "tc"));
    let client = Client::new(script, named("unused", "")).with_observer(observer);
    let request = ChatRequest::new("m").user("hi");
    let response = client.chat_with_fallback(request, fallback);
    let response = response.unwrap();
    assert_eq!(
        log.lock().unwrap().join("\n"),
        "a: source of a fetched Some(\"credentials_refused\")\n\
         a: fallback after credentials\n\
         b: source of b fetched None\n\
         b: attempt 1 at b.test\n\
         b: fallback after not_found\n\
         c: source of c fetched None\n\
         c: attempt 2 at c.test"
    );
    assert_eq!(response.metrics.credential_fetches.len(), 3);
}
