//! A request on its way, until the head of its response has come.

use crate::{
    UreqTransport, caller_agent,
    read::{Body, Source},
    timeout::{Call, Stage},
    upload::Uploading,
};
use http::{
    HeaderValue, Response,
    header::{CONTENT_LENGTH, PROXY_AUTHORIZATION},
    request::Parts,
};
use unifiedai_http::{clock, headers::check_length, target::Target, upload::Upload};
use unifiedai_transport::{AttemptDeadlines, CancelHandle, RequestBody, TransportError};
use ureq::Error;

pub(crate) fn send(
    agent: &UreqTransport,
    request: http::Request<RequestBody>,
    limits: AttemptDeadlines,
) -> Result<Response<Body>, TransportError> {
    check_length(&request)?;
    let (mut parts, body) = request.into_parts();
    let target = Target::of(&parts.uri)?;
    let cancel = parts.extensions.get::<CancelHandle>().cloned();
    let upload = Upload::of(&body, limits, clock::now);
    if upload.is_some() {
        let length = HeaderValue::from(body.len());
        parts.headers.insert(CONTENT_LENGTH, length);
    }
    // Also when the call fails.
    let _abandoned = AbandonOnDrop(upload.as_ref());
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
        upload: upload.clone(),
        write_failed: false,
    };
    let (mut head, source) = if agent.proxies.is_none() {
        let (head, chunks) = caller_agent::send(
            &agent.agent,
            (parts, body, upload.clone()),
            limits,
            call,
            &target,
        )?;
        (head, Source::Worker(chunks))
    } else {
        if let Some(authorization) = proxy.and_then(|proxy| proxy.authorization()) {
            parts.headers.insert(PROXY_AUTHORIZATION, authorization);
        }
        let response = call.run(&target, || run(&agent.agent, parts, body, upload.as_ref()))?;
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
    body: RequestBody,
    upload: Option<&Upload>,
) -> Result<Response<ureq::Body>, Error> {
    if let Some(upload) = upload {
        let mut reader = Uploading::new(upload.reader(body));
        let body = ureq::SendBody::from_reader(&mut reader);
        return agent.run(http::Request::from_parts(parts, body));
    }
    let body: &[u8] = body.as_bytes().map_or(&[], |bytes| bytes);
    if body.is_empty() && !matches!(parts.method.as_str(), "POST" | "PUT" | "PATCH") {
        agent.run(http::Request::from_parts(parts, ()))
    } else {
        agent.run(http::Request::from_parts(parts, body))
    }
}

/// Ends a body that another thread may still read.
struct AbandonOnDrop<'u>(Option<&'u Upload>);

impl Drop for AbandonOnDrop<'_> {
    fn drop(&mut self) {
        if let Some(upload) = self.0 {
            upload.abandon();
        }
    }
}
