//! The cost of waiting for a rate limiter does not depend on the number of waiters.

use crate::world::{Reply, Task, Tasks, World, once, provider, question, seconds};
use std::{cell::RefCell, sync::Arc};
use unifiedai::{AsyncClient, policy::ProviderLimits, transport::Time};

/// Ten per second.
const PACE: u32 = 600;

fn client(world: &World) -> AsyncClient {
    let guard = Arc::new(ProviderLimits::new().requests_per_minute(PACE));
    AsyncClient::new(world.clone(), provider("one"))
        .with_options(once())
        .with_provider_limits("one", guard)
        .unwrap()
}

/// One call each, and the order in which they end.
fn calls<'a>(
    client: &'a AsyncClient,
    number: usize,
    order: &'a RefCell<Vec<usize>>,
) -> impl Iterator<Item = Task<'a>> {
    (0..number).map(move |number| {
        Box::pin(async move {
            client.chat(question("m")).await.unwrap();
            order.borrow_mut().push(number);
        }) as Task<'a>
    })
}

#[test]
fn waiters_are_polled_a_bounded_number_of_times() {
    const CALLS: usize = 3000;
    let world = World::new(|_, _| Reply::status(200));
    let (client, order) = (client(&world), RefCell::default());
    let mut tasks = Tasks::new(&world, calls(&client, CALLS, &order));
    tasks.run();
    let polls: usize = tasks.polls.iter().sum();
    assert!(polls <= 8 * CALLS, "{polls} polls for {CALLS} calls");
    assert!(tasks.polls.iter().all(|polls| *polls <= 10));
    drop(tasks);
    assert!(order.borrow().is_sorted());
    // Each is sent as soon as the rate limiter admits it, and not before.
    let sent = world.sent();
    for (behind, sent) in (1..).zip(&sent[PACE as usize..]) {
        let due = Time::ZERO.saturating_add(std::time::Duration::from_millis(100 * behind));
        assert_eq!(sent.at, due);
    }
}

#[test]
fn waiters_behind_a_dropped_one_move_up() {
    let world = World::new(|_, _| Reply::status(200));
    let (client, order) = (client(&world), RefCell::default());
    let calls_in_all = PACE as usize + 100;
    let mut tasks = Tasks::new(&world, calls(&client, calls_in_all, &order));
    while tasks.turn() {}
    assert_eq!(world.sent().len(), PACE as usize);
    for number in 0..99 {
        tasks.drop_task(PACE as usize + number);
    }
    tasks.run();
    drop(tasks);
    let last = world.sent().last().unwrap().at;
    assert_eq!(order.borrow().last(), Some(&(calls_in_all - 1)));
    assert!(last <= Time::ZERO.saturating_add(seconds(1)), "{last:?}");
}
