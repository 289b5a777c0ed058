//! A request on its way, until the head of its response has come.

use crate::{
    UreqTransport, caller_agent,
    read::{Body, Source},
    timeout::{Call, Stage},
};
use bytes::Bytes;
use http::{Response, header::PROXY_AUTHORIZATION, request::Parts};
use unifiedai_http::{headers::check_length, target::Target};
use unifiedai_transport::{AttemptDeadlines, CancelHandle, TransportError};
use ureq::Error;

pub(crate) fn send(
    agent: &UreqTransport,
    request: http::Request<Bytes>,
    limits: AttemptDeadlines,
) -> Result<Response<Body>, TransportError> {
    check_length(&request)?;
    let (mut parts, body) = request.into_parts();
    let target = Target::of(&parts.uri)?;
    let cancel = parts.extensions.get::<CancelHandle>().cloned();
    // In a tunnel the credentials went before; otherwise they go with each request.
    let proxy = match &agent.proxies {
        Some(proxies) if !target.tls() => proxies.route(&target)?,
        _ => None,
    };
    let proxy = proxy.filter(|proxy| proxy.takes_absolute_uris(&target));
    let by = limits.headers.min(limits.total);
    let call = Call {
        stage: Stage::Unsent,
        connect_by: limits.connect.min(by),
        by,
        // Where the response has no body, ureq keeps the connection before its headers are known here.
        keeps: proxy.is_none(),
        cancel: cancel.clone(),
    };
    let (mut head, source) = if agent.proxies.is_none() {
        let (head, chunks) =
            caller_agent::send(&agent.agent, (parts, body), limits, call, &target)?;
        (head, Source::Worker(chunks))
    } else {
        if let Some(authorization) = proxy.and_then(|proxy| proxy.authorization()) {
            parts.headers.insert(PROXY_AUTHORIZATION, authorization);
        }
        let response = call.run(&target, || run(&agent.agent, parts, &body))?;
        let (status, headers) = (response.status(), response.headers());
        if let Some(error) = proxy.and_then(|proxy| proxy.refusal(status, headers, &target)) {
            return Err(error);
        }
        let (head, body) = response.into_parts();
        (head, Source::Here(body.into_reader()))
    };
    head.extensions.clear();
    let body = Body::new(source, &mut head.headers, proxy.is_some(), target, cancel);
    Ok(Response::from_parts(head, body))
}

pub(crate) fn run(
    agent: &ureq::Agent,
    parts: Parts,
    body: &[u8],
) -> Result<Response<ureq::Body>, Error> {
    if body.is_empty() && !matches!(parts.method.as_str(), "POST" | "PUT" | "PATCH") {
        agent.run(http::Request::from_parts(parts, ()))
    } else {
        agent.run(http::Request::from_parts(parts, body))
    }
}
