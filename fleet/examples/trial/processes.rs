//! Worker processes against a provider that logs each call.

use crate::support::{
    Folder,
    database::{Query, Server},
    program::{Fleet, WorkerProcess, until},
    provider::{LoggingProvider, Reply, most_in},
};
use std::time::{Duration, Instant};
use unifiedai::{
    AsyncClient, CallOptions, ChatRequest, RetryPolicy, batch::BatchOptions, provider::OpenAiChat,
    transport::HyperTransport,
};

const LIMIT: Duration = Duration::from_secs(1800);

/// The program, built into the same folder as this one.
fn fleet(url: &str) -> Fleet {
    let this = std::env::current_exe().unwrap();
    let program = this.parent().unwrap().parent().unwrap().join("fleet");
    assert!(program.exists(), "build {} first", program.display());
    Fleet::new(program, url)
}

fn ids(n: u64) -> impl Iterator<Item = String> {
    (0..n).map(|n| format!("i{n}"))
}

pub(crate) async fn kills(items: u64, workers: u64, rpm: u64) {
    let Some(server) = Server::start() else {
        return;
    };
    let url = server.database();
    let (fleet, folder) = (fleet(&url), Folder::new("kills"));
    let provider = LoggingProvider::start(|_| Reply::ok(Duration::from_millis(500))).await;
    fleet.submit(
        &folder.input("in.jsonl", ids(items)),
        "r",
        &provider.base_url(),
        &format!("--rpm {rpm}"),
    );
    let options = "--until-done --lease 20 --concurrency 32";
    let began = Instant::now();
    let mut processes: Vec<WorkerProcess> = (0..workers).map(|_| fleet.worker(options)).collect();
    // 20 % of the workers a minute.
    let every = Duration::from_secs_f64(60.0 / (workers as f64 * 0.2));
    let (mut kills, mut next, mut random) = (0_usize, Instant::now() + every, 7_usize);
    until("all items", LIMIT, async || {
        if Instant::now() > next {
            next += every;
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let place = (random >> 33) % processes.len();
            if processes[place].is_running() {
                processes[place].kill();
                processes[place] = fleet.worker(options);
                kills += 1;
            }
        }
        !processes.iter_mut().any(WorkerProcess::is_running)
    })
    .await;
    let query = Query::open(&url).await;
    let results = query.number("select count(*) from fleet.result").await;
    let missing = query.number("select count(*) from fleet.input i where not exists (select from fleet.result r where r.run = i.run and r.seq = i.seq)").await;
    let unknown = query
        .number("select coalesce(sum(unknown), 0)::bigint from fleet.chunk")
        .await;
    let more: usize = provider.by_item().values().map(|arrived| arrived - 1).sum();
    let most = provider.most_in(Duration::from_secs(60));
    println!(
        "{}",
        serde_json::json!({"trial": "kills", "items": items, "workers": workers, "kills": kills, "results": results, "missing": missing,
            "repeated_calls": more, "attempts_of_unknown_end": unknown, "seconds": began.elapsed().as_secs_f64(),
            "most_in_60_s": most, "limit_in_60_s": rpm})
    );
}

pub(crate) async fn pace(rpm: u64, workers: u64, seconds: u64) {
    let Some(server) = Server::start() else {
        return;
    };
    let url = server.database();
    let (fleet, folder) = (fleet(&url), Folder::new("pace"));
    let provider = LoggingProvider::start(|_| Reply::ok(Duration::from_millis(500))).await;
    let items = rpm * (seconds + 60) / 60;
    fleet.submit(
        &folder.input("in.jsonl", ids(items)),
        "r",
        &provider.base_url(),
        &format!("--rpm {rpm}"),
    );
    let processes: Vec<_> = (0..workers)
        .map(|_| fleet.worker("--concurrency 32"))
        .collect();
    until("calls", LIMIT, async || provider.count() > 0).await;
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    drop(processes);
    let arrivals = provider.arrivals();
    let percent = |seconds: u64| {
        let most = most_in(&arrivals, Duration::from_secs(seconds)) as f64;
        (most / (rpm as f64 * seconds as f64 / 60.0) * 1000.0).round() / 10.0
    };
    let steady: Vec<_> = arrivals
        .iter()
        .filter(|a| a.at - arrivals[0].at > Duration::from_secs(10))
        .collect();
    let span = (steady[steady.len() - 1].at - steady[0].at).as_secs_f64();
    println!(
        "{}",
        serde_json::json!({"trial": "pace", "rpm": rpm, "workers": workers, "calls": arrivals.len(),
            "percent_in_worst_60_s": percent(60), "percent_in_worst_10_s": percent(10),
            "percent_used": (steady.len() as f64 / span / (rpm as f64 / 60.0) * 1000.0).round() / 10.0})
    );
}

pub(crate) async fn freeze(seconds: u64) {
    let Some(server) = Server::start() else {
        return;
    };
    let url = server.database();
    let (fleet, folder) = (fleet(&url), Folder::new("freeze"));
    let provider = LoggingProvider::start(|_| Reply::ok(Duration::from_millis(200))).await;
    let items = 600;
    fleet.submit(
        &folder.input("in.jsonl", ids(items)),
        "r",
        &provider.base_url(),
        "--rpm 3000",
    );
    let frozen = fleet.worker("--concurrency 32");
    until("calls", LIMIT, async || provider.count() > 50).await;
    frozen.signal("STOP");
    let stopped = Instant::now();
    let mut other = fleet.worker("--concurrency 32 --until-done");
    other.wait(LIMIT).await;
    let done = stopped.elapsed();
    tokio::time::sleep(Duration::from_secs(seconds).saturating_sub(stopped.elapsed())).await;
    let before = provider.count();
    frozen.signal("CONT");
    tokio::time::sleep(Duration::from_secs(5)).await;
    let query = Query::open(&url).await;
    println!(
        "{}",
        serde_json::json!({"trial": "freeze", "seconds": seconds, "items": items, "results": query.number("select count(*) from fleet.result").await,
            "calls": before, "calls_after_waking": provider.count() - before, "done_after_s": done.as_secs_f64(),
            "late_outcomes": query.number("select count(*) from fleet.failure where kind = 'late'").await})
    );
}

pub(crate) async fn away(seconds: u64) {
    let Some(server) = Server::start() else {
        return;
    };
    let url = server.database();
    let (fleet, folder) = (fleet(&url), Folder::new("away"));
    let provider = LoggingProvider::start(|_| Reply::ok(Duration::from_millis(300))).await;
    let items = 1500;
    fleet.submit(
        &folder.input("in.jsonl", ids(items)),
        "r",
        &provider.base_url(),
        "--rpm 3000",
    );
    let mut workers: Vec<_> = (0..4)
        .map(|_| fleet.worker("--concurrency 16 --until-done"))
        .collect();
    until("calls", LIMIT, async || provider.count() > 400).await;
    let query = Query::open(&url).await;
    let stored = query.number("select count(*) from fleet.result").await;
    server.kill();
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let during = provider.count();
    server.begin();
    let query = Query::open(&url).await;
    let kept = query.number("select count(*) from fleet.result").await;
    for worker in &mut workers {
        worker.wait(LIMIT).await;
    }
    println!(
        "{}",
        serde_json::json!({"trial": "away", "seconds": seconds, "items": items, "stored_before": stored, "stored_at_return": kept,
            "calls_until_return": during, "calls": provider.count(), "results": query.number("select count(*) from fleet.result").await,
            "lost_workers": query.number("select count(*) from fleet.worker where gone and not leaving").await})
    );
}

pub(crate) async fn overhead(items: u64) {
    let Some(server) = Server::start() else {
        return;
    };
    let url = server.database();
    let (fleet, folder) = (fleet(&url), Folder::new("overhead"));
    let provider = LoggingProvider::start(|_| Reply::ok(Duration::from_millis(20))).await;
    let base = provider.base_url();
    fleet.submit(&folder.input("in.jsonl", ids(items)), "r", &base, "");
    let before = children_cpu();
    fleet.run("work --until-done --concurrency 32");
    let fleet_cpu = children_cpu() - before;
    let before = children_cpu();
    let this = std::env::current_exe().unwrap();
    let plain = std::process::Command::new(this)
        .args(["plain", &items.to_string(), &base])
        .status()
        .unwrap();
    assert!(plain.success());
    let plain_cpu = children_cpu() - before;
    let each = |seconds: f64| (seconds / items as f64 * 1e7).round() / 10.0;
    println!(
        "{}",
        serde_json::json!({"trial": "overhead", "items": items, "fleet_us_per_item": each(fleet_cpu), "library_us_per_item": each(plain_cpu)})
    );
}

/// The same calls by the library alone, with their responses as JSON.
pub(crate) async fn plain(items: u64, base_url: &str) {
    let provider = OpenAiChat::custom(base_url).build().unwrap();
    let options = CallOptions::default().retry(RetryPolicy::none());
    let client = AsyncClient::new(HyperTransport::new(), provider).with_options(options);
    let requests = (0..items).map(|n| (n, ChatRequest::new("m").user(format!("<i{n}>"))));
    let mut batch = client
        .batch(requests, BatchOptions::default().concurrency(32))
        .unwrap();
    let mut bytes = 0;
    while let Some((_, response)) = batch.next().await {
        bytes += serde_json::to_string(&response.unwrap()).unwrap().len();
    }
    assert!(bytes > 0);
}

/// User and system time of the processes that this one waited for, in seconds.
fn children_cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .unwrap()
        .1
        .split_whitespace()
        .collect();
    // cutime and cstime, in ticks of 10 ms.
    (fields[13].parse::<f64>().unwrap() + fields[14].parse::<f64>().unwrap()) / 100.0
}
