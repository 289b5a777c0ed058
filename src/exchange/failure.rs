//! What went wrong, as an error.

use super::{
    Exchange, Operation, State,
    explain::{timeout_error, transport_error},
};
use crate::{
    Error, ErrorKind, RateLimit, TimeoutKind, policy::retry_after, provider::failure::wait_in_words,
};
use bytes::Bytes;
use http::HeaderValue;
use std::time::Duration;
use unifiedai_transport::{FailureKind, TransportError};

impl<O: Operation> Exchange<O> {
    pub(super) fn on_failure(&mut self, failure: TransportError) {
        // The status counts even if the body that explains it did not arrive (F38).
        if let State::Body { reader, .. } = &mut self.state {
            if let Some(body) = reader.take_error_body() {
                let error = self.http_error(body);
                return self.fail(error);
            }
        }
        if self.has_all() {
            return self.succeed_without_end(&format!("the connection failed: {failure}"));
        }
        let error = match failure.kind() {
            FailureKind::Timeout(phase) => {
                self.timeout_error(self.deadlines.behind(phase, self.now), Some(&failure))
            }
            _ => transport_error(&failure),
        };
        self.fail_unanswered(error.with_transport(failure));
    }

    pub(super) fn time_out(&mut self, timeout: TimeoutKind) {
        if let State::Body { reader, .. } = &mut self.state {
            if let Some(body) = reader.take_error_body() {
                let error = self.http_error(body);
                return self.fail(error);
            }
        }
        if self.has_all() {
            return self.succeed_without_end("it stayed open");
        }
        let error = self.timeout_error(timeout, None);
        self.fail(error);
    }

    /// `failure` says with which host and port, where the transport noticed it.
    fn timeout_error(&self, timeout: TimeoutKind, failure: Option<&TransportError>) -> Error {
        let silent = matches!(&self.state, State::Body { reader, .. } if reader.is_silent());
        let allowed = self.deadlines.allowed(timeout, &self.timeouts);
        timeout_error(timeout, allowed, silent, failure)
    }

    pub(super) fn http_error(&self, body: Bytes) -> Error {
        let State::Body {
            refusal: Some(head),
            ..
        } = &self.state
        else {
            return Error::new(ErrorKind::Protocol, "an error without a head");
        };
        let mut error = self.provider.decode_error(head, &body);
        if error.retry_after().is_none() {
            if let Some(wait) = retry_after(&head.headers, self.wall()) {
                error = error.with_retry_after(wait);
            }
        }
        error = wait_in_words(error);
        if error.kind() == ErrorKind::RateLimit && error.retry_after().is_none() {
            if let Some(wait) = self.exhausted_for() {
                error = error.with_retry_after(wait);
            }
        }
        match head
            .headers
            .get("x-should-retry")
            .map(HeaderValue::as_bytes)
        {
            // No server's word makes a request pass that is too large, or that nobody pays for.
            Some(b"true") if !error.kind().is_lasting() => error = error.with_retryable(true),
            Some(b"false") => error = error.with_retryable(false),
            _ => {}
        }
        error.with_status(head.status.as_u16()).with_body(body)
    }

    /// Until the allowances that are used up are there again, where the headers tell (F52).
    fn exhausted_for(&self) -> Option<Duration> {
        let used_up = |limit: &&RateLimit| limit.remaining == Some(0);
        let limits = self.metadata.rate_limits.iter().filter(used_up);
        limits.filter_map(|limit| limit.reset).max()
    }
}
