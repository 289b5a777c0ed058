//! A panicking observer affects only its own call.

use crate::support::{cerebras, question, server};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};
use unifiedai::{
    Client, ErrorKind,
    batch::BatchOptions,
    observe::{CallEvent, CallObservation},
    transport::UreqTransport,
};

/// Panics at every event of a call to the model `bad`, and counts those events.
fn touchy(told: &Arc<AtomicUsize>) -> impl Fn(&CallObservation<'_>) + Send + Sync + 'static {
    let told = told.clone();
    move |seen| {
        if seen.call.model == "bad" && !matches!(seen.event, CallEvent::Started) {
            told.fetch_add(1, SeqCst);
            panic!("an observer's own fault");
        }
    }
}

#[test]
fn observer_panic_does_not_double_panic_and_returns_the_permit() {
    let (server, told) = (server(), Arc::new(AtomicUsize::new(0)));
    let client = Client::new(UreqTransport::new(), cerebras(&server))
        .with_max_concurrent("cerebras", 1)
        .unwrap()
        .with_observer(touchy(&told));
    let mut bad = question();
    bad.model = "bad".into();
    let caught = catch_unwind(AssertUnwindSafe(|| client.chat(bad)));
    assert!(caught.is_err());
    assert_eq!(told.load(SeqCst), 1);
    assert!(client.chat(question()).is_ok());
}

#[test]
fn a_batch_loses_no_result_to_a_panic() {
    let (server, told) = (server(), Arc::new(AtomicUsize::new(0)));
    let client = Client::new(UreqTransport::new(), cerebras(&server)).with_observer(touchy(&told));
    for ordered in [true, false] {
        let requests = (0..12).map(|number| {
            let mut request = question();
            if number % 3 == 0 {
                request.model = "bad".into();
            }
            (number, request)
        });
        let options = BatchOptions::default().concurrency(2);
        let options = if ordered { options.ordered() } else { options };
        let mut results: Vec<_> = client.batch(requests, options).unwrap().collect();
        results.sort_by_key(|(number, _)| *number);
        assert_eq!(results.len(), 12);
        for (number, result) in results {
            let kind = result.err().map(|error| error.kind());
            assert_eq!(kind, (number % 3 == 0).then_some(ErrorKind::Misuse));
        }
    }
}
