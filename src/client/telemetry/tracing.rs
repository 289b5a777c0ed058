use super::{content, operation, provider};
use crate::{CallEvent, CallInfo, CallSummary, ErrorKind, Observation, Observer};
use ::tracing::{Span, field::Empty, info_span};
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Makes a [`tracing`](https://docs.rs/tracing) span of each call, with the attributes of OpenTelemetry's conventions for
/// generative AI (`gen_ai.*`, `error.type`, `server.address`).
///
/// The span belongs to the span in which the call was made, and lasts until its end. It has names, numbers and times, and
/// nothing that was asked or answered unless [told to](TracingObserver::with_content).
///
/// ```no_run
/// # #[cfg(feature = "ureq")] {
/// use unifiedai::{Client, TracingObserver, ureq::Agent};
/// let client = Client::from_env(Agent::new(), &["cerebras"])?.with_observer(TracingObserver::new());
/// # }
/// # Ok::<(), unifiedai::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct TracingObserver {
    /// Those of the calls that run.
    spans: Mutex<HashMap<u64, Span>>,
    content: bool,
}

impl TracingObserver {
    /// An observer that sees no content.
    #[must_use]
    pub fn new() -> Self {
        TracingObserver::default()
    }

    /// Puts messages, questions and answers alike, into the spans: `gen_ai.input.messages` and `gen_ai.output.messages`, as
    /// JSON. Whoever reads the traces reads what people wrote. Pictures and other media are named, without their bytes.
    #[must_use]
    pub fn with_content(mut self) -> Self {
        self.content = true;
        self
    }

    fn spans(&self) -> MutexGuard<'_, HashMap<u64, Span>> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn span(&self, call: &CallInfo) -> Span {
        self.spans()
            .get(&call.id)
            .cloned()
            .unwrap_or_else(Span::none)
    }
}

impl Observer for TracingObserver {
    fn observe(&self, seen: &Observation<'_>) {
        match &seen.event {
            CallEvent::Started => {
                let span = begin(seen.call);
                self.spans().insert(seen.call.id, span);
            }
            CallEvent::Asked(request) => {
                let messages = content::asked(request);
                self.span(seen.call)
                    .record("gen_ai.input.messages", messages);
            }
            CallEvent::Answered(response) => {
                let messages = content::answered(response);
                self.span(seen.call)
                    .record("gen_ai.output.messages", messages);
            }
            CallEvent::Attempt {
                number, host, port, ..
            } => {
                let span = self.span(seen.call);
                span.record("server.address", host);
                if let Some(port) = port {
                    span.record("server.port", port);
                }
                if *number > 1 {
                    span.record("http.request.resend_count", number.saturating_sub(1));
                }
            }
            CallEvent::FirstToken { after } => {
                let span = self.span(seen.call);
                span.record("gen_ai.response.time_to_first_chunk", after.as_secs_f64());
            }
            CallEvent::Finished(summary) => {
                // Taken out first: whoever listens to spans may make calls of its own.
                let span = self.spans().remove(&seen.call.id);
                if let Some(span) = span {
                    end(&span, summary);
                }
            }
        }
    }

    fn wants_content(&self) -> bool {
        self.content
    }
}

fn begin(call: &CallInfo) -> Span {
    info_span!(
        "gen_ai.client",
        otel.name = format!("{} {}", operation(call.operation), call.model).trim_end(),
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

fn end(span: &Span, summary: &CallSummary) {
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
        span.record("error.type", kind.as_str());
        if kind != ErrorKind::Cancelled {
            span.record("otel.status_code", "ERROR");
        }
    }
}
