//! What an answer brings, from its head to the end of the call.

use super::{Exchange, Operation, State, body::BodyReader, operation::Reading};
use crate::{Error, ErrorKind, Framing, RawHeaders, Secret, Warning, error::scrub, provider::head};
use bytes::Bytes;
use http::response;

impl<O: Operation> Exchange<O> {
    pub(super) fn on_head(&mut self, head: response::Parts) -> Result<(), Error> {
        if head.status == http::StatusCode::SWITCHING_PROTOCOLS {
            return Err(Error::new(
                ErrorKind::Protocol,
                "the server switched to another protocol, which nobody asked for",
            )
            .with_status(101));
        }
        if head.status.is_informational() {
            return Ok(());
        }
        let status = head.status.as_u16();
        self.metadata.status = Some(status);
        if let Some(attempt) = self.metrics.attempts.last_mut() {
            attempt.status = Some(status);
        }
        self.metrics.ttfb = Some(self.now.saturating_since(self.start.now));
        self.provider.read_head(&head.headers, &mut self.metadata);
        self.metrics.server.total = match self.operation.framing() {
            Framing::Whole => head::server_time(&head.headers),
            _ => None,
        };
        if self.options.keep_headers {
            self.metadata.headers = RawHeaders::copied(&head.headers);
        }
        self.deadlines.begin_body(self.now, &self.timeouts);
        let reader = BodyReader::new(&head, self.operation.framing(), &self.options.sizes)?;
        // Of a success all that matters was read. What is kept of a head can keep the buffer alive that it was read into.
        let refusal = (!head.status.is_success()).then(|| Box::new(head));
        self.state = State::Body { reader, refusal };
        Ok(())
    }

    pub(super) fn on_chunk(&mut self, chunk: Bytes) -> Result<(), Error> {
        let State::Body { reader, .. } = &mut self.state else {
            return Ok(());
        };
        if chunk.is_empty() {
            return Ok(());
        }
        let reading = reader.chunk(chunk, &mut self.operation)?;
        self.after_reading(reading)
    }

    pub(super) fn on_end(&mut self) -> Result<(), Error> {
        let State::Body { reader, .. } = &mut self.state else {
            return Ok(());
        };
        let reading = reader.end(&mut self.operation)?;
        self.after_reading(reading)
    }

    fn after_reading(&mut self, reading: Reading) -> Result<(), Error> {
        let timeouts = &self.timeouts;
        self.deadlines.saw_bytes(self.now, timeouts);
        if self.metrics.ttft.is_none() && self.operation.is_visible() {
            self.deadlines.saw_token();
            if self.operation.is_streamed() {
                self.metrics.ttft = Some(self.now.saturating_since(self.start.now));
            }
        }
        match reading {
            Reading::Bytes => {}
            Reading::Progress => {
                self.deadlines.saw_progress(self.now, timeouts);
                if self.operation.is_complete() {
                    self.deadlines.saw_finish(self.now, timeouts);
                } else {
                    self.deadlines.goes_on();
                }
            }
            Reading::Complete { but } => self.succeed(but)?,
            Reading::ErrorBody(body) => return Err(self.http_error(body)),
        }
        Ok(())
    }

    /// Whether a stream has said everything and only its end is missing.
    pub(super) fn has_all(&self) -> bool {
        matches!(&self.state, State::Body { reader, .. } if reader.is_stream())
            && self.operation.is_complete()
    }

    pub(super) fn succeed_without_end(&mut self, why: &str) {
        let but = Warning::new(
            "missing_end",
            format!("the stream was complete, but did not end as it should: {why}"),
        );
        if let Err(error) = self.succeed(Some(but)) {
            self.fail(error);
        }
    }

    fn succeed(&mut self, but: Option<Warning>) -> Result<(), Error> {
        self.operation.settle(but)?;
        self.close_attempt(None);
        if self.operation.next_page()? {
            self.retries = 0;
            self.again(self.now, None);
        } else {
            self.end(Ok(()));
        }
        Ok(())
    }

    pub(super) fn end(&mut self, result: Result<(), Error>) {
        self.deadlines.rest();
        self.access.end();
        let secret = self.secret.as_ref().map(Secret::expose);
        if let (Some(id), Some(secret)) = (&mut self.metadata.request_id, secret) {
            scrub(id, secret);
        }
        self.state = State::Done(result.map_err(|mut error| {
            if let Some(secret) = secret {
                error.scrub(secret);
            }
            if let Some(id) = &self.metadata.request_id {
                error = error.with_request_id(id);
            }
            if let (None, Some(status)) = (error.status(), self.metadata.status) {
                error = error.with_status(status);
            }
            error.with_provider(self.provider.name())
        }));
    }
}
