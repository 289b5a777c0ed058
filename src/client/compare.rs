//! One question to several models at once.

use crate::client::future_set::FutureSet;
use crate::provider::ProviderRegistry;
use crate::{AsyncChatStream, ChatRequest, Error, ErrorKind, StreamEvent, UnifiedChatResponse};
use crate::{AsyncClient, Client};
use serde::{Serialize, Serializer, ser::SerializeMap};
use std::{future::poll_fn, sync::mpsc, thread, time::Duration};
use unifiedai_transport::{AsyncTransport, Transport};

/// What several models made of one question, in the order in which they were named.
#[derive(Debug)]
#[non_exhaustive]
pub struct Comparison {
    /// One for each model.
    pub results: Vec<ComparisonEntry>,
}

/// What one model made of it.
#[derive(Debug)]
#[non_exhaustive]
pub struct ComparisonEntry {
    /// The provider's name.
    pub provider: String,
    /// The model.
    pub model: String,
    /// The answer, or what was in the way.
    pub result: Result<UnifiedChatResponse, Error>,
}

/// By what answers are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ComparisonMetric {
    /// The least time to the first token, in milliseconds.
    FirstToken,
    /// The least time in all, in milliseconds.
    Duration,
    /// The most tokens a second.
    TokensPerSecond,
    /// The fewest tokens written.
    Tokens,
}

impl ComparisonMetric {
    /// Every one.
    pub const ALL: [ComparisonMetric; 4] = [
        ComparisonMetric::FirstToken,
        ComparisonMetric::Duration,
        ComparisonMetric::TokensPerSecond,
        ComparisonMetric::Tokens,
    ];

    /// Its word in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            ComparisonMetric::FirstToken => "ttft_ms",
            ComparisonMetric::Duration => "duration_ms",
            ComparisonMetric::TokensPerSecond => "tokens_per_second",
            ComparisonMetric::Tokens => "completion_tokens",
        }
    }

    /// An answer's value, if it was measured.
    #[must_use]
    pub fn of(self, response: &UnifiedChatResponse) -> Option<f64> {
        let usage = response.usage.as_ref();
        match self {
            ComparisonMetric::FirstToken => response.metrics.ttft.map(ms),
            ComparisonMetric::Duration => response.metrics.duration.map(ms),
            ComparisonMetric::TokensPerSecond => response.metrics.tokens_per_second(usage?),
            #[expect(
                clippy::cast_precision_loss,
                reason = "no count of tokens comes near 2^52"
            )]
            ComparisonMetric::Tokens => usage?.completion_tokens.map(|tokens| tokens as f64),
        }
    }

    /// Smaller is better.
    fn cost(self, value: f64) -> f64 {
        match self {
            ComparisonMetric::TokensPerSecond => -value,
            _ => value,
        }
    }
}

impl Comparison {
    /// The best answer by a criterion. `None` if there is none of which it was measured; the first of equals.
    #[must_use]
    pub fn winner(&self, criterion: ComparisonMetric) -> Option<&ComparisonEntry> {
        self.values(criterion)
            .min_by(|(_, a), (_, b)| criterion.cost(*a).total_cmp(&criterion.cost(*b)))
            .map(|(compared, _)| compared)
    }

    /// How far each model is from the best, in the criterion's unit: positive where it has more. `None` where it was not
    /// measured.
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
    /// The answer's value, if there is an answer and it was measured.
    #[must_use]
    pub fn value(&self, criterion: ComparisonMetric) -> Option<f64> {
        criterion.of(self.result.as_ref().ok()?)
    }
}

impl Serialize for ComparisonEntry {
    /// `provider`, `model`, and `ok` or `error`.
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
    /// Asks several models the same at once, on a thread each; `models` are named as in any request. The client's time
    /// limits hold for each, and as all begin together, [`Timeouts::total`](crate::Timeouts::total) is the deadline of all. The
    /// request's [`headers`](ChatRequest::headers) go to the first model alone.
    ///
    /// `watch` is told of every event as it comes, with the place of its model in `models`.
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
                            // Nobody listens any more only if `watch` panicked.
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
                let panicked = |_| Err(Error::new(ErrorKind::Misuse, "the thread panicked"));
                thread.join().unwrap_or_else(panicked)
            });
            results.collect()
        });
        self.providers.compared(models, results)
    }
}

impl<T: AsyncTransport + Clone + Unpin> AsyncClient<T> {
    /// Asks several models the same at once; `models` are named as in any request. The client's time limits hold for each,
    /// and as all begin together, [`Timeouts::total`](crate::Timeouts::total) is the deadline of all.
    ///
    /// `watch` is told of every event as it comes, with the place of its model in `models`.
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

/// Events that the threads of a comparison are ahead of who watches.
const EVENT_QUEUE_LENGTH: usize = 64;

type ModelStream<T> = Result<AsyncChatStream<T>, Error>;

/// Waits for the next event of a stream, which comes back with it.
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
        "the comparison ended before the answer",
    )
}

/// The headers of the caller belong to the first model's provider.
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
    fn a_callers_headers_go_to_the_first_model_alone() {
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
