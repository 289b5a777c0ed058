//! One fetch: requests of the source become steps of the machine, inputs become their results.

use super::{
    FetchFuture,
    cache::{Lease, UNPOLLED},
    errors::unreachable,
    fetcher::{Answer, Ask, Fetcher, too_slow},
    form::wiped,
};
use crate::sans_io::{Input, Step, clock_skew};
use http::{Response, response};
use std::{
    convert::Infallible,
    fmt, io,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Wake, Waker},
    time::{Duration, SystemTime},
};
use unifiedai_transport::{
    AttemptDeadlines, RequestBody, RequestDelivery, Time, TransportError, TransportErrorKind,
};
use zeroize::Zeroizing;

/// The time limit of a fetch.
pub(super) const FETCH_LIMIT: Duration = Duration::from_secs(30);
const MAX_BODY_BYTES: usize = 1024 * 1024;
/// The maximum sleep of a driver that a source's own future does not wake.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The time on both clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) now: Time,
    pub(crate) wall: SystemTime,
}

/// Marks a request of a source of credentials in the extensions of an `http::Request`, so that a transport that
/// records or logs can omit it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct CredentialRequest;

pub(crate) struct Fetch {
    lease: Lease,
    fetcher: Fetcher,
    /// In a mutex because a future need not be `Sync`.
    source: Mutex<FetchFuture>,
    phase: Phase,
    deadline: Time,
    wakers: Arc<FutureWaker>,
}

enum Phase {
    /// The source runs, or waits for its own I/O.
    Source,
    Headers {
        deadline: Time,
    },
    Body {
        deadline: Time,
        head: Box<response::Parts>,
        body: Zeroizing<Vec<u8>>,
    },
    Supply,
    Sleep {
        until: Time,
    },
}

/// The result of polling a fetch.
#[expect(
    clippy::large_enum_variant,
    reason = "it is returned from a poll at once"
)]
pub(crate) enum FetchPoll {
    Step(Step<Infallible>),
    /// The token or the error is in the cache. The code of the error, if there is one.
    Done(Option<String>),
}

impl Fetch {
    pub(crate) fn new(lease: Lease, moment: Moment, seed: u64) -> Self {
        let fetcher = Fetcher::new(moment, seed);
        let source = (lease.credentials().0.source)(fetcher.clone());
        Fetch {
            lease,
            fetcher,
            source: Mutex::new(source),
            phase: Phase::Source,
            deadline: moment.now.saturating_add(FETCH_LIMIT),
            wakers: Arc::default(),
        }
    }

    /// `total` is the deadline of the call.
    pub(crate) fn poll(&mut self, moment: Moment, total: Time) -> FetchPoll {
        loop {
            if self.deadline <= moment.now {
                let late = unreachable(format!("no token came within {FETCH_LIMIT:?}"));
                self.fetcher.mailbox().moment = moment;
                return FetchPoll::Done(self.fetcher.publish(&self.lease, Err(late)));
            }
            let step = match &mut self.phase {
                Phase::Source => match self.poll_source(moment, total) {
                    Some(poll) => poll,
                    None => continue,
                },
                Phase::Headers { deadline } | Phase::Body { deadline, .. } => {
                    if moment.now < *deadline {
                        let deadline = (*deadline).min(total);
                        FetchPoll::Step(Step::Receive { deadline })
                    } else {
                        self.answer(Answer::Failed(too_slow("it did not answer in time")));
                        continue;
                    }
                }
                // A driver that polls again without a result does not implement this step.
                Phase::Supply => {
                    let unsupported = io::Error::from(io::ErrorKind::Unsupported);
                    self.answer(Answer::Supplied(Err(unsupported)));
                    continue;
                }
                Phase::Sleep { until } if moment.now < *until => {
                    let until = (*until).min(total).min(self.deadline);
                    FetchPoll::Step(Step::Sleep { until })
                }
                Phase::Sleep { .. } => {
                    self.answer(Answer::Slept);
                    continue;
                }
            };
            if let FetchPoll::Step(step) = &step {
                let due = match step {
                    Step::Receive { deadline } | Step::Supply { deadline, .. } => *deadline,
                    Step::Send { deadlines, .. } => deadlines.total,
                    Step::Sleep { until } => *until,
                    _ => moment.now,
                };
                self.lease.extend(due, self.deadline);
            }
            return step;
        }
    }

    /// Runs the source until it makes a request. `None` if it must be polled again immediately.
    fn poll_source(&mut self, moment: Moment, total: Time) -> Option<FetchPoll> {
        self.fetcher.mailbox().moment = moment;
        let waker = Waker::from(self.wakers.clone());
        let source = self
            .source
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        let polled = source.as_mut().poll(&mut Context::from_waker(&waker));
        let result = match polled {
            Poll::Ready(result) => result,
            Poll::Pending => {
                let Some(ask) = self.fetcher.mailbox().ask.take() else {
                    let until = moment.now.saturating_add(LOOK_AGAIN).min(total);
                    return Some(FetchPoll::Step(Step::Sleep { until }));
                };
                return Some(FetchPoll::Step(self.begin(ask, moment, total)));
            }
        };
        Some(FetchPoll::Done(self.fetcher.publish(&self.lease, result)))
    }

    fn begin(&mut self, ask: Ask, moment: Moment, total: Time) -> Step<Infallible> {
        let end = self.deadline.min(total);
        let after = |limit: Duration| moment.now.saturating_add(limit).min(end);
        match ask {
            Ask::Send {
                mut request,
                connect,
                limit,
            } => {
                request.extensions_mut().insert(CredentialRequest);
                let deadline = after(limit);
                self.fetcher.mailbox().timing.sent = moment.now;
                self.phase = Phase::Headers { deadline };
                let mut deadlines = AttemptDeadlines::NONE;
                deadlines.connect = after(connect);
                (deadlines.headers, deadlines.total) = (deadline, deadline);
                let request = request.map(RequestBody::from);
                Step::Send { request, deadlines }
            }
            Ask::Supply(supply, limit) => {
                self.phase = Phase::Supply;
                let deadline = after(limit);
                Step::Supply { supply, deadline }
            }
            Ask::Sleep(time) => {
                let until = moment.now.saturating_add(time);
                self.phase = Phase::Sleep { until };
                let until = until.min(end);
                Step::Sleep { until }
            }
        }
    }

    /// Handles an input; returns it if it was not requested.
    pub(crate) fn handle(&mut self, input: Input, moment: Moment) -> Result<(), Input> {
        match (&mut self.phase, input) {
            (Phase::Headers { .. }, Input::Headers(head)) if head.status.is_informational() => {}
            (Phase::Headers { deadline }, Input::Headers(head)) => {
                if let Some(skew) = clock_skew(&head.headers, moment.wall) {
                    self.fetcher.mailbox().timing.skew = skew;
                }
                self.phase = Phase::Body {
                    deadline: *deadline,
                    head: Box::new(head),
                    body: Zeroizing::default(),
                };
            }
            (Phase::Body { body, .. }, Input::Body(chunk)) => {
                if body.len().saturating_add(chunk.len()) > MAX_BODY_BYTES {
                    let failure = TransportError::new(
                        TransportErrorKind::Protocol,
                        RequestDelivery::Answered,
                        format!("its answer is longer than {MAX_BODY_BYTES} bytes"),
                    );
                    self.answer(Answer::Failed(failure));
                } else {
                    append(body, &chunk);
                }
            }
            (Phase::Body { head, body, .. }, Input::BodyEnd) => {
                let mut response = Response::new(wiped(std::mem::take(body)));
                *response.status_mut() = head.status;
                *response.headers_mut() = std::mem::take(&mut head.headers);
                self.answer(Answer::Response(response));
            }
            (Phase::Headers { .. } | Phase::Body { .. }, Input::TransportError(failure)) => {
                self.answer(Answer::Failed(failure));
            }
            (Phase::Supply, Input::Supplied(supplied)) => self.answer(Answer::Supplied(supplied)),
            (_, input) => return Err(input),
        }
        Ok(())
    }

    fn answer(&mut self, answer: Answer) {
        self.fetcher.mailbox().answer = Some(answer);
        self.phase = Phase::Source;
    }

    /// Registers `waker` for the source's own future; `None` if that can continue now. Any other wait ends at
    /// `until`.
    pub(crate) fn wake_by(&self, until: Time, waker: &Waker) -> Option<Time> {
        match self.phase {
            Phase::Source => (!self.wakers.register(waker)).then_some(until),
            _ => Some(until),
        }
    }

    /// The name of the source.
    pub(crate) fn source_name(&self) -> &str {
        self.lease.credentials().name()
    }

    /// Whether the source waits for its own I/O.
    pub(crate) fn awaits_source(&self) -> bool {
        matches!(self.phase, Phase::Source)
    }
}

/// Appends to a buffer without leaving copies in memory when it grows.
fn append(body: &mut Zeroizing<Vec<u8>>, chunk: &[u8]) {
    let needed = body.len().saturating_add(chunk.len());
    if needed > body.capacity() {
        let mut larger = Zeroizing::new(Vec::with_capacity(needed.saturating_mul(2).max(8 * 1024)));
        larger.extend_from_slice(body);
        *body = larger;
    }
    body.extend_from_slice(chunk);
}

/// Forwards a wake-up of the source's future to the driver of the call.
#[derive(Default)]
struct FutureWaker(Mutex<(bool, Option<Waker>)>);

impl FutureWaker {
    /// Whether the future was woken since the last check.
    fn register(&self, waker: &Waker) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut state.0) {
            return true;
        }
        state.1 = Some(waker.clone());
        false
    }
}

impl Wake for FutureWaker {
    fn wake(self: Arc<Self>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.0 = true;
        let waker = state.1.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl fmt::Debug for Fetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetch")
            .field("credentials", self.lease.credentials())
            .finish_non_exhaustive()
    }
}

const _: () = assert!(UNPOLLED.as_millis() > LOOK_AGAIN.as_millis());
