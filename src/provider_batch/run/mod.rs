//! Many requests as provider batches, from the first line to the last outcome.

mod lines;
mod search;
mod state;

use super::{
    BatchAnswer, BatchCall, BatchInput, BatchItem, BatchState, ItemOutcome, NewBatch, NewFile,
    ProviderBatch, decode_chat,
};
use crate::{
    ChatRequest, Error, ErrorKind, Json,
    policy::SizeLimits,
    provider::{BatchApi, BatchLimits, Provider, Submission},
};
use lines::{Carried, Gathered, check_size};
use state::{Part, PartStep};
use std::{
    collections::VecDeque,
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};
use unifiedai_transport::RequestDelivery;

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
            if let Some(live) = self.live.get_mut(purpose.part()) {
                live.is_ambiguous = true;
                live.searches = 0;
            }
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
        self.carried = None;
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

/// # Gathering lines
impl BatchRun {
    /// The request of the line that was asked for.
    pub fn push(&mut self, request: &ChatRequest) {
        let Some(gathered) = self.gathered.as_mut().filter(|gathered| !gathered.is_ready) else {
            return;
        };
        let (line, index) = (gathered.next, gathered.part);
        let id = line_id(&self.state.run_id, line);
        let encoded = match self.provider.batch_api() {
            Some(api) => encode(&*api, &self.limits, &id, request),
            None => return,
        };
        match encoded {
            Ok(bytes) => self.add(Carried {
                line,
                model: request.model.clone(),
                bytes,
            }),
            Err(error) => {
                self.outcomes.push_back((line, ItemOutcome::Failed(error)));
                self.pass(index, line);
            }
        }
    }

    /// There is nothing to ask for the line that was asked for, or it has its outcome already.
    pub fn skip_line(&mut self) {
        if let Some(gathered) = self.gathered.as_ref().filter(|gathered| !gathered.is_ready) {
            self.pass(gathered.part, gathered.next);
        }
    }

    /// There are no more lines.
    pub fn end_of_input(&mut self) {
        self.state.is_input_over = true;
        self.must_save = true;
        if let Some(mut gathered) = self.gathered.take() {
            self.close(&gathered);
            gathered.is_ready = true;
            if !gathered.is_empty() {
                self.gathered = Some(gathered);
            }
        }
    }

    /// Sees that lines are asked for where there is room for them: again for a part that lost them, or for a new part.
    fn gather(&mut self) {
        if self.gathered.is_some() {
            return;
        }
        let wants = |(part, live): (&Part, &Live)| {
            let needs_lines = match part.step {
                PartStep::Prepared => part.file.is_none(),
                PartStep::Submitting => {
                    self.limits.submission == Submission::Inline && !live.is_ambiguous
                }
                PartStep::Adding => !live.is_ambiguous,
                _ => false,
            };
            needs_lines && live.due <= self.now && !self.state.is_cancelled
        };
        let mut parts = self.state.parts.iter().zip(&self.live);
        let found = parts.position(|(part, live)| wants((part, live)));
        if let Some((index, part)) = found.and_then(|at| Some((at, self.state.parts.get_mut(at)?)))
        {
            if !part.is_closed {
                // The process ended while its lines came: they come again.
                part.end = part.first;
                part.holes.clear();
                self.state.lines = part.first;
            }
            let first = part.lines().next().unwrap_or(part.first);
            self.gathered = Some(Gathered::new(index, first));
            return;
        }
        let open = self
            .state
            .parts
            .iter()
            .filter(|part| part.is_open())
            .count();
        if !self.state.is_input_over && open < self.options.max_open.max(1) {
            self.begin_part();
        }
    }

    fn begin_part(&mut self) {
        let index = self.state.parts.len();
        let first = self
            .carried
            .as_ref()
            .map_or(self.state.lines, |carried| carried.line);
        self.state.parts.push(Part {
            first,
            end: first,
            ..Part::default()
        });
        self.live.push(Live::default());
        self.gathered = Some(Gathered::new(index, first));
        if let Some(carried) = self.carried.take() {
            self.add(carried);
        }
    }

    /// Whether further lines may come to a part.
    fn is_new(&self, index: usize) -> bool {
        self.part(index).is_some_and(|part| !part.is_closed)
    }

    fn add(&mut self, carried: Carried) {
        let is_new = self
            .gathered
            .as_ref()
            .is_some_and(|gathered| self.is_new(gathered.part));
        let limits = self.limits;
        let Some(gathered) = &mut self.gathered else {
            return;
        };
        let Some(part) = self.state.parts.get_mut(gathered.part) else {
            return;
        };
        if is_new && !gathered.has_room(part, &carried.model, carried.bytes.len(), &limits) {
            // The first line of the next part.
            part.is_closed = true;
            gathered.is_ready = true;
            self.carried = Some(carried);
            return;
        }
        if gathered.is_empty() {
            part.model = carried.model;
        }
        gathered.add(&carried.bytes);
        let line = carried.line;
        self.advance(line, is_new);
    }

    /// A line that is in no part.
    fn pass(&mut self, index: usize, line: u64) {
        let is_new = self.is_new(index);
        if let Some(part) = self.part_mut(index) {
            part.add_hole(line);
        }
        self.advance(line, is_new);
    }

    /// Moves on behind a line.
    fn advance(&mut self, line: u64, is_new: bool) {
        let next = line.saturating_add(1);
        let limits = self.limits;
        let Some(gathered) = &mut self.gathered else {
            return;
        };
        let Some(part) = self.state.parts.get_mut(gathered.part) else {
            return;
        };
        if is_new {
            part.end = next;
            self.state.lines = next;
            gathered.next = next;
            gathered.is_ready = gathered.is_full(&limits);
            part.is_closed = gathered.is_ready;
            return;
        }
        match part.lines().find(|line| *line >= next) {
            Some(line) => gathered.next = line,
            None => gathered.is_ready = true,
        }
    }

    /// No more lines come to a part; without any it is over.
    fn close(&mut self, gathered: &Gathered) {
        if let Some(part) = self.state.parts.get_mut(gathered.part) {
            part.is_closed = true;
            if part.count() == 0 {
                part.step = PartStep::Fetched;
            }
        }
    }

    /// The lines of a part, if they are at hand.
    fn take_lines(&mut self, index: usize) -> Option<bytes::Bytes> {
        let gathered = self.gathered.as_mut();
        let gathered = gathered.filter(|gathered| gathered.part == index && gathered.is_ready)?;
        let lines = gathered.take();
        self.gathered = None;
        Some(lines)
    }
}

/// # Calls
impl BatchRun {
    /// The next call for a part, if one is due.
    fn next_call(&mut self, index: usize) -> Option<BatchCall> {
        let (part, live) = (self.state.parts.get(index)?, self.live.get(index)?);
        if live.due > self.now || !part.is_open() {
            return None;
        }
        let is_unsent = match part.step {
            PartStep::Prepared => true,
            PartStep::Submitting | PartStep::Adding => !live.is_ambiguous,
            _ => false,
        };
        if self.state.is_cancelled && is_unsent {
            self.end_lines(index, |_| ItemOutcome::Cancelled);
            return None;
        }
        let (purpose, call) = match part.step {
            PartStep::Prepared => self.prepared(index)?,
            PartStep::Submitting if live.is_ambiguous => {
                let call = BatchCall::List(live.search.page.clone());
                (Purpose::Search(index), call)
            }
            PartStep::Submitting => (Purpose::Create(index), self.create(index)?),
            PartStep::Adding if live.is_ambiguous => (
                Purpose::Ask(index),
                BatchCall::Retrieve(part.batch.clone()?),
            ),
            PartStep::Adding => {
                let id = part.batch.clone()?;
                let requests = BatchInput::Lines(self.take_lines(index)?);
                (Purpose::Add(index), BatchCall::Add { id, requests })
            }
            PartStep::Submitted => {
                let id = part.batch.clone()?;
                if self.state.is_cancelled && !part.is_cancel_sent {
                    (Purpose::Cancel(index), BatchCall::Cancel(id))
                } else {
                    (Purpose::Ask(index), BatchCall::Retrieve(id))
                }
            }
            PartStep::Ended => match part.results.get(live.source) {
                Some(source) => (Purpose::Fetch(index), BatchCall::Results(source.clone())),
                None => {
                    self.finish_part(index);
                    return None;
                }
            },
            PartStep::Fetched => return None,
        };
        self.waiting = Some(purpose);
        Some(call)
    }

    /// The upload of a part's file, or the intent to make its batch.
    fn prepared(&mut self, index: usize) -> Option<(Purpose, BatchCall)> {
        let part = self.part(index)?;
        let (count, has_file) = (part.count(), part.file.is_some());
        let is_gathered = self
            .gathered
            .as_ref()
            .is_some_and(|gathered| gathered.part == index);
        if !has_file && !is_gathered {
            return None;
        }
        if count < self.limits.min_requests {
            self.gathered = None;
            let least = self.limits.min_requests;
            let name = self.provider.name().to_owned();
            self.end_lines(index, |_| {
                ItemOutcome::Failed(Error::new(
                    ErrorKind::InvalidRequest,
                    format!("`{name}` takes batches of at least {least} requests, and this one has {count}: ask by calls"),
                ))
            });
            return None;
        }
        if self.limits.submission == Submission::File && !has_file {
            let name = [&self.tag(index), ".jsonl"].concat();
            let content = self.take_lines(index)?;
            let file = NewFile::new(name, "application/jsonl", content).purpose(BATCH_PURPOSE);
            return Some((Purpose::Upload(index), BatchCall::UploadFile(file)));
        }
        let now = self.now;
        let part = self.part_mut(index)?;
        part.step = PartStep::Submitting;
        part.since = now;
        self.must_save = true;
        None
    }

    fn create(&mut self, index: usize) -> Option<BatchCall> {
        let part = self.part(index)?;
        let (model, tag) = (part.model.clone(), self.tag(index));
        let input = match (self.limits.submission, part.file.clone()) {
            (_, Some(file)) => BatchInput::File(file),
            (Submission::Added, None) => BatchInput::Later,
            _ => BatchInput::Lines(self.take_lines(index)?),
        };
        Some(BatchCall::Create(NewBatch::new(input, model, tag)))
    }

    /// The name of a part's batch.
    fn tag(&self, index: usize) -> String {
        format!("{}-{index}", self.state.run_id)
    }

    /// What came of the last call.
    ///
    /// # Errors
    /// An error that waiting does not mend, such as a wrong key. The state is whole: once the cause is gone, polling goes on
    /// where it was.
    pub fn on_answer(
        &mut self,
        answer: Result<BatchAnswer, Error>,
        wall: SystemTime,
    ) -> Result<(), Error> {
        let since = wall.duration_since(SystemTime::UNIX_EPOCH);
        self.now = self.now.max(since.map_or(0, |since| since.as_secs()));
        let Some(purpose) = self.waiting.take() else {
            return Err(Error::new(
                ErrorKind::Misuse,
                "an answer was given to a run that has asked for nothing",
            ));
        };
        match answer {
            Ok(answer) => {
                self.on_success(purpose, answer);
                Ok(())
            }
            Err(error) => self.on_failure(purpose, error),
        }
    }

    fn on_success(&mut self, purpose: Purpose, answer: BatchAnswer) {
        let index = purpose.part();
        if let Some(live) = self.live.get_mut(index) {
            live.failures = 0;
        }
        match (purpose, answer) {
            (Purpose::Upload(_), BatchAnswer::File(file)) => {
                if let Some(part) = self.part_mut(index) {
                    part.file = Some(file.id);
                }
                self.must_save = true;
            }
            (Purpose::Create(_), BatchAnswer::Batch(batch)) => self.on_batch(index, *batch, false),
            (Purpose::Search(_), BatchAnswer::Batches(batches, next)) => {
                self.on_list(index, batches, next);
            }
            (Purpose::Add(_), _) => self.on_added(index),
            (Purpose::Ask(_), BatchAnswer::Batch(batch)) => self.on_description(index, *batch),
            (Purpose::Cancel(_), _) => {
                if let Some(part) = self.part_mut(index) {
                    part.is_cancel_sent = true;
                }
                self.must_save = true;
            }
            (Purpose::Fetch(_), _) => self.on_source_read(index),
            _ => self.wait_for(index, self.pace(None)),
        }
    }

    /// The batch of a part is known.
    fn on_batch(&mut self, index: usize, batch: ProviderBatch, is_guess: bool) {
        let is_added = self.limits.submission == Submission::Added;
        let is_adopted = self.live.get(index).is_some_and(|live| live.is_ambiguous);
        if let Some(live) = self.live.get_mut(index) {
            // A batch that was found may have its requests or not.
            live.is_ambiguous = is_added && is_adopted;
            live.search = search::Search::default();
        }
        let wait = self.pace(batch.poll_after);
        if let Some(part) = self.part_mut(index) {
            part.batch = Some(batch.id);
            part.is_guess = is_guess;
            part.expires_at = batch.expires_at;
            part.step = match is_added {
                true => PartStep::Adding,
                false => PartStep::Submitted,
            };
        }
        self.must_save = true;
        if !is_added {
            self.wait_for(index, wait);
        }
    }

    fn on_added(&mut self, index: usize) {
        if let Some(part) = self.part_mut(index) {
            part.step = PartStep::Submitted;
        }
        if let Some(live) = self.live.get_mut(index) {
            live.is_ambiguous = false;
        }
        self.must_save = true;
        self.wait_for(index, self.pace(None));
    }

    fn on_description(&mut self, index: usize, batch: ProviderBatch) {
        let wait = self.pace(batch.poll_after);
        let counts = batch.counts.unwrap_or_default();
        let Some(part) = self.state.parts.get_mut(index) else {
            return;
        };
        let expected = part.count();
        if part.step == PartStep::Adding {
            if counts.total.unwrap_or(0) >= expected {
                return self.on_added(index);
            }
            // Counts may be behind. Only the second one that says so counts: the lines are asked for again.
            if let Some(live) = self.live.get_mut(index) {
                live.searches = live.searches.saturating_add(1);
                live.is_ambiguous = live.searches < 2;
            }
            return self.wait_for(index, Duration::from_secs(5));
        }
        let ended = [
            counts.succeeded,
            counts.failed,
            counts.expired,
            counts.cancelled,
        ];
        if let Some(live) = self.live.get_mut(index) {
            live.ended = ended.into_iter().flatten().fold(0, u64::saturating_add);
        }
        part.expires_at = batch.expires_at.or(part.expires_at);
        part.last_state = batch.state;
        part.message = batch.message;
        let is_late = {
            let usual = part.since.saturating_add(48 * 3600);
            let end = part.expires_at.unwrap_or(usual);
            end.saturating_add(self.options.patience.as_secs()) < self.now
        };
        if batch.state.is_final() || is_late {
            part.results = batch.results;
            part.step = PartStep::Ended;
            self.must_save = true;
            return;
        }
        self.wait_for(index, wait);
    }

    fn on_failure(&mut self, purpose: Purpose, error: Error) -> Result<(), Error> {
        let index = purpose.part();
        let failures = self.live.get_mut(index).map_or(0, |live| {
            live.failures = live.failures.saturating_add(1);
            live.failures
        });
        let wait = error.retry_after().unwrap_or_else(|| back_off(failures));
        self.wait_for(index, wait);
        let is_lasting = matches!(
            error.kind(),
            ErrorKind::Authentication
                | ErrorKind::PermissionDenied
                | ErrorKind::QuotaExceeded
                | ErrorKind::Cancelled
                | ErrorKind::Misuse
        );
        if is_lasting {
            return Err(error);
        }
        let is_definite = is_refused(&error);
        match purpose {
            // The lines are asked for again.
            Purpose::Upload(_) | Purpose::Create(_) | Purpose::Add(_) if is_definite => {
                let may_pass = error.is_retryable() && failures < 100;
                // A file may be known a little later than its upload is answered.
                let is_early = matches!(purpose, Purpose::Create(_))
                    && self.part(index).is_some_and(|part| part.file.is_some())
                    && failures <= 3;
                if !may_pass && !is_early {
                    self.refuse_part(index, &error);
                }
            }
            Purpose::Create(_) | Purpose::Add(_) => {
                if let Some(live) = self.live.get_mut(index) {
                    live.is_ambiguous = true;
                    live.searches = 0;
                }
            }
            Purpose::Ask(_) | Purpose::Fetch(_)
                if error.kind() == ErrorKind::NotFound && failures > 20 =>
            {
                self.give_up(index);
            }
            // One bad answer does not end a run. The expiry bounds it.
            _ => {
                let is_late = self.part(index).is_some_and(|part| {
                    let end = part
                        .expires_at
                        .unwrap_or(part.since.saturating_add(48 * 3600));
                    part.batch.is_some()
                        && end.saturating_add(self.options.patience.as_secs()) < self.now
                });
                if is_late {
                    self.give_up(index);
                }
                if let Some(live) = self.live.get_mut(index) {
                    live.search = search::Search::default();
                }
            }
        }
        Ok(())
    }

    /// The batch of a part is not there any more: what is known of its lines is all there will be.
    fn give_up(&mut self, index: usize) {
        if let Some(part) = self.part_mut(index) {
            part.results.clear();
            part.step = PartStep::Ended;
        }
        self.must_save = true;
    }

    /// The provider does not take the batch: each of its lines has failed for that reason.
    fn refuse_part(&mut self, index: usize, error: &Error) {
        let (kind, message, status) = (error.kind(), error.message().to_owned(), error.status());
        let name = self.provider.name().to_owned();
        self.end_lines(index, |_| {
            let mut error = Error::new(kind, message.clone()).with_provider(&name);
            if let Some(status) = status {
                error = error.with_status(status);
            }
            ItemOutcome::Failed(error)
        });
    }
}

/// # Results
impl BatchRun {
    /// An event of the call that reads results.
    pub fn on_item(&mut self, item: BatchItem<Json>) {
        let Some(Purpose::Fetch(index)) = self.waiting else {
            return;
        };
        let (Some(part), Some(live)) = (self.state.parts.get(index), self.live.get_mut(index))
        else {
            return;
        };
        let line = line_of(&self.state.run_id, &item.id).filter(|line| part.has(*line));
        let Some(line) = line else {
            live.has_foreign = true;
            return;
        };
        live.has_own = true;
        if live.see(line.saturating_sub(part.first)) {
            let item = decode_chat(&*self.provider, item, None, &self.options.sizes);
            self.outcomes.push_back((line, item.outcome));
        }
    }

    fn on_source_read(&mut self, index: usize) {
        let (Some(part), Some(live)) = (self.state.parts.get_mut(index), self.live.get_mut(index))
        else {
            return;
        };
        live.source = live.source.saturating_add(1);
        if part.is_guess && live.has_foreign && !live.has_own {
            // It is the batch of somebody else.
            part.rejected.extend(part.batch.take());
            part.results.clear();
            part.step = PartStep::Submitting;
            *live = Live {
                is_ambiguous: true,
                ..Live::default()
            };
            self.must_save = true;
        }
    }

    /// All sources were read. What none of them names has the outcome of its batch, or none.
    fn finish_part(&mut self, index: usize) {
        let Some(part) = self.part(index) else {
            return;
        };
        let (state, message) = (part.last_state, part.message.clone());
        let name = self.provider.name().to_owned();
        self.end_lines(index, |_| match state {
            BatchState::Expired => ItemOutcome::Expired,
            BatchState::Cancelled => ItemOutcome::Cancelled,
            BatchState::Failed => {
                let message = message.clone().unwrap_or_else(|| {
                    "the batch failed as a whole, and the provider gave no reason".to_owned()
                });
                let error = Error::new(ErrorKind::BadRequest, message);
                ItemOutcome::Failed(error.with_provider(&name))
            }
            _ => ItemOutcome::Lost,
        });
    }

    /// Gives every line of a part that has none an outcome.
    fn end_lines(&mut self, index: usize, outcome: impl Fn(u64) -> ItemOutcome) {
        let (Some(part), Some(live)) = (self.state.parts.get_mut(index), self.live.get_mut(index))
        else {
            return;
        };
        let first = part.first;
        let rest: Vec<u64> = part
            .lines()
            .filter(|line| !live.has_seen(line.saturating_sub(first)))
            .collect();
        self.outcomes
            .extend(rest.into_iter().map(|line| (line, outcome(line))));
        part.step = PartStep::Fetched;
        live.seen = Vec::new();
        self.must_save = true;
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

/// The purpose of a file of requests. A provider with another word for it uses that.
const BATCH_PURPOSE: &str = "batch";

/// The id of a line within its batch.
fn line_id(run_id: &str, line: u64) -> String {
    format!("{run_id}-{line}")
}

fn line_of(run_id: &str, id: &str) -> Option<u64> {
    let line = id.strip_prefix(run_id)?.strip_prefix('-')?;
    line.parse().ok()
}

fn encode(
    api: &dyn BatchApi,
    limits: &BatchLimits,
    id: &str,
    request: &ChatRequest,
) -> Result<Vec<u8>, Error> {
    request.validate()?;
    let line = api.encode_line(id, request)?;
    check_size(line.len(), limits)?;
    Ok(line)
}

/// Whether a call was certainly not processed.
fn is_refused(error: &Error) -> bool {
    let answered = error
        .status()
        .is_some_and(|status| (400..500).contains(&status) && status != 408);
    let unsent = error
        .transport()
        .is_some_and(|failure| failure.delivery() == RequestDelivery::NotSent);
    let local = error.status().is_none() && error.transport().is_none();
    answered
        || unsent
        || (local
            && matches!(
                error.kind(),
                ErrorKind::InvalidRequest | ErrorKind::RateLimit | ErrorKind::CircuitOpen
            ))
}

/// Before the next try after so many failures in a row.
fn back_off(failures: u32) -> Duration {
    let seconds = 1_u64.checked_shl(failures.min(6)).unwrap_or(64);
    Duration::from_secs(seconds.min(60))
}

impl fmt::Debug for BatchRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchRun")
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}
