//! Many requests as provider batches, from the first line to the last outcome.

mod calls;
mod gather;
mod lines;
mod results;
mod search;
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

pub use state::RunState;

/// How a run behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunOptions {
    /// Bytes of requests in one batch, at most; the provider's limit counts where it is lower. So much is held in memory at a
    /// time, twice while it is sent. Default 16 MiB.
    pub max_part_bytes: u64,
    /// Requests in one batch, at most; the provider's limit counts where it is lower. Default: the provider's.
    pub max_part_requests: u64,
    /// Batches that are open at a time. Default 8.
    pub max_open: usize,
    /// From one question after a batch to the next. Default: what the provider names, or 30 s.
    pub poll: Option<Duration>,
    /// After its expiry a batch that is not over is given up so much later. Default 24 h: some providers (Azure) finish late.
    pub patience: Duration,
    /// How large answers may be.
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
    /// Sets how long to wait from one question after a batch to the next.
    #[must_use]
    pub fn poll(mut self, every: Duration) -> Self {
        self.poll = Some(every);
        self
    }

    /// Sets how many bytes of requests one batch has at most.
    #[must_use]
    pub fn max_part_bytes(mut self, bytes: u64) -> Self {
        self.max_part_bytes = bytes;
        self
    }

    /// Sets how many requests one batch has at most.
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
    /// Give the request of this line, counted from zero: [`push`](BatchRun::push), [`skip_line`](BatchRun::skip_line) or
    /// [`end_of_input`](BatchRun::end_of_input). After a crash a line may be asked for again.
    Line(u64),
    /// Write [`state`](BatchRun::state) down so that it survives a crash, then call [`saved`](BatchRun::saved). A batch is made
    /// only after that.
    Save,
    /// Make this call ([`Exchange::batch_call`](crate::sans_io::Exchange::batch_call)); give each of its events to
    /// [`on_item`](BatchRun::on_item) and its result to [`on_answer`](BatchRun::on_answer).
    Call(BatchCall),
    /// The outcome of a line. After a crash the outcomes of a batch may come again: the first one counts.
    Outcome(u64, ItemOutcome),
    /// Nothing is to be done before this moment.
    Wait(SystemTime),
    /// Every line has had its outcome.
    Done,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunProgress {
    /// Lines that were taken.
    pub lines: u64,
    /// Batches, and how many of them are not over.
    pub batches: usize,
    /// Batches that are not over.
    pub open: usize,
    /// Requests that the providers' counts say are over, as far as they say it.
    pub ended: u64,
    /// When the first open batch expires, in seconds since 1970.
    pub expires_at: Option<u64>,
}

/// Many requests as one or several batches of a provider: a machine that does no I/O and reads no clock.
///
/// The requests are split by the provider's limits, in numbers and in bytes. Before a batch is made, the intent is written
/// down ([`RunStep::Save`]). If the answer of that call is lost, or the process ends, the provider's list is searched for the
/// batch before another one is made: nothing is paid for twice. Every line gets one outcome; one that no result names is
/// [`Lost`](ItemOutcome::Lost).
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
///         RunStep::Save => run.saved(), // after `serde_json::to_vec(run.state())` is on the disk
///         RunStep::Call(BatchCall::Create(batch)) => {
///             assert_eq!(batch.tag, "run1-0");
///             break; // a client makes the call, and `on_answer` takes what came of it
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
    state: RunState,
    /// Whether the state has to be written down before anything else happens.
    must_save: bool,
    outcomes: VecDeque<(u64, ItemOutcome)>,
    gathered: Option<Gathered>,
    carried: Option<Carried>,
    /// What the last call was for.
    waiting: Option<Purpose>,
    /// What is known of each part beside what is written down.
    live: Vec<Live>,
    now: u64,
}

/// Why a call is made, and for which part.
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

/// What is known of a part in this process alone.
#[derive(Default)]
struct Live {
    /// Not before this moment, in seconds since 1970.
    due: u64,
    /// The last of this part's calls failed so often in a row.
    failures: u32,
    /// Searches of the list that found nothing.
    searches: u32,
    /// Whether the batch may have been made: then the list is searched before it is made again.
    is_ambiguous: bool,
    search: search::Search,
    /// The source of results that is read, and what was read of them.
    source: usize,
    seen: Vec<u64>,
    has_own: bool,
    has_foreign: bool,
    ended: u64,
}

impl BatchRun {
    /// A new run. `run_id` tells its batches from all others: it must be new, from 1 to 24 lower-case letters and digits.
    ///
    /// # Errors
    /// `invalid_request` if the provider has no batches, or if the id has another form.
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
                    "`{}` cannot be the id of a run: it takes 1 to 24 lower-case letters and digits",
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

    /// A run that was begun before, from what was written down of it.
    ///
    /// # Errors
    /// `invalid_request` if the provider has no batches, or is another one than the run was begun with.
    pub fn resume(
        provider: Arc<dyn Provider>,
        state: RunState,
        options: RunOptions,
    ) -> Result<Self, Error> {
        let refuse = |what: String| Err(Error::new(ErrorKind::InvalidRequest, what));
        if provider.name() != state.provider {
            return refuse(format!(
                "the run `{}` was begun with `{}` and cannot go on with `{}`",
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
            // The process may have ended between the call and its answer.
            live.is_ambiguous = matches!(part.step, PartStep::Submitting | PartStep::Adding);
        }
        Ok(BatchRun {
            provider,
            options,
            limits,
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

    /// What has to be written down at [`RunStep::Save`].
    #[must_use]
    pub fn state(&self) -> &RunState {
        &self.state
    }

    /// How far it is.
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

    /// What to do next. `wall` is the time of day. The answer of a call that was not given by then counts as lost.
    pub fn poll(&mut self, wall: SystemTime) -> RunStep {
        let since = wall.duration_since(SystemTime::UNIX_EPOCH);
        self.now = self.now.max(since.map_or(0, |since| since.as_secs()));
        if let Some(purpose) = self.waiting.take() {
            self.on_lost_answer(purpose);
        }
        if let Some((line, outcome)) = self.outcomes.pop_front() {
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

    /// The caller asks what to do next without having said what came of the last call: it was dropped, and may have been
    /// processed.
    fn on_lost_answer(&mut self, purpose: Purpose) {
        if matches!(purpose, Purpose::Create(_) | Purpose::Add(_)) {
            self.wait_for(purpose.part(), back_off(1));
            self.mark_ambiguous(purpose.part());
        }
    }

    /// The state has been written down.
    pub fn saved(&mut self) {
        self.must_save = false;
    }

    /// Asks the provider to cancel what runs. What is done by then still has its outcome; what was not sent is cancelled.
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

    /// From one question to the next.
    fn pace(&self, named: Option<Duration>) -> Duration {
        const USUAL: Duration = Duration::from_secs(30);
        self.options.poll.or(named).unwrap_or(USUAL)
    }
}

impl Live {
    /// Marks a line; `false` if it was marked before.
    fn see(&mut self, place: u64) -> bool {
        if self.has_seen(place) {
            return false;
        }
        let word = usize::try_from(place >> 6).unwrap_or(usize::MAX);
        if self.seen.len() <= word {
            self.seen.resize(word.saturating_add(1), 0);
        }
        if let Some(word) = self.seen.get_mut(word) {
            *word |= 1 << (place & 63);
        }
        true
    }

    fn has_seen(&self, place: u64) -> bool {
        let word = usize::try_from(place >> 6).unwrap_or(usize::MAX);
        self.seen
            .get(word)
            .is_some_and(|word| word & (1 << (place & 63)) != 0)
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
