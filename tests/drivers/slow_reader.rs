//! A call starts when it is first driven, however long ago it was created.

use crate::world::{Blocking, Reply, World, once, provider, question, seconds};
use std::sync::{Arc, Mutex};
use unifiedai::{
    AsyncChatStream, AsyncClient, CallOptions, Client,
    observe::{CallEvent, CallObservation},
    policy::{Fallback, FallbackTarget},
    sans_io::{CallStart, Exchange},
    transport::{AsyncDriver, Driver, Time},
};

fn hurried() -> CallOptions {
    let mut options = once();
    options.timeouts.total = Some(seconds(60));
    options
}

fn check(world: &World, duration: Option<std::time::Duration>) {
    let sent = world.sent();
    assert_eq!(sent.len(), 1);
    let began = Time::ZERO.saturating_add(seconds(200));
    let at = |after| began.saturating_add(seconds(after));
    assert_eq!(sent[0].at, began);
    let limits = sent[0].limits;
    assert_eq!((limits.connect, limits.total), (at(10), at(60)));
    assert!(limits.headers > began);
    assert!(duration.unwrap() <= seconds(1), "{duration:?}");
}

fn any() -> Fallback {
    Fallback::new(FallbackTarget::new(Arc::new(provider("one")), "m"))
}

#[test]
fn a_stream_that_is_read_late_has_its_full_timeout_blocking() {
    for with_fallback in [false, true] {
        let world = World::new(|_, _| Reply::status(200));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = seen.clone();
        let client = Client::new(Blocking(world.clone()), provider("one"))
            .with_options(hurried())
            .with_observer(move |seen: &CallObservation<'_>| match &seen.event {
                CallEvent::Attempt { after, .. } | CallEvent::FirstToken { after, .. } => {
                    log.lock().unwrap().push(*after);
                }
                CallEvent::Finished(summary) => log.lock().unwrap().push(summary.duration),
                _ => {}
            });
        let stream = if with_fallback {
            client.stream_with_fallback(question("m"), any()).unwrap()
        } else {
            client.stream(question("m")).unwrap()
        };
        world.advance(seconds(200));
        let response = stream.into_response().unwrap();
        check(&world, response.metrics.duration);
        let seen = seen.lock().unwrap();
        assert_eq!(seen.len(), 3);
        assert!(seen.iter().all(|after| *after < seconds(1)), "{seen:?}");
    }
}

#[test]
fn a_stream_that_is_read_late_has_its_full_timeout() {
    type Make = fn(&AsyncClient) -> AsyncChatStream;
    let make: [Make; 2] = [
        |client| client.stream(question("m")).unwrap(),
        |client| client.stream_with_fallback(question("m"), any()).unwrap(),
    ];
    for make in make {
        let world = World::new(|_, _| Reply::status(200));
        let client = AsyncClient::new(world.clone(), provider("one")).with_options(hurried());
        let stream = make(&client);
        world.advance(seconds(200));
        let mut duration = None;
        let task = async { duration = stream.into_response().await.unwrap().metrics.duration };
        let mut tasks =
            crate::world::Tasks::new(&world, [Box::pin(task) as crate::world::Task<'_>]);
        tasks.run();
        drop(tasks);
        check(&world, duration);
    }
}

#[test]
fn a_driver_starts_its_call_when_it_is_first_driven() {
    let exchange = |stream: bool| {
        let mut request = question("m");
        request.stream = stream;
        let start = CallStart::new(Time::ZERO, std::time::SystemTime::UNIX_EPOCH, 1);
        Exchange::new(
            Arc::new(provider("one")),
            Arc::new(request),
            Arc::new(hurried()),
            start,
        )
        .unwrap()
    };
    let world = World::new(|_, _| Reply::status(200));
    let driver = Driver::new(Blocking(world.clone()), exchange(false), Time::ZERO);
    world.advance(seconds(200));
    check(&world.clone(), driver.finish().unwrap().metrics.duration);

    let world = World::new(|_, _| Reply::status(200));
    let driver = AsyncDriver::new(world.clone(), exchange(true), Time::ZERO);
    world.advance(seconds(200));
    let mut duration = None;
    let task = async { duration = driver.finish().await.unwrap().metrics.duration };
    crate::world::Tasks::new(&world, [Box::pin(task) as crate::world::Task<'_>]).run();
    check(&world, duration);
}

/// A stream can be cancelled, so it waits in another way than a call without events.
#[test]
fn the_back_off_of_a_stream_uses_virtual_time() {
    let world = World::new(|_, nth| Reply::status(if nth < 2 { 503 } else { 200 }));
    let client = Client::new(Blocking(world.clone()), provider("one"));
    let response = client.stream(question("m")).unwrap().into_response();
    assert_eq!(response.unwrap().metrics.attempts.len(), 3);
    assert!(world.time() > Time::ZERO);
}

const PIECES: &[&str] = &[
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n",
    ": ping\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"b\"}}]}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
    ": ping\n\n",
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n\n",
    "data: [DONE]\n\n",
];

fn in_pieces(waits: bool) -> Reply {
    Reply {
        chunks: Some((PIECES, waits)),
        ..Reply::status(200)
    }
}

/// The application needs ten minutes for each event.
#[test]
fn a_slow_reader_is_not_taken_for_a_slow_server() {
    let world = World::new(|_, _| in_pieces(false));
    let client = Client::new(Blocking(world.clone()), provider("one")).with_options(once());
    let mut stream = client.stream(question("m")).unwrap();
    let mut text = String::new();
    for event in &mut stream {
        text.push_str(event.unwrap().text().unwrap_or_default());
        world.advance(seconds(600));
    }
    let response = stream.into_response().unwrap();
    assert_eq!(text, "ab");
    assert_eq!(response.usage.unwrap().completion_tokens, Some(2));
    assert_eq!(response.warnings, []);

    for waits in [false, true] {
        let plan = if waits {
            |_: &str, _| in_pieces(true)
        } else {
            |_: &str, _| in_pieces(false)
        };
        let world = World::new(plan);
        let client = AsyncClient::new(world.clone(), provider("one")).with_options(once());
        let task = async {
            let mut stream = client.stream(question("m")).unwrap();
            let mut text = String::new();
            while let Some(event) = stream.next().await {
                text.push_str(event.unwrap().text().unwrap_or_default());
                world.advance(seconds(600));
            }
            let response = stream.into_response().await.unwrap();
            assert_eq!(text, "ab");
            assert_eq!(response.usage.unwrap().completion_tokens, Some(2));
            assert_eq!(response.warnings, []);
        };
        let mut tasks =
            crate::world::Tasks::new(&world, [Box::pin(task) as crate::world::Task<'_>]);
        tasks.run();
        assert_eq!(tasks.left(), 0);
    }
}
