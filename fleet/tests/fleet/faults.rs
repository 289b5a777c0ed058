//! Workers and servers that are killed, frozen and gone: each item has one outcome, and what was asked twice is known.

use super::{
    FLEET, fleet,
    support::{
        Folder,
        database::{Query, Server},
        program::{Fleet, until},
        provider::{LoggingProvider, Reply},
    },
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

const LIMIT: Duration = Duration::from_secs(90);

/// Each item of `n` has one outcome, and each that arrived more than once has as many intents.
async fn check_outcomes(query: &Query, provider: &LoggingProvider, n: usize) -> usize {
    let n = i64::try_from(n).unwrap();
    assert_eq!(query.number("select count(*) from fleet.result").await, n);
    assert_eq!(query.number("select count(*) from fleet.input i where not exists (select from fleet.result r where r.run = i.run and r.seq = i.seq)").await, 0);
    let mut more = 0;
    for (id, arrived) in provider.by_item() {
        if arrived > 1 {
            more += arrived - 1;
            let intents = format!(
                "select count(*) from fleet.intent t join fleet.input i on i.run = t.run and i.seq = t.seq where i.key = '{id}'"
            );
            assert!(
                query.number(&intents).await >= i64::try_from(arrived).unwrap(),
                "{id}"
            );
        }
    }
    more
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_workers_lose_nothing_and_repeat_at_most_what_was_in_flight() {
    let Some((fleet, query, folder)) = fleet("kills").await else {
        return;
    };
    let provider = LoggingProvider::start(|_| Reply::ok(Duration::from_millis(60))).await;
    let (n, in_flight) = (1500, 8);
    let input = folder.input("in.jsonl", (0..n).map(|n| format!("i{n}")));
    fleet.submit(&input, "r", &provider.base_url(), "--chunk 32");
    let options = format!("--until-done --lease 2 --concurrency {in_flight}");
    let mut workers: Vec<_> = (0..4).map(|_| fleet.worker(&options)).collect();
    let mut kills = 0;
    while kills < 5 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let victim = kills % workers.len();
        if provider.count() > 100 {
            workers[victim].kill();
            workers[victim] = fleet.worker(&options);
            kills += 1;
        }
    }
    for worker in &mut workers {
        assert!(worker.wait(LIMIT).await);
    }
    let more = check_outcomes(&query, &provider, n).await;
    assert!(
        more <= kills * in_flight,
        "{more} calls more than items after {kills} kills"
    );
    let unknown = query
        .number("select coalesce(sum(unknown), 0)::bigint from fleet.chunk")
        .await;
    assert!(
        unknown >= i64::try_from(more).unwrap(),
        "{more} repeated, {unknown} known as possible"
    );
    let output = folder.file("out.jsonl");
    fleet.run(&format!("export {} --run r", output.display()));
    assert_eq!(std::fs::read_to_string(output).unwrap().lines().count(), n);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_worker_makes_no_call_in_an_old_slot() {
    let Some((fleet, query, folder)) = fleet("frozen").await else {
        return;
    };
    let provider = LoggingProvider::start(|_| Reply::ok(Duration::from_millis(20))).await;
    let n = 200;
    let input = folder.input("in.jsonl", (0..n).map(|n| format!("i{n}")));
    fleet.submit(&input, "r", &provider.base_url(), "--chunk 50 --rpm 3000");
    let mut frozen = fleet.worker("--lease 2 --concurrency 16");
    until("calls", LIMIT, async || provider.count() > 20).await;
    frozen.signal("STOP");
    let mut other = fleet.worker("--lease 2 --concurrency 16 --until-done");
    assert!(other.wait(LIMIT).await);
    let before = provider.count();
    frozen.signal("CONT");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(
        provider.count(),
        before,
        "the run was done when the worker woke"
    );
    assert!(frozen.is_running());
    let more = check_outcomes(&query, &provider, n).await;
    assert!(more <= 16, "{more}");
    // It works again under another id.
    let input = folder.input("more.jsonl", (0..10).map(|n| format!("more{n}")));
    fleet.submit(&input, "r", &provider.base_url(), "--chunk 50 --rpm 3000");
    until("the woken worker works", LIMIT, async || {
        provider.count() >= before + 10
    })
    .await;
    frozen.signal("TERM");
    assert!(frozen.wait(LIMIT).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_database_loses_no_stored_outcome() {
    let Some(server) = Server::start() else {
        return;
    };
    let url = server.database();
    let (fleet, folder) = (Fleet::new(FLEET, &url), Folder::new("away"));
    let provider = LoggingProvider::start(|_| Reply::ok(Duration::from_millis(30))).await;
    let n = 400;
    let input = folder.input("in.jsonl", (0..n).map(|n| format!("i{n}")));
    fleet.submit(&input, "r", &provider.base_url(), "--rpm 6000");
    let options = "--lease 2 --concurrency 8 --until-done";
    let mut workers = [fleet.worker(options), fleet.worker(options)];
    until("calls", LIMIT, async || provider.count() > 80).await;
    let query = Query::open(&url).await;
    let stored = query.number("select count(*) from fleet.result").await;
    server.kill();
    // Longer than a lease: none of the workers is taken for lost when it is back.
    tokio::time::sleep(Duration::from_secs(4)).await;
    let at_return = provider.count();
    server.begin();
    let query = Query::open(&url).await;
    assert!(query.number("select count(*) from fleet.result").await >= stored);
    for worker in &mut workers {
        assert!(worker.wait(LIMIT).await);
    }
    let more = check_outcomes(&query, &provider, n).await;
    assert!(at_return < n, "the server was away while there was work");
    assert!(more <= 16, "{more}");
    assert_eq!(query.number("select count(*) from fleet.lost_worker l join fleet.worker w on w.id = l.id and not w.leaving").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_item_that_ends_its_worker_is_found_and_its_neighbours_are_answered() {
    let Some((fleet, query, folder)) = fleet("poison").await else {
        return;
    };
    let poisoned = Arc::new(AtomicUsize::new(0));
    let seen = poisoned.clone();
    let provider = LoggingProvider::start(move |arrival| {
        if arrival.id == "i7" {
            seen.fetch_add(1, Ordering::SeqCst);
            return Reply::ok(Duration::from_secs(60));
        }
        Reply::ok(Duration::from_millis(5))
    })
    .await;
    let input = folder.input("in.jsonl", (0..24).map(|n| format!("i{n}")));
    fleet.submit(&input, "r", &provider.base_url(), "--chunk 12");
    let options = "--lease 1 --concurrency 4 --until-done";
    let mut worker = fleet.worker(options);
    let mut kills = 0;
    until("the run is done", LIMIT, async || {
        // The item ends its worker.
        if poisoned.load(Ordering::SeqCst) > kills {
            kills += 1;
            worker.kill();
            worker = fleet.worker(options);
        }
        !worker.is_running()
    })
    .await;
    assert_eq!(kills, 6, "three times in its chunk, three times alone");
    assert_eq!(
        query
            .number("select count(*) from fleet.result where kind = 'ok'")
            .await,
        23
    );
    assert_eq!(query.number("select count(*) from fleet.result r join fleet.input i on i.run = r.run and i.seq = r.seq where r.kind = 'poison' and i.key = 'i7'").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_have_been_called_can_be_held_instead_of_sent_again() {
    let Some((fleet, query, folder)) = fleet("hold").await else {
        return;
    };
    let provider = LoggingProvider::start(|arrival| {
        Reply::ok(Duration::from_secs(if arrival.number < 4 { 60 } else { 0 }))
    })
    .await;
    let input = folder.input("in.jsonl", (0..12).map(|n| format!("i{n}")));
    fleet.submit(&input, "r", &provider.base_url(), "--on-unknown hold");
    let mut worker = fleet.worker("--lease 1 --concurrency 4");
    until("four calls", LIMIT, async || provider.count() == 4).await;
    worker.kill();
    let mut worker = fleet.worker("--lease 1 --concurrency 4 --until-done");
    worker.wait(LIMIT).await;
    assert_eq!(provider.count(), 12, "no item was sent twice");
    assert_eq!(
        query
            .number("select count(*) from fleet.result where kind = 'unknown'")
            .await,
        4
    );
    assert_eq!(
        query
            .number("select count(*) from fleet.result where kind = 'ok'")
            .await,
        8
    );
    let unknown = query
        .number("select coalesce(sum(unknown), 0)::bigint from fleet.chunk")
        .await;
    assert_eq!(unknown, 4);
}
