use super::{AttemptTarget, CallStart, Exchange, caller_headers::add_headers, sealed::Operation};
use crate::{
    CallOptions, ChatRequest, Error, ErrorKind, Model, StreamEvent,
    cache::{CachedContent, CachedContentApi},
    chat::{CallMetrics, CompactedConversation, ProviderMetadata, RawBody},
    provider::{
        ApiAnswer, ApiRequest, ApiResponse, Frame, FrameOutcome, Framing, ModelPage, Provider,
    },
    tokens::TokenCount,
};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, header};
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

impl Exchange<ApiCall<Vec<CachedContent>>> {
    /// Creates a call for the cached contents of `provider`, page by page.
    ///
    /// # Errors
    /// `invalid_request` if the provider has none.
    pub fn list_cached_contents(
        provider: Arc<dyn Provider>,
        options: Arc<CallOptions>,
        start: CallStart,
    ) -> Result<Self, Error> {
        let list = cached_contents_page(&*provider, Vec::new(), None)?;
        Ok(Exchange::api_call(provider, list, options, start))
    }
}

impl<T: Default> Exchange<ApiCall<T>> {
    /// Creates a call about a chat request, with the headers of the request.
    fn about_chat(
        provider: Arc<dyn Provider>,
        request: &ChatRequest,
        describe: impl FnOnce(&dyn Provider, &ChatRequest) -> Result<ApiRequest<T>, Error>,
        options: Arc<CallOptions>,
        start: CallStart,
    ) -> Result<Self, Error> {
        request.validate()?;
        let mut api = describe(&*provider, request)?;
        add_headers(&mut api.request, request)?;
        let id = request.client_request_id.clone();
        let mut exchange = Exchange::api_call(provider, api, options, start);
        exchange.metadata.client_request_id = id;
        Ok(exchange)
    }
}

impl Exchange<ApiCall<TokenCount>> {
    /// Creates a call that counts the tokens of `request`, without sending it to the model.
    ///
    /// # Errors
    /// `invalid_request` if the provider has no endpoint for that, if the request is invalid, or if the provider cannot
    /// express it.
    pub fn count_tokens(
        provider: Arc<dyn Provider>,
        request: &ChatRequest,
        options: Arc<CallOptions>,
        start: CallStart,
    ) -> Result<Self, Error> {
        let describe = |provider: &dyn Provider, request: &_| provider.count_tokens(request);
        Exchange::about_chat(provider, request, describe, options, start)
    }
}

impl Exchange<ApiCall<CompactedConversation>> {
    /// Creates a call that makes the conversation of `request` shorter.
    ///
    /// # Errors
    /// As [`count_tokens`](Exchange::count_tokens).
    pub fn compact(
        provider: Arc<dyn Provider>,
        request: &ChatRequest,
        options: Arc<CallOptions>,
        start: CallStart,
    ) -> Result<Self, Error> {
        let describe = |provider: &dyn Provider, request: &_| provider.compact(request);
        Exchange::about_chat(provider, request, describe, options, start)
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

/// The calls for the cached contents of a provider.
pub(crate) fn cached_content_api(
    provider: &dyn Provider,
) -> Result<Box<dyn CachedContentApi + '_>, Error> {
    provider.cached_contents().ok_or_else(|| {
        Error::new(
            ErrorKind::InvalidRequest,
            format!("`{}` has no cached contents", provider.name()),
        )
    })
}

/// One page of the list of cached contents, after those of `earlier`.
fn cached_contents_page(
    provider: &dyn Provider,
    earlier: Vec<CachedContent>,
    page: Option<&str>,
) -> Result<ApiRequest<Vec<CachedContent>>, Error> {
    let page = cached_content_api(provider)?.list(page)?;
    Ok(page.and_then(move |provider, page| {
        let all = earlier.iter().cloned().chain(page.contents).collect();
        match page.next_page {
            None => Ok(ApiAnswer::Complete(all)),
            Some(next) => cached_contents_page(provider, all, Some(&next))
                .map(|page| ApiAnswer::Next(Box::new(page))),
        }
    }))
}

/// Adds the headers of the last request to the next one, as far as they are not about its body: the caller's own.
fn keep_headers(last: &HeaderMap, next: &mut Request<Bytes>) {
    for (name, value) in last {
        if *name != header::CONTENT_TYPE && !next.headers().contains_key(name) {
            next.headers_mut().append(name, value.clone());
        }
    }
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
        self.api.framing
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
                let last = std::mem::replace(&mut self.api, next);
                self.api.warnings.splice(..0, last.warnings);
                keep_headers(last.request.headers(), &mut self.api.request);
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
