//! HTTP/2 with nginx, which replaces its connections often. Skipped, with a printed line, where it is not installed.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests")]

use std::{future::poll_fn, time::Duration};
use unifiedai_smol::SmolTransport;
use unifiedai_transport::{
    AsyncResponseBody as _, AsyncTransport, AttemptDeadlines, RequestBody, TransportError,
};
use unifiedai_transport_testing::{Authority, nginx::Nginx};

async fn call(client: &SmolTransport, uri: &str) -> Result<http::Version, TransportError> {
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

#[test]
fn no_call_fails_where_connections_take_few_requests_and_streams() {
    let authority = Authority::new("127.0.0.1");
    let few = "keepalive_requests 5; http2_max_concurrent_streams 3;";
    let Some(nginx) = Nginx::start(&authority, few) else {
        return;
    };
    let client = SmolTransport::with_tls(authority.client());
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let (client, uri) = (client.clone(), nginx.uri("/"));
            smol::spawn(async move {
                for _ in 0..40 {
                    let seen = call(&client, &uri).await;
                    assert_eq!(seen.unwrap(), http::Version::HTTP_2);
                }
            })
        })
        .collect();
    smol::block_on(async {
        for task in tasks {
            task.await;
        }
    });
}
