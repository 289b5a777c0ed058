use crate::{SECOND, TestPrices, answer, options, provider, request};
use std::sync::{Arc, Mutex};
use unifiedai::{
    CallOptions, Client, ErrorKind,
    cost::{AttemptUsage, Ledger, LedgerEntry, Usd},
    policy::{Fallback, FallbackTarget},
    transport::{
        RequestDelivery, TransportErrorKind,
        testing::{MockResponse, MockTransport},
    },
};

type Client1 = Client<unifiedai::transport::BoxedTransport>;

/// A client over these responses, and what its ledger recorded.
fn client(
    responses: impl IntoIterator<Item = MockResponse>,
) -> (Client1, Ledger, Arc<Mutex<Vec<LedgerEntry>>>) {
    let entries = Arc::<Mutex<Vec<LedgerEntry>>>::default();
    let lines = entries.clone();
    let ledger =
        Ledger::new(move |entry| lines.lock().unwrap().push(entry.clone())).sum_by("customer");
    let client = Client::shared(MockTransport::new(responses), provider("one"))
        .with_options(options())
        .with_observer(ledger.clone());
    (client, ledger, entries)
}

fn chunk(body: &str) -> String {
    format!("data: {body}\n\n")
}

const TEXT: &str = r#"{"id":"r2","model":"m1-2026","choices":[{"index":0,"delta":{"content":"hello"}}],"usage":{"prompt_tokens":10,"completion_tokens":1}}"#;

const SILENT: &str = r#"{"id":"r2","choices":[{"index":0,"delta":{"content":"hello"}}]}"#;

#[test]
fn each_attempt_is_a_line() {
    let failed =
        MockResponse::json(500, r#"{"error":{"message":"x"}}"#).header("x-request-id", "req-0");
    let limited = MockResponse::json(429, r#"{"error":{"message":"x"}}"#);
    let (client, ledger, entries) = client([limited, failed, answer()]);
    let options = options().label("customer", "acme");
    let response = client.chat_with(request(), &options).unwrap();
    let entries = entries.lock().unwrap();
    let seen: Vec<_> = entries
        .iter()
        .map(|entry| (entry.attempt, entry.status, entry.may_have_been_billed))
        .collect();
    assert_eq!(
        seen,
        [
            (1, Some(429), false),
            (2, Some(500), true),
            (3, Some(200), true)
        ]
    );
    let cents = |entry: &LedgerEntry| entry.cost.as_ref().and_then(|cost| cost.total());
    assert_eq!(cents(&entries[0]), Some(Usd::ZERO));
    assert_eq!(
        cents(&entries[1]),
        None,
        "a 500 may be billed, and nothing is known of its tokens"
    );
    assert_eq!(cents(&entries[2]), Some(Usd::from_cents(20)));
    assert_eq!(entries[1].request_id.as_deref(), Some("req-0"));
    assert_eq!(entries[2].request_id.as_deref(), Some("req-1"));
    let last = &entries[2];
    assert_eq!((&*last.provider, &*last.model), ("one", "m1"));
    assert_eq!(last.labels.get("customer"), Some("acme"));
    assert!(entries[0].sent_at < entries[2].sent_at);
    // The response has the same attempts.
    let attempts = &response.metrics.attempts;
    assert_eq!(attempts.len(), 3);
    assert_eq!(attempts[2].usage, last.usage);
    assert_eq!(attempts[2].cost, last.cost);
    let totals = &ledger.totals()["acme"];
    assert_eq!(
        (totals.attempts, totals.billable, totals.incomplete),
        (3, 2, 1)
    );
    assert_eq!((totals.prompt_tokens, totals.completion_tokens), (10, 5));
    assert_eq!(totals.cost.known, Usd::from_cents(20));
    assert_eq!(totals.cost.unknown, ["tokens"]);
    let line = serde_json::to_value(last).unwrap();
    assert_eq!(line["cost"]["known"], "0.2");
    assert_eq!(line["usage"]["usage"]["prompt_tokens"], 10);
}

#[test]
fn a_request_that_was_not_sent_costs_nothing() {
    let unsent = MockResponse::failure(TransportErrorKind::Connect, RequestDelivery::NotSent);
    let lost = MockResponse::failure(TransportErrorKind::Reset, RequestDelivery::MaybeProcessed);
    let (client, _, entries) = client([unsent, lost]);
    let error = client.chat(request()).unwrap_err();
    let attempts = error.attempts();
    assert_eq!(attempts.len(), 2);
    let billed: Vec<_> = attempts
        .iter()
        .map(|attempt| attempt.may_have_been_billed)
        .collect();
    assert_eq!(billed, [false, true]);
    let recorded: Vec<_> = entries
        .lock()
        .unwrap()
        .iter()
        .map(|entry| entry.may_have_been_billed)
        .collect();
    assert_eq!(recorded, billed);
}

#[test]
fn a_cut_stream_has_the_usage_so_far() {
    let silent = MockResponse::new(200)
        .header("content-type", "text/event-stream")
        .chunk(chunk(SILENT))
        .stall();
    let cut = || {
        MockResponse::new(200)
            .header("content-type", "text/event-stream")
            .chunk(chunk(TEXT))
    };
    let (client, _, entries) = client([cut().truncated(), cut().stall(), silent]);
    let mut stream = client.stream(request()).unwrap();
    let error = stream.find_map(Result::err).unwrap();
    assert_eq!(error.kind(), ErrorKind::Truncated);
    let AttemptUsage::Partial(usage) = &error.attempts()[0].usage else {
        panic!("{:?}", error.attempts());
    };
    assert_eq!(usage.prompt_tokens, Some(10));
    // A stream that is dropped is a line too.
    let mut stream = client.stream(request()).unwrap();
    stream.next().unwrap().unwrap();
    drop(stream);
    let mut stream = client.stream(request()).unwrap();
    stream.next().unwrap().unwrap();
    drop(stream);
    let entries = entries.lock().unwrap();
    assert_eq!(entries.len(), 3);
    assert_eq!(entries[2].usage, AttemptUsage::Unknown);
    assert_eq!(entries[2].cost.as_ref().unwrap().unknown, ["tokens"]);
    for entry in &entries[..2] {
        assert!(matches!(entry.usage, AttemptUsage::Partial(_)), "{entry:?}");
        assert!(entry.may_have_been_billed);
        let cost = entry.cost.as_ref().unwrap();
        assert_eq!(cost.known, Usd::from_cents(12));
        assert_eq!(cost.unknown, ["unreported tokens"]);
    }
    assert_eq!(entries[1].error, Some(ErrorKind::Cancelled));
    assert!(entries[1].sent_at > std::time::SystemTime::UNIX_EPOCH);
}

#[test]
fn targets_of_a_fallback_are_told_apart() {
    let failed = MockResponse::json(500, r#"{"error":{"message":"x"}}"#);
    let (client, _, entries) = client([failed, answer()]);
    let fallback = Fallback::new(FallbackTarget::new(provider("one"), "m1"))
        .then(FallbackTarget::new(provider("two"), "unpriced"));
    let options = CallOptions::default().prices(TestPrices).max_retries(0);
    client
        .with_options(options)
        .chat_with_fallback(request(), fallback)
        .unwrap();
    let entries = entries.lock().unwrap();
    let seen: Vec<_> = entries
        .iter()
        .map(|entry| (&*entry.provider, &*entry.model))
        .collect();
    assert_eq!(seen, [("one", "m1"), ("two", "unpriced")]);
    assert_eq!(entries[1].cost.as_ref().unwrap().unknown, ["model"]);
}

#[test]
fn the_memory_of_the_sums_is_bounded() {
    let (client, ledger, _) = client((0..10_050).map(|_| answer()));
    for number in 0..10_050 {
        let options = options().label("customer", number.to_string());
        client
            .chat_with(request(), &options.timeout(SECOND))
            .unwrap();
    }
    let totals = ledger.totals();
    assert_eq!(totals.len(), 10_001);
    assert_eq!(totals[Ledger::OTHER].attempts, 50);
    let attempts: u64 = totals.values().map(|totals| totals.attempts).sum();
    assert_eq!(attempts, 10_050);
}
