use crate::support::{Running, cerebras, poll_at_most, poll_once, question, server, tokio};
use futures_util::future::join_all;
use std::{sync::Arc, time::Duration};
use unifiedai::{
    AsyncClient, CallOptions, Client, ErrorKind,
    error::TimeoutKind,
    transport::{self, AsyncTransport, SmolTransport as Smol, UreqTransport},
};
use unifiedai_loopback::Loopback;

const CALLS: usize = 200;
const PLACES: usize = 8;

#[test]
fn concurrent_calls_are_limited_blocking() {
    let (server, running) = (server(), Running::default());
    let client = Client::new(UreqTransport::new(), cerebras(&server))
        .with_observer(running.observer())
        .with_max_concurrent("cerebras", PLACES)
        .unwrap();
    std::thread::scope(|scope| {
        for call in 0..CALLS {
            let client = client.clone();
            scope.spawn(move || {
                if call % 2 == 0 {
                    client.chat(question()).unwrap();
                } else {
                    client.stream(question()).unwrap().into_response().unwrap();
                }
            });
        }
    });
    check(&running, CALLS);
}

#[test]
fn concurrent_calls_are_limited_on_tokio() {
    tokio().block_on(many(transport::HyperTransport::new()));
}

#[test]
fn concurrent_calls_are_limited_on_smol() {
    smol::block_on(many(Smol::new()));
}

async fn many<T: AsyncTransport + 'static>(transport: T) {
    let (server, running) = (server(), Running::default());
    let client = limited(transport, &server, &running, PLACES);
    let calls = (0..CALLS).map(|call| {
        let client = client.clone();
        async move {
            if call % 2 == 0 {
                client.chat(question()).await.unwrap();
            } else {
                client
                    .stream(question())
                    .unwrap()
                    .into_response()
                    .await
                    .unwrap();
            }
        }
    });
    join_all(calls).await;
    check(&running, CALLS);
}

fn check(running: &Running, calls: usize) {
    assert_eq!((running.now(), running.finished()), (0, calls));
    assert!((2..=PLACES).contains(&running.most()), "{}", running.most());
}

// F115, F116
#[test]
fn dropped_call_returns_its_permit_on_tokio() {
    tokio().block_on(dropped_anywhere(transport::HyperTransport::new()));
}

#[test]
fn dropped_call_returns_its_permit_on_smol() {
    smol::block_on(dropped_anywhere(Smol::new()));
}

async fn dropped_anywhere<T: AsyncTransport + 'static>(transport: T) {
    let (server, running) = (server(), Running::default());
    let client = limited(transport, &server, &running, 1);
    drop(client.chat(question()));
    drop(client.stream(question()).unwrap());
    for whole in [true, false] {
        let mut polls = 0;
        loop {
            polls += 1;
            // Another call in the queue, dropped too.
            let mut behind = Box::pin(client.chat(question()));
            let ready = if whole {
                let call = client.chat(question());
                poll_at_most(call, polls).await
            } else {
                let mut stream = client.stream(question()).unwrap();
                let call = async { while stream.next().await.is_some() {} };
                let ready = poll_at_most(call, polls).await;
                poll_once(behind.as_mut());
                ready
            };
            drop(behind);
            let response = client.chat(question()).await.unwrap();
            assert!(!response.text().is_empty());
            if ready {
                break;
            }
        }
        assert!(polls > 1);
    }
    assert_eq!(running.now(), 0);
}

#[test]
fn waiting_for_a_permit_ends_at_the_total_timeout() {
    let (server, running) = (server(), Running::default());
    let patient = |total| {
        let mut options = CallOptions::default();
        options.timeouts.total = total;
        options
    };
    let agent = Client::new(UreqTransport::new(), cerebras(&server))
        .with_observer(running.observer())
        .with_max_concurrent("cerebras", 1)
        .unwrap();
    let mut holding = agent.stream(question()).unwrap();
    holding.next().unwrap().unwrap();
    let hurried = agent
        .clone()
        .with_options(patient(Some(Duration::from_millis(50))));
    let error = hurried.chat(question()).unwrap_err();
    assert_eq!(
        (error.kind(), error.timeout(), error.attempts().len()),
        (ErrorKind::Timeout, Some(TimeoutKind::Total), 0)
    );
    drop(holding);
    hurried
        .with_options(patient(None))
        .chat(question())
        .unwrap();

    tokio().block_on(async {
        let client = limited(transport::HyperTransport::new(), &server, &running, 1);
        let mut holding = client.stream(question()).unwrap();
        holding.next().await.unwrap().unwrap();
        let hurried = client
            .clone()
            .with_options(patient(Some(Duration::from_millis(50))));
        let error = hurried.chat(question()).await.unwrap_err();
        assert_eq!(error.timeout(), Some(TimeoutKind::Total));
        drop(holding);
        client.chat(question()).await.unwrap();
    });
}

#[test]
fn permits_are_granted_in_fifo_order_to_clients() {
    let server = server();
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    tokio().block_on(async {
        let client = AsyncClient::new(transport::HyperTransport::new(), cerebras(&server))
            .with_max_concurrent("cerebras", 1)
            .unwrap();
        let calls = (0..50).map(|call| {
            let (client, order) = (client.clone(), order.clone());
            async move {
                client.chat(question()).await.unwrap();
                order.lock().unwrap().push(call);
            }
        });
        join_all(calls).await;
    });
    assert!(order.lock().unwrap().is_sorted());
}

fn limited<T: AsyncTransport + 'static>(
    transport: T,
    server: &Loopback,
    running: &Running,
    places: usize,
) -> AsyncClient {
    AsyncClient::new(transport, cerebras(server))
        .with_observer(running.observer())
        .with_max_concurrent("cerebras", places)
        .unwrap()
}
