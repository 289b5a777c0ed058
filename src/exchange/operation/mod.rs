//! What an exchange is for: a chat, vectors, models, a check.

mod chat;
mod embed;
mod models;
mod ping;

use super::{Exchange, Start, State};
use crate::{
    Error, ErrorKind, Framing, Metrics, ProviderMetadata, StreamEvent, Target, UnifiedChatResponse,
    Warning,
    provider::{Frame, Progress},
};
use bytes::Bytes;
use http::{Method, Request};

pub use chat::Chat;
pub use embed::Embed;
pub(crate) use models::Native;
pub use models::{ListModels, OneModel};
pub use ping::Ping;

/// What an [`Exchange`] does: a chat, a list of models. Implemented here only.
pub trait Operation: sealed::Operation {}

impl<O: sealed::Operation> Operation for O {}

/// What reading a piece of a body came to.
#[derive(Debug)]
pub(crate) enum Reading {
    /// Bytes, no more.
    Bytes,
    /// At least one frame that is more than a ping.
    Progress,
    /// The answer is there, but for something that the caller should know of.
    Complete { but: Option<Warning> },
    /// The body of an error is there.
    ErrorBody(Bytes),
}

pub(crate) mod sealed {
    use super::*;

    #[expect(unnameable_types, reason = "sealed: nobody else implements it")]
    pub trait Operation: std::fmt::Debug {
        /// What it gives.
        type Output;

        /// The request of the next attempt.
        fn request(&mut self) -> Result<Request<Bytes>, Error>;
        fn method(&self) -> Method;
        fn framing(&self) -> Framing;
        /// The tokens that it may use at most, roughly; zero for what uses none.
        fn tokens(&self) -> u64 {
            0
        }
        fn used_tokens(&self) -> Option<u64> {
            None
        }
        fn model(&self) -> &str {
            ""
        }
        /// Asks another provider for the same from now on, with this request first.
        fn retarget(&mut self, target: &Target) -> Result<Request<Bytes>, Error> {
            let _ = target;
            Err(Error::new(
                ErrorKind::Misuse,
                "only a chat can be asked elsewhere",
            ))
        }
        /// Forgets what an earlier attempt gave.
        fn begin(&mut self);
        fn frame(&mut self, frame: Frame<'_>) -> Result<Progress, Error>;
        fn whole(&mut self, body: &Bytes) -> Result<(), Error>;
        /// Keeps the body of a whole answer that was read.
        fn keep(&mut self, _body: Bytes) {}

        /// An error that came in the place of an answer, in a shape that the wire does not have.
        fn stated(&mut self) -> Option<Error> {
            None
        }
        /// Whether the provider said that the answer is over.
        fn is_complete(&self) -> bool {
            false
        }
        /// Brings a complete answer to its end, `but` for what the caller should know of.
        fn settle(&mut self, _but: Option<Warning>) -> Result<(), Error> {
            Ok(())
        }
        /// Turns to the next request of an operation that needs several.
        fn next_page(&mut self) -> Result<bool, Error> {
            Ok(false)
        }
        fn warn(&mut self, _warning: Warning) {}
        fn next_event(&mut self) -> Option<StreamEvent> {
            None
        }
        fn is_visible(&self) -> bool {
            false
        }
        fn is_streamed(&self) -> bool {
            false
        }
        /// The answer of a chat, for those who watch.
        fn answer(_output: &Self::Output) -> Option<&UnifiedChatResponse> {
            None
        }
        fn into_output(self, metadata: ProviderMetadata, metrics: Metrics) -> Self::Output;
        fn into_partial(
            self,
            metadata: ProviderMetadata,
            metrics: Metrics,
        ) -> Option<UnifiedChatResponse>
        where
            Self: Sized,
        {
            let _ = (metadata, metrics);
            None
        }
    }
}
