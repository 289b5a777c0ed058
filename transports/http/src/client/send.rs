//! A request on its way, until the head of its response has come.

use super::{
    Body, BoxedBody, Runtime, Shared, Timer,
    connect::connect,
    connection::Connection,
    error::{is_above_last, send_error},
    read::ResponseBody,
    send_body::SendBody,
    timeout::header_timeout,
};
use crate::{
    error::invalid_request,
    headers::{check_length, keeps_connection},
    proxy::Proxy,
    target::Target,
    upload::Upload,
};
use http::{
    HeaderValue, Request, Response, Uri,
    header::{CONTENT_LENGTH, HOST, PROXY_AUTHORIZATION},
};
use hyper::{body::Incoming, client::conn::TrySendError};
use std::{
    future::{Future as _, poll_fn},
    mem,
    pin::pin,
    sync::Arc,
};
use unifiedai_transport::{
    AttemptDeadlines, RequestBody, RequestDelivery::NotSent, Time, TransportError,
    TransportErrorKind::Reset,
};

pub(crate) async fn send<R: Runtime>(
    shared: Arc<Shared<R>>,
    mut request: Request<RequestBody>,
    limits: AttemptDeadlines,
) -> Result<Response<Body<R>>, TransportError> {
    let target = Target::of(request.uri())?;
    let runtime = R::id().ok_or_else(|| invalid_request(R::NO_RUNTIME))?;
    check_length(&request)?;
    set_content_length_zero(&mut request);
    let head_by = limits.headers.min(limits.total);
    let connect_by = limits.connect.min(head_by);
    let mut timer = Timer::<R>::new();
    let uri = mem::take(request.uri_mut());
    let upload = Upload::of(request.body(), limits, Timer::<R>::now);
    let by = || upload.as_ref().map_or(head_by, Upload::deadline);
    let mut request = request.map(|body| Box::new(SendBody::new(body, upload.as_ref())));
    loop {
        let kept = shared.pool.take(&target, runtime);
        let (mut connection, reused) = match kept {
            Some(connection) => (connection, true),
            // Boxed: it is large, and most requests do without it.
            None => Box::pin(connect(&shared, &target, runtime, connect_by, &mut timer)).await?,
        };
        address(&mut request, &uri, &target, &connection)?;
        let copy = (!connection.is_http1()).then(|| request.clone());
        let Some(answer) = exchange(&mut connection, request, &by, &mut timer).await else {
            // The next call should not wait on it in vain.
            connection.retire();
            let late = upload.as_ref().and_then(|upload| upload.timeout(&target));
            return Err(
                late.unwrap_or_else(|| header_timeout(connection.is_unwritten(None), &target))
            );
        };
        let (error, unsent) = match answer {
            Ok(response) => {
                return accept(
                    response,
                    connection,
                    (timer, upload.clone()),
                    &shared,
                    target,
                );
            }
            Err(unanswered) => unanswered,
        };
        connection.retire();
        let error = error.as_ref();
        let is_unwritten = unsent.is_some() || connection.is_unwritten(error);
        if let Some(failure) = upload.as_ref().and_then(|u| u.failure(is_unwritten)) {
            return Err(failure);
        }
        let resent = is_unwritten || error.is_some_and(|e| is_above_last(e));
        let copy = copy.filter(|copy| resent && copy.body().can_start());
        request = match unsent.or(copy) {
            Some(unsent) if reused || !connection.is_first() => unsent,
            _ => return Err(failed(error, is_unwritten, &target)),
        };
    }
}

/// The error is missing if the connection took no more requests; the request is there if nothing of it was written.
type SendFailure = (Option<hyper::Error>, Option<Request<BoxedBody>>);

/// The response's head, or `None` once `by` has come.
async fn exchange<R: Runtime>(
    connection: &mut Connection<R>,
    request: Request<BoxedBody>,
    by: &(impl Fn() -> Time + Send + Sync),
    timer: &mut Timer<R>,
) -> Option<Result<Response<Incoming>, SendFailure>> {
    let sent = match connection {
        Connection::Http1(http1) => {
            let mut sending = pin!(http1.start(request));
            let driven = poll_fn(|cx| {
                http1.drive(cx);
                sending.as_mut().poll(cx)
            });
            timer.within(by, driven).await
        }
        Connection::Http2(stream) => match stream.start(request) {
            Ok(sending) => timer.within(by, pin!(sending)).await,
            Err(request) => return Some(Err((None, Some(request)))),
        },
    };
    let unanswered = |mut failure: TrySendError<_>| {
        let unsent = failure.take_message();
        (Some(failure.into_error()), unsent)
    };
    Some(sent?.map_err(unanswered))
}

fn failed(error: Option<&hyper::Error>, unsent: bool, target: &Target) -> TransportError {
    let Some(error) = error else {
        let message = format!("{target}: the connection ended before the request");
        return TransportError::new(Reset, NotSent, message);
    };
    send_error(error, unsent, target)
}

/// Gives the request the form that the connection's peer expects.
fn address<R: Runtime>(
    request: &mut Request<BoxedBody>,
    uri: &Uri,
    target: &Target,
    connection: &Connection<R>,
) -> Result<(), TransportError> {
    if !connection.is_http1() {
        *request.uri_mut() = uri.clone();
        request.headers_mut().remove(HOST);
        return Ok(());
    }
    if !request.headers().contains_key(HOST) {
        request.headers_mut().insert(HOST, target.host_header()?);
    }
    let path = uri.path_and_query().cloned();
    let Some(proxy) = connection.proxy() else {
        *request.uri_mut() = path.map_or_else(Uri::default, Uri::from);
        return Ok(());
    };
    *request.uri_mut() = target.absolute(path)?;
    if let Some(value) = proxy.authorization() {
        request.headers_mut().insert(PROXY_AUTHORIZATION, value);
    }
    Ok(())
}

fn accept<R: Runtime>(
    response: Response<Incoming>,
    mut connection: Connection<R>,
    (timer, upload): (Timer<R>, Option<Upload>),
    shared: &Shared<R>,
    target: Target,
) -> Result<Response<Body<R>>, TransportError> {
    let (status, headers) = (response.status(), response.headers());
    let refusal = |proxy: &Arc<Proxy>| proxy.refusal(status, headers, &target);
    if let Some(error) = connection.proxy().and_then(refusal) {
        return Err(error);
    }
    if let Connection::Http1(http1) = &mut connection {
        http1.keeps = keeps_connection(headers, http1.proxy.is_some());
    }
    let kept = (connection, Arc::clone(&shared.pool));
    Ok(ResponseBody::of(
        response,
        Some(kept),
        (timer, upload),
        target,
    ))
}

/// hyper leaves it out, and some servers then ask for it.
fn set_content_length_zero(request: &mut Request<RequestBody>) {
    let expects_body = matches!(request.method().as_str(), "POST" | "PUT" | "PATCH");
    if expects_body && request.body().is_empty() {
        let none = HeaderValue::from_static("0");
        request.headers_mut().insert(CONTENT_LENGTH, none);
    }
}
