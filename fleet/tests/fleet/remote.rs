//! Chunks as batches of the provider, played by the loopback provider.

use super::{fleet, support::program::until};
use std::time::Duration;
use unifiedai_loopback::{Config, Loopback};

const LIMIT: Duration = Duration::from_secs(90);

fn created(server: &Loopback) -> usize {
    let requests = server.requests();
    requests
        .iter()
        .filter(|request| request.method == "POST" && request.path.ends_with("/batches"))
        .count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_killed_leaves_its_batches_to_the_next_one() {
    let Some((fleet, query, folder)) = fleet("batches").await else {
        return;
    };
    let server = Loopback::start(Config {
        batch_step: Duration::from_secs(2),
        ..Config::fast()
    })
    .unwrap();
    let input = folder.input("in.jsonl", (0..60).map(|n| format!("i{n}")));
    let url = server.provider_url("openai");
    fleet.submit(
        &input,
        "r",
        &url,
        "--provider openai --at-provider --chunk 20",
    );
    let mut worker = fleet.worker("--lease 1 --until-done");
    until("the batches are made", LIMIT, async || {
        created(&server) == 3
    })
    .await;
    worker.kill();
    let mut worker = fleet.worker("--lease 1 --until-done");
    assert!(worker.wait(LIMIT).await);
    assert_eq!(created(&server), 3, "no batch was made twice");
    assert_eq!(
        query
            .number("select count(*) from fleet.result where kind = 'ok'")
            .await,
        60
    );
    assert_eq!(fleet.status()["runs"][0]["state"], "done");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_killed_while_it_makes_a_batch_makes_no_second_one() {
    let Some((fleet, query, folder)) = fleet("batch-once").await else {
        return;
    };
    let server = Loopback::start(Config {
        batch_step: Duration::from_millis(300),
        ..Config::fast()
    })
    .unwrap();
    let url = server.provider_url("openai");
    let mut kills = 0;
    for round in 0..2 {
        let run = format!("r{round}");
        let input = folder.input("in.jsonl", (0..10).map(|n| format!("i{n}")));
        fleet.submit(&input, &run, &url, "--provider openai --at-provider");
        let options = format!("--run {run} --lease 1 --until-done");
        let mut worker = fleet.worker(&options);
        // Right after the file was uploaded, or a little later.
        let uploads = || {
            server
                .requests()
                .iter()
                .filter(|request| request.path.ends_with("/files") && request.method == "POST")
                .count()
        };
        let before = uploads();
        until("an upload", LIMIT, async || {
            uploads() > before || !worker.is_running()
        })
        .await;
        tokio::time::sleep(Duration::from_millis(round * 15)).await;
        worker.kill();
        kills += 1;
        let mut worker = fleet.worker(&options);
        assert!(worker.wait(LIMIT).await);
        assert_eq!(created(&server), kills, "round {round}");
    }
    assert_eq!(
        query
            .number("select count(*) from fleet.result where kind = 'ok'")
            .await,
        20
    );
}
