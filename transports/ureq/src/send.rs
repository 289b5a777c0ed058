//! A request on its way, until the head of its response has come.

use crate::{
    Agent,
    cancel::{self, Attempt},
    connect::target,
    connection::Stale,
    deadline::{self, Stage},
    error, own,
    read::Body,
};
use bytes::Bytes;
use http::{StatusCode, header};
use std::sync::Arc;
#[cfg(feature = "gzip")]
use unifiedai_http::gzip::Decoder;
use unifiedai_http::{
    error::{check_length, place, unsendable},
    proxy::Proxy,
};
use unifiedai_transport::{Limits, TransportError};
use ureq::Error;

pub(crate) fn send(
    agent: &Agent,
    request: http::Request<Bytes>,
    limits: Limits,
) -> Result<http::Response<Body>, TransportError> {
    check_length(&request)?;
    let (mut parts, body) = request.into_parts();
    let Some((tls, host, port)) = target(&parts.uri) else {
        return Err(unsendable(
            "the URL has no host, or a scheme other than `http` and `https`",
        ));
    };
    let place: Arc<str> = place(host, port).into();
    let Some(proxies) = &agent.proxies else {
        let attempt = Attempt::of(&parts);
        return own::send(&agent.agent, (parts, body), limits, place, attempt);
    };
    let proxy = match tls {
        // Its credentials go with each request; in a tunnel they went before.
        false => proxies
            .route(tls, host, port)?
            .filter(|proxy| proxy.scheme().is_http()),
        true => None,
    };
    if let Some(authorization) = proxy.and_then(|proxy| proxy.authorization()) {
        parts
            .headers
            .insert(header::PROXY_AUTHORIZATION, authorization);
    }
    let attempt = Attempt::of(&parts);
    let by = limits.head.min(limits.total);
    loop {
        if cancel::is_cancelled(attempt.as_ref()) {
            return Err(error::cancelled(Stage::Unsent, &place));
        }
        let (response, stage) = cancel::within(attempt.as_ref(), || {
            deadline::within(Stage::Unsent, limits.connect.min(by), by, || {
                run(&agent.agent, parts.clone(), &body)
            })
        });
        return match response {
            Ok(response) => {
                check_proxy(proxy, response.status(), &place)?;
                let (mut head, body) = response.into_parts();
                head.extensions.clear();
                let body = Body::new(body.into_reader(), &head.headers, place, attempt);
                #[cfg(feature = "gzip")]
                let body = body.decoded_by(Decoder::of(&mut head.headers));
                Ok(http::Response::from_parts(head, body))
            }
            Err(_) if cancel::is_cancelled(attempt.as_ref()) => {
                Err(error::cancelled(stage, &place))
            }
            // Another connection takes the request.
            Err(Error::Other(stale)) if stale.is::<Stale>() => continue,
            Err(failure) => Err(error::from_ureq(failure, stage, &place)),
        };
    }
}

fn run(
    agent: &ureq::Agent,
    parts: http::request::Parts,
    body: &[u8],
) -> Result<http::Response<ureq::Body>, Error> {
    let expects_body = matches!(parts.method.as_str(), "POST" | "PUT" | "PATCH");
    if body.is_empty() && !expects_body {
        agent.run(http::Request::from_parts(parts, ()))
    } else {
        agent.run(http::Request::from_parts(parts, body))
    }
}

/// Only a proxy answers with status 407.
fn check_proxy(
    proxy: Option<&Arc<Proxy>>,
    status: StatusCode,
    place: &str,
) -> Result<(), TransportError> {
    match proxy {
        Some(proxy) if status == StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
            Err(proxy.wants_credentials(place))
        }
        _ => Ok(()),
    }
}
