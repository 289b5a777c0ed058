use super::{AttemptTarget, CallStart, Exchange, sealed::Operation};
use crate::{
    CallOptions, Error, ErrorKind, StreamEvent,
    chat::{CallMetrics, ProviderMetadata},
    provider::{Frame, FrameOutcome, Framing, Provider},
};
use bytes::Bytes;
use http::{Method, Request};
use std::sync::Arc;

/// Sends a cheap request, to see whether the provider responds and to open a connection.
#[derive(Debug)]
pub struct CheckProvider(Box<Request<Bytes>>);

impl Exchange<CheckProvider> {
    /// Creates a check of `provider`. Any successful response counts.
    ///
    /// # Errors
    /// `invalid_request` if the provider has no cheap request for this.
    pub fn check_provider(
        provider: Arc<dyn Provider>,
        options: Arc<CallOptions>,
        start: CallStart,
    ) -> Result<Self, Error> {
        let ping = CheckProvider(Box::new(provider.encode_check()?));
        Ok(Exchange::new_with(provider, (), ping, options, start))
    }
}

impl Operation for CheckProvider {
    type Output = ProviderMetadata;
    type Event = StreamEvent;
    type Request = ();

    fn request(&mut self, _: &AttemptTarget<()>) -> Result<Request<Bytes>, Error> {
        Ok(Request::clone(&self.0))
    }

    fn method(&self) -> Method {
        self.0.method().clone()
    }

    fn framing(&self) -> Framing {
        Framing::SingleBody
    }

    fn reset(&mut self) {}

    fn decode_frame(&mut self, _: Frame<'_>, _: &AttemptTarget<()>) -> Result<FrameOutcome, Error> {
        Err(Error::new(
            ErrorKind::Protocol,
            "the response to a provider check is a stream",
        ))
    }

    fn decode_body(&mut self, _: &Bytes, _: &AttemptTarget<()>) -> Result<(), Error> {
        Ok(())
    }

    fn into_output(
        self,
        _: &AttemptTarget<()>,
        metadata: ProviderMetadata,
        _: CallMetrics,
    ) -> ProviderMetadata {
        metadata
    }
}
