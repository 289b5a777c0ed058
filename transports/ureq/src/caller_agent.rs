//! An agent of the caller's own. It knows no limit for a chunk, so it works on another thread, which hands over what it reads.

use crate::{
    race::receive,
    read::CHUNK,
    send::run,
    timeout::{Call, Stage},
};
use bytes::Bytes;
use http::{request, response};
use std::{
    io::{self, ErrorKind, Read},
    sync::mpsc,
    thread,
    time::Duration,
};
use unifiedai_http::{clock, target::Target, upload::Upload};
use unifiedai_transport::{AttemptDeadlines, RequestBody, Time, TransportError};

#[expect(
    clippy::disallowed_methods,
    reason = "a call of the agent cannot be interrupted otherwise"
)]
pub(crate) fn send(
    agent: &ureq::Agent,
    (parts, body, upload): (request::Parts, RequestBody, Option<Upload>),
    limits: AttemptDeadlines,
    call: Call,
    target: &Target,
) -> Result<(response::Parts, Chunks), TransportError> {
    let (head, heads) = mpsc::sync_channel(1);
    let (chunk, chunks) = mpsc::sync_channel(1);
    let parts = limited(agent, parts, limits);
    let agent = agent.clone();
    let work = move || {
        let (answer, reader) =
            match run(&agent, parts, body, upload.as_ref()).map(http::Response::into_parts) {
                Ok((head, body)) => (Ok(head), Some(body.into_reader())),
                Err(error) => (Err(error), None),
            };
        let mut reader = match (head.send(answer), reader) {
            (Ok(()), Some(reader)) => reader,
            _ => return,
        };
        let mut buffer = vec![0; CHUNK];
        loop {
            let read = reader
                .read(&mut buffer)
                .map(|size| Bytes::copy_from_slice(buffer.get(..size).unwrap_or_default()));
            let is_over = read.as_ref().map_or(true, Bytes::is_empty);
            if chunk.send(read).is_err() || is_over {
                return;
            }
        }
    };
    // How far the request comes is not known here.
    let call = Call {
        stage: Stage::Sent,
        ..call
    };
    let head = call.run(target, || {
        thread::Builder::new().spawn(work)?;
        receive(&heads, Duration::MAX)?
            .unwrap_or_else(|| Err(io::Error::from(ErrorKind::BrokenPipe).into()))
    })?;
    Ok((head, Chunks(chunks)))
}

/// With ureq's own limits, so that the thread ends in time.
fn limited(agent: &ureq::Agent, parts: request::Parts, limits: AttemptDeadlines) -> request::Parts {
    let left = |at: Time| {
        let left = at.saturating_since(clock::now());
        (at != Time::MAX).then(|| left.max(Duration::from_millis(1)))
    };
    let request = agent
        .configure_request(http::Request::from_parts(parts, ()))
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .allow_non_standard_methods(true)
        .timeout_connect(left(limits.connect.min(limits.headers)))
        .timeout_global(left(limits.total));
    request.build().into_parts().0
}

/// What the thread reads: chunks, then an empty one.
pub(crate) struct Chunks(mpsc::Receiver<io::Result<Bytes>>);

impl Read for Chunks {
    /// What a buffer of less than `CHUNK` does not take is lost: only a body that is dropped has one.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let chunk = receive(&self.0, Duration::MAX)?;
        let chunk = chunk.unwrap_or_else(|| Err(ErrorKind::UnexpectedEof.into()))?;
        let copied = buffer.iter_mut().zip(chunk).map(|(to, from)| *to = from);
        Ok(copied.count())
    }
}
