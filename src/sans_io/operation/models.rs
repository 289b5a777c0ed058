use super::{AttemptTarget, CallStart, Exchange, sealed::Operation};
use crate::{
    CallOptions, Error, ErrorKind, Model, StreamEvent,
    chat::{CallMetrics, ProviderMetadata, RawBody},
    provider::{Frame, FrameOutcome, Framing, Provider},
};
use bytes::Bytes;
use http::{Method, Request};
use std::sync::Arc;

/// Lists all models, page by page.
#[derive(Debug)]
pub struct ListModels {
    /// Boxed, because it is larger than the other fields.
    request: Box<Request<Bytes>>,
    models: Vec<Model>,
    next: Option<String>,
    pages: u32,
}

/// Retrieves one model.
#[derive(Debug)]
pub struct RetrieveModel {
    request: Box<Request<Bytes>>,
    model: Option<Model>,
}

/// A longer list is treated as an endless one.
const MAX_PAGES: u32 = 100;

impl Exchange<ListModels> {
    /// Creates a call for the models of `provider`.
    ///
    /// # Errors
    /// `invalid_request` if the provider cannot list models.
    pub fn list_models(
        provider: Arc<dyn Provider>,
        options: Arc<CallOptions>,
        start: CallStart,
    ) -> Result<Self, Error> {
        let list = ListModels::new(&*provider)?;
        Ok(Exchange::new_with(provider, (), list, options, start))
    }
}

impl Exchange<RetrieveModel> {
    /// Creates a call for one model of `provider`.
    ///
    /// # Errors
    /// `invalid_request` if the provider cannot retrieve models.
    pub fn retrieve_model(
        provider: Arc<dyn Provider>,
        id: &str,
        options: Arc<CallOptions>,
        start: CallStart,
    ) -> Result<Self, Error> {
        let one = RetrieveModel::new(&*provider, id)?;
        Ok(Exchange::new_with(provider, (), one, options, start))
    }
}

impl ListModels {
    pub(super) fn new(provider: &dyn Provider) -> Result<Self, Error> {
        Ok(ListModels {
            request: Box::new(provider.encode_models(None)?),
            models: Vec::new(),
            next: None,
            pages: 0,
        })
    }
}

impl RetrieveModel {
    pub(super) fn new(provider: &dyn Provider, id: &str) -> Result<Self, Error> {
        Ok(RetrieveModel {
            request: Box::new(provider.encode_model(id)?),
            model: None,
        })
    }
}

impl Operation for ListModels {
    type Output = Vec<Model>;
    type Event = StreamEvent;
    type Request = ();

    fn request(&mut self, _: &AttemptTarget<()>) -> Result<Request<Bytes>, Error> {
        Ok(Request::clone(&self.request))
    }

    fn method(&self) -> Method {
        self.request.method().clone()
    }

    fn framing(&self) -> Framing {
        Framing::SingleBody
    }

    fn reset(&mut self) {
        self.next = None;
    }

    fn decode_frame(&mut self, _: Frame<'_>, _: &AttemptTarget<()>) -> Result<FrameOutcome, Error> {
        Err(not_a_stream())
    }

    fn decode_body(&mut self, body: &Bytes, target: &AttemptTarget<()>) -> Result<(), Error> {
        let page = target.provider.decode_models(body)?;
        self.models.extend(page.models);
        self.next = page.next_page;
        Ok(())
    }

    fn next_page(&mut self, target: &AttemptTarget<()>) -> Result<bool, Error> {
        let Some(next) = self.next.take() else {
            return Ok(false);
        };
        self.pages = self.pages.saturating_add(1);
        if self.pages >= MAX_PAGES {
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!("the list of models has more than {MAX_PAGES} pages"),
            ));
        }
        *self.request = target.provider.encode_models(Some(&next))?;
        Ok(true)
    }

    fn into_output(self, _: &AttemptTarget<()>, _: ProviderMetadata, _: CallMetrics) -> Vec<Model> {
        self.models
    }
}

impl Operation for RetrieveModel {
    type Output = Model;
    type Event = StreamEvent;
    type Request = ();

    fn request(&mut self, _: &AttemptTarget<()>) -> Result<Request<Bytes>, Error> {
        Ok(Request::clone(&self.request))
    }

    fn method(&self) -> Method {
        self.request.method().clone()
    }

    fn framing(&self) -> Framing {
        Framing::SingleBody
    }

    fn reset(&mut self) {
        self.model = None;
    }

    fn decode_frame(&mut self, _: Frame<'_>, _: &AttemptTarget<()>) -> Result<FrameOutcome, Error> {
        Err(not_a_stream())
    }

    fn decode_body(&mut self, body: &Bytes, target: &AttemptTarget<()>) -> Result<(), Error> {
        self.model = Some(target.provider.decode_model(body)?);
        Ok(())
    }

    fn into_output(self, _: &AttemptTarget<()>, _: ProviderMetadata, _: CallMetrics) -> Model {
        self.model.unwrap_or_default()
    }
}

fn not_a_stream() -> Error {
    Error::new(
        ErrorKind::Protocol,
        "the response to a request for models is a stream",
    )
}

/// An operation with single-body responses that also returns the last body.
#[derive(Debug)]
pub(crate) struct WithRawBody<O> {
    operation: O,
    body: Option<Bytes>,
}

impl<O: Operation<Request = ()>> Exchange<WithRawBody<O>> {
    fn with_raw_body(
        provider: Arc<dyn Provider>,
        operation: O,
        options: Arc<CallOptions>,
        start: CallStart,
    ) -> Self {
        let native = WithRawBody {
            operation,
            body: None,
        };
        Exchange::new_with(provider, (), native, options, start)
    }
}

impl Exchange<WithRawBody<ListModels>> {
    /// As [`Exchange::list_models`].
    pub(crate) fn list_models_raw(
        provider: Arc<dyn Provider>,
        options: Arc<CallOptions>,
        start: CallStart,
    ) -> Result<Self, Error> {
        let list = ListModels::new(&*provider)?;
        Ok(Exchange::with_raw_body(provider, list, options, start))
    }
}

impl Exchange<WithRawBody<RetrieveModel>> {
    /// As [`Exchange::retrieve_model`].
    pub(crate) fn retrieve_model_raw(
        provider: Arc<dyn Provider>,
        id: &str,
        options: Arc<CallOptions>,
        start: CallStart,
    ) -> Result<Self, Error> {
        let one = RetrieveModel::new(&*provider, id)?;
        Ok(Exchange::with_raw_body(provider, one, options, start))
    }
}

impl<O: Operation> Operation for WithRawBody<O> {
    type Output = (O::Output, ProviderMetadata);
    type Event = O::Event;
    type Request = O::Request;

    fn request(&mut self, target: &AttemptTarget<O::Request>) -> Result<Request<Bytes>, Error> {
        self.operation.request(target)
    }

    fn method(&self) -> Method {
        self.operation.method()
    }

    fn framing(&self) -> Framing {
        self.operation.framing()
    }

    fn reset(&mut self) {
        self.body = None;
        self.operation.reset();
    }

    fn decode_frame(
        &mut self,
        frame: Frame<'_>,
        target: &AttemptTarget<O::Request>,
    ) -> Result<FrameOutcome, Error> {
        self.operation.decode_frame(frame, target)
    }

    fn decode_body(
        &mut self,
        body: &Bytes,
        target: &AttemptTarget<O::Request>,
    ) -> Result<(), Error> {
        self.operation.decode_body(body, target)
    }

    fn keep_body(&mut self, body: Bytes) {
        self.operation.keep_body(body.clone());
        self.body = Some(body);
    }

    fn next_page(&mut self, target: &AttemptTarget<O::Request>) -> Result<bool, Error> {
        self.operation.next_page(target)
    }

    fn into_output(
        self,
        target: &AttemptTarget<O::Request>,
        mut metadata: ProviderMetadata,
        metrics: CallMetrics,
    ) -> Self::Output {
        let output = self
            .operation
            .into_output(target, metadata.clone(), metrics);
        metadata.raw = self.body.map(RawBody::new);
        (output, metadata)
    }
}
