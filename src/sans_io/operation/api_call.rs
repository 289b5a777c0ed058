use super::{AttemptTarget, CallStart, Exchange, sealed::Operation};
use crate::{
    CallOptions, Error, ErrorKind, Model, StreamEvent,
    chat::{CallMetrics, ProviderMetadata, RawBody},
    provider::{
        ApiAnswer, ApiRequest, ApiResponse, Frame, FrameOutcome, Framing, ModelPage, Provider,
    },
};
use bytes::Bytes;
use http::{Method, Request};
use std::{fmt, sync::Arc};
use unifiedai_transport::RequestBody;

/// Makes a small JSON call: one request with one JSON answer, or a few that follow from one another. An
/// [`ApiRequest`] describes it.
pub struct ApiCall<T> {
    /// Boxed, because it is larger than the other fields.
    api: Box<ApiRequest<T>>,
    answer: Option<ApiAnswer<T>>,
    body: Option<Bytes>,
    requests: u32,
}

/// A call with more requests is treated as an endless one.
const MAX_REQUESTS: u32 = 100;

impl<T: Default> Exchange<ApiCall<T>> {
    /// Creates a call that `api`, a request of `provider`, describes.
    pub fn api_call(
        provider: Arc<dyn Provider>,
        api: ApiRequest<T>,
        options: Arc<CallOptions>,
        start: CallStart,
    ) -> Self {
        let call = ApiCall {
            api: Box::new(api),
            answer: None,
            body: None,
            requests: 0,
        };
        Exchange::new_with(provider, (), call, options, start)
    }
}

impl Exchange<ApiCall<Vec<Model>>> {
    /// Creates a call for the models of `provider`, page by page.
    ///
    /// # Errors
    /// `invalid_request` if the provider cannot list models.
    pub fn list_models(
        provider: Arc<dyn Provider>,
        options: Arc<CallOptions>,
        start: CallStart,
    ) -> Result<Self, Error> {
        let list = models_page(&*provider, Vec::new(), None)?;
        Ok(Exchange::api_call(provider, list, options, start))
    }
}

impl Exchange<ApiCall<Model>> {
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
        let request = provider.encode_model(id)?;
        let one = ApiRequest::new(request, |provider, body| provider.decode_model(body));
        Ok(Exchange::api_call(provider, one, options, start))
    }
}

impl Exchange<ApiCall<()>> {
    /// Creates a check of `provider`: a cheap request, to see whether the provider responds and to open a connection. Any
    /// successful response counts.
    ///
    /// # Errors
    /// `invalid_request` if the provider has no cheap request for this.
    pub fn check_provider(
        provider: Arc<dyn Provider>,
        options: Arc<CallOptions>,
        start: CallStart,
    ) -> Result<Self, Error> {
        let check = ApiRequest::new(provider.encode_check()?, |_, _| Ok(()));
        Ok(Exchange::api_call(provider, check, options, start))
    }
}

/// One page of the list of models, after those of `earlier`.
fn models_page(
    provider: &dyn Provider,
    earlier: Vec<Model>,
    page: Option<&str>,
) -> Result<ApiRequest<Vec<Model>>, Error> {
    let request = provider.encode_models(page)?;
    Ok(ApiRequest::with_next(request, move |provider, body| {
        let ModelPage { models, next_page } = provider.decode_models(body)?;
        // Copied only if there are earlier pages: this page is read again if its request is repeated.
        let all = match earlier.is_empty() {
            true => models,
            false => earlier.iter().cloned().chain(models).collect(),
        };
        match next_page {
            None => Ok(ApiAnswer::Complete(all)),
            Some(next) => {
                models_page(provider, all, Some(&next)).map(|page| ApiAnswer::Next(Box::new(page)))
            }
        }
    }))
}

impl<T: Default> Operation for ApiCall<T> {
    type Output = ApiResponse<T>;
    type Event = StreamEvent;
    type Request = ();

    fn request(&mut self, _: &AttemptTarget<()>) -> Result<Request<RequestBody>, Error> {
        Ok(self.api.request.clone().map(RequestBody::from))
    }

    fn method(&self) -> Method {
        self.api.request.method().clone()
    }

    fn is_repeatable(&self) -> bool {
        self.api.is_repeatable
    }

    fn framing(&self) -> Framing {
        Framing::SingleBody
    }

    fn reset(&mut self) {
        self.answer = None;
        self.body = None;
    }

    fn decode_frame(&mut self, _: Frame<'_>, _: &AttemptTarget<()>) -> Result<FrameOutcome, Error> {
        Err(Error::new(
            ErrorKind::Protocol,
            format!(
                "the response to {} is a stream; a single JSON value was expected",
                self.api.request.uri().path()
            ),
        ))
    }

    fn decode_body(&mut self, body: &Bytes, target: &AttemptTarget<()>) -> Result<(), Error> {
        self.answer = Some((self.api.decode)(&*target.provider, body)?);
        Ok(())
    }

    fn keep_body(&mut self, body: Bytes) {
        self.body = Some(body);
    }

    fn next_page(&mut self, _: &AttemptTarget<()>) -> Result<bool, Error> {
        match self.answer.take() {
            Some(ApiAnswer::Next(next)) => {
                self.requests = self.requests.saturating_add(1);
                if self.requests >= MAX_REQUESTS {
                    return Err(Error::new(
                        ErrorKind::TooLarge,
                        format!(
                            "the call to {} needs more than {MAX_REQUESTS} requests",
                            next.request.uri().path()
                        ),
                    ));
                }
                let warnings = std::mem::take(&mut self.api.warnings);
                self.api = next;
                self.api.warnings.splice(..0, warnings);
                Ok(true)
            }
            answer => {
                self.answer = answer;
                Ok(false)
            }
        }
    }

    fn into_output(
        self,
        _: &AttemptTarget<()>,
        mut metadata: ProviderMetadata,
        metrics: CallMetrics,
    ) -> ApiResponse<T> {
        metadata.raw = self.body.map(RawBody::new);
        let answer = match self.answer {
            Some(ApiAnswer::Complete(answer)) => answer,
            // Not reachable: a body that was not decoded ends the call with an error.
            _ => T::default(),
        };
        ApiResponse::new(answer, self.api.warnings, metadata, metrics)
    }
}

impl<T> fmt::Debug for ApiCall<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Shows neither the request's body nor the answer: an exchange may be logged.
        f.debug_tuple("ApiCall").field(&self.api).finish()
    }
}
