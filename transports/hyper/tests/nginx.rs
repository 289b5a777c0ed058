//! Many calls to nginx, which replaces its connections often. Skipped, with a printed line, where it is not installed.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests")]

use std::{future::poll_fn, sync::Arc, time::Duration};
use unifiedai_hyper::{HyperTransport, Options};
use unifiedai_transport::{
    AsyncResponseBody as _, AsyncTransport, AttemptDeadlines, RequestBody, TransportError,
};
use unifiedai_transport_testing::{Authority, nginx::Nginx};

async fn call(client: &HyperTransport, uri: &str) -> Result<http::Version, TransportError> {
    let mut limits = AttemptDeadlines::NONE;
    limits.total = client.now().saturating_add(Duration::from_secs(20));
    let request = http::Request::get(uri)
        .body(RequestBody::default())
        .unwrap();
    let response = client.send(request, limits).await?;
    let version = response.version();
    let mut body = response.into_body();
    let mut all = Vec::new();
    while let Some(chunk) = poll_fn(|cx| body.poll_chunk(cx, limits.total)).await? {
        all.extend(chunk);
    }
    assert_eq!(all, b"hi");
    Ok(version)
}

/// 16 at once.
async fn calls(client: HyperTransport, nginx: Arc<Nginx>, version: http::Version) {
    let count = std::env::var("UNIFIEDAI_NGINX_CALLS").map_or(1_000, |n| n.parse().unwrap());
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let (client, nginx) = (client.clone(), Arc::clone(&nginx));
            tokio::spawn(async move {
                for _ in 0..count / 16 {
                    let seen = call(&client, &nginx.uri("/")).await;
                    assert_eq!(seen.unwrap(), version);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_call_fails_where_each_connection_takes_5_requests() {
    let authority = Authority::new("127.0.0.1");
    let Some(nginx) = Nginx::start(&authority, "keepalive_requests 5;") else {
        return;
    };
    let client = HyperTransport::with_tls(authority.client());
    calls(client, Arc::new(nginx), http::Version::HTTP_2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_over_http_1() {
    let authority = Authority::new("127.0.0.1");
    let Some(nginx) = Nginx::start(&authority, "keepalive_requests 5;") else {
        return;
    };
    let options = Options::new().tls(authority.client()).http2(false);
    let client = HyperTransport::with_options(options).unwrap();
    calls(client, Arc::new(nginx), http::Version::HTTP_11).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_call_fails_where_few_streams_are_allowed() {
    let authority = Authority::new("127.0.0.1");
    let few = "keepalive_requests 5; http2_max_concurrent_streams 3;";
    let Some(nginx) = Nginx::start(&authority, few) else {
        return;
    };
    let client = HyperTransport::with_tls(authority.client());
    calls(client, Arc::new(nginx), http::Version::HTTP_2).await;
}
