//! A run: many requests as provider batches, from the first line to the last outcome.

mod calls;
mod gather;
mod lines;
mod results;
mod search;
mod source;
mod state;

use super::{BatchCall, ItemOutcome};
use crate::{
    Error, ErrorKind,
    policy::SizeLimits,
    provider::{BatchLimits, Provider},
};
use calls::back_off;
use lines::{Carried, Gathered};
use state::{Part, PartStep};
use std::{
    collections::VecDeque,
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

pub use source::{RequestIter, RequestSource};
pub use state::RunState;

/// Options of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunOptions {
    /// The largest size of one batch's requests in bytes, unless the provider's limit is lower. The run keeps this many bytes
    /// in memory, and twice as many while it sends them. Default 16 MiB.
    pub max_part_bytes: u64,
    /// The largest number of requests in one batch, unless the provider's limit is lower. Default: the provider's limit.
    pub max_part_requests: u64,
    /// The largest number of open batches. Default 8.
    pub max_open: usize,
    /// The time between two polls of a batch. Default: the provider's value, or 30 s.
    pub poll: Option<Duration>,
    /// How long after its expiry a batch without a final state is still polled. Default 24 h, because some providers (Azure)
    /// finish late.
    pub patience: Duration,
    /// Size limits of responses.
    pub sizes: SizeLimits,
}

impl Default for RunOptions {
    fn default() -> Self {
        RunOptions {
            max_part_bytes: 16 << 20,
            max_part_requests: u64::MAX,
            max_open: 8,
            poll: None,
            patience: Duration::from_secs(24 * 3600),
            sizes: SizeLimits::default(),
        }
    }
}

impl RunOptions {
    /// Sets the time between two polls of a batch.
    #[must_use]
    pub fn poll(mut self, every: Duration) -> Self {
        self.poll = Some(every);
        self
    }

    /// Sets the largest size of one batch's requests in bytes.
    #[must_use]
    pub fn max_part_bytes(mut self, bytes: u64) -> Self {
        self.max_part_bytes = bytes;
        self
    }

    /// Sets the largest number of requests in one batch.
    #[must_use]
    pub fn max_part_requests(mut self, requests: u64) -> Self {
        self.max_part_requests = requests;
        self
    }
}

/// What the caller must do next.
#[derive(Debug)]
#[must_use]
#[non_exhaustive]
pub enum RunStep {
    /// Provide the request of this line, counted from zero: call [`push`](BatchRun::push), [`skip_line`](BatchRun::skip_line)
    /// or [`end_of_input`](BatchRun::end_of_input). A line may be requested again after a crash or a failed call.
    Line(u64),
    /// Save [`state`](BatchRun::state) so that it survives a crash, then call [`saved`](BatchRun::saved). A batch is created
    /// only after that.
    Save,
    /// Make this call ([`Exchange::batch_call`](crate::sans_io::Exchange::batch_call)). Pass each of its events to
    /// [`on_item`](BatchRun::on_item) and its result to [`on_answer`](BatchRun::on_answer).
    Call(BatchCall),
    /// The outcome of a line. After a crash the outcomes of a batch may be repeated; the first one counts.
    Outcome(u64, ItemOutcome),
    /// Poll again at this time.
    Wait(SystemTime),
    /// All lines have their outcomes.
    Done,
}

/// The progress of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunProgress {
    /// Lines read from the input.
    pub lines: u64,
    /// Batches that were created.
    pub batches: usize,
    /// Created batches whose results are not yet read.
    pub open: usize,
    /// Requests with an outcome, by the provider's counts. Providers update these late.
    pub ended: u64,
    /// The earliest expiry of an open batch, in seconds since 1970.
    pub expires_at: Option<u64>,
}

/// Sends many requests as one or several batches of a provider. The run is a state machine without I/O and without a clock.
///
/// The run splits the requests by the provider's limits of number and bytes. Before it creates a batch, it has its state saved
/// ([`RunStep::Save`]). If the response of the creation is lost, or the process ends, the run searches the provider's list for
/// the batch before it creates another one, so that no batch is paid for twice. Every line gets one outcome. A line without a
/// result is [`Lost`](ItemOutcome::Lost).
///
/// ```
/// use std::{sync::Arc, time::{Duration, SystemTime}};
/// use unifiedai::{ChatRequest, provider::Anthropic, provider_batch::{BatchCall, BatchRun, RunOptions, RunStep}};
///
/// let provider = Arc::new(Anthropic::new("my-key")?);
/// let questions = ["What is 2 + 2?", "Name a planet."];
/// let mut run = BatchRun::new(provider, "run1", RunOptions::default())?;
/// let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_787_150_000); // your clock
/// loop {
///     match run.poll(now) {
///         RunStep::Line(line) => match questions.get(line as usize) {
///             Some(text) => run.push(&ChatRequest::new("claude-haiku-4-5").user(*text)),
///             None => run.end_of_input(),
///         },
///         RunStep::Save => run.saved(), // after `serde_json::to_vec(run.state())` was written to disk
///         RunStep::Call(BatchCall::Create(batch)) => {
///             assert_eq!(batch.tag, "run1-0");
///             break; // a client makes the call, and `on_answer` takes its result
///         }
///         step => unreachable!("{step:?}"),
///     }
/// }
/// # Ok::<(), unifiedai::Error>(())
/// ```
pub struct BatchRun {
    provider: Arc<dyn Provider>,
    options: RunOptions,
    limits: BatchLimits,
    source: Option<Arc<dyn RequestSource>>,
    state: RunState,
    /// Whether the state must be saved before the next call.
    must_save: bool,
    outcomes: VecDeque<(u64, ItemOutcome)>,
    gathered: Option<Gathered>,
    carried: Option<Carried>,
    /// The purpose of the call in progress.
    waiting: Option<Purpose>,
    /// The unsaved state of each part.
    live: Vec<Live>,
    now: u64,
}

/// The purpose of a call, and the index of its part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Upload(usize),
    Create(usize),
    Search(usize),
    Add(usize),
    Ask(usize),
    Cancel(usize),
    Fetch(usize),
}

/// The unsaved state of a part: it is lost when the process ends.
#[derive(Default)]
struct Live {
    /// When the part's next call may be made, in seconds since 1970.
    due: u64,
    /// Consecutive failures of the part's calls.
    failures: u32,
    /// Searches without a match. While requests are added: descriptions without a request.
    searches: u32,
    /// Whether the provider may have processed a call whose result is unknown. The call is then not repeated before a check.
    is_ambiguous: bool,
    search: search::Search,
    /// The index of the source of results that is read.
    source: usize,
    /// The lines with an outcome, as a bit set.
    seen: Vec<u64>,
    /// Whether a result had the id of a line of this part.
    has_own: bool,
    /// Whether a result had another id.
    has_foreign: bool,
    /// Requests with an outcome, by the provider's counts.
    ended: u64,
}

impl BatchRun {
    /// A new run. `run_id` identifies its batches: 1 to 24 lower-case letters and digits that no other run has used.
    ///
    /// # Errors
    /// `invalid_request` if the provider has no batches, or if the id has other characters or another length.
    pub fn new(
        provider: Arc<dyn Provider>,
        run_id: &str,
        options: RunOptions,
    ) -> Result<Self, Error> {
        let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        if run_id.is_empty() || run_id.len() > 24 || !run_id.bytes().all(is_plain) {
            return Err(Error::new(
                ErrorKind::InvalidRequest,
                format!(
                    "`{}` is not a valid run id: use 1 to 24 lower-case letters and digits",
                    run_id.escape_debug()
                ),
            ));
        }
        let state = RunState {
            run_id: run_id.to_owned(),
            provider: provider.name().to_owned(),
            lines: 0,
            is_input_over: false,
            is_cancelled: false,
            parts: Vec::new(),
        };
        Self::resume(provider, state, options)
    }

    /// Continues a run from its saved state.
    ///
    /// # Errors
    /// `invalid_request` if the provider has no batches, or if the run was started with another provider.
    pub fn resume(
        provider: Arc<dyn Provider>,
        state: RunState,
        options: RunOptions,
    ) -> Result<Self, Error> {
        let refuse = |what: String| Err(Error::new(ErrorKind::InvalidRequest, what));
        if provider.name() != state.provider {
            return refuse(format!(
                "the run `{}` was started with `{}` and cannot continue with `{}`",
                state.run_id,
                state.provider,
                provider.name()
            ));
        }
        let Some(mut limits) = provider.batch_api().map(|api| api.limits()) else {
            return refuse(format!("`{}` has no batches", provider.name()));
        };
        limits.max_bytes = limits.max_bytes.min(options.max_part_bytes.max(1));
        limits.max_requests = limits.max_requests.min(options.max_part_requests.max(1));
        let mut live: Vec<Live> = state.parts.iter().map(|_| Live::default()).collect();
        for (part, live) in state.parts.iter().zip(&mut live) {
            // The process may have ended between the call and its response.
            live.is_ambiguous = matches!(part.step, PartStep::Submitting | PartStep::Adding);
        }
        Ok(BatchRun {
            provider,
            options,
            limits,
            source: None,
            state,
            must_save: false,
            outcomes: VecDeque::new(),
            gathered: None,
            carried: None,
            waiting: None,
            live,
            now: 0,
        })
    }

    /// Lets files of requests be sent without keeping them in memory: the run keeps the sizes of the lines, and reads the lines
    /// again from `source` while it sends them. Each line is still requested by [`RunStep::Line`] first. Set
    /// [`RunOptions::max_part_bytes`] to [`u64::MAX`] then, so that a batch is as large as the provider allows.
    ///
    /// Providers that take requests without a file (Anthropic, xAI, OpenRouter, Mistral's inline batches) are sent lines from
    /// memory all the same.
    #[must_use]
    pub fn with_source(mut self, source: impl RequestSource + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// The state to save at [`RunStep::Save`].
    #[must_use]
    pub fn state(&self) -> &RunState {
        &self.state
    }

    /// The progress of the run.
    #[must_use]
    pub fn progress(&self) -> RunProgress {
        let parts = &self.state.parts;
        let made = |part: &&Part| part.batch.is_some();
        let open = |part: &&Part| made(part) && part.is_open();
        let ended = |(part, live): (&Part, &Live)| match part.step {
            PartStep::Fetched => part.count(),
            _ => live.ended.min(part.count()),
        };
        RunProgress {
            lines: self.state.lines,
            batches: parts.iter().filter(made).count(),
            open: parts.iter().filter(open).count(),
            ended: parts
                .iter()
                .zip(&self.live)
                .map(ended)
                .fold(0, u64::saturating_add),
            expires_at: parts
                .iter()
                .filter(open)
                .filter_map(|part| part.expires_at)
                .min(),
        }
    }

    /// The next outcome and its line, also while a call is in progress: after each [`on_item`](Self::on_item), so that the outcomes
    /// of a large batch are not in memory together. [`poll`](Self::poll) returns the others as [`RunStep::Outcome`].
    pub fn take_outcome(&mut self) -> Option<(u64, ItemOutcome)> {
        let (line, mut outcome) = self.outcomes.pop_front()?;
        self.name_model(line, &mut outcome);
        Some((line, outcome))
    }

    /// The next step for the caller. `wall` is the current time. If a call is still without a result, its result counts as
    /// lost.
    pub fn poll(&mut self, wall: SystemTime) -> RunStep {
        let since = wall.duration_since(SystemTime::UNIX_EPOCH);
        self.now = self.now.max(since.map_or(0, |since| since.as_secs()));
        if let Some(purpose) = self.waiting.take() {
            self.on_lost_answer(purpose);
        }
        if let Some((line, outcome)) = self.take_outcome() {
            return RunStep::Outcome(line, outcome);
        }
        if self.must_save {
            return RunStep::Save;
        }
        self.gather();
        if let Some(gathered) = self.gathered.as_ref().filter(|gathered| !gathered.is_ready) {
            return RunStep::Line(gathered.next);
        }
        for index in 0..self.state.parts.len() {
            if let Some(call) = self.next_call(index) {
                return RunStep::Call(call);
            }
            if self.must_save || !self.outcomes.is_empty() {
                return self.poll(wall);
            }
        }
        let open = self.state.parts.iter().zip(&self.live);
        let due = open
            .filter(|(part, _)| part.is_open())
            .map(|(_, live)| live.due)
            .min();
        match due {
            None => RunStep::Done,
            Some(due) => {
                let due = Duration::from_secs(due.max(self.now));
                RunStep::Wait(SystemTime::UNIX_EPOCH.checked_add(due).unwrap_or(wall))
            }
        }
    }

    /// Sets the model of a response that does not name it (Bedrock), as a call does.
    fn name_model(&self, line: u64, outcome: &mut ItemOutcome) {
        let ItemOutcome::Succeeded(response) = outcome else {
            return;
        };
        if !response.model.is_empty() || !self.limits.one_model {
            return;
        }
        if let Some(part) = self.state.parts.iter().find(|part| part.has(line)) {
            response.model.clone_from(&part.model);
        }
    }

    /// The caller polled without a result of the last call. The call was dropped, but the provider may have processed it.
    fn on_lost_answer(&mut self, purpose: Purpose) {
        if matches!(purpose, Purpose::Create(_) | Purpose::Add(_)) {
            self.wait_for(purpose.part(), back_off(1));
            self.mark_ambiguous(purpose.part());
        }
    }

    /// The caller has saved the state.
    pub fn saved(&mut self) {
        self.must_save = false;
    }

    /// Cancels the run. Requests that were not sent are cancelled. Batches that were created are cancelled at the provider;
    /// their results are still read.
    pub fn cancel(&mut self) {
        self.state.is_cancelled = true;
        self.state.is_input_over = true;
        self.must_save = true;
        if let Some(gathered) = self.gathered.take() {
            self.close(&gathered);
        }
        if let Some(carried) = self.carried.take() {
            self.state.lines = carried.line.saturating_add(1);
            let outcome = (carried.line, ItemOutcome::Cancelled);
            self.outcomes.push_back(outcome);
        }
    }

    fn part(&self, index: usize) -> Option<&Part> {
        self.state.parts.get(index)
    }

    fn part_mut(&mut self, index: usize) -> Option<&mut Part> {
        self.state.parts.get_mut(index)
    }

    fn wait_for(&mut self, index: usize, wait: Duration) {
        let due = self.now.saturating_add(wait.as_secs().max(1));
        if let Some(live) = self.live.get_mut(index) {
            live.due = due;
        }
    }

    /// The time until the next poll of a batch. `named` is the provider's value.
    fn pace(&self, named: Option<Duration>) -> Duration {
        const USUAL: Duration = Duration::from_secs(30);
        self.options.poll.or(named).unwrap_or(USUAL)
    }
}

impl Live {
    /// Marks the line at `offset` within the part; `false` if it was marked before.
    fn see(&mut self, offset: u64) -> bool {
        if self.has_seen(offset) {
            return false;
        }
        let word = usize::try_from(offset >> 6).unwrap_or(usize::MAX);
        if self.seen.len() <= word {
            self.seen.resize(word.saturating_add(1), 0);
        }
        if let Some(word) = self.seen.get_mut(word) {
            *word |= 1 << (offset & 63);
        }
        true
    }

    fn has_seen(&self, offset: u64) -> bool {
        let word = usize::try_from(offset >> 6).unwrap_or(usize::MAX);
        self.seen
            .get(word)
            .is_some_and(|word| word & (1 << (offset & 63)) != 0)
    }
}

impl Purpose {
    fn part(self) -> usize {
        match self {
            Purpose::Upload(index)
            | Purpose::Create(index)
            | Purpose::Search(index)
            | Purpose::Add(index)
            | Purpose::Ask(index)
            | Purpose::Cancel(index)
            | Purpose::Fetch(index) => index,
        }
    }
}

/// The id of a line within its batch.
fn line_id(run_id: &str, line: u64) -> String {
    format!("{run_id}-{line}")
}

fn line_of(run_id: &str, id: &str) -> Option<u64> {
    let line = id.strip_prefix(run_id)?.strip_prefix('-')?;
    line.parse().ok()
}

impl fmt::Debug for BatchRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchRun")
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}
