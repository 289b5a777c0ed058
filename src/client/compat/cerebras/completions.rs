use super::super::{per_call::PerCall, raw::RawResponse};
use crate::{
    AsyncChatStream, AsyncClient, ChatRequest, ChatStream, Client, Error, UnifiedChatResponse,
};
use serde::Serialize;
use std::time::Duration;
use unifiedai_transport::{AsyncTransport, Transport};

/// `client.chat()`.
#[derive(Clone, Debug)]
pub struct Chat<C>(pub(super) C);

/// `client.chat().completions()`: the calls, after the options that differ from the client's.
#[derive(Clone, Debug)]
pub struct Completions<C> {
    client: C,
    call: PerCall,
}

/// `client.chat().completions().with_raw_response()`: the same calls, returning status, headers and body too.
#[derive(Clone, Debug)]
pub struct RawCompletions<C>(Completions<C>);

impl<C: Clone> Chat<C> {
    /// Chat completions.
    #[must_use]
    pub fn completions(&self) -> Completions<C> {
        Completions {
            client: self.0.clone(),
            call: PerCall::default(),
        }
    }
}

impl<C> Completions<C> {
    /// Limits the duration of a call, retries included.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.call.timeout(timeout);
        self
    }

    /// Sets the number of retries.
    #[must_use]
    pub fn max_retries(mut self, retries: u32) -> Self {
        self.call.max_retries(retries);
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn extra_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.call.header(name.into(), value.into());
        self
    }

    /// Adds a field to the JSON body.
    ///
    /// # Errors
    /// `invalid_request` if `value` cannot be serialised as JSON.
    pub fn extra_body<V: Serialize + ?Sized>(
        mut self,
        name: impl Into<String>,
        value: &V,
    ) -> Result<Self, Error> {
        self.call.body(name.into(), value)?;
        Ok(self)
    }

    /// The same calls, returning the raw response too.
    #[must_use]
    pub fn with_raw_response(mut self) -> RawCompletions<C> {
        self.call.keep_headers();
        RawCompletions(self)
    }
}

impl<T: Transport + Clone> Completions<Client<T>> {
    /// Sends a request and returns the complete response.
    ///
    /// # Errors
    /// The error that ended the call.
    pub fn create(&self, request: ChatRequest) -> Result<UnifiedChatResponse, Error> {
        self.client().chat(self.call.request(request)?)
    }

    /// Sends a request and returns its events as they arrive.
    ///
    /// # Errors
    /// `invalid_request`. The stream returns all other errors.
    pub fn stream(&self, request: ChatRequest) -> Result<ChatStream<T>, Error> {
        self.client().stream(self.call.request(request)?)
    }

    fn client(&self) -> Client<T> {
        let options = self.call.options(self.client.options());
        self.client.clone().with_options(options)
    }
}

impl<T: AsyncTransport + Clone + Unpin> Completions<AsyncClient<T>> {
    /// Sends a request and returns the complete response.
    ///
    /// # Errors
    /// The error that ended the call.
    pub async fn create(&self, request: ChatRequest) -> Result<UnifiedChatResponse, Error> {
        self.client().chat(self.call.request(request)?).await
    }

    /// Sends a request and returns its events as they arrive.
    ///
    /// # Errors
    /// `invalid_request`. The stream returns all other errors.
    pub fn stream(&self, request: ChatRequest) -> Result<AsyncChatStream<T>, Error> {
        self.client().stream(self.call.request(request)?)
    }

    fn client(&self) -> AsyncClient<T> {
        let options = self.call.options(self.client.options());
        self.client.clone().with_options(options)
    }
}

impl<T: Transport + Clone> RawCompletions<Client<T>> {
    /// Sends a request and returns the complete response.
    ///
    /// # Errors
    /// The error that ended the call; [`Error::status`] and [`Error::body`] have its raw response.
    pub fn create(&self, request: ChatRequest) -> Result<RawResponse, Error> {
        self.0.create(request).map(RawResponse::of_chat)
    }

    /// Sends a request and returns its events as they arrive, and every frame as received, as
    /// [`StreamEvent::Raw`](crate::StreamEvent::Raw). Status and headers are in the
    /// [`provider_metadata`](UnifiedChatResponse::provider_metadata) of the stream's response.
    ///
    /// # Errors
    /// `invalid_request`. The stream returns all other errors.
    pub fn stream(&self, mut request: ChatRequest) -> Result<ChatStream<T>, Error> {
        request.include_raw_frames = true;
        self.0.stream(request)
    }
}

impl<T: AsyncTransport + Clone + Unpin> RawCompletions<AsyncClient<T>> {
    /// Sends a request and returns the complete response.
    ///
    /// # Errors
    /// The error that ended the call; [`Error::status`] and [`Error::body`] have its raw response.
    pub async fn create(&self, request: ChatRequest) -> Result<RawResponse, Error> {
        self.0.create(request).await.map(RawResponse::of_chat)
    }

    /// Sends a request and returns its events as they arrive, and every frame as received, as
    /// [`StreamEvent::Raw`](crate::StreamEvent::Raw). Status and headers are in the
    /// [`provider_metadata`](UnifiedChatResponse::provider_metadata) of the stream's response.
    ///
    /// # Errors
    /// `invalid_request`. The stream returns all other errors.
    pub fn stream(&self, mut request: ChatRequest) -> Result<AsyncChatStream<T>, Error> {
        request.include_raw_frames = true;
        self.0.stream(request)
    }
}
