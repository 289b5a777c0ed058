use super::{AttemptTarget, Exchange, Start, sealed::Operation};
use crate::{
    CallOptions, Error, ErrorKind, Framing, Metrics, Provider, ProviderMetadata,
    provider::{Frame, Progress},
};
use bytes::Bytes;
use http::{Method, Request};
use std::sync::Arc;

/// Asks for next to nothing: to see whether the provider answers, and to have a connection ready.
#[derive(Debug)]
pub struct Ping(Box<Request<Bytes>>);

impl Exchange<Ping> {
    /// A sign of life of `provider`. Its answer counts whatever it says, as long as it is no error.
    ///
    /// # Errors
    /// `invalid_request` if the provider has nothing cheap to ask for.
    pub fn ping(
        provider: Arc<dyn Provider>,
        options: Arc<CallOptions>,
        start: Start,
    ) -> Result<Self, Error> {
        let ping = Ping(Box::new(provider.encode_ping()?));
        Ok(Exchange::with_operation(provider, (), ping, options, start))
    }
}

impl Operation for Ping {
    type Output = ProviderMetadata;
    type Request = ();

    fn request(&mut self, _: &AttemptTarget<()>) -> Result<Request<Bytes>, Error> {
        Ok(Request::clone(&self.0))
    }

    fn method(&self) -> Method {
        self.0.method().clone()
    }

    fn framing(&self) -> Framing {
        Framing::Whole
    }

    fn begin(&mut self) {}

    fn frame(&mut self, _: Frame<'_>, _: &AttemptTarget<()>) -> Result<Progress, Error> {
        Err(Error::new(
            ErrorKind::Protocol,
            "a stream came where a whole answer was asked for",
        ))
    }

    fn whole(&mut self, _: &Bytes, _: &AttemptTarget<()>) -> Result<(), Error> {
        Ok(())
    }

    fn into_output(
        self,
        _: &AttemptTarget<()>,
        metadata: ProviderMetadata,
        _: Metrics,
    ) -> ProviderMetadata {
        metadata
    }
}
