//! A poll yields to the executor after a number of inputs, whatever they contain.

use crate::world::{Reply, Task, Tasks, World, once, provider, question, seconds};
use unifiedai::{AsyncClient, batch::BatchOptions};

const PINGS: &str = ": ping\n\n";
const TEXT: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n";
/// More than any poll reads.
const MANY: usize = 200;

fn client(chunk: fn(&str, usize) -> Reply) -> (World, AsyncClient) {
    let world = World::new(chunk);
    let client = AsyncClient::new(world.clone(), provider("one")).with_options(once());
    (world, client)
}

/// Runs a task: each of its polls reads at most a number of chunks, and the task continues.
fn check(chunk: fn(&str, usize) -> Reply, make: impl for<'a> Fn(&'a AsyncClient) -> Task<'a>) {
    let (world, client) = client(chunk);
    let mut tasks = Tasks::new(&world, [make(&client)]);
    let mut read = 0;
    let mut turns = 0;
    while turns < 50 {
        if !tasks.turn() {
            assert!(tasks.next_time(), "the task waits for nothing");
            continue;
        }
        turns += 1;
        let now = world.chunks();
        assert!(now - read <= MANY, "{} chunks in one poll", now - read);
        read = now;
    }
    assert!(read > 1000, "only {read} chunks: it does not go on");
    assert_eq!(tasks.left(), 1);
}

#[test]
fn a_stream_of_keep_alives_yields() {
    check(
        |_, _| Reply::endless(PINGS),
        |client| {
            Box::pin(async move {
                let mut stream = client.stream(question("m")).unwrap();
                stream.next().await;
            })
        },
    );
}

#[test]
fn a_call_that_reads_all_events_yields() {
    check(
        |_, _| Reply::endless(TEXT),
        |client| {
            Box::pin(async move {
                let _ = client.stream(question("m")).unwrap().into_response().await;
            })
        },
    );
    check(
        |_, _| Reply::endless(TEXT),
        |client| {
            Box::pin(async move {
                let mut stream = client.stream(question("m")).unwrap();
                while stream.next().await.is_some() {}
            })
        },
    );
}

#[test]
fn endless_body_yields_to_other_tasks() {
    check(
        |_, _| Reply::endless(" "),
        |client| {
            Box::pin(async move {
                let _ = client.chat(question("m")).await;
            })
        },
    );
}

#[test]
fn a_comparison_and_a_batch_yield() {
    check(
        |_, _| Reply::endless(TEXT),
        |client| {
            Box::pin(async move {
                client
                    .compare(&question("m"), &["a", "b", "c"], |_, _| {})
                    .await;
            })
        },
    );
    check(
        |_, _| Reply::endless(" "),
        |client| {
            Box::pin(async move {
                let requests = (0..3).map(|number| (number, question("m")));
                let mut batch = client.batch(requests, BatchOptions::default()).unwrap();
                while batch.next().await.is_some() {}
            })
        },
    );
}

#[test]
fn a_hedged_call_yields() {
    check(
        |_, _| Reply::endless(" "),
        |client| {
            Box::pin(async move {
                let _ = client.chat_hedged(question("m"), "n", seconds(0)).await;
            })
        },
    );
}
