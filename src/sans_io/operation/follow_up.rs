//! What a chat asks for after its first request: the rest of a response that the provider keeps, its end, and further turns.

use super::chat::{Chat, ResponseState};
use super::turns::EarlierTurns;
use super::{AttemptTarget, CallStart, Exchange, State};
use crate::{
    CallOptions, ChatRequest, Error, ErrorKind, FinishReason, StreamEvent, Usage,
    chat::{Continuation, Cursor, Warning},
    provider::{Provider, ResponseBuilder},
};
use bytes::Bytes;
use http::Request;
use std::{sync::Arc, time::Duration};

/// How often a call asks for a response that is not complete.
const MAX_POLLS: u32 = 10_000;

/// How often a call asks for the usage of a response that it cancelled.
const MAX_USAGE_POLLS: u32 = 3;

/// The request of an attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Ask {
    /// A new response, or the next turn.
    #[default]
    New,
    /// The rest of a stream.
    Stream,
    /// The response as it is now.
    Poll,
    /// The end of a response that is not complete.
    Cancel,
}

/// The state of a chat that has more than one request, or that begins with another one than most.
#[derive(Default)]
pub(super) struct FollowUp {
    pub(super) ask: Ask,
    /// The position at which the call begins, in a response of an earlier call.
    origin: Option<Continuation>,
    /// Events up to this position were returned by an earlier call.
    pub(super) skip_to: Option<Cursor>,
    /// The call ends once the response exists.
    pub(super) starts_only: bool,
    pub(super) cancels: bool,
    /// The status of the response, if it is not complete.
    pub(super) in_progress: Option<Box<str>>,
    /// The provider said that the response was cancelled, as the caller asked.
    pub(super) is_cancelled: bool,
    /// Failed requests since the last new event.
    failures: u32,
    /// The position at the last failed request.
    failed_at: Option<Cursor>,
    polls: u32,
    pub(super) turns: Option<Box<EarlierTurns>>,
    /// The usage that earlier attempts of this response reported.
    pub(super) billed_before: Option<Box<BilledBefore>>,
}

/// Usage is reported for the response, and not for an attempt. So an attempt that continues one has only what is beyond it.
pub(super) struct BilledBefore {
    usage: Usage,
    /// What this attempt reported beyond it.
    pub(super) rest: Option<Usage>,
}

impl FollowUp {
    pub(super) fn update_billed(&mut self, usage: Option<&Usage>) {
        let (Some(before), Some(usage)) = (&mut self.billed_before, usage) else {
            return;
        };
        before.rest = (!usage.has_counts_of(&before.usage)).then(|| usage.beyond(&before.usage));
    }
}

impl Exchange<Chat> {
    /// Goes on with a response that the provider keeps: with `stream` with its events after the position, else with the
    /// complete response. The call waits until the response is complete, as [`CallOptions::resume`] says.
    ///
    /// The result is the complete response. If the provider can no longer stream it, all events are returned, after a warning
    /// `restarted`.
    ///
    /// # Errors
    /// `invalid_request` if the provider keeps no responses. Nothing was sent then.
    pub fn resume_response(
        provider: Arc<dyn Provider>,
        continuation: &Continuation,
        stream: bool,
        options: Arc<CallOptions>,
        start: CallStart,
    ) -> Result<Self, Error> {
        let follow_up = FollowUp {
            ask: match stream && continuation.streamed {
                true => Ask::Stream,
                false => Ask::Poll,
            },
            origin: Some(continuation.clone()),
            skip_to: continuation.cursor.clone().filter(|_| stream),
            ..FollowUp::default()
        };
        Exchange::with_follow_up(provider, continuation, stream, follow_up, options, start)
    }

    /// Ends a response that the provider still generates. The result is the response as far as it got, with the usage if the
    /// provider reports it: [`finish_reason`](crate::UnifiedChatResponse::finish_reason) is `cancelled`, unless the response was
    /// complete before.
    ///
    /// # Errors
    /// `invalid_request` if the provider cannot do that. Nothing was sent then.
    pub fn cancel_response(
        provider: Arc<dyn Provider>,
        continuation: &Continuation,
        options: Arc<CallOptions>,
        start: CallStart,
    ) -> Result<Self, Error> {
        let follow_up = FollowUp {
            ask: Ask::Cancel,
            origin: Some(continuation.clone()),
            cancels: true,
            ..FollowUp::default()
        };
        Exchange::with_follow_up(provider, continuation, false, follow_up, options, start)
    }

    fn with_follow_up(
        provider: Arc<dyn Provider>,
        continuation: &Continuation,
        stream: bool,
        follow_up: FollowUp,
        options: Arc<CallOptions>,
        start: CallStart,
    ) -> Result<Self, Error> {
        if continuation.provider != provider.name() {
            return Err(Error::new(
                ErrorKind::InvalidRequest,
                format!(
                    "the response `{}` is kept by `{}`, but the call is to `{}`: use the provider of this name",
                    continuation.response_id.escape_debug(),
                    continuation.provider.escape_debug(),
                    provider.name()
                ),
            ));
        }
        let request = ChatRequest::new(&continuation.model).stream(stream);
        // The decoder needs to know that an unfinished response goes on.
        let request = Arc::new(request.background(true));
        let mut exchange = Exchange::new_lazy(provider, request, options, start);
        exchange.operation.follow_up = Some(Box::new(follow_up));
        exchange.encode_first()?;
        Ok(exchange)
    }

    /// Ends the call once the response exists at the provider. Its [`continuation`](Self::continuation) is then known.
    pub(crate) fn start_only(&mut self) {
        self.operation.follow_up_mut().starts_only = true;
    }

    /// The beginning of the response that the call started.
    pub(crate) fn started(&self) -> Option<Continuation> {
        let position = self.operation.position(&self.target)?;
        Some(Continuation {
            cursor: None,
            ..position
        })
    }

    /// The position after the last returned event, in a response that the provider keeps. `None` before the response exists,
    /// for a provider that keeps none, and once the call has its complete response.
    #[must_use]
    pub fn continuation(&self) -> Option<Continuation> {
        let response = self.operation.response.as_ref();
        let has_events = response.is_some_and(|response| response.builder.has_events());
        if matches!(self.state, State::Done(Ok(()))) && !has_events {
            return None;
        }
        self.operation.continuation(&self.target)
    }
}

impl Chat {
    pub(super) fn follow_up_mut(&mut self) -> &mut FollowUp {
        self.follow_up.get_or_insert_default()
    }

    pub(super) fn ask(&self) -> Ask {
        self.follow_up.as_ref().map_or(Ask::New, |next| next.ask)
    }

    /// The position after the last returned event.
    pub(super) fn continuation(
        &self,
        target: &AttemptTarget<Arc<ChatRequest>>,
    ) -> Option<Continuation> {
        let follow_up = self.follow_up.as_deref();
        let builder = self.response.as_ref().map(|response| &*response.builder);
        if self
            .response
            .as_ref()
            .is_some_and(|response| response.has_failed)
        {
            return None;
        }
        let origin = follow_up.and_then(|next| next.origin.as_ref());
        if follow_up.is_some_and(|next| next.skip_to.is_some()) {
            return origin.cloned();
        }
        let returned = builder.and_then(ResponseBuilder::returned_cursor);
        let mut position = self.position(target)?;
        position.cursor = returned
            .or(origin.and_then(|origin| origin.cursor.as_ref()))
            .cloned();
        Some(position)
    }

    /// Whether the provider has ended the response.
    fn is_over(&self) -> bool {
        let over = |response: &ResponseState| response.builder.is_complete() || response.has_failed;
        self.response.as_ref().is_some_and(over)
    }

    /// The position after the last decoded frame.
    pub(super) fn position(
        &self,
        target: &AttemptTarget<Arc<ChatRequest>>,
    ) -> Option<Continuation> {
        let builder = self.response.as_ref().map(|response| &*response.builder);
        let origin = self
            .follow_up
            .as_ref()
            .and_then(|next| next.origin.as_ref());
        let known = builder.and_then(ResponseBuilder::resumable_id);
        let id = known.or(origin.map(|origin| &*origin.response_id))?;
        let cursor = builder.and_then(ResponseBuilder::decoded_cursor).cloned();
        Some(Continuation {
            streamed: origin.map_or(target.request.stream, |origin| origin.streamed),
            cursor,
            ..Continuation::new(target.provider.name(), &target.request.model, id)
        })
    }

    /// Prepares a request for the rest of the response after this error.
    pub(super) fn prepare_resume(
        &mut self,
        target: &AttemptTarget<Arc<ChatRequest>>,
        error: &Error,
    ) -> Option<(Request<Bytes>, u32)> {
        let position = self.position(target)?;
        if self.resume.max_resumes == 0 || self.is_over() {
            return None;
        }
        let is_cut = matches!(
            error.kind(),
            ErrorKind::Connection | ErrorKind::Timeout | ErrorKind::Truncated
        ) && error.is_retryable();
        let next = match self.ask() {
            Ask::New if is_cut && target.request.stream && position.cursor.is_some() => Ask::Stream,
            Ask::New if is_cut => Ask::Poll,
            // The provider has the response, but does not stream it, or does so no longer.
            Ask::Stream if error.status() == Some(400) => Ask::Poll,
            ask @ (Ask::Stream | Ask::Poll) if is_cut || error.is_retryable() => ask,
            _ => return None,
        };
        let response = self.response.as_ref();
        let usage = response.and_then(|response| response.builder.current_usage().cloned());
        let most = self.resume.max_resumes;
        let follow_up = self.follow_up_mut();
        if follow_up.failed_at != position.cursor || follow_up.ask == Ask::New {
            follow_up.failures = 0;
        }
        if follow_up.failures >= most {
            return None;
        }
        let before = std::mem::replace(&mut follow_up.ask, next);
        follow_up.billed_before = usage.map(|usage| Box::new(BilledBefore { usage, rest: None }));
        let Ok(request) = self.encode(target) else {
            self.follow_up_mut().ask = before;
            return None;
        };
        let follow_up = self.follow_up_mut();
        let failures = follow_up.failures;
        follow_up.failures = failures.saturating_add(1);
        follow_up.failed_at = position.cursor;
        Some((request, failures))
    }

    /// Prepares the next request for a response that is not complete, or the next turn; `false` if the call is complete.
    pub(super) fn prepare_next(
        &mut self,
        target: &AttemptTarget<Arc<ChatRequest>>,
    ) -> Result<bool, Error> {
        let Some(follow_up) = &mut self.follow_up else {
            return Ok(self.begin_turn(target));
        };
        if follow_up.starts_only {
            return Ok(false);
        }
        if let Some(status) = follow_up.in_progress.take() {
            if self.resume.max_resumes == 0 {
                return Err(not_complete(&status));
            }
            follow_up.polls = follow_up.polls.saturating_add(1);
            if follow_up.polls > MAX_POLLS {
                return Err(Error::new(
                    ErrorKind::Timeout,
                    format!(
                        "the response is not complete after {MAX_POLLS} requests: its status is `{status}`"
                    ),
                ));
            }
            (follow_up.ask, follow_up.failures) = (Ask::Poll, 0);
            // A provider that keeps no responses has no request for them.
            return match self.encode(target) {
                Ok(_) => Ok(true),
                Err(_) => Err(not_complete(&status)),
            };
        }
        if follow_up.cancels {
            let response = self.response.as_ref();
            let has_usage =
                response.is_some_and(|response| response.builder.current_usage().is_some());
            if !has_usage && follow_up.polls < MAX_USAGE_POLLS {
                follow_up.polls = follow_up.polls.saturating_add(1);
                follow_up.ask = Ask::Poll;
                return Ok(true);
            }
            if std::mem::take(&mut follow_up.is_cancelled) {
                self.end_cancelled()?;
            }
            return Ok(false);
        }
        Ok(self.begin_turn(target))
    }

    /// The time before the request that [`prepare_next`](Self::prepare_next) prepared.
    pub(super) fn next_wait(&self) -> Duration {
        match self.ask() {
            Ask::Poll => self.resume.poll_interval,
            _ => Duration::ZERO,
        }
    }

    fn end_cancelled(&mut self) -> Result<(), Error> {
        let Some(response) = &mut self.response else {
            return Ok(());
        };
        let status = "cancelled";
        let reason = FinishReason::Other(status.to_owned());
        response.builder.finish(0, Some(reason), status)?;
        response.builder.finish_response()
    }

    fn begin_turn(&mut self, target: &AttemptTarget<Arc<ChatRequest>>) -> bool {
        if self.resume.max_turns == 0 {
            return false;
        }
        let turns = self.follow_up.as_ref().and_then(|next| next.turns.as_ref());
        if turns.map_or(0, |turns| turns.count) >= self.resume.max_turns {
            return false;
        }
        let Some(current) = &self.response else {
            return false;
        };
        // Only the provider knows whether the turn is over; most are.
        let provider = &*target.provider;
        if provider
            .next_turn(&target.request, current.builder.response())
            .is_none()
        {
            return false;
        }
        let Some(mut current) = self.response.take() else {
            return false;
        };
        let follow_up = self.follow_up_mut();
        let mut turns = follow_up.turns.take().unwrap_or_default();
        turns.add(&mut current.builder);
        follow_up.ask = Ask::New;
        follow_up.turns = Some(turns);
        true
    }

    /// The request of the current turn.
    pub(super) fn turn_request(
        &self,
        target: &AttemptTarget<Arc<ChatRequest>>,
    ) -> Result<Option<ChatRequest>, Error> {
        let Some(turns) = self.follow_up.as_ref().and_then(|next| next.turns.as_ref()) else {
            return Ok(None);
        };
        match target.provider.next_turn(&target.request, &turns.response) {
            Some(request) => Ok(Some(request)),
            None => Err(Error::new(
                ErrorKind::Misuse,
                "`Provider::next_turn` continued a turn, but not the same turn with the parts of earlier ones",
            )),
        }
    }

    pub(super) fn turns(&self) -> Option<&EarlierTurns> {
        self.follow_up.as_ref()?.turns.as_deref()
    }

    /// The next event of the turns before the current one.
    pub(super) fn earlier_event(&mut self) -> Option<StreamEvent> {
        let turns = self.follow_up.as_mut()?.turns.as_mut()?;
        turns.queue.pop_front()
    }

    /// Converts an event of the current turn to one of the call.
    pub(super) fn in_call(&mut self, mut event: StreamEvent) -> StreamEvent {
        if let Some(turns) = self.follow_up.as_mut().and_then(|next| next.turns.as_mut()) {
            turns.adapt(&mut event);
        }
        event
    }
}

pub(super) fn not_complete(status: &str) -> Error {
    Error::new(
        ErrorKind::Truncated,
        format!("the response is not complete: its status is `{status}`"),
    )
}

/// The warning before the events of a response that are returned again.
pub(super) fn restarted() -> Warning {
    Warning::new(
        "restarted",
        "the provider no longer streams this response, so all of it follows: discard the earlier output",
    )
}
