//! A request on its way, until the head of its response has come.

use crate::{
    UreqTransport, caller_agent,
    connect::target,
    read::{Body, Source},
    timeout::{Call, Stage},
};
use bytes::Bytes;
use http::{Response, header::PROXY_AUTHORIZATION, request::Parts};
use std::sync::Arc;
use unifiedai_http::{error::address_text, headers::check_length};
use unifiedai_transport::{AttemptDeadlines, CancelHandle, TransportError};
use ureq::Error;

pub(crate) fn send(
    agent: &UreqTransport,
    request: http::Request<Bytes>,
    limits: AttemptDeadlines,
) -> Result<Response<Body>, TransportError> {
    check_length(&request)?;
    let (mut parts, body) = request.into_parts();
    let (tls, host, port) = target(&parts.uri)?;
    let place: Arc<str> = address_text(host, port).into();
    let cancel = parts.extensions.get::<CancelHandle>().cloned();
    // In a tunnel the credentials went before; otherwise they go with each request.
    let proxy = match &agent.proxies {
        Some(proxies) if !tls => proxies.route(tls, host, port)?,
        _ => None,
    };
    let proxy = proxy.filter(|proxy| proxy.scheme().is_http());
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
        let (head, chunks) = caller_agent::send(&agent.agent, (parts, body), limits, call, &place)?;
        (head, Source::Worker(chunks))
    } else {
        if let Some(authorization) = proxy.and_then(|proxy| proxy.authorization()) {
            parts.headers.insert(PROXY_AUTHORIZATION, authorization);
        }
        let response = call.run(&place, || run(&agent.agent, parts, &body))?;
        let (status, headers) = (response.status(), response.headers());
        if let Some(error) = proxy.and_then(|proxy| proxy.refusal(status, headers, &place)) {
            return Err(error);
        }
        let (head, body) = response.into_parts();
        (head, Source::Here(body.into_reader()))
    };
    head.extensions.clear();
    let body = Body::new(source, &mut head.headers, proxy.is_some(), place, cancel);
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
