//! Hundreds of concurrent operations that make several calls each.

use crate::support::{named, question, server, tokio};
use futures_util::future::join_all;
use unifiedai::{
    AsyncClient, Client,
    health::HealthStatus,
    transport::{self, AsyncTransport, SmolTransport as Smol, UreqTransport},
};
use unifiedai_loopback::{Config, Loopback};

#[test]
fn hundreds_of_comparisons_run_at_once_on_tokio() {
    tokio().block_on(compared(transport::HyperTransport::new()));
}

#[test]
fn hundreds_of_comparisons_run_at_once_on_smol() {
    smol::block_on(compared(Smol::new()));
}

#[test]
fn hundreds_of_health_checks_run_at_once_on_tokio() {
    tokio().block_on(checked(transport::HyperTransport::new()));
}

#[test]
fn hundreds_of_health_checks_run_at_once_on_smol() {
    smol::block_on(checked(Smol::new()));
}

#[test]
fn hundreds_of_health_checks_run_at_once_on_threads() {
    let server = server();
    let client = Client::new(UreqTransport::new(), named(&server, "one"))
        .with_provider(named(&server, "two"))
        .unwrap();
    std::thread::scope(|scope| {
        let checks: Vec<_> = (0..100).map(|_| scope.spawn(|| client.health())).collect();
        for check in checks {
            let health = check.join().unwrap();
            assert_eq!(health.status, HealthStatus::Healthy, "{health:?}");
        }
    });
    assert_eq!(server.served(), 200);
}

async fn compared<T: AsyncTransport + 'static>(transport: T) {
    let server = server();
    let client = AsyncClient::new(transport, named(&server, "one"))
        .with_provider(named(&server, "two"))
        .unwrap()
        .with_max_concurrent("one", 16)
        .unwrap();
    let request = question();
    let compare = || client.compare(&request, &["one.m", "two.m", "one.n"], |_, _| {});
    for comparison in join_all((0..100).map(|_| compare())).await {
        assert_eq!(comparison.results.len(), 3);
        assert!(comparison.results.iter().all(|one| one.result.is_ok()));
    }
    assert_eq!(server.served(), 300);
}

/// One of three providers is unreachable; the other two get each check once.
async fn checked<T: AsyncTransport + 'static>(transport: T) {
    let server = server();
    let dead = named(&Loopback::start(Config::fast()).unwrap(), "dead");
    let client = AsyncClient::new(transport, named(&server, "one"))
        .with_provider(dead)
        .unwrap()
        .with_provider(named(&server, "two"))
        .unwrap()
        .with_max_concurrent("two", 8)
        .unwrap();
    for health in join_all((0..150).map(|_| client.health())).await {
        assert_eq!(health.status, HealthStatus::Degraded, "{health:?}");
        let well = health.providers.iter().map(|one| one.error.is_none());
        assert_eq!(well.collect::<Vec<_>>(), [true, false, true]);
    }
    assert_eq!(server.served(), 300);
}
