use super::{operation, provider};
use crate::observe::{CallEvent, CallInfo, CallObservation, CallSummary, Observer};
use ::metrics::{Label, Unit, describe_histogram, histogram};

/// Records the histograms of OpenTelemetry's conventions for generative AI through the
/// [`metrics`](https://docs.rs/metrics) crate: `gen_ai.client.operation.duration` and
/// `gen_ai.client.operation.time_to_first_chunk` in seconds, and `gen_ai.client.token.usage`; for each attempt
/// `http.client.request.duration` in seconds.
///
/// A call counts for the last provider and model of its fallback; an attempt counts for its own, so that a fallback
/// shows in the attempts.
///
/// The labels are the operation, the provider, the models, `gen_ai.token.type` and `error.type`. They are sent to the
/// recorder that the program installed (Prometheus, StatsD, ...). Tokens that the provider did not count are not
/// recorded, not even as zero.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct MetricsObserver;

const DURATION: &str = "gen_ai.client.operation.duration";
const FIRST_CHUNK: &str = "gen_ai.client.operation.time_to_first_chunk";
const TOKENS: &str = "gen_ai.client.token.usage";
/// No convention of OpenTelemetry names this one.
const CREDENTIALS: &str = "unifiedai.client.credentials.duration";
const ATTEMPT: &str = "http.client.request.duration";

impl MetricsObserver {
    /// Creates an observer and describes the histograms to the recorder.
    #[must_use]
    pub fn new() -> Self {
        describe_histogram!(DURATION, Unit::Seconds, "Time from the call to its end");
        describe_histogram!(
            FIRST_CHUNK,
            Unit::Seconds,
            "Time to the first token of a stream"
        );
        describe_histogram!(
            ATTEMPT,
            Unit::Seconds,
            "Time from a request to the end of its response"
        );
        describe_histogram!(
            CREDENTIALS,
            Unit::Seconds,
            "Time to fetch a token that expires"
        );
        describe_histogram!(TOKENS, Unit::Count, "Input and output tokens");
        MetricsObserver
    }
}

impl Observer for MetricsObserver {
    fn observe(&self, seen: &CallObservation<'_>) {
        match &seen.event {
            CallEvent::AttemptFinished {
                duration,
                host,
                status,
                error,
                ..
            } => {
                let mut labels = target(seen.call);
                labels.push(Label::new("server.address", (*host).to_owned()));
                if let Some(status) = status {
                    labels.push(Label::new("http.response.status_code", status.to_string()));
                }
                if let Some(kind) = error {
                    labels.push(Label::from_static_parts("error.type", kind.as_str()));
                }
                histogram!(ATTEMPT, labels).record(duration.as_secs_f64());
            }
            CallEvent::CredentialsFetched {
                source,
                duration,
                error,
            } => {
                let mut labels = vec![
                    Label::new(
                        "gen_ai.provider.name",
                        provider(&seen.call.provider).to_owned(),
                    ),
                    Label::new("unifiedai.credentials.source", (*source).to_owned()),
                ];
                if let Some(code) = error {
                    labels.push(Label::new("error.type", (*code).to_owned()));
                }
                histogram!(CREDENTIALS, labels).record(duration.as_secs_f64());
            }
            CallEvent::Finished(summary) => record(seen.call, summary),
            _ => {}
        }
    }
}

fn target(call: &CallInfo) -> Vec<Label> {
    let mut labels = vec![
        Label::from_static_parts("gen_ai.operation.name", operation(call.operation)),
        Label::new("gen_ai.provider.name", provider(&call.provider).to_owned()),
    ];
    if !call.model.is_empty() {
        labels.push(Label::new("gen_ai.request.model", call.model.clone()));
    }
    labels
}

fn record(call: &CallInfo, summary: &CallSummary) {
    let mut labels = target(call);
    if let Some(model) = &summary.response_model {
        labels.push(Label::new("gen_ai.response.model", model.clone()));
    }
    if let Some(usage) = &summary.usage {
        for (kind, tokens) in [
            ("input", usage.prompt_tokens),
            ("output", usage.completion_tokens),
        ] {
            let Some(tokens) = tokens else { continue };
            let mut labels = labels.clone();
            labels.push(Label::from_static_parts("gen_ai.token.type", kind));
            #[expect(
                clippy::cast_precision_loss,
                reason = "token counts are far below 2^52"
            )]
            histogram!(TOKENS, labels).record(tokens as f64);
        }
    }
    if let Some(ttft) = summary.ttft {
        histogram!(FIRST_CHUNK, labels.clone()).record(ttft.as_secs_f64());
    }
    if let Some(kind) = summary.error {
        labels.push(Label::from_static_parts("error.type", kind.as_str()));
    }
    histogram!(DURATION, labels).record(summary.duration.as_secs_f64());
}
