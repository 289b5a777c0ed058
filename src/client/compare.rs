//! Sends one request to several models concurrently.

use crate::client::future_set::FutureSet;
use crate::provider::ProviderRegistry;
use crate::{AsyncChatStream, ChatRequest, Error, ErrorKind, StreamEvent, UnifiedChatResponse};
use crate::{AsyncClient, Client};
use serde::{Serialize, Serializer, ser::SerializeMap};
use std::{future::poll_fn, sync::mpsc, thread, time::Duration};
use unifiedai_transport::{AsyncTransport, Transport};

/// The responses of several models to one request, in the order in which the caller listed the models.
#[derive(Debug)]
#[non_exhaustive]
pub struct Comparison {
    /// One entry for each model.
    pub results: Vec<ComparisonEntry>,
}

/// The result of one model.
#[derive(Debug)]
#[non_exhaustive]
pub struct ComparisonEntry {
    /// The provider's name.
    pub provider: String,
    /// The model's name at its provider.
    pub model: String,
    /// The response, or the error that ended the call.
    pub result: Result<UnifiedChatResponse, Error>,
}

/// A quantity by which responses are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ComparisonMetric {
    /// Time to the first token, in milliseconds; lower is better.
    FirstToken,
    /// Duration of the call, in milliseconds; lower is better.
    Duration,
    /// Output tokens per second; higher is better.
    TokensPerSecond,
    /// Output tokens; lower is better.
    Tokens,
    /// Input tokens that were read from a cache; higher is better.
    CachedTokens,
}

impl ComparisonMetric {
    /// All metrics.
    pub const ALL: [ComparisonMetric; 5] = [
        ComparisonMetric::FirstToken,
        ComparisonMetric::Duration,
        ComparisonMetric::TokensPerSecond,
        ComparisonMetric::Tokens,
        ComparisonMetric::CachedTokens,
    ];

    /// The name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            ComparisonMetric::FirstToken => "ttft_ms",
            ComparisonMetric::Duration => "duration_ms",
            ComparisonMetric::TokensPerSecond => "tokens_per_second",
            ComparisonMetric::Tokens => "completion_tokens",
            ComparisonMetric::CachedTokens => "cached_tokens",
        }
    }

    /// The value in a response; `None` if it was not measured.
    #[must_use]
    pub fn of(self, response: &UnifiedChatResponse) -> Option<f64> {
        let usage = response.usage.as_ref();
        match self {
            ComparisonMetric::FirstToken => response.metrics.ttft.map(ms),
            ComparisonMetric::Duration => response.metrics.duration.map(ms),
            ComparisonMetric::TokensPerSecond => response.metrics.tokens_per_second(usage?),
            #[expect(
                clippy::cast_precision_loss,
                reason = "token counts are far below 2^52"
            )]
            ComparisonMetric::Tokens => usage?.completion_tokens.map(|tokens| tokens as f64),
            #[expect(
                clippy::cast_precision_loss,
                reason = "token counts are far below 2^52"
            )]
            ComparisonMetric::CachedTokens => usage?.cached_tokens.map(|tokens| tokens as f64),
        }
    }

    /// Maps the value so that smaller is better.
    fn cost(self, value: f64) -> f64 {
        match self {
            ComparisonMetric::TokensPerSecond | ComparisonMetric::CachedTokens => -value,
            _ => value,
        }
    }
}

impl Comparison {
    /// The entry with the best value; the first of equal ones. `None` if no entry has a value.
    #[must_use]
    pub fn winner(&self, criterion: ComparisonMetric) -> Option<&ComparisonEntry> {
        self.values(criterion)
            .min_by(|(_, a), (_, b)| criterion.cost(*a).total_cmp(&criterion.cost(*b)))
            .map(|(compared, _)| compared)
    }

    /// The difference of each entry from the best one, in the metric's unit: positive for a larger value. `None`
    /// where there is no value.
    #[must_use]
    pub fn differences(&self, criterion: ComparisonMetric) -> Vec<Option<f64>> {
        let best = self
            .winner(criterion)
            .and_then(|best| best.value(criterion));
        let value = |compared: &ComparisonEntry| Some(compared.value(criterion)? - best?);
        self.results.iter().map(value).collect()
    }

    fn values(&self, criterion: ComparisonMetric) -> impl Iterator<Item = (&ComparisonEntry, f64)> {
        let value = move |compared: &ComparisonEntry| compared.value(criterion);
        self.results
            .iter()
            .filter_map(move |compared| Some((compared, value(compared)?)))
    }
}

impl ComparisonEntry {
    /// The response's value; `None` for an error, or if it was not measured.
    #[must_use]
    pub fn value(&self, criterion: ComparisonMetric) -> Option<f64> {
        criterion.of(self.result.as_ref().ok()?)
    }
}

impl Serialize for ComparisonEntry {
    /// Fields: `provider`, `model`, and `ok` or `error`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("provider", &self.provider)?;
        map.serialize_entry("model", &self.model)?;
        match &self.result {
            Ok(response) => map.serialize_entry("ok", response)?,
            Err(error) => map.serialize_entry("error", error)?,
        }
        map.end()
    }
}

impl<T: Transport + Clone + Send> Client<T> {
    /// Sends the request to several models concurrently, each on a thread; `models` are named as in any request. The
    /// client's timeouts apply to each call. All calls start together, so [`Timeouts::total`](crate::Timeouts::total)
    /// limits the comparison. Only the first model gets the request's [`headers`](ChatRequest::headers).
    ///
    /// `watch` is called for every event, with the index of its model in `models`.
    pub fn compare(
        &self,
        request: &ChatRequest,
        models: &[&str],
        mut watch: impl FnMut(usize, &StreamEvent),
    ) -> Comparison {
        let (sender, events) = mpsc::sync_channel(EVENT_QUEUE_LENGTH);
        let results = thread::scope(|scope| {
            let running: Vec<_> = models
                .iter()
                .enumerate()
                .map(|(place, model)| {
                    let (client, sender) = (self.clone(), sender.clone());
                    let request = request_for_model(request, model, place);
                    scope.spawn(move || {
                        let mut stream = client.stream(request)?;
                        for event in &mut stream {
                            // The receiver is gone only if `watch` panicked.
                            let _ = sender.send((place, event?));
                        }
                        stream.into_response()
                    })
                })
                .collect();
            drop(sender);
            for (place, event) in events {
                watch(place, &event);
            }
            let results = running.into_iter().map(|thread| {
                let panicked = |_| {
                    Err(Error::new(
                        ErrorKind::Misuse,
                        "the thread that ran this model's call panicked",
                    ))
                };
                thread.join().unwrap_or_else(panicked)
            });
            results.collect()
        });
        self.providers.compared(models, results)
    }
}

impl<T: AsyncTransport + Clone + Unpin> AsyncClient<T> {
    /// Sends the request to several models concurrently; `models` are named as in any request. The client's timeouts
    /// apply to each call. All calls start together, so [`Timeouts::total`](crate::Timeouts::total) limits the
    /// comparison. Only the first model gets the request's [`headers`](ChatRequest::headers).
    ///
    /// `watch` is called for every event, with the index of its model in `models`.
    pub async fn compare(
        &self,
        request: &ChatRequest,
        models: &[&str],
        mut watch: impl FnMut(usize, &StreamEvent),
    ) -> Comparison {
        let mut results: Vec<_> = models.iter().map(|_| Err(unfinished())).collect();
        let mut running = FutureSet::new();
        for (place, model) in models.iter().enumerate() {
            let stream = self.stream(request_for_model(request, model, place));
            running.push(next_event(place, stream));
        }
        while let Some((place, stream, event)) = poll_fn(|cx| running.poll_next(cx)).await {
            match (stream, event) {
                (stream, Some(Ok(event))) => {
                    watch(place, &event);
                    running.push(next_event(place, stream));
                }
                (_, Some(Err(error))) => set(&mut results, place, Err(error)),
                (Ok(stream), None) => set(&mut results, place, stream.into_response().await),
                (Err(error), None) => set(&mut results, place, Err(error)),
            }
        }
        self.providers.compared(models, results)
    }
}

/// Events that may be queued between the threads and `watch`.
const EVENT_QUEUE_LENGTH: usize = 64;

type ModelStream<T> = Result<AsyncChatStream<T>, Error>;

/// Waits for the next event of a stream, and returns the stream with it.
async fn next_event<T: AsyncTransport + Unpin>(
    place: usize,
    mut stream: ModelStream<T>,
) -> (usize, ModelStream<T>, Option<Result<StreamEvent, Error>>) {
    let event = match &mut stream {
        Ok(stream) => stream.next().await,
        Err(_) => None,
    };
    (place, stream, event)
}

fn set<R>(results: &mut [R], place: usize, result: R) {
    if let Some(slot) = results.get_mut(place) {
        *slot = result;
    }
}

fn unfinished() -> Error {
    Error::new(
        ErrorKind::Cancelled,
        "the comparison ended before this model's response",
    )
}

/// The caller's headers may contain credentials of the first model's provider.
fn request_for_model(request: &ChatRequest, model: &str, place: usize) -> ChatRequest {
    let mut request = request.clone();
    request.model = model.to_owned();
    if place > 0 {
        request.headers.clear();
    }
    request
}

impl ProviderRegistry {
    fn compared(
        &self,
        models: &[&str],
        results: Vec<Result<UnifiedChatResponse, Error>>,
    ) -> Comparison {
        let named = models.iter().zip(results).map(|(model, result)| {
            let (provider, model) = self.target(model);
            ComparisonEntry {
                provider: provider.to_owned(),
                model: model.to_owned(),
                result,
            }
        });
        Comparison {
            results: named.collect(),
        }
    }
}

fn ms(time: Duration) -> f64 {
    crate::chat::milliseconds(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caller_headers_are_sent_to_the_first_model_only() {
        let asked = ChatRequest::new("m")
            .header("x-gateway-key", "k")
            .shared_header("traceparent", "t");
        assert_eq!(request_for_model(&asked, "one", 0).headers.len(), 1);
        for place in 1..3 {
            let other = request_for_model(&asked, "two", place);
            assert!(other.headers.is_empty());
            assert_eq!(other.shared_headers.len(), 1);
        }
    }
}
