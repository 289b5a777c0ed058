//! The operations of a store, on PostgreSQL and on SQLite alike.

use super::support::{Folder, database::Server};
use std::{future::Future, sync::Arc, time::Duration};
use unifiedai_fleet::{
    FleetError,
    store::{
        AttemptRecord, LineInput, PostgresStore, RunConfig, RunState, SqliteStore, Store, Wanted,
        WorkerState,
    },
};

/// Runs a test on both stores.
async fn on_both<F>(test: impl Fn(Arc<dyn Store>) -> F)
where
    F: Future<Output = ()>,
{
    let folder = Folder::new("store");
    test(Arc::new(
        SqliteStore::open(&folder.file("fleet.db")).unwrap(),
    ))
    .await;
    if let Some(server) = Server::shared() {
        test(Arc::new(
            PostgresStore::connect(&server.database(), None)
                .await
                .unwrap(),
        ))
        .await;
    }
}

fn lines(n: usize) -> Vec<LineInput> {
    let line = |n| LineInput {
        key: format!("i{n}"),
        body: Some("{}".into()),
        ..LineInput::default()
    };
    (0..n).map(line).collect()
}

fn config(name: &str, rpm: Option<f64>) -> RunConfig {
    let mut config = RunConfig::new(name, "cerebras");
    config.rpm = rpm;
    config
}

fn outcome(worker: i64, run: i32, seq: i64, attempt: i32) -> AttemptRecord {
    AttemptRecord {
        worker,
        run,
        seq,
        attempt,
        is_outcome: true,
        kind: "ok".into(),
        body: Some(format!("{{\"worker\":{worker}}}")),
        ..AttemptRecord::default()
    }
}

fn wanted(run: i32, seqs: std::ops::RangeInclusive<i64>, attempt: i32) -> Vec<Wanted> {
    seqs.map(|seq| Wanted {
        run,
        seq,
        attempt,
        tokens: 10,
    })
    .collect()
}

#[tokio::test]
async fn a_lease_ends_once_and_its_first_outcome_counts() {
    on_both(async |store: Arc<dyn Store>| {
        let run = store.open_run(&config("r", None)).await.unwrap().id;
        assert_eq!(store.add_inputs(run, &lines(5), None, 3).await.unwrap(), 5);
        assert_eq!(store.add_inputs(run, &lines(5), None, 3).await.unwrap(), 0);
        store.complete_input(run).await.unwrap();
        let first = store.register("a", 0.2, 1).await.unwrap();
        let chunk = store.claim(first, None, true).await.unwrap().unwrap();
        assert_eq!(
            (
                chunk.first,
                chunk.last,
                store.load(&chunk).await.unwrap().len()
            ),
            (1, 3, 3)
        );
        let grant = store
            .grant(first, 1, &wanted(run, 1..=3, 1), 0)
            .await
            .unwrap();
        assert_eq!(grant.slots, [Some(0), Some(0), Some(0)]);
        store.put(&[outcome(first, run, 1, 1)]).await.unwrap();
        assert!(
            !store.finish(first, &chunk).await.unwrap(),
            "items are left"
        );

        // The first worker is silent for longer than its lease.
        let second = store.register("b", 0.2, 1).await.unwrap();
        for _ in 0..8 {
            tokio::time::sleep(Duration::from_millis(60)).await;
            assert!(store.beat(second, WorkerState::default()).await.unwrap());
        }
        assert!(!store.beat(first, WorkerState::default()).await.unwrap());
        assert!(matches!(
            store.claim(first, None, true).await,
            Err(FleetError::LeaseLost)
        ));
        let refused = store.grant(first, 1, &wanted(run, 2..=2, 2), 0).await;
        assert!(matches!(refused, Err(FleetError::LeaseLost)));
        let again = store.claim(second, None, true).await.unwrap().unwrap();
        assert_eq!((again.no, again.epoch), (chunk.no, chunk.epoch + 1));
        let items = store.load(&again).await.unwrap();
        assert_eq!(
            items
                .iter()
                .map(|item| (item.seq, item.tries, item.unknown))
                .collect::<Vec<_>>(),
            [(2, 1, 1), (3, 1, 1)]
        );
        store
            .grant(second, 1, &wanted(run, 2..=3, 2), 0)
            .await
            .unwrap();
        assert_eq!(
            store
                .put(&[outcome(second, run, 2, 2), outcome(second, run, 3, 2)])
                .await
                .unwrap(),
            0
        );
        // Storing again changes nothing; the late outcome of the first worker loses, and is known.
        assert_eq!(store.put(&[outcome(second, run, 2, 2)]).await.unwrap(), 0);
        assert_eq!(store.put(&[outcome(first, run, 2, 1)]).await.unwrap(), 1);
        assert!(!store.finish(first, &chunk).await.unwrap());
        assert!(store.finish(second, &again).await.unwrap());
        let rows = store.outcomes(run, 0, 10).await.unwrap();
        assert_eq!(
            rows[1].body.as_deref(),
            Some(format!("{{\"worker\":{second}}}").as_str())
        );
        assert_eq!(store.close_runs(None).await.unwrap(), 1, "a chunk is left");
        let status = store.status(Some("r")).await.unwrap();
        assert_eq!((status.runs[0].items, status.runs[0].done), (5, 3));
        assert_eq!(
            (status.runs[0].attempts, status.runs[0].unknown_attempts),
            (5, 1)
        );
    })
    .await;
}

#[tokio::test]
async fn a_paused_run_gives_neither_slots_nor_chunks() {
    on_both(async |store: Arc<dyn Store>| {
        let run = store.open_run(&config("r", None)).await.unwrap().id;
        store.add_inputs(run, &lines(4), None, 2).await.unwrap();
        let worker = store.register("a", 60.0, 1).await.unwrap();
        let chunk = store.claim(worker, None, true).await.unwrap().unwrap();
        let paused = store
            .set_state("r", RunState::Paused, Some("no credit"))
            .await
            .unwrap();
        assert_eq!(paused, RunState::Paused);
        let grant = store
            .grant(worker, 1, &wanted(run, 1..=2, 1), 0)
            .await
            .unwrap();
        assert_eq!(grant.slots, [None, None]);
        assert_eq!(store.claim(worker, None, true).await.unwrap(), None);
        store.give_back(worker, &chunk).await.unwrap();
        store.set_state("r", RunState::Open, None).await.unwrap();
        let again = store.claim(worker, None, true).await.unwrap().unwrap();
        assert_eq!((again.no, again.epoch), (chunk.no, 2));
        store
            .set_state("r", RunState::Cancelled, None)
            .await
            .unwrap();
        assert_eq!(
            store.set_state("r", RunState::Open, None).await.unwrap(),
            RunState::Cancelled
        );
        assert!(matches!(
            store.set_state("x", RunState::Open, None).await,
            Err(FleetError::Refused(_))
        ));
        assert!(matches!(
            store.add_inputs(run, &lines(9), None, 2).await,
            Err(FleetError::Refused(_))
        ));
    })
    .await;
}

#[tokio::test]
async fn slots_and_penalties_are_those_of_the_rule() {
    on_both(async |store: Arc<dyn Store>| {
        let run = store.open_run(&config("r", Some(600.0))).await.unwrap().id;
        store.add_inputs(run, &lines(100), None, 100).await.unwrap();
        let worker = store.register("a", 60.0, 1).await.unwrap();
        let grant = store
            .grant(worker, 1, &wanted(run, 1..=20, 1), 0)
            .await
            .unwrap();
        let slots: Vec<u64> = grant.slots.iter().flatten().copied().collect();
        assert_eq!(slots, (0..=10).map(|n| n * 100_000).collect::<Vec<_>>());
        assert!(grant.retry_us > 300_000);
        assert!(
            store
                .penalise(1, grant.epoch, Some(20_000_000), 0.7)
                .await
                .unwrap()
        );
        for _ in 0..5 {
            assert!(
                !store
                    .penalise(1, grant.epoch, Some(10_000_000), 0.7)
                    .await
                    .unwrap()
            );
        }
        let next = store
            .grant(worker, 1, &wanted(run, 12..=12, 1), 0)
            .await
            .unwrap();
        assert_eq!((next.slots.len(), next.epoch), (0, grant.epoch + 1));
        let status = store.status(None).await.unwrap();
        let limiter = &status.limiters[0];
        assert!((limiter.factor - 0.7).abs() < 1e-9 && limiter.reductions == 1);
        assert!(
            limiter.held_for_s > 15.0 && limiter.held_for_s <= 20.0,
            "{limiter:?}"
        );
        // The wait of headers is longer than the present one, and lowers nothing.
        store
            .penalise(1, next.epoch, Some(30_000_000), 1.0)
            .await
            .unwrap();
        let limiter = &store.status(None).await.unwrap().limiters[0];
        assert!(limiter.held_for_s > 25.0 && limiter.reductions == 1);
    })
    .await;
}

#[tokio::test]
async fn a_state_of_a_batch_is_saved_by_the_owner_alone() {
    on_both(async |store: Arc<dyn Store>| {
        let mut at_provider = config("r", None);
        at_provider.at_provider = true;
        let run = store.open_run(&at_provider).await.unwrap().id;
        store.add_inputs(run, &lines(2), None, 2).await.unwrap();
        let (a, b) = (
            store.register("a", 60.0, 1).await.unwrap(),
            store.register("b", 60.0, 1).await.unwrap(),
        );
        let chunk = store.claim(a, None, true).await.unwrap().unwrap();
        assert!(store.save_remote(a, &chunk, "one").await.unwrap());
        assert!(!store.save_remote(b, &chunk, "two").await.unwrap());
        store.leave(a).await.unwrap();
        assert!(!store.save_remote(a, &chunk, "three").await.unwrap());
        let chunk = store.claim(b, None, true).await.unwrap().unwrap();
        assert_eq!(chunk.remote.as_deref(), Some("one"));
        assert_eq!(store.run("r").await.unwrap().config, at_provider);
    })
    .await;
}

#[tokio::test]
async fn a_schema_of_a_later_version_is_refused() {
    let Some(server) = Server::shared() else {
        return;
    };
    let url = server.database();
    drop(PostgresStore::connect(&url, None).await.unwrap());
    super::support::database::Query::open(&url)
        .await
        .run("update fleet.version set version = 99")
        .await;
    let error = PostgresStore::connect(&url, None)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("version 99"), "{error}");
}
