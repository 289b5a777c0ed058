//! Operations of several concurrent calls, dropped at every await: every permit is released, every call ends.

use crate::support::{Running, cerebras, named, poll_at_most, question, server, tokio};
use unifiedai::{
    AsyncClient, ChatRequest,
    batch::BatchOptions,
    health::HealthStatus,
    transport::{self, AsyncTransport, SmolTransport as Smol},
};
use unifiedai_loopback::Loopback;

const MODELS: [&str; 3] = ["cerebras.a", "cerebras.b", "other.c"];

#[test]
fn batches_comparisons_and_checks_can_be_dropped_on_tokio() {
    tokio().block_on(dropped(transport::HyperTransport::new()));
}

#[test]
fn batches_comparisons_and_checks_can_be_dropped_on_smol() {
    smol::block_on(dropped(Smol::new()));
}

async fn dropped<T: AsyncTransport + 'static>(transport: T) {
    let (server, running) = (server(), Running::default());
    let client = client(transport, &server, &running);
    let (client, running) = (&client, &running);
    let mut polls = at_every_await(client, running, |polls| {
        let requests = (0..6).map(|number| (number, question()));
        let options = BatchOptions::default().concurrency(3);
        let mut batch = client.batch::<u32, _>(requests, options).unwrap();
        async move {
            let all = async { while batch.next().await.is_some() {} };
            poll_at_most(all, polls).await
        }
    })
    .await;
    polls += at_every_await(client, running, |polls| async move {
        let request = question();
        poll_at_most(client.compare(&request, &MODELS, |_, _| {}), polls).await
    })
    .await;
    polls += at_every_await(client, running, |polls| async move {
        poll_at_most(client.health(), polls).await
    })
    .await;
    // Three polls would be one per operation, so nothing would have been dropped halfway.
    assert!(polls > 3, "{polls}");
    assert_eq!(client.health().await.status, HealthStatus::Healthy);
}

/// Two providers, one of them with a single permit.
fn client<T: AsyncTransport + 'static>(
    transport: T,
    server: &Loopback,
    running: &Running,
) -> AsyncClient {
    AsyncClient::new(transport, cerebras(server))
        .with_provider(named(server, "other"))
        .unwrap()
        .with_observer(running.observer())
        .with_max_concurrent("cerebras", 1)
        .unwrap()
}

/// Drives `ask` for one poll, for two, and so on, until it completes. Returns the number of polls.
async fn at_every_await<F>(
    client: &AsyncClient,
    running: &Running,
    ask: impl Fn(usize) -> F,
) -> usize
where
    F: Future<Output = bool>,
{
    let mut polls = 0;
    loop {
        polls += 1;
        let ready = ask(polls).await;
        assert_eq!(running.now(), 0, "after {polls} polls");
        let response = client.chat(ChatRequest::new("a").user("Hi.")).await;
        assert!(!response.unwrap().text().is_empty());
        if ready {
            return polls;
        }
    }
}
