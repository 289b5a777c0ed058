//! A transport in virtual time, and an executor that counts polls.

use bytes::Bytes;
use http::{Request, Response};
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    future::{Future, poll_fn},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
    time::{Duration, SystemTime},
};
use unifiedai::{
    CallOptions, ChatRequest, RetryPolicy,
    provider::OpenAiChat,
    transport::{
        AsyncResponseBody, AsyncTransport, AttemptDeadlines, Phase, RequestBody, RequestDelivery,
        ResponseBody, Time, Transport, TransportError, TransportErrorKind,
    },
};

pub(crate) const WHOLE: &str =
    r#"{"id":"r","choices":[{"index":0,"message":{"content":"hi"},"finish_reason":"stop"}]}"#;
pub(crate) const EVENTS: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"}}]}\n\ndata: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";

/// A host's response to its nth request.
pub(crate) type Plan = fn(host: &str, nth: usize) -> Reply;

#[derive(Clone)]
pub(crate) struct Reply {
    pub(crate) after: Duration,
    pub(crate) status: u16,
    pub(crate) broken: Option<(TransportErrorKind, RequestDelivery)>,
    /// This chunk is repeated endlessly.
    pub(crate) endless: Option<&'static str>,
    /// These chunks replace the usual response. Each is available one second after the last one was read, or
    /// immediately.
    pub(crate) chunks: Option<(&'static [&'static str], bool)>,
}

impl Reply {
    pub(crate) fn status(status: u16) -> Reply {
        Reply {
            after: Duration::from_millis(100),
            status,
            broken: None,
            endless: None,
            chunks: None,
        }
    }

    pub(crate) fn broken(kind: TransportErrorKind, delivery: RequestDelivery) -> Reply {
        Reply {
            broken: Some((kind, delivery)),
            ..Reply::status(200)
        }
    }

    pub(crate) fn endless(chunk: &'static str) -> Reply {
        Reply {
            endless: Some(chunk),
            ..Reply::status(200)
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) host: String,
    pub(crate) at: Time,
    pub(crate) limits: AttemptDeadlines,
    pub(crate) body: Bytes,
}

#[derive(Clone)]
pub(crate) struct World(Arc<Mutex<Inner>>);

struct Inner {
    now: Time,
    plan: Plan,
    timers: BTreeMap<(Time, u64), Waker>,
    timer: u64,
    sent: Vec<Sent>,
    running: HashMap<String, (usize, usize)>,
    chunks: usize,
}

impl World {
    pub(crate) fn new(plan: Plan) -> World {
        World(Arc::new(Mutex::new(Inner {
            now: Time::ZERO,
            plan,
            timers: BTreeMap::new(),
            timer: 0,
            sent: Vec::new(),
            running: HashMap::new(),
            chunks: 0,
        })))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    pub(crate) fn time(&self) -> Time {
        self.inner().now
    }

    pub(crate) fn advance(&self, by: Duration) {
        let mut inner = self.inner();
        inner.now = inner.now.saturating_add(by);
    }

    pub(crate) fn sent(&self) -> Vec<Sent> {
        self.inner().sent.clone()
    }

    /// The maximum number of concurrent requests.
    pub(crate) fn most(&self, host: &str) -> usize {
        self.inner().running.get(host).map_or(0, |(_, most)| *most)
    }

    pub(crate) fn running(&self) -> usize {
        self.inner().running.values().map(|(now, _)| now).sum()
    }

    /// The number of chunks that were read.
    pub(crate) fn chunks(&self) -> usize {
        self.inner().chunks
    }

    fn begin(&self, request: &Request<RequestBody>, limits: AttemptDeadlines) -> (Running, Reply) {
        let host = request.uri().host().unwrap().to_owned();
        let mut inner = self.inner();
        let nth = inner.sent.iter().filter(|sent| sent.host == host).count();
        let at = inner.now;
        inner.sent.push(Sent {
            host: host.clone(),
            at,
            limits,
            body: request.body().as_bytes().cloned().unwrap_or_default(),
        });
        let (now, most) = inner.running.entry(host.clone()).or_default();
        *now += 1;
        *most = (*most).max(*now);
        let reply = (inner.plan)(&host, nth);
        let world = self.clone();
        (Running { world, host }, reply)
    }

    fn timer(&self, at: Time) -> impl Future<Output = ()> + Send + 'static {
        let world = self.clone();
        let id = {
            let mut inner = self.inner();
            inner.timer += 1;
            inner.timer
        };
        let timer = Timer { world, at, id };
        poll_fn(move |cx| {
            let mut inner = timer.world.inner();
            if inner.now >= timer.at {
                return Poll::Ready(());
            }
            inner
                .timers
                .insert((timer.at, timer.id), cx.waker().clone());
            Poll::Pending
        })
    }

    /// Advances to the next timer. Returns whether there is one.
    fn next_timer(&self) -> bool {
        let mut inner = self.inner();
        let Some((at, _)) = inner.timers.keys().next().copied() else {
            return false;
        };
        inner.now = inner.now.max(at);
        let now = inner.now;
        let later = inner.timers.split_off(&(now, u64::MAX));
        let due = std::mem::replace(&mut inner.timers, later);
        drop(inner);
        due.into_values().for_each(Waker::wake);
        true
    }
}

struct Timer {
    world: World,
    at: Time,
    id: u64,
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.world.inner().timers.remove(&(self.at, self.id));
    }
}

/// A running request, until its response was read or dropped.
struct Running {
    world: World,
    host: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut inner = self.world.inner();
        inner.running.get_mut(&self.host).unwrap().0 -= 1;
    }
}

pub(crate) struct Answer {
    chunks: VecDeque<Bytes>,
    waits: bool,
    timer: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    endless: Option<&'static str>,
    running: Option<Running>,
    world: World,
}

fn answer(
    running: Running,
    reply: &Reply,
    stream: bool,
) -> Result<Response<Answer>, TransportError> {
    if let Some((kind, delivery)) = reply.broken {
        return Err(TransportError::new(kind, delivery, "broken"));
    }
    let stream = stream && reply.status == 200;
    let (kind, body) = match reply.status {
        200 if stream => ("text/event-stream", EVENTS),
        200 => ("application/json", WHOLE),
        _ => ("application/json", r#"{"error":{"message":"no"}}"#),
    };
    let response = Response::builder()
        .status(reply.status)
        .header("content-type", kind);
    Ok(response
        .body(Answer {
            chunks: match reply.chunks {
                Some((chunks, _)) => chunks
                    .iter()
                    .map(|chunk| Bytes::from_static(chunk.as_bytes()))
                    .collect(),
                None => [Bytes::from_static(body.as_bytes())].into(),
            },
            waits: reply.chunks.is_some_and(|(_, waits)| waits),
            timer: None,
            endless: reply.endless,
            world: running.world.clone(),
            running: Some(running),
        })
        .unwrap())
}

impl Answer {
    fn next(&mut self) -> Result<Option<Bytes>, TransportError> {
        self.world.inner().chunks += 1;
        if let Some(chunk) = self.endless {
            return Ok(Some(Bytes::from_static(chunk.as_bytes())));
        }
        let chunk = self.chunks.pop_front();
        if chunk.is_none() {
            self.running = None;
        }
        Ok(chunk)
    }
}

impl AsyncResponseBody for Answer {
    fn poll_chunk(
        &mut self,
        cx: &mut Context<'_>,
        deadline: Time,
    ) -> Poll<Result<Option<Bytes>, TransportError>> {
        if self.waits {
            let due = self.world.time().saturating_add(seconds(1));
            let world = &self.world;
            let timer = self.timer.get_or_insert_with(|| Box::pin(world.timer(due)));
            if timer.as_mut().poll(cx).is_pending() {
                if deadline > self.world.time() {
                    return Poll::Pending;
                }
                let late = TransportErrorKind::Timeout(Phase::Body);
                let error = TransportError::new(late, RequestDelivery::Answered, "late");
                return Poll::Ready(Err(error));
            }
            self.timer = None;
        }
        Poll::Ready(self.next())
    }
}

impl ResponseBody for Answer {
    fn chunk(&mut self, _: Time) -> Result<Option<Bytes>, TransportError> {
        self.next()
    }
}

fn is_stream(request: &Request<RequestBody>) -> bool {
    request.headers()["accept"] == "text/event-stream"
}

impl AsyncTransport for World {
    type Body = Answer;

    fn now(&self) -> Time {
        self.time()
    }

    fn wall_clock(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)
    }

    fn send(
        &self,
        request: Request<RequestBody>,
        limits: AttemptDeadlines,
    ) -> impl Future<Output = Result<Response<Answer>, TransportError>> + Send + 'static {
        let (running, reply) = self.begin(&request, limits);
        let timer = self.timer(self.time().saturating_add(reply.after));
        async move {
            timer.await;
            answer(running, &reply, is_stream(&request))
        }
    }

    fn sleep_until(&self, at: Time) -> impl Future<Output = ()> + Send + 'static {
        self.timer(at)
    }
}

/// The same world with blocking calls. Time advances only in sleeps; a response takes a little real time.
#[derive(Clone)]
pub(crate) struct Blocking(pub(crate) World);

impl Transport for Blocking {
    type Body = Answer;

    fn now(&self) -> Time {
        self.0.time()
    }

    fn wall_clock(&self) -> SystemTime {
        self.0.wall_clock()
    }

    fn send(
        &self,
        request: Request<RequestBody>,
        limits: AttemptDeadlines,
    ) -> Result<Response<Answer>, TransportError> {
        let (running, reply) = self.0.begin(&request, limits);
        std::thread::sleep(Duration::from_millis(5));
        answer(running, &reply, is_stream(&request))
    }

    fn sleep_until(&self, at: Time) {
        let mut inner = self.0.inner();
        inner.now = inner.now.max(at);
    }
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}

pub(crate) type Task<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Concurrent tasks on one thread, and how often each was polled.
pub(crate) struct Tasks<'a> {
    world: World,
    tasks: Vec<(Option<Task<'a>>, Arc<Flag>)>,
    pub(crate) polls: Vec<usize>,
}

impl<'a> Tasks<'a> {
    pub(crate) fn new(world: &World, tasks: impl IntoIterator<Item = Task<'a>>) -> Tasks<'a> {
        let flag = || Arc::new(Flag(AtomicBool::new(true)));
        let tasks: Vec<_> = tasks.into_iter().map(|task| (Some(task), flag())).collect();
        Tasks {
            world: world.clone(),
            polls: vec![0; tasks.len()],
            tasks,
        }
    }

    /// Polls each woken task once. Returns whether there was one.
    pub(crate) fn turn(&mut self) -> bool {
        let mut any = false;
        for (number, (task, flag)) in self.tasks.iter_mut().enumerate() {
            let Some(future) = task else { continue };
            if !flag.0.swap(false, SeqCst) {
                continue;
            }
            any = true;
            self.polls[number] += 1;
            let waker = Waker::from(flag.clone());
            if future
                .as_mut()
                .poll(&mut Context::from_waker(&waker))
                .is_ready()
            {
                *task = None;
            }
        }
        any
    }

    /// Drops a task.
    pub(crate) fn drop_task(&mut self, number: usize) {
        self.tasks[number].0 = None;
    }

    /// Runs until all tasks are done or blocked, and advances the time as needed.
    pub(crate) fn run(&mut self) {
        while self.turn() || self.world.next_timer() {}
    }

    /// Advances the time to the next timer. Returns whether there is one.
    pub(crate) fn next_time(&self) -> bool {
        self.world.next_timer()
    }

    /// The number of unfinished tasks.
    pub(crate) fn left(&self) -> usize {
        self.tasks.iter().filter(|(task, _)| task.is_some()).count()
    }
}

pub(crate) fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub(crate) fn provider(name: &str) -> OpenAiChat {
    OpenAiChat::custom(format!("https://{name}.test/v1"))
        .name(name)
        .build()
        .unwrap()
}

pub(crate) fn question(model: &str) -> ChatRequest {
    ChatRequest::new(model).user("hi")
}

pub(crate) fn once() -> CallOptions {
    let mut options = CallOptions::default();
    options.retry = RetryPolicy::none();
    options
}
