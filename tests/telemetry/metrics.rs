use crate::support::{provider, question, refusal, stream, whole};
use metrics::with_local_recorder;
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use std::collections::BTreeMap;
use unifiedai::{
    Client,
    observe::MetricsObserver,
    provider::OpenAiChat,
    transport::testing::{MockResponse, MockTransport},
};

const DURATION: &str = "gen_ai.client.operation.duration";
const FIRST_CHUNK: &str = "gen_ai.client.operation.time_to_first_chunk";
const TOKENS: &str = "gen_ai.client.token.usage";
const ATTEMPT: &str = "http.client.request.duration";

/// One series: its name, its labels and what was recorded.
type Series = (String, BTreeMap<String, String>, Vec<f64>);

pub(crate) fn series(
    answers: impl IntoIterator<Item = MockResponse>,
    calls: impl FnOnce(&Client),
) -> Vec<Series> {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    with_local_recorder(&recorder, || {
        let client = Client::new(MockTransport::new(answers), provider());
        calls(&client.with_observer(MetricsObserver::new()));
    });
    let series = snapshotter.snapshot().into_vec().into_iter();
    let series = series.map(|(key, _, _, value)| {
        let DebugValue::Histogram(values) = value else {
            panic!("not a histogram: {key:?}");
        };
        let labels = key.key().labels();
        let labels = labels.map(|label| (label.key().to_owned(), label.value().to_owned()));
        let values = values.into_iter().map(f64::from).collect();
        (key.key().name().to_owned(), labels.collect(), values)
    });
    series.collect()
}

fn named<'a>(series: &'a [Series], name: &str) -> Vec<&'a Series> {
    series.iter().filter(|one| one.0 == name).collect()
}

fn label<'a>(series: &'a Series, name: &str) -> Option<&'a str> {
    series.1.get(name).map(String::as_str)
}

#[test]
fn single_body_response_has_duration_and_tokens() {
    let all = series([whole()], |client| {
        client.chat(question()).unwrap();
    });
    let [duration] = named(&all, DURATION)[..] else {
        panic!("{all:?}");
    };
    assert_eq!(duration.2.len(), 1);
    let labels: Vec<_> = duration
        .1
        .iter()
        .map(|(k, v)| (k.as_str(), v.as_str()))
        .collect();
    assert_eq!(
        labels,
        [
            ("gen_ai.operation.name", "chat"),
            ("gen_ai.provider.name", "cerebras"),
            ("gen_ai.request.model", "m"),
            ("gen_ai.response.model", "m-1"),
        ]
    );
    let mut tokens: Vec<_> = named(&all, TOKENS)
        .into_iter()
        .map(|one| (label(one, "gen_ai.token.type"), one.2.clone()))
        .collect();
    tokens.sort_by_key(|(kind, _)| *kind);
    assert_eq!(
        tokens,
        [(Some("input"), vec![7.0]), (Some("output"), vec![3.0])]
    );
    assert!(named(&all, FIRST_CHUNK).is_empty(), "only of streams");
}

#[test]
fn call_metrics_name_the_final_target_attempt_metrics_their_own() {
    let all = series([refusal(401), whole()], |client| {
        let two = OpenAiChat::custom("https://two.test/v1").name("two");
        let client = client.clone().with_provider(two.build().unwrap()).unwrap();
        let fallback = client.providers().fallback("m", ["two.m2"]).unwrap();
        client.chat_with_fallback(question(), fallback).unwrap();
    });
    let target = |one: &Series| {
        let word = |name| label(one, name).map(str::to_owned);
        [
            word("gen_ai.provider.name"),
            word("gen_ai.request.model"),
            word("error.type"),
        ]
    };
    let words = |words: [Option<&str>; 3]| words.map(|word| word.map(str::to_owned));
    let answered = words([Some("two"), Some("m2"), None]);
    for name in [DURATION, TOKENS] {
        let targets: Vec<_> = named(&all, name).into_iter().map(target).collect();
        assert!(targets.iter().all(|one| *one == answered), "{targets:?}");
    }
    let mut attempts: Vec<_> = named(&all, ATTEMPT).into_iter().map(target).collect();
    attempts.sort();
    let failed = words([Some("cerebras"), Some("m"), Some("authentication")]);
    assert_eq!(attempts, [failed, answered]);
}

#[test]
fn stream_has_a_time_to_first_token() {
    let busy = MockResponse::json(429, "{}").header("retry-after", "2");
    let all = series([busy, stream()], |client| {
        client.stream(question()).unwrap().into_response().unwrap();
    });
    let [first] = named(&all, FIRST_CHUNK)[..] else {
        panic!("{all:?}");
    };
    let [duration] = named(&all, DURATION)[..] else {
        panic!("{all:?}");
    };
    assert!(first.2[0] >= 2.0 && first.2[0] <= duration.2[0], "{all:?}");
    assert_eq!(duration.2.len(), 1, "one call, however many tries");
}

#[test]
fn failures_and_dropped_calls_are_distinguished() {
    let all = series([refusal(401), refusal(401), stream()], |client| {
        client.chat(question()).unwrap_err();
        client.chat(question()).unwrap_err();
        let mut stream = client.stream(question()).unwrap();
        stream.next().unwrap().unwrap();
    });
    let mut kinds: Vec<_> = named(&all, DURATION)
        .into_iter()
        .map(|one| (label(one, "error.type"), one.2.len()))
        .collect();
    kinds.sort_unstable();
    assert_eq!(kinds, [(Some("authentication"), 2), (Some("cancelled"), 1)]);
    assert!(named(&all, TOKENS).is_empty(), "nobody counted any");
}

#[test]
fn a_fetch_of_credentials_has_a_duration_and_its_result() {
    use unifiedai::{
        Error, ErrorKind, Secret,
        credentials::{Credentials, Token},
        provider::Auth,
    };
    let of = |is_failing: bool| {
        let credentials = Credentials::from_fn("agent", move || match is_failing {
            true => Err(Error::new(ErrorKind::InvalidRequest, "canary")),
            false => Ok(Token::bearer(Secret::new("canary")?)),
        });
        let recorder = DebuggingRecorder::new();
        let snapshotter = recorder.snapshotter();
        with_local_recorder(&recorder, || {
            let auth = Auth::Bearer(credentials.into());
            let provider = OpenAiChat::custom("https://llm.test/v1").auth(auth).build();
            let client = Client::new(MockTransport::new([whole()]), provider.unwrap());
            let client = client.with_observer(MetricsObserver::new());
            assert_eq!(client.chat(question()).is_err(), is_failing);
        });
        let found = snapshotter.snapshot().into_vec().into_iter();
        let mut found = found.filter_map(|(key, _, _, value)| {
            let key = key.key().clone();
            (key.name() == "unifiedai.client.credentials.duration").then_some((key, value))
        });
        let (key, value) = found.next().unwrap();
        assert!(matches!(value, DebugValue::Histogram(values) if values.len() == 1));
        let labels = key.labels();
        let labels = labels.map(|label| format!("{}={}", label.key(), label.value()));
        labels.collect::<Vec<_>>().join(" ")
    };
    let base = "gen_ai.provider.name=openai-compatible unifiedai.credentials.source=agent";
    assert_eq!(of(false), base);
    assert_eq!(of(true), format!("{base} error.type=credentials_refused"));
}
