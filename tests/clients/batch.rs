use crate::support::{Running, cerebras, question, server, tokio};
use std::{collections::BTreeSet, time::Duration};
use unifiedai::{
    AsyncClient, ChatRequest, Client, ErrorKind,
    batch::BatchOptions,
    transport::{self, AsyncTransport, SmolTransport as Smol, UreqTransport},
};

const REQUESTS: usize = 300;

fn requests() -> impl Iterator<Item = (usize, ChatRequest)> + Send {
    (0..REQUESTS).map(|number| {
        let mut request = question();
        if number % 50 == 7 {
            request.model = "fault-status-400".into();
        }
        (number, request)
    })
}

fn check(results: &[(usize, bool)], ordered: bool) {
    let numbers: Vec<usize> = results.iter().map(|(number, _)| *number).collect();
    let every: BTreeSet<usize> = numbers.iter().copied().collect();
    assert_eq!((numbers.len(), every.len()), (REQUESTS, REQUESTS));
    if ordered {
        assert!(numbers.is_sorted());
    }
    assert!(results.iter().all(|(number, ok)| *ok == (number % 50 != 7)));
}

#[test]
fn every_request_has_one_result_blocking() {
    let server = server();
    for ordered in [false, true] {
        let running = Running::default();
        let client =
            Client::new(UreqTransport::new(), cerebras(&server)).with_observer(running.observer());
        let mut options = BatchOptions::default();
        options.ordered = ordered;
        let batch = client.batch(requests(), options).unwrap();
        let results: Vec<_> = batch
            .map(|(number, result)| (number, result.is_ok()))
            .collect();
        check(&results, ordered);
        assert!(running.most() <= 8);
    }
}

#[test]
fn every_request_has_one_result_on_tokio() {
    tokio().block_on(all(transport::HyperTransport::new()));
}

#[test]
fn every_request_has_one_result_on_smol() {
    smol::block_on(all(Smol::new()));
}

async fn all<T: AsyncTransport + Clone + 'static>(transport: T) {
    let server = server();
    for ordered in [false, true] {
        let running = Running::default();
        let client = AsyncClient::new(transport.clone(), cerebras(&server))
            .with_observer(running.observer());
        let mut options = BatchOptions::default().concurrency(20);
        options.ordered = ordered;
        let mut batch = client.batch(requests(), options).unwrap();
        let mut results = Vec::new();
        while let Some((number, result)) = batch.next().await {
            results.push((number, result.is_ok()));
        }
        check(&results, ordered);
        assert!((2..=20).contains(&running.most()), "{}", running.most());
        let stream = futures_util::stream::iter(requests());
        let mut batch = client.batch_stream(stream, options).unwrap();
        let mut results = Vec::new();
        while let Some((number, result)) = batch.next().await {
            results.push((number, result.is_ok()));
        }
        check(&results, ordered);
    }
}

#[test]
fn a_concurrency_of_zero_is_refused() {
    let server = server();
    let options = BatchOptions::default().concurrency(0);
    let client = Client::new(UreqTransport::new(), cerebras(&server));
    let error = client.batch(requests(), options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    let client = AsyncClient::new(Smol::new(), cerebras(&server));
    assert!(client.batch(requests(), options).is_err());
}

#[test]
fn a_dropped_batch_starts_no_more_calls() {
    let server = server();
    let client = Client::new(UreqTransport::new(), cerebras(&server));
    let mut batch = client
        .batch(requests(), BatchOptions::default().concurrency(2))
        .unwrap();
    let _ = batch.next().unwrap();
    drop(batch);
    std::thread::sleep(Duration::from_millis(100));
    let served = server.served();
    assert!(served < REQUESTS as u64 / 2, "{served}");
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(server.served(), served);

    smol::block_on(async {
        let running = Running::default();
        let client =
            AsyncClient::new(Smol::new(), cerebras(&server)).with_observer(running.observer());
        let mut batch = client.batch(requests(), BatchOptions::default()).unwrap();
        let _ = batch.next().await.unwrap();
        drop(batch);
        assert_eq!(running.now(), 0);
    });
}

#[test]
fn an_unread_batch_starts_no_calls() {
    let server = server();
    let client = Client::new(UreqTransport::new(), cerebras(&server));
    let batch = client
        .batch(requests(), BatchOptions::default().concurrency(3))
        .unwrap();
    std::thread::sleep(Duration::from_millis(300));
    assert!(server.served() <= 6, "{}", server.served());
    assert_eq!(batch.count(), REQUESTS);
}

#[test]
fn a_rate_limited_call_delays_the_others() {
    let server = server();
    let mut options = BatchOptions::default();
    options.concurrency = 1;
    let mut rules = unifiedai::CallOptions::default();
    rules.retry.max_retries = 0;
    let client = Client::new(UreqTransport::new(), cerebras(&server)).with_options(rules.clone());
    let requests = || {
        let mut first = question();
        first.model = "fault-status-429+retry-after-ms=300".into();
        [(0, first), (1, question())]
    };
    let began = std::time::Instant::now();
    let results: Vec<_> = client.batch(requests(), options).unwrap().collect();
    assert!(began.elapsed() >= Duration::from_millis(300));
    assert!(results[0].1.is_err() && results[1].1.is_ok());

    smol::block_on(async {
        let client = AsyncClient::new(Smol::new(), cerebras(&server)).with_options(rules);
        let began = std::time::Instant::now();
        let mut batch = client.batch(requests(), options).unwrap();
        assert!(batch.next().await.unwrap().1.is_err());
        assert!(batch.next().await.unwrap().1.is_ok());
        assert!(batch.next().await.is_none());
        assert!(began.elapsed() >= Duration::from_millis(300));
    });
}
