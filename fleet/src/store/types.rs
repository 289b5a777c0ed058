//! The values that a store takes and gives.
#![expect(
    clippy::exhaustive_structs,
    reason = "a store in another crate makes and reads them"
)]

use crate::FleetError;
use serde::{Deserialize, Serialize};

/// What a run is: the same name with another configuration is refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RunConfig {
    /// The run's name.
    pub name: String,
    /// The provider's name, as `unifiedai::provider::from_env` knows it.
    pub provider: String,
    /// Another address of the provider, with its version path.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub base_url: Option<String>,
    /// The model of lines that name none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub model: Option<String>,
    /// Runs of the same account and model share one limit.
    pub account: String,
    /// Requests a minute. `None` is no limit.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rpm: Option<f64>,
    /// Tokens a minute, prompt and completion. `None` is no limit.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tpm: Option<f64>,
    /// The run's share of the workers, relative to those of other open runs.
    pub weight: f64,
    /// Whether each chunk is a batch of the provider.
    pub at_provider: bool,
    /// What happens to an item whose call may have been made without an outcome.
    pub on_unknown: UnknownPolicy,
}

impl RunConfig {
    /// A run at this provider, without limits.
    #[must_use]
    pub fn new(name: impl Into<String>, provider: impl Into<String>) -> Self {
        let provider = provider.into();
        RunConfig {
            name: name.into(),
            account: provider.clone(),
            provider,
            base_url: None,
            model: None,
            rpm: None,
            tpm: None,
            weight: 1.0,
            at_provider: false,
            on_unknown: UnknownPolicy::Resend,
        }
    }

    /// The key of the run's limiter: the account and the model.
    pub(crate) fn limiter_model(&self) -> &str {
        self.model.as_deref().unwrap_or("*")
    }

    pub(crate) fn to_json(&self) -> String {
        // A struct of texts and finite numbers has a JSON form.
        serde_json::to_string(self).unwrap_or_default()
    }

    pub(crate) fn check(&self) -> Result<(), FleetError> {
        let refuse = |what: String| Err(FleetError::Refused(what));
        if self.name.is_empty() || self.name.len() > 200 {
            return refuse("a run's name has 1 to 200 bytes".into());
        }
        for (name, rate) in [
            ("rpm", self.rpm),
            ("tpm", self.tpm),
            ("weight", Some(self.weight)),
        ] {
            if rate.is_some_and(|rate| !(rate.is_finite() && rate > 0.0)) {
                return refuse(format!("`{name}` must be a number above 0"));
            }
        }
        Ok(())
    }

    /// An error that names the first member in which `stored` differs.
    pub(crate) fn compare(&self, stored: &str) -> Result<(), FleetError> {
        let as_value = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
        let (Some(old), Some(new)) = (as_value(stored), as_value(&self.to_json())) else {
            return Err(FleetError::Database(format!(
                "the configuration of the run `{}` cannot be read: {stored}",
                self.name
            )));
        };
        let names = [
            "provider",
            "base_url",
            "model",
            "account",
            "rpm",
            "tpm",
            "weight",
            "at_provider",
            "on_unknown",
        ];
        for name in names {
            let (old, new) = (old.get(name), new.get(name));
            if old != new {
                let show = |value: Option<&serde_json::Value>| {
                    value.map_or("none".into(), |v| v.to_string())
                };
                return Err(FleetError::Refused(format!(
                    "the run `{}` was submitted with another `{name}`: {}, not {}. Use the same options, or another name",
                    self.name,
                    show(old),
                    show(new)
                )));
            }
        }
        Ok(())
    }
}

/// What happens to an item whose call may have been made, but whose worker was lost before it stored an outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum UnknownPolicy {
    /// It is sent again. The provider may charge for both calls; status counts them.
    #[default]
    Resend,
    /// Its outcome is `unknown`.
    Hold,
}

/// The state of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RunState {
    /// Workers work on it.
    Open,
    /// No call starts until it is resumed.
    Paused,
    /// No further call starts.
    Cancelled,
    /// Each item has an outcome.
    Done,
}

impl RunState {
    /// Its name, as in JSON and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            RunState::Open => "open",
            RunState::Paused => "paused",
            RunState::Cancelled => "cancelled",
            RunState::Done => "done",
        }
    }

    pub(crate) fn parse(text: &str) -> Result<Self, FleetError> {
        [
            RunState::Open,
            RunState::Paused,
            RunState::Cancelled,
            RunState::Done,
        ]
        .into_iter()
        .find(|state| state.as_str() == text)
        .ok_or_else(|| FleetError::Database(format!("`{text}` is no state of a run")))
    }
}

/// A run that was opened.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct OpenedRun {
    /// The run's number.
    pub id: i32,
    /// Whether it is new.
    pub is_new: bool,
    /// Its items so far.
    pub items: u64,
}

/// A run as it is stored.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RunRow {
    /// The run's number.
    pub id: i32,
    /// The number of its limiter.
    pub limiter: i32,
    /// Its configuration.
    pub config: RunConfig,
    /// Its state.
    pub state: RunState,
    /// Its items.
    pub items: u64,
}

impl RunRow {
    pub(crate) fn new(
        id: i32,
        limiter: i32,
        config: &str,
        state: &str,
        items: i64,
    ) -> Result<Self, FleetError> {
        let config = serde_json::from_str(config).map_err(|e| {
            FleetError::Database(format!(
                "the configuration of run {id} cannot be read: {e}. It may be of a later version of this program"
            ))
        })?;
        Ok(RunRow {
            id,
            limiter,
            config,
            state: RunState::parse(state)?,
            items: u64::try_from(items).unwrap_or(0),
        })
    }
}

/// A line of an input: an id, and its body or the place of its line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LineInput {
    /// The `custom_id`.
    pub key: String,
    /// The JSON of its `body`. `None` if the line stays in its source.
    pub body: Option<String>,
    /// The offset of the line in its source, in bytes.
    pub place: Option<i64>,
    /// The length of the line, in bytes.
    pub size: Option<i32>,
}

/// A leased chunk: the items from `first` to `last`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Its run.
    pub run: i32,
    /// Its number. Below 0 it is one item that was in a chunk that lost its owners.
    pub no: i64,
    /// Identifies the lease: another lease of the chunk has a higher one.
    pub epoch: i32,
    /// The number of its first item.
    pub first: i64,
    /// The number of its last item.
    pub last: i64,
    /// The saved state of its provider batch.
    pub remote: Option<String>,
}

impl Chunk {
    /// Whether it is one suspected item, which runs alone in its process.
    #[must_use]
    pub fn is_single(&self) -> bool {
        self.no < 0
    }
}

/// An item without an outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its number in the run.
    pub seq: i64,
    /// The JSON of its body, or nothing if it is in a source.
    pub body: Option<String>,
    /// The file or URL of its line, the offset and the length of the line.
    pub source: Option<(String, u64, usize)>,
    /// How many attempts were begun.
    pub tries: i32,
    /// How many of them did not count, because the provider was not reached or refused them for their number.
    pub throttled: i32,
    /// How many of them may have been calls whose end is not known.
    pub unknown: i32,
}

/// An item for which a slot is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its run.
    pub run: i32,
    /// Its number.
    pub seq: i64,
    /// The number of the attempt.
    pub attempt: i32,
    /// The tokens that the call is estimated to take.
    pub tokens: i32,
}

/// Slots for the first of the wanted items.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    /// For each item the time until its call may start, in microseconds. `None`: the item's run is not open.
    pub slots: Vec<Option<u64>>,
    /// The limiter's epoch.
    pub epoch: i32,
    /// When to ask again, if there were fewer slots than items, in microseconds.
    pub retry_us: u64,
}

/// An attempt that is over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttemptRecord {
    /// The worker that began it.
    pub worker: i64,
    /// The item's run.
    pub run: i32,
    /// The item's number.
    pub seq: i64,
    /// The number of the attempt.
    pub attempt: i32,
    /// Whether this is the item's outcome.
    pub is_outcome: bool,
    /// `ok`, a kind of error, `gave_up`, `unknown`, or for an attempt without a call `not_sent`.
    pub kind: String,
    /// The HTTP status.
    pub status: Option<i32>,
    /// The response or the error as JSON.
    pub body: Option<String>,
    /// Tokens of the prompt.
    pub input_tokens: Option<i64>,
    /// Tokens of the completion.
    pub output_tokens: Option<i64>,
}

/// What a worker says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct WorkerState {
    /// Whether it takes no more work.
    pub leaving: bool,
    /// Calls in progress.
    pub in_flight: usize,
    /// Outcomes since its start.
    pub done: u64,
    /// Outcomes a second since the last sign of life.
    pub rate: f64,
}

/// An item with its outcome, for an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutcomeRow {
    /// The item's number.
    pub seq: i64,
    /// Its `custom_id`.
    pub key: String,
    /// The kind of its outcome. `None` if it has none.
    pub kind: Option<String>,
    /// The HTTP status.
    pub status: Option<i32>,
    /// The response or the error as JSON.
    pub body: Option<String>,
}
