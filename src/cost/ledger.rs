use super::{AttemptUsage, Cost, Labels};
use crate::{
    ErrorKind,
    observe::{CallEvent, CallObservation, Observer},
};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

/// Records what every attempt of a client used and cost: an [`Observer`] that passes one [`LedgerEntry`] for each
/// attempt to a function, and keeps sums.
///
/// ```
/// use unifiedai::{Client, cost::{Ledger, LedgerEntry}};
/// # fn with<T: unifiedai::transport::Transport + Clone>(client: Client<T>) {
/// // One JSON line for each attempt; a file or a database in a real program.
/// let ledger = Ledger::new(|entry: &LedgerEntry| println!("{}", serde_json::json!(entry)))
///     .sum_by("customer");
/// let client = client.with_observer(ledger.clone());
/// // ... calls, with `CallOptions::default().label("customer", "acme")` ...
/// for (customer, totals) in ledger.totals() {
///     println!("{customer}: {} calls, {} dollars", totals.attempts, totals.cost.known);
/// }
/// # }
/// ```
#[derive(Clone)]
pub struct Ledger(Arc<Inner>);

struct Inner {
    sink: Box<dyn Fn(&LedgerEntry) + Send + Sync>,
    label: Option<String>,
    totals: Mutex<BTreeMap<String, Totals>>,
}

/// The number of different values of a label that are counted apart. Further ones are counted as [`Ledger::OTHER`], so
/// that the memory of a ledger is bounded.
const MAX_VALUES: usize = 10_000;

impl Ledger {
    /// The name under which further values of the label are added up, if there are more than 10,000.
    pub const OTHER: &'static str = "(other)";

    /// Creates a ledger that passes each entry to `sink`. The function runs inside the call, so it should be quick.
    #[must_use]
    pub fn new(sink: impl Fn(&LedgerEntry) + Send + Sync + 'static) -> Self {
        Ledger(Arc::new(Inner {
            sink: Box::new(sink),
            label: None,
            totals: Mutex::default(),
        }))
    }

    /// Keeps a sum for each value of this [label](crate::CallOptions::label), instead of one sum. Call it before the
    /// ledger is shared: sums so far are not kept.
    #[must_use]
    pub fn sum_by(self, label: impl Into<String>) -> Self {
        let label = Some(label.into());
        match Arc::try_unwrap(self.0) {
            Ok(inner) => Ledger(Arc::new(Inner { label, ..inner })),
            Err(shared) => Ledger(Arc::new(Inner {
                sink: Box::new(move |entry| (shared.sink)(entry)),
                label,
                totals: Mutex::default(),
            })),
        }
    }

    /// The sums so far, by the value of the label; under an empty name for calls without it.
    #[must_use]
    pub fn totals(&self) -> BTreeMap<String, Totals> {
        self.sums().clone()
    }

    fn sums(&self) -> MutexGuard<'_, BTreeMap<String, Totals>> {
        self.0.totals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, entry: &LedgerEntry) {
        let value = self.0.label.as_ref();
        let value = value.and_then(|label| entry.labels.get(label));
        let value = value.unwrap_or_default();
        {
            let mut sums = self.sums();
            let name = match sums.contains_key(value) || sums.len() < MAX_VALUES {
                true => value,
                false => Ledger::OTHER,
            };
            match sums.get_mut(name) {
                Some(totals) => totals.add(entry),
                None => sums.entry(name.to_owned()).or_default().add(entry),
            }
        }
        (self.0.sink)(entry);
    }
}

impl Observer for Ledger {
    fn observe(&self, seen: &CallObservation<'_>) {
        if let CallEvent::AttemptFinished {
            number,
            status,
            error,
            billing,
            ..
        } = &seen.event
        {
            self.record(&LedgerEntry {
                call: seen.call.id,
                attempt: *number,
                operation: seen.call.operation,
                provider: seen.call.provider.clone(),
                model: seen.call.model.clone(),
                labels: seen.call.labels.clone(),
                sent_at: billing.sent_at,
                request_id: billing.request_id.map(str::to_owned),
                status: *status,
                error: *error,
                usage: billing.usage.clone(),
                cost: billing.cost.cloned(),
                may_have_been_billed: billing.may_have_been_billed,
            });
        }
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger")
            .field("label", &self.0.label)
            .finish_non_exhaustive()
    }
}

/// One attempt: a line of a [`Ledger`].
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LedgerEntry {
    /// The number of the call, unique in this process: [`CallInfo::id`](crate::observe::CallInfo::id).
    pub call: u64,
    /// The attempt's number within the call, from 1.
    pub attempt: u32,
    /// `chat`, `embed` and so on.
    pub operation: &'static str,
    /// The provider's name.
    pub provider: String,
    /// The model of the request; empty for calls without a model.
    pub model: String,
    /// The call's [labels](crate::CallOptions::label).
    #[serde(skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// When the request was sent; in JSON in seconds since 1970.
    #[serde(serialize_with = "unix_seconds")]
    pub sent_at: SystemTime,
    /// The provider's id of the request, to find it in the provider's own records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The HTTP status, if a response was received.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The kind of the failure; `None` on success.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "kind_name")]
    pub error: Option<ErrorKind>,
    /// The tokens, as far as they are known.
    pub usage: AttemptUsage,
    /// The price; `None` without [prices](crate::CallOptions::prices).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
    /// False if the provider certainly does not bill the attempt: it was not sent, or refused.
    pub may_have_been_billed: bool,
}

fn unix_seconds<S: serde::Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    serializer.serialize_f64(since.as_secs_f64())
}

fn kind_name<S: serde::Serializer>(
    kind: &Option<ErrorKind>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    kind.map(ErrorKind::as_str).serialize(serializer)
}

/// Sums over the attempts of a [`Ledger`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Totals {
    /// All attempts.
    pub attempts: u64,
    /// Attempts that may be billed.
    pub billable: u64,
    /// Attempts that may be billed, but whose tokens were reported in part or not at all. Their cost is not complete.
    pub incomplete: u64,
    /// Input tokens that were reported.
    pub prompt_tokens: u64,
    /// Output tokens that were reported.
    pub completion_tokens: u64,
    /// The sum of the prices.
    pub cost: Cost,
}

impl Totals {
    /// Adds an attempt, also one that was read from a stored ledger.
    pub fn add(&mut self, entry: &LedgerEntry) {
        self.attempts = self.attempts.saturating_add(1);
        if entry.may_have_been_billed {
            self.billable = self.billable.saturating_add(1);
            if !matches!(entry.usage, AttemptUsage::Reported(_)) {
                self.incomplete = self.incomplete.saturating_add(1);
            }
        }
        if let Some(usage) = entry.usage.usage() {
            let add = |sum: &mut u64, tokens: Option<u64>| {
                *sum = sum.saturating_add(tokens.unwrap_or_default());
            };
            add(&mut self.prompt_tokens, usage.prompt_tokens);
            add(&mut self.completion_tokens, usage.completion_tokens);
        }
        if let Some(cost) = &entry.cost {
            self.cost.add(cost);
        }
    }
}
