use crate::{SECOND, TestPrices, answer, options, provider, request};
use std::sync::{Arc, Mutex};
use unifiedai::{
    AsyncClient, CallOptions, Client, ErrorKind,
    cost::Usd,
    policy::{Budget, ProviderLimits},
    transport::testing::{MockResponse, MockTransport},
};

#[test]
fn a_call_over_the_budget_is_not_sent() {
    let mock = MockTransport::new([answer(), answer()]);
    let limits = ProviderLimits::new().budget(Budget::usd(Usd::from_cents(60), SECOND * 3600));
    let client = Client::shared(mock.clone(), provider("one"))
        .with_options(options())
        .with_provider_limits("one", Arc::new(limits))
        .unwrap();
    // The estimate of each call is above 10 cents, and below 60; its price is 20.
    client.chat(request().max_tokens(5)).unwrap();
    client.chat(request().max_tokens(5)).unwrap();
    let error = client.chat(request().max_tokens(5)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::QuotaExceeded, "{error}");
    assert_eq!(error.code(), Some("budget_exceeded"));
    assert!(error.message().contains("$0.2 is left"), "{error}");
    assert!(error.retry_after().unwrap() <= SECOND * 3600);
    assert!(error.attempts().is_empty());
    assert_eq!(mock.requests().len(), 2);
}

#[test]
fn without_prices_a_budget_of_money_says_what_is_missing() {
    let limits = ProviderLimits::new().budget(Budget::usd(Usd::from_cents(60), SECOND));
    let mock = MockTransport::new([]);
    let client = Client::shared(mock.clone(), provider("one"))
        .with_provider_limits("one", Arc::new(limits))
        .unwrap();
    let error = client.chat(request()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    assert!(error.message().contains("CallOptions::prices"), "{error}");
    let mut unpriced = request();
    unpriced.model = "unpriced".to_owned();
    let error = client.with_options(options()).chat(unpriced).unwrap_err();
    assert!(
        error.message().contains("no price is known for: model"),
        "{error}"
    );
    assert!(mock.requests().is_empty());
}

/// Ten thousand calls at once, of which a part is dropped while it waits: what is spent and what is reserved together
/// never exceed the budget.
#[test]
fn concurrent_and_dropped_calls_never_exceed_the_budget() {
    const CALLS: usize = 10_000;
    // Each call reserves an unknown, but equal amount, because the requests are equal; it is billed with 15 tokens.
    let responses = (0..CALLS).map(|number| match number % 3 {
        0 => answer().delay_headers(SECOND),
        1 => MockResponse::json(429, r#"{"error":{"message":"x"}}"#),
        _ => answer(),
    });
    let mock = MockTransport::new(responses);
    let limits = Arc::new(ProviderLimits::new().budget(Budget::tokens(30_000, SECOND * 3600)));
    let billed = Arc::<Mutex<u64>>::default();
    let sum = billed.clone();
    let ledger = unifiedai::cost::Ledger::new(move |entry| {
        if let Some(usage) = entry.usage.usage() {
            *sum.lock().unwrap() += usage.total_tokens.unwrap();
        }
    });
    let client = AsyncClient::shared(mock.clone(), provider("one"))
        .with_options(CallOptions::default().max_retries(0).prices(TestPrices))
        .with_provider_limits("one", limits)
        .unwrap()
        .with_observer(ledger.clone());
    let outcomes = smol::block_on(async {
        let calls = (0..CALLS).map(|number| {
            let client = client.clone();
            async move {
                let call = client.chat(request().max_tokens(20));
                if number % 7 == 0 {
                    // Polled once, then dropped.
                    let mut call = Box::pin(call);
                    let _ = smol::future::poll_once(&mut call).await;
                    return None;
                }
                Some(call.await)
            }
        });
        futures_util::future::join_all(calls).await
    });
    let refused = outcomes
        .iter()
        .flatten()
        .filter_map(|outcome| outcome.as_ref().err())
        .filter(|error| error.code() == Some("budget_exceeded"))
        .count();
    let sent = mock.requests().len();
    assert!(refused > 0, "the budget was never used up");
    assert!(sent > 500, "{sent} requests were sent");
    // Calls that were dropped after they were sent count with their estimate, so that the bill is lower than the budget.
    let billed = *billed.lock().unwrap();
    assert!(billed <= 30_000, "{billed} tokens were billed");
    assert!(billed > 10_000, "{billed} tokens were billed");
    let totals = &ledger.totals()[""];
    assert_eq!(usize::try_from(totals.attempts).unwrap(), sent);
}
