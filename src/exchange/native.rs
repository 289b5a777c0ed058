use super::{Exchange, ListModels, OneModel, Start, operation::sealed::Operation};
use crate::{
    CallOptions, Error, Framing, Metrics, Provider, ProviderMetadata, RawBody,
    provider::{Frame, Progress},
};
use bytes::Bytes;
use http::{Method, Request};
use std::sync::Arc;

/// An operation whose answers are whole, and whose last body is kept beside what it means.
#[derive(Debug)]
pub(crate) struct Native<O> {
    operation: O,
    body: Option<Bytes>,
}

impl<O: Operation> Exchange<Native<O>> {
    fn native(
        provider: Arc<dyn Provider>,
        operation: O,
        options: Arc<CallOptions>,
        start: Start,
    ) -> Self {
        let native = Native {
            operation,
            body: None,
        };
        Exchange::with_operation(provider, native, options, start)
    }
}

impl Exchange<Native<ListModels>> {
    /// As [`Exchange::list_models`].
    pub(crate) fn native_models(
        provider: Arc<dyn Provider>,
        options: Arc<CallOptions>,
        start: Start,
    ) -> Result<Self, Error> {
        let list = ListModels::new(&provider)?;
        Ok(Exchange::native(provider, list, options, start))
    }
}

impl Exchange<Native<OneModel>> {
    /// As [`Exchange::one_model`].
    pub(crate) fn native_model(
        provider: Arc<dyn Provider>,
        id: &str,
        options: Arc<CallOptions>,
        start: Start,
    ) -> Result<Self, Error> {
        let one = OneModel::new(&provider, id)?;
        Ok(Exchange::native(provider, one, options, start))
    }
}

impl<O: Operation> Operation for Native<O> {
    type Output = (O::Output, ProviderMetadata);

    fn request(&mut self) -> Result<Request<Bytes>, Error> {
        self.operation.request()
    }

    fn method(&self) -> Method {
        self.operation.method()
    }

    fn framing(&self) -> Framing {
        self.operation.framing()
    }

    fn begin(&mut self) {
        self.body = None;
        self.operation.begin();
    }

    fn frame(&mut self, frame: Frame<'_>) -> Result<Progress, Error> {
        self.operation.frame(frame)
    }

    fn whole(&mut self, body: &Bytes) -> Result<(), Error> {
        self.operation.whole(body)
    }

    fn keep(&mut self, body: Bytes) {
        self.operation.keep(body.clone());
        self.body = Some(body);
    }

    fn next_page(&mut self) -> Result<bool, Error> {
        self.operation.next_page()
    }

    fn into_output(self, mut metadata: ProviderMetadata, metrics: Metrics) -> Self::Output {
        let output = self.operation.into_output(metadata.clone(), metrics);
        metadata.raw = self.body.map(RawBody::new);
        (output, metadata)
    }
}
