use crate::{
    ErrorKind, Json, Usage,
    cost::{AttemptUsage, Cost},
};
use serde::{Serialize, Serializer, ser::SerializeMap};
use std::time::{Duration, SystemTime};

/// Measurements of a call, and separately the times that the server reported. A value that was not measured is
/// `None`.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct CallMetrics {
    /// From the start of the call to its end, with all attempts and waits.
    pub duration: Option<Duration>,
    /// From the start of the call to the first byte of the response headers.
    pub ttfb: Option<Duration>,
    /// From the start of the call to the first text, reasoning or tool call. `None` for single-body responses.
    pub ttft: Option<Duration>,
    /// Every request that was sent, the last one included.
    pub attempts: Vec<Attempt>,
    /// The fetches of [credentials](crate::credentials) by this call. A token that another call fetched is not among
    /// them.
    pub credential_fetches: Vec<CredentialFetch>,
    /// The times that the server reported.
    pub server: ServerTiming,
    /// The provider's own timing object.
    pub provider_time_info: Option<Json>,
}

/// One fetch of a token that expires.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CredentialFetch {
    /// The name of the source, as in errors.
    pub source: String,
    /// From the start of the call to the start of the fetch.
    pub started: Duration,
    /// From the start of the fetch to its result, with all requests, files and processes of the source.
    pub duration: Duration,
    /// The code of the failure, such as `credentials_refused`; `None` on success.
    pub error: Option<String>,
    /// The number of targets that the call had abandoned before.
    pub(crate) abandoned: usize,
}

/// Times that the server reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerTiming {
    /// Time in the provider's queue (Cerebras `queue_time`).
    pub queue: Option<Duration>,
    /// Time to process the prompt.
    pub prompt: Option<Duration>,
    /// Time to generate the completion.
    pub completion: Option<Duration>,
    /// From the arrival of the request to its end, on the server's clock.
    pub total: Option<Duration>,
}

/// One request of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attempt {
    /// From the start of the call to this request.
    pub started: Duration,
    /// From this request to its outcome.
    pub duration: Duration,
    /// The HTTP status, if a response was received.
    pub status: Option<u16>,
    /// The kind of the failure; `None` on success.
    pub error: Option<ErrorKind>,
    /// The failure in one line without secrets.
    pub message: Option<String>,
    /// Whether its connection turned out to be closed, so that the request was sent again over another one. That is
    /// neither a failure of the provider nor a retry.
    pub replayed: bool,
    /// The target as `provider.model`; `None` without a fallback.
    pub target: Option<String>,
    /// When the request was sent, by the call's wall clock.
    pub sent_at: SystemTime,
    /// The provider's id of the request.
    pub request_id: Option<String>,
    /// The tokens, as far as the provider reported them.
    pub usage: AttemptUsage,
    /// The price of the tokens; `None` without [prices](crate::CallOptions::prices).
    pub cost: Option<Cost>,
    /// False if the provider certainly does not bill this attempt: the request was not sent, or was refused by its
    /// status.
    pub may_have_been_billed: bool,
}

impl Attempt {
    pub(crate) fn new(started: Duration, sent_at: SystemTime) -> Self {
        Attempt {
            started,
            duration: Duration::ZERO,
            status: None,
            error: None,
            message: None,
            replayed: false,
            target: None,
            sent_at,
            request_id: None,
            usage: AttemptUsage::Unknown,
            cost: None,
            may_have_been_billed: true,
        }
    }
}

impl CallMetrics {
    /// Output tokens per second: over the server's completion time if it reported one, else over the measured time
    /// from the first token to the end.
    #[must_use]
    pub fn tokens_per_second(&self, usage: &Usage) -> Option<f64> {
        let tokens = usage.completion_tokens?;
        let seconds = match self.server.completion {
            Some(completion) => completion,
            None => self.duration?.checked_sub(self.ttft?)?,
        }
        .as_secs_f64();
        #[expect(
            clippy::cast_precision_loss,
            reason = "a rate; token counts are far below 2^52"
        )]
        let tokens = tokens as f64;
        (seconds > 0.0).then(|| tokens / seconds)
    }
}

impl Serialize for CallMetrics {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        entry_ms(&mut map, "duration_ms", self.duration)?;
        entry_ms(&mut map, "ttfb_ms", self.ttfb)?;
        entry_ms(&mut map, "ttft_ms", self.ttft)?;
        map.serialize_entry("attempts", &self.attempts.len())?;
        if self.attempts.len() > 1 {
            map.serialize_entry("attempt_log", &self.attempts)?;
        }
        if !self.credential_fetches.is_empty() {
            map.serialize_entry("credential_fetches", &self.credential_fetches)?;
        }
        if self.server != ServerTiming::default() {
            map.serialize_entry("server", &self.server)?;
        }
        if let Some(info) = &self.provider_time_info {
            map.serialize_entry("provider_time_info", info)?;
        }
        map.end()
    }
}

impl Serialize for ServerTiming {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        entry_ms(&mut map, "queue_ms", self.queue)?;
        entry_ms(&mut map, "prompt_ms", self.prompt)?;
        entry_ms(&mut map, "completion_ms", self.completion)?;
        entry_ms(&mut map, "total_ms", self.total)?;
        map.end()
    }
}

impl Serialize for Attempt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        entry_ms(&mut map, "started_ms", Some(self.started))?;
        entry_ms(&mut map, "duration_ms", Some(self.duration))?;
        if let Some(status) = self.status {
            map.serialize_entry("status", &status)?;
        }
        if let Some(error) = self.error {
            map.serialize_entry("error", error.as_str())?;
        }
        if let Some(message) = &self.message {
            map.serialize_entry("message", message)?;
        }
        if self.replayed {
            map.serialize_entry("replayed", &true)?;
        }
        if let Some(target) = &self.target {
            map.serialize_entry("target", target)?;
        }
        if let Some(id) = &self.request_id {
            map.serialize_entry("request_id", id)?;
        }
        if self.usage != AttemptUsage::Unknown {
            map.serialize_entry("usage", &self.usage)?;
        }
        if let Some(cost) = &self.cost {
            map.serialize_entry("cost", cost)?;
        }
        map.serialize_entry("may_have_been_billed", &self.may_have_been_billed)?;
        map.end()
    }
}

impl Serialize for CredentialFetch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("source", &self.source)?;
        entry_ms(&mut map, "started_ms", Some(self.started))?;
        entry_ms(&mut map, "duration_ms", Some(self.duration))?;
        if let Some(error) = &self.error {
            map.serialize_entry("error", error)?;
        }
        map.end()
    }
}

/// Milliseconds without floating-point noise: 1.957 s are 1957 ms.
#[expect(
    clippy::cast_precision_loss,
    reason = "2^53 nanoseconds are a hundred days"
)]
pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1e6
}

fn entry_ms<M: SerializeMap>(
    map: &mut M,
    name: &str,
    value: Option<Duration>,
) -> Result<(), M::Error> {
    match value {
        Some(value) => map.serialize_entry(name, &milliseconds(value)),
        None => Ok(()),
    }
}
