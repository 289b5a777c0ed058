use super::{content, operation, provider};
use crate::{
    ErrorKind,
    observe::{CallEvent, CallInfo, CallObservation, CallSummary, Observer},
};
use ::tracing::{Span, field::Empty, info_span};
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Creates a [`tracing`](https://docs.rs/tracing) span for each call, `gen_ai.client`, with the attributes of
/// OpenTelemetry's conventions for generative AI (`gen_ai.*`, `error.type`, `server.address`). Inside it, each
/// attempt has a span `http.client.request` with the attributes for HTTP clients (`http.*`, `server.*`) and its
/// target.
///
/// After a fallback the span of the call names the last target. The errors of the earlier targets are in the spans of
/// their attempts, and in one event of the call's span each.
///
/// The parent of the span is the span in which the call was created; it lasts until the call ends. It has names,
/// numbers and times, and no content unless [`with_content`](TracingObserver::with_content) was called.
///
/// ```no_run
/// # #[cfg(feature = "ureq")] {
/// use unifiedai::{observe::TracingObserver, transport::UreqTransport, Client};
/// let client = Client::from_env(UreqTransport::new(), &["cerebras"])?.with_observer(TracingObserver::new());
/// # }
/// # Ok::<(), unifiedai::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct TracingObserver {
    /// The spans of running calls.
    spans: Mutex<HashMap<u64, Spans>>,
    content: bool,
}

impl TracingObserver {
    /// Creates an observer that captures no content.
    #[must_use]
    pub fn new() -> Self {
        TracingObserver::default()
    }

    /// Adds messages of requests and responses to the spans, as JSON: `gen_ai.input.messages` and
    /// `gen_ai.output.messages`. Readers of the traces then see what users wrote. Images and other media appear
    /// without their bytes.
    #[must_use]
    pub fn with_content(mut self) -> Self {
        self.content = true;
        self
    }

    fn spans(&self) -> MutexGuard<'_, HashMap<u64, Spans>> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn span(&self, call: &CallInfo) -> Span {
        let spans = self.spans();
        let spans = spans.get(&call.id);
        spans.map_or_else(Span::none, |spans| spans.call.clone())
    }

    /// Replaces the span of the current attempt and returns the previous one.
    fn set_attempt(&self, call: &CallInfo, attempt: Option<Span>) -> Option<Span> {
        let mut spans = self.spans();
        let spans = spans.get_mut(&call.id)?;
        std::mem::replace(&mut spans.attempt, attempt)
    }
}

/// The spans of a running call.
#[derive(Debug)]
struct Spans {
    call: Span,
    attempt: Option<Span>,
}

impl Observer for TracingObserver {
    fn observe(&self, seen: &CallObservation<'_>) {
        match &seen.event {
            CallEvent::Started => {
                let call = begin(seen.call);
                let attempt = None;
                self.spans().insert(seen.call.id, Spans { call, attempt });
            }
            CallEvent::Request(request) => {
                let messages = content::input_messages(request);
                self.span(seen.call)
                    .record("gen_ai.input.messages", messages);
            }
            CallEvent::Response(response) => {
                let messages = content::output_messages(response);
                self.span(seen.call)
                    .record("gen_ai.output.messages", messages);
            }
            CallEvent::Attempt {
                number,
                method,
                host,
                port,
                ..
            } => {
                let span = self.span(seen.call);
                let attempt = begin_attempt(&span, seen.call, *number, method, host, *port);
                self.set_attempt(seen.call, Some(attempt));
                span.record("server.address", host);
                if let Some(port) = port {
                    span.record("server.port", port);
                }
                if *number > 1 {
                    span.record("http.request.resend_count", number.saturating_sub(1));
                }
            }
            CallEvent::AttemptFinished { status, error, .. } => {
                if let Some(span) = self.set_attempt(seen.call, None) {
                    end_attempt(&span, *status, *error);
                }
            }
            CallEvent::CredentialsFetched {
                source,
                duration,
                error,
            } => {
                let span = self.span(seen.call);
                ::tracing::info!(
                    parent: &span,
                    unifiedai.credentials.source = source,
                    unifiedai.credentials.duration = duration.as_secs_f64(),
                    error.r#type = error,
                    "credentials were fetched"
                );
            }
            CallEvent::Fallback { status, error } => {
                let span = self.span(seen.call);
                let call = seen.call;
                ::tracing::info!(
                    parent: &span,
                    gen_ai.provider.name = provider(&call.provider),
                    gen_ai.request.model = call.model,
                    http.response.status_code = status,
                    error.r#type = error.as_str(),
                    "the call moves to the next target"
                );
            }
            CallEvent::FirstToken { after } => {
                let span = self.span(seen.call);
                span.record("gen_ai.response.time_to_first_chunk", after.as_secs_f64());
            }
            CallEvent::Finished(summary) => {
                // Removed before it is used, because a span subscriber may make calls of its own.
                let spans = self.spans().remove(&seen.call.id);
                if let Some(spans) = spans {
                    end(&spans.call, seen.call, summary);
                }
            }
        }
    }

    fn capture_content(&self) -> bool {
        self.content
    }
}

fn begin(call: &CallInfo) -> Span {
    info_span!(
        "gen_ai.client",
        otel.name = name(call),
        otel.kind = "client",
        otel.status_code = Empty,
        gen_ai.operation.name = operation(call.operation),
        gen_ai.provider.name = provider(&call.provider),
        gen_ai.request.model = call.model,
        gen_ai.request.stream = call.stream,
        gen_ai.response.id = Empty,
        gen_ai.response.model = Empty,
        gen_ai.response.finish_reasons = Empty,
        gen_ai.response.time_to_first_chunk = Empty,
        gen_ai.input.messages = Empty,
        gen_ai.output.messages = Empty,
        gen_ai.usage.input_tokens = Empty,
        gen_ai.usage.output_tokens = Empty,
        gen_ai.usage.cache_read.input_tokens = Empty,
        gen_ai.usage.cache_creation.input_tokens = Empty,
        server.address = Empty,
        server.port = Empty,
        http.request.resend_count = Empty,
        http.response.status_code = Empty,
        error.r#type = Empty,
    )
}

fn begin_attempt(
    span: &Span,
    call: &CallInfo,
    number: u32,
    method: &str,
    host: &str,
    port: Option<u16>,
) -> Span {
    let attempt = info_span!(
        parent: span,
        "http.client.request",
        otel.name = method,
        otel.kind = "client",
        otel.status_code = Empty,
        gen_ai.provider.name = provider(&call.provider),
        gen_ai.request.model = call.model,
        http.request.method = method,
        http.request.resend_count = Empty,
        http.response.status_code = Empty,
        server.address = host,
        server.port = Empty,
        error.r#type = Empty,
    );
    if let Some(port) = port {
        attempt.record("server.port", port);
    }
    if number > 1 {
        attempt.record("http.request.resend_count", number.saturating_sub(1));
    }
    attempt
}

fn end_attempt(span: &Span, status: Option<u16>, error: Option<ErrorKind>) {
    if let Some(status) = status {
        span.record("http.response.status_code", status);
    }
    if let Some(kind) = error {
        record_error(span, kind);
    }
}

fn record_error(span: &Span, kind: ErrorKind) {
    span.record("error.type", kind.as_str());
    if kind != ErrorKind::Cancelled {
        span.record("otel.status_code", "ERROR");
    }
}

fn name(call: &CallInfo) -> String {
    let name = format!("{} {}", operation(call.operation), call.model);
    name.trim_end().to_owned()
}

/// The target is the last one; after a fallback it differs from the first.
fn end(span: &Span, call: &CallInfo, summary: &CallSummary) {
    span.record("otel.name", name(call));
    span.record("gen_ai.provider.name", provider(&call.provider));
    span.record("gen_ai.request.model", &call.model);
    if let Some(status) = summary.status {
        span.record("http.response.status_code", status);
    }
    if let Some(id) = &summary.response_id {
        span.record("gen_ai.response.id", id);
    }
    if let Some(model) = &summary.response_model {
        span.record("gen_ai.response.model", model);
    }
    if !summary.finish_reasons.is_empty() {
        let reasons: Vec<&str> = summary.finish_reasons.iter().map(|r| r.as_str()).collect();
        span.record("gen_ai.response.finish_reasons", reasons.join(","));
    }
    if let Some(usage) = &summary.usage {
        for (name, tokens) in [
            ("gen_ai.usage.input_tokens", usage.prompt_tokens),
            ("gen_ai.usage.output_tokens", usage.completion_tokens),
            ("gen_ai.usage.cache_read.input_tokens", usage.cached_tokens),
            (
                "gen_ai.usage.cache_creation.input_tokens",
                usage.cache_write_tokens,
            ),
        ] {
            if let Some(tokens) = tokens {
                span.record(name, tokens);
            }
        }
    }
    if let Some(kind) = summary.error {
        record_error(span, kind);
    }
}
