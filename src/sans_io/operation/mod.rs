//! The operations of an exchange: chat, embeddings, batches, and small JSON calls (models, provider check, token counts).

mod api_call;
mod batch;
mod caller_headers;
mod chat;
mod embed;
mod follow_up;
mod turns;

use super::{AttemptTarget, CallStart, Exchange, State};
use crate::{
    Error, ErrorKind, StreamEvent, UnifiedChatResponse, Usage,
    chat::{CallMetrics, Continuation, ProviderMetadata, Warning},
    cost::BilledTokens,
    policy::FallbackTarget,
    provider::{Frame, FrameOutcome, Framing},
};
use bytes::Bytes;
use http::{Method, Request, response};
use std::time::Duration;
use unifiedai_transport::RequestBody;

pub use api_call::ApiCall;
pub(crate) use api_call::cached_content_api;
pub use batch::CallBatchApi;
pub use chat::Chat;
pub(crate) use chat::decode_chat_body;
pub use embed::Embed;

/// An operation of an [`Exchange`], such as a chat or a list of models. Sealed: only this crate implements it.
pub trait Operation: sealed::Operation {}

impl<O: sealed::Operation> Operation for O {}

/// The effect of a chunk or of the end of a body.
#[derive(Debug)]
pub(crate) enum BodyOutcome {
    /// Bytes, but no complete frame.
    Bytes,
    /// At least one frame that is more than a keep-alive.
    Progress,
    /// The response is complete. The warning reports a problem at its end.
    Complete { warning: Option<Warning> },
    /// The kept part of an error response's body.
    ErrorBody(Bytes),
}

pub(crate) mod sealed {
    use super::*;

    #[expect(unnameable_types, reason = "sealed: only this crate implements it")]
    pub trait Operation: std::fmt::Debug {
        /// The result of the call.
        type Output;
        /// What it emits before its result.
        type Event: std::fmt::Debug;
        /// The part of the caller's request that differs between targets.
        type Request: std::fmt::Debug;

        /// The HTTP request of the next attempt.
        fn request(
            &mut self,
            target: &AttemptTarget<Self::Request>,
        ) -> Result<Request<RequestBody>, Error>;
        fn method(&self) -> Method;
        fn framing(&self) -> Framing;
        /// True if the request is authenticated as the provider's calls are; false if it carries its permission itself.
        fn is_authenticated(&self) -> bool {
            true
        }
        /// True if a response with this head is an answer and no error.
        fn accepts(&self, head: &response::Parts) -> bool {
            head.status.is_success()
        }
        /// Keeps the head of an answer.
        fn keep_head(&mut self, _head: &response::Parts) {}
        /// True if the request may be sent again although it may have been processed.
        fn is_repeatable(&self) -> bool {
            self.method() == Method::GET
        }
        /// True if the next attempt continues what was returned of this one, so that a visible event is no point of no return.
        fn is_resuming(&self) -> bool {
            false
        }
        /// True if this attempt returned more than the earlier ones. Asked once for each attempt.
        fn take_progress(&mut self) -> bool {
            false
        }
        /// False if the body of the request can be sent only once.
        fn can_send_again(&self) -> bool {
            true
        }
        /// Makes the next request smaller, if the server refused this one for its size; `false` if it cannot be smaller.
        ///
        /// # Errors
        /// If the smaller request cannot be encoded.
        fn shrink(
            &mut self,
            _target: &AttemptTarget<Self::Request>,
            _error: &Error,
        ) -> Result<bool, Error> {
            Ok(false)
        }
        /// The error with what the operation knows of it.
        fn explain(&self, _target: &AttemptTarget<Self::Request>, error: Error) -> Error {
            error
        }
        /// True if the operation allows that the request is sent again after this error.
        fn may_repeat(&self, _error: &Error) -> bool {
            true
        }
        /// An upper estimate of the tokens of the attempt; none for operations without tokens.
        fn estimate(&self, _target: &AttemptTarget<Self::Request>) -> Usage {
            Usage::default()
        }
        /// The tokens that the provider reported for this attempt so far.
        fn billed(&self) -> Option<BilledTokens<'_>> {
            None
        }
        /// False if the request itself costs nothing, because the provider does the work for another one.
        fn is_billed(&self) -> bool {
            true
        }
        fn model(_request: &Self::Request) -> &str {
            ""
        }
        /// Secrets in the body of the request, which no error may repeat.
        fn secrets(_request: &Self::Request) -> Vec<&str> {
            Vec::new()
        }
        /// Encodes the call for another target: the request with its model and headers, and the HTTP request of the
        /// first attempt.
        fn encode_for_target(
            &mut self,
            request: &Self::Request,
            target: &FallbackTarget,
        ) -> Result<(Self::Request, Request<Bytes>), Error> {
            let _ = (request, target);
            Err(Error::new(
                ErrorKind::Misuse,
                "only a chat can move to a fallback target",
            ))
        }
        /// Prepares a request for the rest of the response after this error, and returns it with the number of such requests
        /// that have failed since the last new event. `None` if there is no such request.
        fn resume(
            &mut self,
            _target: &AttemptTarget<Self::Request>,
            _error: &Error,
        ) -> Option<(Request<Bytes>, u32)> {
            None
        }
        /// Discards what an earlier attempt received, unless the next one continues it.
        fn reset(&mut self);
        fn decode_frame(
            &mut self,
            frame: Frame<'_>,
            target: &AttemptTarget<Self::Request>,
        ) -> Result<FrameOutcome, Error>;
        fn decode_body(
            &mut self,
            body: &Bytes,
            target: &AttemptTarget<Self::Request>,
        ) -> Result<(), Error>;
        /// Keeps the body of a single-body response.
        fn keep_body(&mut self, _body: Bytes) {}

        /// An error that was received instead of a response, in a format that this API does not define.
        fn take_error(&mut self) -> Option<Error> {
            None
        }
        /// Whether the provider sent its end signal.
        fn is_complete(&self) -> bool {
            false
        }
        /// True if an answer in frames is complete at the end of its HTTP body; `cut` if it ended inside a frame.
        fn is_complete_at_end(&self, _cut: bool) -> bool {
            self.is_complete()
        }
        /// Finishes a complete response. The warning reports a problem at its end.
        fn finish(
            &mut self,
            _target: &AttemptTarget<Self::Request>,
            _warning: Option<Warning>,
        ) -> Result<(), Error> {
            Ok(())
        }
        /// Prepares the next request of an operation that needs several; `false` if there is none.
        fn next_page(&mut self, _target: &AttemptTarget<Self::Request>) -> Result<bool, Error> {
            Ok(false)
        }
        /// The time before the request that [`next_page`](Self::next_page) prepared.
        fn wait_before_next(&self) -> Duration {
            Duration::ZERO
        }
        fn warn(&mut self, _target: &AttemptTarget<Self::Request>, _warning: Warning) {}
        fn next_event(&mut self) -> Option<Self::Event> {
            None
        }
        /// The event of a chat, for observers.
        fn chat_event(_event: &Self::Event) -> Option<&StreamEvent> {
            None
        }
        /// Whether the attempt has received visible content.
        fn is_visible(&self) -> bool {
            false
        }
        /// Whether events may be returned before the end of the call.
        fn may_emit(&self) -> bool {
            self.is_visible()
        }
        /// Whether the call has visible content of this or of an earlier attempt.
        fn has_content(&self) -> bool {
            self.is_visible()
        }
        /// The position in a response that the provider keeps.
        fn continuation(&self, _target: &AttemptTarget<Self::Request>) -> Option<Continuation> {
            None
        }
        fn is_streamed(_request: &Self::Request) -> bool {
            false
        }
        /// The response of a chat, for observers.
        fn response(_output: &Self::Output) -> Option<&UnifiedChatResponse> {
            None
        }
        fn into_output(
            self,
            target: &AttemptTarget<Self::Request>,
            metadata: ProviderMetadata,
            metrics: CallMetrics,
        ) -> Self::Output;
        fn into_partial(
            self,
            target: &AttemptTarget<Self::Request>,
            metadata: ProviderMetadata,
            metrics: CallMetrics,
        ) -> Option<UnifiedChatResponse>
        where
            Self: Sized,
        {
            let _ = (target, metadata, metrics);
            None
        }
    }
}
