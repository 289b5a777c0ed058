//! The loop of a worker: one task that owns all state and never waits for the database. What waits runs in tasks of its own and sends an event.

use super::{
    Shared, WorkOptions,
    answers::{Answer, store_answers},
    call::{self, CallEnd, Slot},
    chunks::{Chunks, LeaseKey, Leaving},
    heartbeat,
    load::{self, Loaded},
    remote,
    run_context::Contexts,
    tasks::{Task, Tasks},
    until_reachable,
};
use crate::{
    FleetError,
    store::{AttemptRecord, Chunk, Grant, Store, UnknownPolicy, WorkerId},
};
use std::{
    collections::{HashMap, HashSet},
    future::Future,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};
use unifiedai::Error;

/// What happened.
pub(super) enum Event {
    Claimed(WorkerId, Result<Option<Box<Loaded>>, FleetError>),
    Granted(Granted),
    Ended(Box<Task>, CallEnd, i32),
    /// So many outcomes of calls are stored.
    Stored(usize),
    RemoteEnded(Chunk, WorkerId, Result<remote::RemoteEnd, FleetError>),
    LeaseLost(WorkerId),
    Registered(Result<WorkerId, FleetError>),
    /// How many runs have something left.
    RunsLeft(Result<u64, FleetError>),
}

/// The reply to a request for slots.
pub(super) struct Granted {
    worker: WorkerId,
    tasks: Vec<Task>,
    limiter: i32,
    settled: i64,
    asked: Instant,
    result: Result<Grant, FleetError>,
}

pub(super) struct Dispatcher {
    pub(super) store: Arc<dyn Store>,
    pub(super) options: WorkOptions,
    shared: Arc<Shared>,
    run: Option<i32>,
    events: mpsc::UnboundedSender<Event>,
    inbox: mpsc::UnboundedReceiver<Event>,
    contexts: Contexts,
    tasks: Tasks,
    pub(super) chunks: Chunks,
    /// Slots wanted and calls in progress.
    pub(super) busy: usize,
    /// Whether a single item is among them: nothing else may be.
    pub(super) runs_single: bool,
    asking: HashSet<i32>,
    /// No slots are asked for at this limiter before this.
    ask_at: HashMap<i32, Instant>,
    is_claiming: bool,
    claim_at: Instant,
    /// Chunks that are provider batches.
    remote: usize,
    is_registering: bool,
    leaving: bool,
    is_over: bool,
    failure: Option<FleetError>,
}

/// A worker with nothing to do looks for work this often.
const IDLE: Duration = Duration::from_secs(1);

/// Slots are asked for this often while fewer than half of the calls are free.
const ASK_EVERY: Duration = Duration::from_millis(200);

/// Slots whose grant took longer are not used: they may be over.
const MAX_GRANT: Duration = Duration::from_secs(1);

/// Provider batches that a worker drives at once.
const MAX_REMOTE: usize = 8;

impl Dispatcher {
    pub(super) fn new(
        store: Arc<dyn Store>,
        options: WorkOptions,
        shared: Arc<Shared>,
        run: Option<i32>,
    ) -> Self {
        let (events, inbox) = mpsc::unbounded_channel();
        Dispatcher {
            store,
            options,
            shared,
            run,
            events,
            inbox,
            contexts: Contexts::default(),
            tasks: Tasks::default(),
            chunks: Chunks::default(),
            busy: 0,
            runs_single: false,
            asking: HashSet::new(),
            ask_at: HashMap::new(),
            is_claiming: false,
            claim_at: Instant::now(),
            remote: 0,
            is_registering: false,
            leaving: false,
            is_over: false,
            failure: None,
        }
    }

    pub(super) async fn run(
        mut self,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), FleetError> {
        let mut shutdown = std::pin::pin!(shutdown);
        let room = self.options.concurrency * 2;
        let (answers, receiver) = mpsc::channel(room);
        let storing = store_answers(
            self.store.clone(),
            self.shared.clone(),
            self.events.clone(),
            receiver,
        );
        let mut storing = tokio::spawn(storing);
        let beating = heartbeat::beat(
            self.store.clone(),
            self.shared.clone(),
            self.options.lease,
            self.events.clone(),
        );
        let beating = tokio::spawn(beating);
        while !self.is_over {
            let timer = self.advance(&answers).await;
            if self.is_finished() {
                break;
            }
            tokio::select! {
                event = self.inbox.recv() => {
                    if let Some(event) = event {
                        self.on_event(event, &answers).await;
                    }
                    // What has come meanwhile needs no look at the rest each time.
                    while let Ok(event) = self.inbox.try_recv() {
                        self.on_event(event, &answers).await;
                    }
                }
                () = sleep_until(timer) => {}
                () = &mut shutdown, if !self.leaving => {
                    tracing::info!("no further call starts; those in progress are finished");
                    self.leave();
                }
                stored = &mut storing => {
                    beating.abort();
                    return match stored {
                        Ok(result) => result,
                        Err(error) => Err(FleetError::Database(format!("storing answers ended early: {error}"))),
                    };
                }
            }
        }
        drop(answers);
        let stored = storing.await;
        beating.abort();
        let _ = self.store.leave(self.shared.id()).await;
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        stored.map_err(|e| FleetError::Database(format!("storing answers ended early: {e}")))?
    }

    fn leave(&mut self) {
        self.leaving = true;
        self.shared.leaving.store(true, Ordering::Relaxed);
        self.tasks.remove(|_| true);
        self.chunks.release(|_| true);
    }

    fn is_finished(&self) -> bool {
        self.leaving
            && self.busy == 0
            && self.chunks.is_empty()
            && self.remote == 0
            && !self.is_claiming
    }

    /// Starts what can start. Returns when to look again.
    async fn advance(&mut self, answers: &mpsc::Sender<Answer>) -> Instant {
        let mut timer = Instant::now() + IDLE;
        for leaving in self.chunks.take_leaving() {
            let worker = self.shared.id();
            let answer = match leaving {
                Leaving::Finished(chunk) => Answer::Finish(chunk, worker),
                Leaving::Released(chunk) => Answer::GiveBack(chunk, worker),
            };
            let _ = answers.send(answer).await;
        }
        if let Some(due) = self.tasks.wake() {
            timer = timer.min(due);
        }
        if !self.leaving {
            self.claim();
            timer = timer.min(self.ask());
            if !self.is_claiming {
                timer = timer.min(
                    self.claim_at
                        .max(Instant::now() + Duration::from_millis(20)),
                );
            }
        }
        timer
    }

    /// Leases a further chunk if fewer items wait than calls can be made.
    fn claim(&mut self) {
        let is_full = self.tasks.len() >= self.options.concurrency || self.remote >= MAX_REMOTE;
        if self.is_claiming || self.is_registering || is_full || Instant::now() < self.claim_at {
            return;
        }
        self.is_claiming = true;
        let (store, events) = (self.store.clone(), self.events.clone());
        let (worker, run, single) = (self.shared.id(), self.run, !self.chunks.has_single());
        tokio::spawn(async move {
            let loaded = load::claim(&*store, worker, run, single).await;
            let _ = events.send(Event::Claimed(
                worker,
                loaded.map(|loaded| loaded.map(Box::new)),
            ));
        });
    }

    /// Asks for slots. Returns when to ask again.
    fn ask(&mut self) -> Instant {
        let now = Instant::now();
        let mut next = now + IDLE;
        let single_waits = self.tasks.has_single();
        for limiter in self.tasks.limiters() {
            let free = self.options.concurrency.saturating_sub(self.busy);
            // A suspect runs alone, so that a lost worker is its fault and no other's.
            if free == 0 || self.runs_single || (single_waits && self.busy > 0) {
                return next;
            }
            let mut at = self.ask_at.get(&limiter).copied().unwrap_or(now);
            if free * 2 >= self.options.concurrency {
                // `ask_at` is also the limiter's own wish, which is later than the usual interval.
                at = at.min(now.max(at.checked_sub(ASK_EVERY).unwrap_or(now)));
            }
            if at > now || self.asking.contains(&limiter) {
                next = next.min(at.max(now + Duration::from_millis(5)));
                continue;
            }
            let tasks = self.tasks.take(limiter, free);
            self.want(limiter, tasks);
        }
        next
    }

    fn want(&mut self, limiter: i32, mut tasks: Vec<Task>) {
        let Some(context) = tasks.first().map(|task| task.context.clone()) else {
            return;
        };
        self.busy += tasks.len();
        self.runs_single = tasks.iter().any(|task| task.is_single);
        self.asking.insert(limiter);
        let worker = self.shared.id();
        let mut wanted = Vec::with_capacity(tasks.len());
        for task in &mut tasks {
            self.chunks.started(task.lease);
            wanted.push(task.begin(worker));
        }
        let settled = context.limiter.take_settlement();
        let (store, events) = (self.store.clone(), self.events.clone());
        let asked = Instant::now();
        tokio::spawn(async move {
            let result = store.grant(worker, limiter, &wanted, settled).await;
            metrics::histogram!("fleet_grant_seconds").record(asked.elapsed().as_secs_f64());
            let _ = events.send(Event::Granted(Granted {
                worker,
                tasks,
                limiter,
                settled,
                asked,
                result,
            }));
        });
    }

    async fn on_event(&mut self, event: Event, answers: &mpsc::Sender<Answer>) {
        match event {
            Event::Claimed(worker, loaded) => self.on_claimed(worker, loaded, answers).await,
            Event::Granted(granted) => self.on_granted(granted, answers).await,
            Event::Ended(task, end, epoch) => self.on_ended(*task, end, epoch, answers).await,
            Event::Stored(calls) => {
                self.busy -= calls;
                self.runs_single &= self.busy > 0;
            }
            Event::RemoteEnded(chunk, worker, end) => {
                self.on_remote_ended(chunk, worker, end, answers).await
            }
            Event::LeaseLost(worker) => self.on_lease_lost(worker),
            Event::Registered(Ok(worker)) => {
                self.shared.id.store(worker, Ordering::Relaxed);
                self.is_registering = false;
                tracing::warn!(worker, "the worker is registered again");
            }
            Event::Registered(Err(error)) => self.fail(error),
            Event::RunsLeft(Ok(0))
                if self.options.until_done && self.chunks.is_empty() && self.remote == 0 =>
            {
                self.leave();
            }
            Event::RunsLeft(Ok(_)) => {}
            Event::RunsLeft(Err(error)) => {
                tracing::warn!(%error, "finished runs could not be closed")
            }
        }
        self.shared.in_flight.store(self.busy, Ordering::Relaxed);
    }

    /// Ends the worker because of an error that waiting does not cure.
    fn fail(&mut self, error: FleetError) {
        tracing::error!(%error, "the worker ends");
        self.failure.get_or_insert(error);
        self.leave();
        // Without a registration nothing can be given back.
        self.is_over |= self.is_registering;
    }

    async fn on_claimed(
        &mut self,
        worker: WorkerId,
        loaded: Result<Option<Box<Loaded>>, FleetError>,
        answers: &mpsc::Sender<Answer>,
    ) {
        self.is_claiming = false;
        match loaded {
            Ok(Some(loaded)) if self.leaving || worker != self.shared.id() => {
                let _ = answers.send(Answer::GiveBack(loaded.chunk, worker)).await;
            }
            Ok(Some(loaded)) => {
                self.claim_at = Instant::now();
                self.add_chunk(*loaded, answers).await;
            }
            Ok(None) => {
                // Workers that find nothing spread out over time.
                let spread = u64::from_ne_bytes(worker.to_ne_bytes()) * 37 % 500;
                self.claim_at = Instant::now() + IDLE + Duration::from_millis(spread);
                self.close_runs();
            }
            Err(FleetError::LeaseLost) => self.on_lease_lost(worker),
            Err(error) if error.is_retryable() => {
                tracing::warn!(%error, "no chunk could be leased");
                self.claim_at = Instant::now() + IDLE;
            }
            Err(error) => self.fail(error),
        }
    }

    fn close_runs(&self) {
        if self.leaving {
            return;
        }
        let (store, events, run) = (self.store.clone(), self.events.clone(), self.run);
        tokio::spawn(async move {
            let _ = events.send(Event::RunsLeft(store.close_runs(run).await));
        });
    }

    async fn add_chunk(&mut self, loaded: Loaded, answers: &mpsc::Sender<Answer>) {
        let Loaded { chunk, run, items } = loaded;
        let context = match self.contexts.get(run.id) {
            Some(context) => context,
            None => {
                let made =
                    self.contexts
                        .create(run, self.options.concurrency, self.options.call_timeout);
                match made {
                    Ok(context) => context,
                    Err(error) => {
                        let _ = answers
                            .send(Answer::GiveBack(chunk, self.shared.id()))
                            .await;
                        return self.fail(error);
                    }
                }
            }
        };
        if context.row.config.at_provider {
            return self.start_remote(context, chunk, items);
        }
        let lease = LeaseKey::of(&chunk);
        let hold = context.row.config.on_unknown == UnknownPolicy::Hold;
        let mut tasks = Vec::new();
        for loaded in items {
            let item = loaded.item;
            let mut record = AttemptRecord {
                run: chunk.run,
                seq: item.seq,
                is_outcome: true,
                ..AttemptRecord::default()
            };
            match loaded.request {
                Ok(_) if hold && item.unknown > 0 => record.kind = "unknown".into(),
                Ok(request) => {
                    tasks.push(Task {
                        context: context.clone(),
                        lease,
                        seq: item.seq,
                        request: Arc::new(request),
                        body_bytes: loaded.body_bytes,
                        tries: item.tries,
                        throttled: item.throttled,
                        is_single: chunk.is_single(),
                        due: Instant::now(),
                        estimate: 0,
                        worker: self.shared.id(),
                    });
                    continue;
                }
                Err(what) => {
                    let error = Error::new(unifiedai::ErrorKind::InvalidRequest, what);
                    record.kind = error.kind().as_str().to_owned();
                    record.body = serde_json::to_string(&error).ok();
                }
            }
            let _ = answers.send(Answer::Row(Box::new(record))).await;
        }
        tracing::debug!(
            run = chunk.run,
            chunk = chunk.no,
            items = tasks.len(),
            "a chunk is leased"
        );
        self.chunks.insert(chunk, tasks.len());
        for task in tasks {
            self.tasks.push(task);
        }
    }

    async fn on_granted(&mut self, granted: Granted, answers: &mpsc::Sender<Answer>) {
        let Granted {
            worker,
            tasks,
            limiter,
            settled,
            asked,
            result,
        } = granted;
        self.asking.remove(&limiter);
        let now = Instant::now();
        let grant = match result {
            Ok(grant) => grant,
            Err(error) => {
                if let Some(task) = tasks.first() {
                    task.context.limiter.restore_settlement(settled);
                }
                for mut task in tasks.into_iter().rev() {
                    // The intents may have been written. The next attempt has another number, so they count as unknown.
                    task.throttled += 1;
                    self.requeue(task);
                }
                self.ask_at.insert(limiter, now + IDLE);
                match error {
                    FleetError::LeaseLost => self.on_lease_lost(worker),
                    error if error.is_retryable() => tracing::warn!(%error, "no slots"),
                    error => self.fail(error),
                }
                return;
            }
        };
        let wait = Duration::from_micros(grant.retry_us).max(ASK_EVERY);
        // Workers that were refused together do not come again together.
        let spread = Duration::from_micros(
            grant.retry_us / 4 * (u64::try_from(self.shared.id()).unwrap_or(0) * 29 % 100) / 100,
        );
        self.ask_at.insert(limiter, now + wait + spread);
        let is_stale = now - asked > MAX_GRANT;
        let mut slots = grant.slots.into_iter();
        let (mut refused, mut closed) = (Vec::new(), HashSet::new());
        for task in tasks {
            match slots.next() {
                None => refused.push(task),
                Some(None) => {
                    closed.insert(task.context.row.id);
                    refused.push(task);
                }
                Some(Some(_)) if is_stale || self.leaving => {
                    self.on_ended(task, CallEnd::NotSent, grant.epoch, answers)
                        .await;
                }
                Some(Some(delay)) => {
                    self.start(task, Slot::after(Duration::from_micros(delay)), grant.epoch)
                }
            }
        }
        for mut task in refused.into_iter().rev() {
            task.undo_begin();
            self.requeue_front(task);
        }
        for run in closed {
            self.release_run(run);
        }
    }

    fn start(&mut self, task: Task, slot: Slot, epoch: i32) {
        let events = self.events.clone();
        tokio::spawn(async move {
            let end = call::call(task.context.clone(), &task, slot).await;
            let _ = events.send(Event::Ended(Box::new(task), end, epoch));
        });
    }

    /// A run is paused or cancelled: its items wait no longer, and its chunks are given back.
    pub(super) fn release_run(&mut self, run: i32) {
        self.tasks.remove(|task| task.context.row.id == run);
        self.chunks.release(|lease| lease.run == run);
    }

    pub(super) fn requeue(&mut self, task: Task) {
        self.busy -= 1;
        self.runs_single &= !task.is_single;
        if self.chunks.returned(task.lease) {
            self.tasks.push(task);
        }
    }

    fn requeue_front(&mut self, task: Task) {
        self.busy -= 1;
        self.runs_single &= !task.is_single;
        if self.chunks.returned(task.lease) {
            self.tasks.push_front(task);
        }
    }

    fn on_lease_lost(&mut self, worker: WorkerId) {
        if worker != self.shared.id() || self.is_registering || self.leaving {
            return;
        }
        tracing::warn!(worker, "the lease ended: others have this worker's chunks");
        metrics::counter!("fleet_leases_lost_total").increment(1);
        self.tasks.remove(|_| true);
        self.chunks.forget();
        self.is_registering = true;
        let (store, events) = (self.store.clone(), self.events.clone());
        let (name, lease) = (self.options.name.clone(), self.options.lease.as_secs_f64());
        let concurrency = self.options.concurrency;
        tokio::spawn(async move {
            let registered = until_reachable(|| store.register(&name, lease, concurrency)).await;
            let _ = events.send(Event::Registered(registered));
        });
    }

    fn start_remote(
        &mut self,
        context: Arc<super::run_context::RunContext>,
        chunk: Chunk,
        items: Vec<load::LoadedItem>,
    ) {
        self.remote += 1;
        let job = remote::Job {
            store: self.store.clone(),
            shared: self.shared.clone(),
            worker: self.shared.id(),
            context,
            chunk: chunk.clone(),
            items,
            lease: self.options.lease,
        };
        let (events, worker) = (self.events.clone(), self.shared.id());
        tokio::spawn(async move {
            let end = job.run().await;
            let _ = events.send(Event::RemoteEnded(chunk, worker, end));
        });
    }

    async fn on_remote_ended(
        &mut self,
        chunk: Chunk,
        worker: WorkerId,
        end: Result<remote::RemoteEnd, FleetError>,
        answers: &mpsc::Sender<Answer>,
    ) {
        self.remote -= 1;
        let answer = match &end {
            Ok(remote::RemoteEnd::Done) => Answer::Finish(chunk, worker),
            _ => Answer::GiveBack(chunk, worker),
        };
        let _ = answers.send(answer).await;
        match end {
            Err(FleetError::LeaseLost) => self.on_lease_lost(worker),
            Err(error) if error.is_retryable() => {
                tracing::warn!(%error, "a provider batch was given back")
            }
            Err(error) => self.fail(error),
            Ok(_) => {}
        }
    }
}
