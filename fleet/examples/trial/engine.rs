//! The database's part alone: no provider, no processes.

use crate::support::database::{Query, Server};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use unifiedai_fleet::store::{AttemptRecord, LineInput, PostgresStore, RunConfig, Store, Wanted};

const CHUNK: i32 = 64;

/// A run of `items` items, and a store for each worker.
async fn prepare(url: &str, items: u64, stores: u64, rpm: Option<f64>) -> Vec<Arc<PostgresStore>> {
    let store = PostgresStore::connect(url, None).await.unwrap();
    let mut config = RunConfig::new("r", "cerebras");
    config.rpm = rpm;
    let run = store.open_run(&config).await.unwrap().id;
    let body = format!(
        "{{\"messages\":[{{\"role\":\"user\",\"content\":\"{}\"}}]}}",
        "x".repeat(400)
    );
    let mut next = 0;
    while next < items {
        let line = |n| LineInput {
            key: format!("i{n}"),
            body: Some(body.clone()),
            ..LineInput::default()
        };
        let lines: Vec<_> = (next..items.min(next + 4096)).map(line).collect();
        next += store.add_inputs(run, &lines, None, CHUNK).await.unwrap();
    }
    let mut all = Vec::new();
    for _ in 0..stores {
        all.push(Arc::new(PostgresStore::connect(url, None).await.unwrap()));
    }
    all
}

/// One worker: leases chunks and answers their items at once, 16 slots at a time.
async fn work(
    store: &PostgresStore,
    done: &AtomicU64,
    stop: &AtomicBool,
    grants: &mut Vec<Duration>,
) {
    let worker = store.register("trial", 60.0, 32).await.unwrap();
    while !stop.load(Ordering::Relaxed) {
        let Some(chunk) = store.claim(worker, None, true).await.unwrap() else {
            return;
        };
        let items = store.load(&chunk).await.unwrap();
        let mut rest = &items[..];
        let mut rows = Vec::new();
        while !rest.is_empty() {
            let some = &rest[..rest.len().min(16)];
            let wanted: Vec<Wanted> = some
                .iter()
                .map(|item| Wanted {
                    run: chunk.run,
                    seq: item.seq,
                    attempt: 1,
                    tokens: 100,
                })
                .collect();
            let began = Instant::now();
            let grant = store.grant(worker, 1, &wanted, 0).await.unwrap();
            grants.push(began.elapsed());
            let given = grant.slots.len();
            rows.extend(some[..given].iter().map(|item| AttemptRecord {
                worker,
                run: chunk.run,
                seq: item.seq,
                attempt: 1,
                is_outcome: true,
                kind: "ok".into(),
                status: Some(200),
                body: Some("{\"text\":\"a response of some length, as they are\"}".repeat(8)),
                input_tokens: Some(100),
                output_tokens: Some(100),
            }));
            rest = &rest[given..];
            if rows.len() >= 50 || rest.is_empty() {
                store.put(&rows).await.unwrap();
                done.fetch_add(rows.len() as u64, Ordering::Relaxed);
                rows.clear();
            }
        }
        assert!(store.finish(worker, &chunk).await.unwrap());
    }
}

pub(crate) async fn items(items: u64, workers: u64) {
    let Some(server) = Server::start() else {
        return;
    };
    let url = server.database();
    let began = Instant::now();
    let stores = prepare(&url, items, workers, None).await;
    let submitted = began.elapsed();
    let (rate, mut grants) = run_workers(stores, Duration::from_secs(100)).await;
    grants.sort();
    println!(
        "{}",
        serde_json::json!({"trial": "engine", "items": items, "workers": workers,
            "submitted_per_s": items as f64 / submitted.as_secs_f64(), "items_per_s": rate, "grant_ms": percentiles(&grants)})
    );
}

async fn run_workers(stores: Vec<Arc<PostgresStore>>, longest: Duration) -> (f64, Vec<Duration>) {
    let (done, stop) = (
        Arc::new(AtomicU64::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    let began = Instant::now();
    let tasks: Vec<_> = stores
        .into_iter()
        .map(|store| {
            let (done, stop) = (done.clone(), stop.clone());
            tokio::spawn(async move {
                let mut grants = Vec::new();
                work(&store, &done, &stop, &mut grants).await;
                grants
            })
        })
        .collect();
    let stopper = {
        let stop = stop.clone();
        tokio::spawn(async move {
            tokio::time::sleep(longest).await;
            stop.store(true, Ordering::Relaxed);
        })
    };
    let mut grants = Vec::new();
    for task in tasks {
        grants.extend(task.await.unwrap());
    }
    stopper.abort();
    (
        done.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64(),
        grants,
    )
}

pub(crate) async fn grants(rate: u64, connections: u64, seconds: u64) {
    let Some(server) = Server::start() else {
        return;
    };
    let url = server.database();
    // The limit is far above what is asked for.
    let stores = prepare(&url, 1000, connections, Some(rate as f64 * 60.0 * 8.0)).await;
    let every = Duration::from_secs_f64(connections as f64 / rate as f64);
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut tasks = Vec::new();
    for (n, store) in stores.into_iter().enumerate() {
        let worker = store.register("trial", 60.0, 32).await.unwrap();
        tasks.push(tokio::spawn(async move {
            let mut durations = Vec::new();
            let mut next = Instant::now() + every.mul_f64(n as f64 / connections as f64);
            while next < end {
                tokio::time::sleep_until(next.into()).await;
                next += every;
                let wanted: Vec<Wanted> = (1..=4)
                    .map(|seq| Wanted {
                        run: 1,
                        seq,
                        attempt: 1,
                        tokens: 100,
                    })
                    .collect();
                let began = Instant::now();
                store.grant(worker, 1, &wanted, 0).await.unwrap();
                durations.push(began.elapsed());
            }
            durations
        }));
    }
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await.unwrap());
    }
    all.sort();
    println!(
        "{}",
        serde_json::json!({"trial": "grants", "connections": connections, "per_s": all.len() as f64 / seconds as f64, "ms": percentiles(&all)})
    );
}

pub(crate) async fn open_transaction(seconds: u64) {
    let Some(server) = Server::start() else {
        return;
    };
    let url = server.database();
    let stores = prepare(&url, 400_000, 16, None).await;
    let (before, _) = run_workers(stores.clone(), Duration::from_secs(15)).await;
    let foreign = Query::open(&url).await;
    foreign
        .run("begin isolation level repeatable read; select count(*) from fleet.run")
        .await;
    let began = Instant::now();
    let (mut rates, mut grant_ms) = (Vec::new(), Vec::new());
    while began.elapsed() < Duration::from_secs(seconds) {
        let (rate, mut grants) = run_workers(stores.clone(), Duration::from_secs(15)).await;
        if grants.is_empty() {
            break;
        }
        grants.sort();
        rates.push(rate.round());
        grant_ms.push(percentiles(&grants));
    }
    println!(
        "{}",
        serde_json::json!({"trial": "xmin", "items_per_s_before": before.round(), "items_per_s_each_15_s": rates, "grant_ms": grant_ms.last()})
    );
}

fn percentiles(sorted: &[Duration]) -> serde_json::Value {
    let at = |share: f64| {
        let place = ((sorted.len() as f64 - 1.0) * share).max(0.0) as usize;
        sorted.get(place).map_or(0.0, |duration| {
            (duration.as_secs_f64() * 1e4).round() / 10.0
        })
    };
    serde_json::json!({"p50": at(0.5), "p95": at(0.95), "p99": at(0.99)})
}
