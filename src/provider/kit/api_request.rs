//! Small JSON calls: one request, one JSON answer.

use crate::{
    Error,
    chat::{CallMetrics, ProviderMetadata, Warning},
    provider::{Framing, Provider},
};
use bytes::Bytes;
use http::{Method, Request};
use std::fmt;

type Decode<T> = dyn Fn(&dyn Provider, &Bytes) -> Result<ApiAnswer<T>, Error> + Send + Sync;

/// A small JSON call of a provider, such as a token count: the request, and how its answer is decoded.
///
/// [`Exchange::api_call`](crate::sans_io::Exchange::api_call) makes the call, and so does
/// [`Client::api_call`](crate::Client::api_call).
///
/// ```
/// use bytes::Bytes;
/// use unifiedai::{Client, Error, Json, provider::ApiRequest};
///
/// /// The version of an Ollama server: a call that the library has no method for.
/// fn version(client: &Client) -> Result<String, Error> {
///     let describe = |_: &dyn unifiedai::provider::Provider| {
///         let request = http::Request::get("http://localhost:11434/api/version").body(Bytes::new()).unwrap();
///         Ok(ApiRequest::new(request, |_, body| {
///             let text = String::from_utf8(body.to_vec()).unwrap_or_default();
///             Ok(Json::parse(text)?.as_str().to_owned())
///         }))
///     };
///     Ok(client.api_call(Some("ollama"), describe)?.answer)
/// }
/// ```
pub struct ApiRequest<T> {
    pub(crate) request: Request<Bytes>,
    pub(crate) decode: Box<Decode<T>>,
    pub(crate) is_repeatable: bool,
    pub(crate) framing: Framing,
    pub(crate) warnings: Vec<Warning>,
}

/// What the answer to an [`ApiRequest`] means for the call.
#[derive(Debug)]
#[non_exhaustive]
pub enum ApiAnswer<T> {
    /// The call is complete.
    Complete(T),
    /// Another request is needed, such as the next page of a list.
    Next(Box<ApiRequest<T>>),
}

impl<T> ApiRequest<T> {
    /// Creates a call of one request, without authentication. `decode` reads the body of a successful answer; it may be
    /// called again if the request is repeated.
    pub fn new(
        request: Request<Bytes>,
        decode: impl Fn(&dyn Provider, &Bytes) -> Result<T, Error> + Send + Sync + 'static,
    ) -> Self {
        ApiRequest::with_next(request, move |provider, body| {
            decode(provider, body).map(ApiAnswer::Complete)
        })
    }

    /// Creates a call whose answer may require another request.
    pub fn with_next(
        request: Request<Bytes>,
        decode: impl Fn(&dyn Provider, &Bytes) -> Result<ApiAnswer<T>, Error> + Send + Sync + 'static,
    ) -> Self {
        ApiRequest {
            is_repeatable: request.method() == Method::GET,
            framing: Framing::SingleBody,
            request,
            decode: Box::new(decode),
            warnings: Vec::new(),
        }
    }

    /// Allows that the request is sent again although it may have been processed: it creates nothing, changes nothing and
    /// costs nothing. A GET is repeatable without this.
    #[must_use]
    pub fn repeatable(mut self) -> Self {
        self.is_repeatable = true;
        self
    }

    /// Takes a body of any content as the answer, also none at all.
    #[must_use]
    pub fn any_body(mut self) -> Self {
        self.framing = Framing::Raw;
        self
    }

    /// Adds warnings about what the request leaves out.
    #[must_use]
    pub fn with_warnings(mut self, warnings: Vec<Warning>) -> Self {
        self.warnings.extend(warnings);
        self
    }

    /// Converts the answer.
    #[must_use]
    pub fn map<U>(self, convert: impl Fn(T) -> U + Send + Sync + Clone + 'static) -> ApiRequest<U>
    where
        T: 'static,
    {
        self.and_then(move |_, answer| Ok(ApiAnswer::Complete(convert(answer))))
    }

    /// Converts the answer, or continues with another request.
    #[must_use]
    pub fn and_then<U>(
        self,
        convert: impl Fn(&dyn Provider, T) -> Result<ApiAnswer<U>, Error>
        + Send
        + Sync
        + Clone
        + 'static,
    ) -> ApiRequest<U>
    where
        T: 'static,
    {
        let decode = self.decode;
        ApiRequest {
            request: self.request,
            decode: Box::new(move |provider, body| match decode(provider, body)? {
                ApiAnswer::Complete(answer) => convert(provider, answer),
                ApiAnswer::Next(next) => {
                    Ok(ApiAnswer::Next(Box::new(next.and_then(convert.clone()))))
                }
            }),
            is_repeatable: self.is_repeatable,
            framing: self.framing,
            warnings: self.warnings,
        }
    }

    /// The HTTP request, without authentication.
    #[must_use]
    pub fn request(&self) -> &Request<Bytes> {
        &self.request
    }
}

impl<T> fmt::Debug for ApiRequest<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Shows neither headers nor body: an exchange may be logged.
        f.debug_struct("ApiRequest")
            .field("method", self.request.method())
            .field("path", &self.request.uri().path())
            .field("is_repeatable", &self.is_repeatable)
            .finish_non_exhaustive()
    }
}

/// The answer to an [`ApiRequest`].
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ApiResponse<T> {
    /// The decoded answer.
    pub answer: T,
    /// What the request leaves out.
    pub warnings: Vec<Warning>,
    /// Request id, rate limits and the body as it was received; of several requests those of the last one.
    pub provider_metadata: ProviderMetadata,
    /// Durations and attempts.
    pub metrics: CallMetrics,
}

impl<T> ApiResponse<T> {
    pub(crate) fn new(
        answer: T,
        warnings: Vec<Warning>,
        provider_metadata: ProviderMetadata,
        metrics: CallMetrics,
    ) -> Self {
        ApiResponse {
            answer,
            warnings,
            provider_metadata,
            metrics,
        }
    }

    /// Converts the answer and keeps the rest.
    pub fn map<U>(self, convert: impl FnOnce(T) -> U) -> ApiResponse<U> {
        ApiResponse {
            answer: convert(self.answer),
            warnings: self.warnings,
            provider_metadata: self.provider_metadata,
            metrics: self.metrics,
        }
    }
}
