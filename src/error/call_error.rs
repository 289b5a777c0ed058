//! The error type.

use super::{TimeoutKind, escape_controls, text};
use crate::{
    ErrorKind, UnifiedChatResponse,
    chat::{Attempt, Continuation},
};
use bytes::Bytes;
use serde::{Serialize, Serializer, ser::SerializeMap};
use std::{error::Error as StdError, fmt, sync::Arc, time::Duration};
use unifiedai_transport::TransportError;

/// Why a call failed, with everything that the provider reported.
///
/// It has the size of a pointer. `Display` is one line without control characters and without secrets. `Debug` is the same
/// line, so that a `main` that returns an `Error`, and an `unwrap`, print a readable message; `{:#?}` prints every field.
///
/// ```
/// use unifiedai::{Error, ErrorKind};
///
/// fn report(error: &Error) {
///     match error.kind() {
///         ErrorKind::RateLimit => println!("retry after {:?}", error.retry_after()),
///         ErrorKind::ContextOverflow => println!("shorten the conversation"),
///         _ => println!("{error}"), // for example: not_found from cerebras (HTTP 404, model_not_found): ...
///     }
///     if let Some(partial) = error.partial() {
///         println!("received before the failure: {}", partial.text());
///     }
/// }
/// # report(&Error::new(ErrorKind::Cancelled, "the call was cancelled"));
/// ```
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone, Default)]
struct Inner {
    kind: ErrorKind,
    message: String,
    status: Option<u16>,
    code: Option<String>,
    error_type: Option<String>,
    param: Option<String>,
    request_id: Option<String>,
    provider: Option<String>,
    retry_after: Option<Duration>,
    retryable: Option<bool>,
    timeout: Option<TimeoutKind>,
    body: Bytes,
    /// Shared, so that a clone does not copy what was received.
    partial: Option<Arc<UnifiedChatResponse>>,
    attempts: Vec<Attempt>,
    continuation: Option<Box<Continuation>>,
    transport: Option<TransportError>,
}

impl Error {
    /// Creates an error. The message should say what happened and, if possible, what to do.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error(Box::new(Inner {
            kind,
            message: message.into(),
            ..Inner::default()
        }))
    }

    /// The kind of the failure.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The provider's message, if it sent one; else this library's.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The HTTP status, if a response was received. It is 200 for an error inside a stream.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.0.status
    }

    /// The provider's code, such as `model_not_found` or `ThrottlingException`.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// The provider's error type, such as `invalid_request_error`.
    #[must_use]
    pub fn error_type(&self) -> Option<&str> {
        self.0.error_type.as_deref()
    }

    /// The name of the invalid parameter, according to the provider.
    #[must_use]
    pub fn param(&self) -> Option<&str> {
        self.0.param.as_deref()
    }

    /// The provider's id of the request.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.0.request_id.as_deref()
    }

    /// The name of the provider; `None` for an error before a call began.
    #[must_use]
    pub fn provider(&self) -> Option<&str> {
        self.0.provider.as_deref()
    }

    /// How long the provider asks to wait.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Whether the same request can succeed later. A statement of the provider has precedence over the kind.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.0.retryable.unwrap_or(self.0.kind.is_retryable())
    }

    /// The timeout that expired, for the kind `timeout`.
    #[must_use]
    pub fn timeout(&self) -> Option<TimeoutKind> {
        self.0.timeout
    }

    /// The response's body as received, at most [`SizeLimits::error_body`](crate::policy::SizeLimits::error_body)
    /// bytes. If the server repeats the key of the call, `[secret]` replaces it: verbatim, or with the escapes of
    /// JSON, URLs or XML. A key in another encoding, such as base64, is not found.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.0.body
    }

    /// The part of the response that was received before the failure. It has only complete tool calls. Text of the
    /// model is never changed, here or in a response, even if it repeats a key.
    #[must_use]
    pub fn partial(&self) -> Option<&UnifiedChatResponse> {
        self.0.partial.as_deref()
    }

    /// The position in a response that the provider keeps, so that another call can read the rest of it; see
    /// [`Client::resume`](crate::Client::resume).
    #[must_use]
    pub fn continuation(&self) -> Option<&Continuation> {
        self.0.continuation.as_deref()
    }

    /// Every request that was sent.
    #[must_use]
    pub fn attempts(&self) -> &[Attempt] {
        &self.0.attempts
    }

    /// The transport's own error, if the transport failed.
    #[must_use]
    pub fn transport(&self) -> Option<&TransportError> {
        self.0.transport.as_ref()
    }

    /// Replaces the kind and keeps everything else: for a provider whose code means something else than it usually does, as in
    /// `from_http(head, body).with_kind(ErrorKind::QuotaExceeded)`.
    #[must_use]
    pub fn with_kind(mut self, kind: ErrorKind) -> Self {
        self.0.kind = kind;
        self
    }

    /// Sets the HTTP status.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.0.status = Some(status);
        self
    }

    /// Sets the provider's code.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.0.code = Some(code.into());
        self
    }

    /// Sets the provider's error type.
    #[must_use]
    pub fn with_error_type(mut self, error_type: impl Into<String>) -> Self {
        self.0.error_type = Some(error_type.into());
        self
    }

    /// Sets the name of the invalid parameter.
    #[must_use]
    pub fn with_param(mut self, param: impl Into<String>) -> Self {
        self.0.param = Some(param.into());
        self
    }

    /// Sets the provider's id of the request, unless one is known.
    #[must_use]
    pub fn with_request_id(mut self, id: impl Into<String>) -> Self {
        self.0.request_id.get_or_insert_with(|| id.into());
        self
    }

    /// Sets how long the provider asks to wait.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.0.retry_after = Some(wait);
        self
    }

    /// Overrides the kind's default for [`is_retryable`](Self::is_retryable).
    #[must_use]
    pub fn with_retryable(mut self, retryable: bool) -> Self {
        self.0.retryable = Some(retryable);
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn with_body(mut self, body: Bytes) -> Self {
        self.0.body = body;
        self
    }

    /// Adds where the error is to the message.
    pub(crate) fn with_message_prefix(mut self, prefix: &str) -> Self {
        self.0.message.insert_str(0, prefix);
        self
    }

    pub(crate) fn with_provider(mut self, name: &str) -> Self {
        self.0.provider = Some(name.to_owned());
        self
    }

    pub(crate) fn with_timeout(mut self, timeout: TimeoutKind) -> Self {
        self.0.timeout = Some(timeout);
        self
    }

    pub(crate) fn with_transport(mut self, transport: TransportError) -> Self {
        self.0.transport = Some(transport);
        self
    }

    pub(crate) fn with_partial(mut self, partial: Option<UnifiedChatResponse>) -> Self {
        self.0.partial = partial.map(Arc::new);
        self
    }

    pub(crate) fn with_continuation(mut self, continuation: Option<Continuation>) -> Self {
        self.0.continuation = continuation.map(Box::new);
        self
    }

    pub(crate) fn with_attempts(mut self, attempts: Vec<Attempt>) -> Self {
        self.0.attempts = attempts;
        self
    }

    /// Replaces every occurrence of `secret` in what the provider sent (providers echo keys).
    pub(crate) fn scrub(&mut self, secret: &str) {
        let inner = &mut *self.0;
        text::scrub(&mut inner.message, secret);
        let fields = [
            &mut inner.code,
            &mut inner.error_type,
            &mut inner.param,
            &mut inner.request_id,
        ];
        for field in fields.into_iter().flatten() {
            text::scrub(field, secret);
        }
        if let Some(clean) = text::scrub_bytes(&inner.body, secret) {
            inner.body = clean;
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        f.write_str(inner.kind.as_str())?;
        if let Some(provider) = &inner.provider {
            write!(f, " from {provider}")?;
        }
        match (inner.status, &inner.code) {
            (Some(status), Some(code)) => write!(f, " (HTTP {status}, {})", escape_controls(code))?,
            (Some(status), None) => write!(f, " (HTTP {status})")?,
            (None, Some(code)) => write!(f, " ({})", escape_controls(code))?,
            (None, None) => {}
        }
        write!(f, ": {}", escape_controls(&inner.message))?;
        if let Some(id) = &inner.request_id {
            write!(f, " [request {}]", escape_controls(id))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !f.alternate() {
            return fmt::Display::fmt(self, f);
        }
        let inner = &*self.0;
        f.debug_struct("Error")
            .field("kind", &inner.kind)
            .field("message", &inner.message)
            .field("status", &inner.status)
            .field("code", &inner.code)
            .field("error_type", &inner.error_type)
            .field("param", &inner.param)
            .field("request_id", &inner.request_id)
            .field("provider", &inner.provider)
            .field("retry_after", &inner.retry_after)
            .field("retryable", &self.is_retryable())
            .field("timeout", &inner.timeout)
            .field("body_bytes", &inner.body.len())
            .field("attempts", &inner.attempts)
            .field("continuation", &inner.continuation)
            .field("transport", &inner.transport)
            .finish_non_exhaustive()
    }
}

impl StdError for Error {
    /// The source of the transport's error. The transport error's own text is part of this error's: see
    /// [`Error::transport`].
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.transport.as_ref().and_then(StdError::source)
    }
}

impl Serialize for Error {
    /// An unknown value is null. `continuation` and `attempt_log` are present only if there is something to go on with, or if
    /// there were several attempts.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let inner = &*self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("kind", inner.kind.as_str())?;
        map.serialize_entry("status", &inner.status)?;
        map.serialize_entry("code", &inner.code)?;
        map.serialize_entry("type", &inner.error_type)?;
        map.serialize_entry("param", &inner.param)?;
        map.serialize_entry("message", &inner.message)?;
        map.serialize_entry("provider", &inner.provider)?;
        map.serialize_entry("request_id", &inner.request_id)?;
        map.serialize_entry(
            "retry_after_s",
            &inner.retry_after.map(|wait| wait.as_secs_f64()),
        )?;
        map.serialize_entry("retryable", &self.is_retryable())?;
        map.serialize_entry("timeout", &inner.timeout.map(TimeoutKind::as_str))?;
        map.serialize_entry(
            "partial_text",
            &inner.partial.as_ref().map(|partial| partial.text()),
        )?;
        if let Some(continuation) = &inner.continuation {
            map.serialize_entry("continuation", continuation)?;
        }
        map.serialize_entry("attempts", &inner.attempts.len())?;
        if inner.attempts.len() > 1 {
            map.serialize_entry("attempt_log", &inner.attempts)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_is_the_message_and_the_alternate_form_every_field() {
        let error = Error::new(ErrorKind::RateLimit, "slow down").with_status(429);
        assert_eq!(format!("{error:?}"), "rate_limit (HTTP 429): slow down");
        assert_eq!(format!("{error:?}"), error.to_string());
        let every_field = format!("{error:#?}");
        assert!(every_field.contains("kind: RateLimit"), "{every_field}");
        assert!(every_field.contains("attempts: []"), "{every_field}");
    }

    #[test]
    fn a_clone_shares_the_partial_response() {
        let error = Error::new(ErrorKind::Truncated, "cut")
            .with_partial(Some(UnifiedChatResponse::default()));
        let clone = error.clone();
        let (one, other) = (error.partial().unwrap(), clone.partial().unwrap());
        assert!(std::ptr::eq(one, other));
    }
}
