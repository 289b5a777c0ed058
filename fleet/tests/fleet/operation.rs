//! What an operator does: submit again, stop, cancel, weigh, export.

use super::{
    FLEET, fleet,
    support::{
        Folder,
        program::{Fleet, until},
        provider::{LoggingProvider, Reply},
    },
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

const LIMIT: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn submitting_again_adds_what_is_missing_and_refuses_what_changed() {
    let Some((fleet, query, folder)) = fleet("again").await else {
        return;
    };
    let input = folder.input("in.jsonl", (0..100).map(|n| format!("i{n}")));
    fleet.submit(&input, "r", "http://127.0.0.1:9/v1", "");
    let more = folder.input("more.jsonl", (50..150).map(|n| format!("i{n}")));
    fleet.submit(&more, "r", "http://127.0.0.1:9/v1", "");
    fleet.submit(&more, "r", "http://127.0.0.1:9/v1", "");
    assert_eq!(query.number("select count(*) from fleet.input").await, 150);
    assert_eq!(
        query
            .number("select sum(last - first + 1)::bigint from fleet.chunk")
            .await,
        150
    );
    let changed = fleet.output(&format!(
        "submit {} --run r --model m --base-url http://127.0.0.1:9/v1 --rpm 5",
        input.display()
    ));
    assert!(!changed.status.success());
    assert!(
        String::from_utf8(changed.stderr)
            .unwrap()
            .contains("another `rpm`")
    );
    let other = folder.file("other.jsonl");
    std::fs::write(
        &other,
        "{\"custom_id\":\"i1\",\"body\":{\"messages\":[]}}\n",
    )
    .unwrap();
    let changed = fleet.output(&format!(
        "submit {} --run r --model m --base-url http://127.0.0.1:9/v1",
        other.display()
    ));
    assert!(
        String::from_utf8(changed.stderr)
            .unwrap()
            .contains("`i1` is in the run with another body")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_gives_work_back_and_finishes_what_is_in_flight() {
    let Some((fleet, query, folder)) = fleet("sigterm").await else {
        return;
    };
    let provider = LoggingProvider::start(|_| Reply::ok(Duration::from_millis(400))).await;
    let input = folder.input("in.jsonl", (0..100).map(|n| format!("i{n}")));
    fleet.submit(&input, "r", &provider.base_url(), "");
    let mut worker = fleet.worker("--concurrency 8");
    until("calls", LIMIT, async || provider.count() >= 8).await;
    worker.signal("TERM");
    assert!(worker.wait(Duration::from_secs(5)).await);
    let calls = i64::try_from(provider.count()).unwrap();
    assert_eq!(
        query
            .number("select count(*) from fleet.result where kind = 'ok'")
            .await,
        calls
    );
    assert_eq!(
        query
            .number("select count(*) from fleet.chunk where state = 'l'")
            .await,
        0
    );
    // Another worker needs no lease to end.
    let began = Instant::now();
    let mut worker = fleet.worker("--concurrency 32 --until-done");
    assert!(worker.wait(LIMIT).await);
    assert!(began.elapsed() < Duration::from_secs(30));
    assert_eq!(provider.count(), 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_starts_two_seconds_after_a_cancel() {
    let Some((fleet, _, folder)) = fleet("cancel").await else {
        return;
    };
    let provider = LoggingProvider::start(|_| Reply::ok(Duration::from_millis(50))).await;
    let input = folder.input("in.jsonl", (0..2000).map(|n| format!("i{n}")));
    fleet.submit(&input, "r", &provider.base_url(), "--rpm 3000");
    let mut workers: Vec<_> = (0..3)
        .map(|_| fleet.worker("--concurrency 16 --until-done"))
        .collect();
    until("calls", LIMIT, async || provider.count() > 50).await;
    fleet.run("cancel --run r");
    let cancelled = Instant::now();
    for worker in &mut workers {
        worker.wait(Duration::from_secs(20)).await;
    }
    let last = provider.arrivals().last().unwrap().at;
    assert!(
        last < cancelled + Duration::from_secs(2),
        "{:?} after the cancel",
        last - cancelled
    );
    assert!(provider.count() < 1000);
    let output = folder.file("out.jsonl");
    fleet.output(&format!("export {} --run r", output.display()));
    let lines = std::fs::read_to_string(output).unwrap();
    assert_eq!(lines.lines().count(), 2000);
    assert!(
        lines
            .lines()
            .last()
            .unwrap()
            .contains("\"code\":\"cancelled\"")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_share_the_workers_by_their_weights() {
    let Some((fleet, _, folder)) = fleet("weights").await else {
        return;
    };
    let provider = LoggingProvider::start(|_| Reply::ok(Duration::from_millis(10))).await;
    for (run, weight) in [("a", 3), ("b", 1)] {
        let input = folder.input("in.jsonl", (0..1600).map(|n| format!("{run}{n}")));
        fleet.submit(
            &input,
            run,
            &provider.base_url(),
            &format!("--weight {weight} --chunk 4 --rpm 6000"),
        );
    }
    let _workers: Vec<_> = (0..3).map(|_| fleet.worker("--concurrency 8")).collect();
    until("1200 calls", LIMIT, async || provider.count() >= 1200).await;
    let arrivals = provider.arrivals();
    let of_a = arrivals
        .iter()
        .filter(|arrival| arrival.id.starts_with('a'))
        .count();
    let ratio = of_a as f64 / (arrivals.len() - of_a) as f64;
    assert!((2.7..=3.3).contains(&ratio), "{ratio:.2} to 1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_are_outcomes_and_failed_attempts_are_repeated() {
    let Some((fleet, query, folder)) = fleet("errors").await else {
        return;
    };
    let provider = LoggingProvider::start(|arrival| match arrival.id.as_str() {
        "bad" => Reply::error(400, "", "invalid_request_error"),
        "broken" => Reply::error(500, "", "server_error"),
        "once" if arrival.number < 20 => Reply::error(500, "", "server_error"),
        _ => Reply::ok(Duration::from_millis(if arrival.number < 20 {
            200
        } else {
            5
        })),
    })
    .await;
    let ids = ["bad", "broken", "once"]
        .map(str::to_owned)
        .into_iter()
        .chain((0..40).map(|n| format!("i{n}")));
    let input = folder.input("in.jsonl", ids);
    fleet.submit(&input, "r", &provider.base_url(), "");
    let mut worker = fleet.worker("--concurrency 4 --until-done --max-attempts 3");
    assert!(
        !worker.wait(LIMIT).await,
        "items without a response show in the exit status"
    );
    assert_eq!(provider.by_item()["bad"], 1);
    assert_eq!(provider.by_item()["broken"], 3);
    assert_eq!(
        query
            .number("select count(*) from fleet.result where kind = 'ok'")
            .await,
        41
    );
    let status = fleet.status();
    let errors = &status["runs"][0]["errors"];
    assert_eq!(
        (&errors["bad_request"], &errors["gave_up"]),
        (&1.into(), &1.into()),
        "{status}"
    );
    assert_eq!(status["runs"][0]["unknown_attempts"], 0, "{status}");
    let output = folder.file("out.jsonl");
    assert!(
        !fleet
            .output(&format!("export {} --run r", output.display()))
            .status
            .success()
    );
    let lines = std::fs::read_to_string(output).unwrap();
    assert!(
        lines.contains("\"status_code\":400") && lines.contains("\"code\":\"gave_up\""),
        "{lines}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn items_can_stay_in_their_file() {
    let Some((fleet, query, folder)) = fleet("reference").await else {
        return;
    };
    let provider = LoggingProvider::start(|_| Reply::ok(Duration::ZERO)).await;
    let input = folder.input("in.jsonl", (0..130).map(|n| format!("i{n}")));
    fleet.submit(&input, "r", &provider.base_url(), "--by-reference");
    assert_eq!(
        query
            .number("select count(*) from fleet.input where body is null")
            .await,
        130
    );
    assert!(fleet.worker("--until-done").wait(LIMIT).await);
    assert_eq!(provider.by_item().len(), 130);
}

/// Serves the bytes of a file by range requests; anything else is 200 with all of it.
async fn serve_object(bytes: Vec<u8>) -> (String, Arc<AtomicUsize>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/in.jsonl", listener.local_addr().unwrap());
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = requests.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (bytes, counted) = (bytes.clone(), counted.clone());
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                loop {
                    let (mut line, mut range) = (String::new(), None);
                    while line != "\r\n" {
                        line.clear();
                        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                            return;
                        }
                        if let Some(value) = line.to_ascii_lowercase().strip_prefix("range: bytes=")
                        {
                            let (from, to) = value.trim().split_once('-').unwrap();
                            range = Some((
                                from.parse::<usize>().unwrap(),
                                to.parse::<usize>().unwrap(),
                            ));
                        }
                    }
                    counted.fetch_add(1, Ordering::SeqCst);
                    let (from, to) = range.unwrap();
                    let part = &bytes[from..=to];
                    let head = format!("HTTP/1.1 206 X\r\ncontent-length: {}\r\n\r\n", part.len());
                    stream.write_all(head.as_bytes()).await.unwrap();
                    stream.write_all(part).await.unwrap();
                }
            });
        }
    });
    (url, requests)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn items_can_stay_in_an_object() {
    let Some((fleet, query, folder)) = fleet("object").await else {
        return;
    };
    let provider = LoggingProvider::start(|_| Reply::ok(Duration::ZERO)).await;
    let input = folder.input("in.jsonl", (0..130).map(|n| format!("i{n}")));
    let (url, requests) = serve_object(std::fs::read(&input).unwrap()).await;
    fleet.submit(
        &input,
        "r",
        &provider.base_url(),
        &format!("--source {url}"),
    );
    std::fs::remove_file(&input).unwrap();
    assert!(fleet.worker("--until-done").wait(LIMIT).await);
    assert_eq!(provider.by_item().len(), 130);
    assert_eq!(requests.load(Ordering::SeqCst), 3, "one for each chunk");
    assert_eq!(
        query
            .number("select count(*) from fleet.result where kind = 'ok'")
            .await,
        130
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_machine_needs_no_database_server() {
    let folder = Folder::new("local");
    let provider = LoggingProvider::start(|_| Reply::ok(Duration::from_millis(5))).await;
    let fleet = Fleet::new(
        FLEET,
        format!("sqlite:{}", folder.file("fleet.db").display()),
    );
    let input = folder.input("in.jsonl", (0..300).map(|n| format!("i{n}")));
    fleet.submit(&input, "r", &provider.base_url(), "--rpm 6000 --chunk 16");
    let options = "--lease 1 --concurrency 8 --until-done";
    let mut workers = [fleet.worker(options), fleet.worker(options)];
    until("calls", LIMIT, async || provider.count() > 60).await;
    workers[0].kill();
    assert!(workers[1].wait(LIMIT).await);
    let output = folder.file("out.jsonl");
    fleet.run(&format!("export {} --run r", output.display()));
    assert_eq!(
        std::fs::read_to_string(output).unwrap().lines().count(),
        300
    );
    assert!(provider.count() <= 316, "{}", provider.count());
    assert_eq!(fleet.status()["runs"][0]["state"], "done");
}
