//! One pace for all workers.

use super::{
    fleet,
    support::{
        program::until,
        provider::{LoggingProvider, Reply, most_in},
    },
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

const LIMIT: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_workers_keep_one_limit_and_use_it() {
    let Some((fleet, _, folder)) = fleet("pace").await else {
        return;
    };
    let provider = LoggingProvider::start(|_| Reply::ok(Duration::from_millis(100))).await;
    // 20 a second.
    let input = folder.input("in.jsonl", (0..800).map(|n| format!("i{n}")));
    fleet.submit(&input, "r", &provider.base_url(), "--rpm 1200 --chunk 16");
    let workers: Vec<_> = (0..5).map(|_| fleet.worker("--concurrency 16")).collect();
    until("15 s of calls", LIMIT, async || {
        let arrivals = provider.arrivals();
        arrivals
            .first()
            .is_some_and(|first| first.at.elapsed() > Duration::from_secs(15))
    })
    .await;
    drop(workers);
    let arrivals = provider.arrivals();
    let most = most_in(&arrivals, Duration::from_secs(10));
    assert!(most <= 220, "{most} in 10 s; the limit is 200");
    // The first seconds are those in which the workers find each other.
    let steady: Vec<_> = arrivals
        .iter()
        .filter(|arrival| arrival.at - arrivals[0].at > Duration::from_secs(5))
        .collect();
    let seconds = (steady[steady.len() - 1].at - steady[0].at).as_secs_f64();
    let used = steady.len() as f64 / seconds / 20.0;
    assert!(used > 0.90, "{:.1} % of the limit were used", used * 100.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_a_minute_are_kept_though_the_estimates_are_wrong() {
    let Some((fleet, _, folder)) = fleet("tokens").await else {
        return;
    };
    // A call takes 50 tokens; the first estimates are about 260. 6,000 tokens a minute are 2 calls a second.
    let provider = LoggingProvider::start(|_| Reply::ok(Duration::from_millis(20))).await;
    let input = folder.input("in.jsonl", (0..200).map(|n| format!("i{n}")));
    fleet.submit(&input, "r", &provider.base_url(), "--tpm 24000 --chunk 16");
    let workers: Vec<_> = (0..3).map(|_| fleet.worker("--concurrency 8")).collect();
    until("15 s of calls", LIMIT, async || {
        let arrivals = provider.arrivals();
        arrivals
            .first()
            .is_some_and(|first| first.at.elapsed() > Duration::from_secs(15))
    })
    .await;
    drop(workers);
    let arrivals = provider.arrivals();
    let most = most_in(&arrivals, Duration::from_secs(10));
    assert!(
        most <= 88,
        "{most} calls of 50 tokens in 10 s; the limit is 80"
    );
    assert!(
        arrivals.len() >= 90,
        "{} calls in 15 s; the limit allows 120",
        arrivals.len()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_of_one_worker_holds_all_back_and_counts_once() {
    let Some((fleet, _, folder)) = fleet("refusal").await else {
        return;
    };
    let refuse_until: Arc<std::sync::Mutex<Option<Instant>>> = Arc::default();
    let until_then = refuse_until.clone();
    let provider = LoggingProvider::start(move |arrival| {
        let mut until_then = until_then.lock().unwrap();
        if arrival.number == 60 {
            *until_then = Some(arrival.at + Duration::from_secs(5));
        }
        match *until_then {
            Some(end) if arrival.at < end => {
                Reply::error(429, "retry-after: 5\r\n", "rate_limit_exceeded")
            }
            _ => Reply::ok(Duration::from_millis(50)),
        }
    })
    .await;
    let input = folder.input("in.jsonl", (0..400).map(|n| format!("i{n}")));
    fleet.submit(&input, "r", &provider.base_url(), "--rpm 1800 --chunk 16");
    let mut workers: Vec<_> = (0..4)
        .map(|_| fleet.worker("--concurrency 8 --until-done"))
        .collect();
    until("a pause", LIMIT, async || {
        let end = *refuse_until.lock().unwrap();
        end.is_some_and(|end| Instant::now() > end + Duration::from_secs(2))
    })
    .await;
    let arrivals = provider.arrivals();
    let refused = arrivals[60].at;
    let after = |arrival: &&_| {
        let arrival: &crate::support::provider::Arrival = arrival;
        let since = arrival.at - refused;
        arrival.at > refused
            && since > Duration::from_millis(1300)
            && since < Duration::from_millis(4950)
    };
    assert_eq!(
        arrivals.iter().filter(after).count(),
        0,
        "calls while all should wait"
    );
    assert!(arrivals.last().unwrap().at > refused + Duration::from_secs(5));
    let status = fleet.status();
    assert_eq!(status["limiters"][0]["reductions"], 1, "{status}");
    assert!(status["limiters"][0]["factor"].as_f64().unwrap() < 0.75);
    for worker in &mut workers {
        assert!(worker.wait(LIMIT).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_that_say_that_nothing_remains_hold_all_back() {
    let Some((fleet, _, folder)) = fleet("headers").await else {
        return;
    };
    let provider = LoggingProvider::start(move |arrival| {
        let mut reply = Reply::ok(Duration::from_millis(10));
        if arrival.number == 20 {
            reply.headers = "x-ratelimit-limit-requests: 60\r\nx-ratelimit-remaining-requests: 0\r\nx-ratelimit-reset-requests: 4s\r\n".into();
        }
        reply
    })
    .await;
    let input = folder.input("in.jsonl", (0..200).map(|n| format!("i{n}")));
    fleet.submit(
        &input,
        "r",
        &provider.base_url(),
        "--provider openai --rpm 1200 --chunk 16",
    );
    let _workers: Vec<_> = (0..3).map(|_| fleet.worker("--concurrency 8")).collect();
    until("calls after the pause", LIMIT, async || {
        provider
            .arrivals()
            .get(20)
            .is_some_and(|a| a.at.elapsed() > Duration::from_secs(5))
    })
    .await;
    let arrivals = provider.arrivals();
    let said = arrivals[20].at;
    let paused = arrivals.iter().filter(|arrival| {
        let since = arrival.at.saturating_duration_since(said);
        since > Duration::from_millis(1300) && since < Duration::from_millis(3900)
    });
    assert_eq!(paused.count(), 0);
    assert!(arrivals.last().unwrap().at > said + Duration::from_secs(4));
    assert_eq!(fleet.status()["limiters"][0]["reductions"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_out_of_credit_pauses_the_run_and_no_item_is_lost() {
    let Some((fleet, query, folder)) = fleet("credit").await else {
        return;
    };
    let has_credit = Arc::new(AtomicBool::new(false));
    let credit = has_credit.clone();
    let provider = LoggingProvider::start(move |arrival| {
        if arrival.number >= 10 && !credit.load(Ordering::SeqCst) {
            return Reply::error(429, "", "insufficient_quota");
        }
        Reply::ok(Duration::from_millis(10))
    })
    .await;
    let input = folder.input("in.jsonl", (0..60).map(|n| format!("i{n}")));
    fleet.submit(&input, "r", &provider.base_url(), "");
    let mut worker = fleet.worker("--concurrency 4 --until-done");
    until("the pause", LIMIT, async || {
        fleet.status()["runs"][0]["state"] == "paused"
    })
    .await;
    let status = fleet.status();
    assert!(
        status["runs"][0]["reason"]
            .as_str()
            .unwrap()
            .contains("quota_exceeded"),
        "{status}"
    );
    tokio::time::sleep(Duration::from_millis(500)).await;
    let calls = provider.count();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(provider.count(), calls, "calls of a paused run");
    has_credit.store(true, Ordering::SeqCst);
    fleet.run("resume --run r");
    assert!(worker.wait(LIMIT).await);
    assert_eq!(
        query
            .number("select count(*) from fleet.result where kind = 'ok'")
            .await,
        60
    );
}
