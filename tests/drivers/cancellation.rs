//! A call that is dropped at any poll releases everything that it holds.

use crate::world::{Reply, Task, Tasks, World, provider, question, seconds};
use std::sync::Arc;
use unifiedai::{
    AsyncClient, CallOptions,
    policy::{CircuitBreakerConfig, Fallback, ProviderLimits},
    transport::{RequestDelivery, TransportErrorKind},
};

/// Each host first fails in its own way.
fn plan(host: &str, nth: usize) -> Reply {
    match (host, nth % 4) {
        ("one.test", 0) => Reply::broken(TransportErrorKind::Reset, RequestDelivery::NotSent),
        ("one.test", _) => Reply::status(503),
        (_, 1) => Reply::status(500),
        _ => Reply::status(200),
    }
}

struct Shared {
    world: World,
    client: AsyncClient,
    guards: [Arc<ProviderLimits>; 2],
}

fn shared() -> Shared {
    let world = World::new(plan);
    let rules = CircuitBreakerConfig::default();
    let guards = [(); 2].map(|()| {
        let guard = ProviderLimits::new()
            .requests_per_minute(30)
            .honor_rate_limit_headers();
        Arc::new(guard.circuit_breaker(rules))
    });
    let client = AsyncClient::new(world.clone(), provider("one"))
        .with_provider(provider("two"))
        .unwrap()
        .with_options(CallOptions::default())
        .with_max_concurrent("one", 1)
        .unwrap()
        .with_max_concurrent("two", 1)
        .unwrap()
        .with_provider_limits("one", guards[0].clone())
        .unwrap()
        .with_provider_limits("two", guards[1].clone())
        .unwrap();
    Shared {
        world,
        client,
        guards,
    }
}

fn fallback(client: &AsyncClient) -> Fallback {
    client.providers().fallback("one.m", ["two.m"]).unwrap()
}

fn call(client: &AsyncClient, number: usize) -> Task<'_> {
    Box::pin(async move {
        let fallback = fallback(client);
        if number % 2 == 0 {
            let _ = client.chat_with_fallback(question("m"), fallback).await;
        } else {
            let mut stream = client
                .stream_with_fallback(question("m"), fallback)
                .unwrap();
            while stream.next().await.is_some() {}
        }
    })
}

#[test]
fn everything_is_released_wherever_calls_are_dropped() {
    const CALLS: usize = 5;
    for victim in 0..CALLS {
        for turns in 0..60 {
            let Shared {
                world,
                client,
                guards,
            } = shared();
            let mut tasks = Tasks::new(&world, (0..CALLS).map(|number| call(&client, number)));
            for _ in 0..turns {
                if !tasks.turn() && !tasks.next_time() {
                    break;
                }
            }
            tasks.drop_task(victim);
            tasks.drop_task((victim + 2) % CALLS);
            tasks.run();
            assert_eq!(tasks.left(), 0, "a call waits for ever");
            drop(tasks);
            assert_eq!(world.running(), 0);
            assert_eq!([guards[0].in_flight(), guards[1].in_flight()], [0, 0]);
            assert!(world.most("one.test") <= 1 && world.most("two.test") <= 1);
            // Both permits are free and both circuits are closed again.
            world.advance(seconds(600));
            for model in ["one.m", "two.m"] {
                let sent = world.sent().len();
                let task = async {
                    let _ = client.chat(question(model)).await;
                };
                let mut tasks = Tasks::new(&world, [Box::pin(task) as Task<'_>]);
                tasks.run();
                assert_eq!(tasks.left(), 0, "{model} after {turns} turns");
                assert!(world.sent().len() > sent, "{model} after {turns} turns");
            }
        }
    }
}

#[test]
fn cancelled_retry_costs_no_budget() {
    let world = World::new(|_, _| Reply::status(503));
    let guard = Arc::new(ProviderLimits::new());
    let client = AsyncClient::new(world.clone(), provider("one"))
        .with_provider_limits("one", guard.clone())
        .unwrap();
    let task = async {
        let _ = client.chat(question("m")).await;
    };
    let mut tasks = Tasks::new(&world, [Box::pin(task) as Task<'_>]);
    while tasks.turn() {}
    tasks.next_time();
    while tasks.turn() {}
    assert_eq!((world.sent().len(), guard.retry_budget()), (1, 90));
    tasks.drop_task(0);
    assert_eq!(guard.retry_budget(), 100);
}
