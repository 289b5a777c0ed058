//! The limit of concurrent calls of a provider, including calls that fallback moves to it.

use crate::world::{Blocking, Reply, Task, Tasks, World, once, provider, question, seconds};
use unifiedai::{
    AsyncClient, CallOptions, Client, ErrorKind, RetryPolicy, error::TimeoutKind, policy::Fallback,
};

fn first_fails(host: &str, _: usize) -> Reply {
    Reply::status(if host == "one.test" { 503 } else { 200 })
}

fn client(world: &World) -> AsyncClient {
    AsyncClient::new(world.clone(), provider("one"))
        .with_provider(provider("two"))
        .unwrap()
        .with_options(once())
}

fn one_then_two(client: &AsyncClient) -> Fallback {
    client.providers().fallback("one.m", ["two.m"]).unwrap()
}

#[test]
fn calls_that_arrive_by_fallback_count() {
    let world = World::new(first_fails);
    let client = client(&world).with_max_concurrent("two", 1).unwrap();
    let calls = (0..6).map(|number| {
        let fallback = one_then_two(&client);
        let client = &client;
        Box::pin(async move {
            let mut request = question("m");
            request.max_tokens = Some(number + 1);
            let response = client.chat_with_fallback(request, fallback).await.unwrap();
            assert_eq!(response.provider_metadata.provider, "two");
        }) as Task<'_>
    });
    let mut tasks = Tasks::new(&world, calls);
    tasks.run();
    assert_eq!(tasks.left(), 0);
    assert_eq!((world.most("one.test"), world.most("two.test")), (6, 1));
    // In FIFO order.
    let sent = world.sent();
    let second: Vec<_> = sent.iter().filter(|sent| sent.host == "two.test").collect();
    for (number, sent) in second.iter().enumerate() {
        let wanted = format!("{}", number + 1);
        let body = std::str::from_utf8(&sent.body).unwrap();
        assert!(body.contains(&wanted), "{body} is not the {wanted}th");
    }
}

#[test]
fn target_permit_is_returned_on_fallback() {
    let world = World::new(|host, _| Reply {
        after: seconds(if host == "one.test" { 1 } else { 1000 }),
        ..first_fails(host, 0)
    });
    let client = client(&world).with_max_concurrent("one", 1).unwrap();
    let calls = (0..3).map(|_| {
        let fallback = one_then_two(&client);
        let client = &client;
        Box::pin(async move {
            client
                .chat_with_fallback(question("m"), fallback)
                .await
                .unwrap();
        }) as Task<'_>
    });
    Tasks::new(&world, calls).run();
    assert_eq!((world.most("one.test"), world.most("two.test")), (1, 3));
    let first: Vec<_> = world.sent().iter().map(|sent| sent.at).collect();
    assert!(*first.last().unwrap() < unifiedai::transport::Time::ZERO.saturating_add(seconds(10)));
}

#[test]
fn two_models_of_one_provider_share_its_only_permit() {
    let world = World::new(|_, nth| Reply::status(if nth == 0 { 503 } else { 200 }));
    let client = client(&world).with_max_concurrent("one", 1).unwrap();
    let fallback = client.providers().fallback("one.m", ["one.n"]).unwrap();
    let call = async {
        client
            .chat_with_fallback(question("m"), fallback)
            .await
            .unwrap();
    };
    let mut tasks = Tasks::new(&world, [Box::pin(call) as Task<'_>]);
    tasks.run();
    assert_eq!(tasks.left(), 0);
}

#[test]
fn other_calls_run_while_one_waits_for_its_next_attempt() {
    let world = World::new(|_, nth| Reply::status(if nth == 0 { 503 } else { 200 }));
    let client = client(&world)
        .with_options(CallOptions::default())
        .with_max_concurrent("one", 1)
        .unwrap();
    let calls = (0..2).map(|number| {
        let client = &client;
        Box::pin(async move {
            let response = client.chat(question("one.m")).await.unwrap();
            let attempts = response.metrics.attempts.len();
            assert_eq!(attempts, if number == 0 { 2 } else { 1 });
        }) as Task<'_>
    });
    Tasks::new(&world, calls).run();
    assert_eq!(world.most("one.test"), 1);
    let sent = world.sent();
    let wait = sent[1].at.saturating_since(sent[0].at);
    assert_eq!(sent.len(), 3);
    assert!(wait.as_millis() <= 100, "the second call waited: {wait:?}");
}

#[test]
fn a_wait_for_a_permit_ends_at_the_total_timeout() {
    let world = World::new(|_, _| Reply {
        after: seconds(100),
        ..Reply::status(200)
    });
    let client = client(&world).with_max_concurrent("one", 1).unwrap();
    let mut options = CallOptions::default();
    options.retry = RetryPolicy::none();
    options.timeouts.total = Some(seconds(7));
    let hurried = client.clone().with_options(options);
    let held: Task<'_> = Box::pin(async {
        client.chat(question("one.m")).await.unwrap();
    });
    let waiting: Task<'_> = Box::pin(async {
        let error = hurried.chat(question("one.m")).await.unwrap_err();
        assert_eq!(error.timeout(), Some(TimeoutKind::Total));
        assert_eq!(error.attempts().len(), 0);
        assert_eq!(
            world.time(),
            unifiedai::transport::Time::ZERO.saturating_add(seconds(7))
        );
    });
    let mut tasks = Tasks::new(&world, [held, waiting]);
    tasks.run();
    assert_eq!((tasks.left(), world.sent().len()), (0, 1));
}

#[test]
fn calls_that_arrive_by_fallback_count_blocking() {
    let world = World::new(first_fails);
    let client = Client::new(Blocking(world.clone()), provider("one"))
        .with_provider(provider("two"))
        .unwrap()
        .with_options(once())
        .with_max_concurrent("two", 1)
        .unwrap();
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let fallback = client.providers().fallback("one.m", ["two.m"]).unwrap();
                client.chat_with_fallback(question("m"), fallback).unwrap();
            });
        }
    });
    assert_eq!(world.most("two.test"), 1);
    assert_eq!(world.sent().len(), 12);
    let error = client.chat(question("one.m")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ServiceUnavailable);
}
