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

/// `client.chat().completions()`: calls, after what they are to have differently from the client's others.
#[derive(Clone, Debug)]
pub struct Completions<C> {
    client: C,
    call: PerCall,
}

/// `client.chat().completions().with_raw_response()`: the same calls, whose answers come with status, headers and body.
#[derive(Clone, Debug)]
pub struct RawCompletions<C>(Completions<C>);

impl<C: Clone> Chat<C> {
    /// Completions of chats.
    #[must_use]
    pub fn completions(&self) -> Completions<C> {
        Completions {
            client: self.0.clone(),
            call: PerCall::default(),
        }
    }
}

impl<C> Completions<C> {
    /// Limits the whole call.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.call.timeout(timeout);
        self
    }

    /// How often to try again.
    #[must_use]
    pub fn max_retries(mut self, retries: u32) -> Self {
        self.call.max_retries(retries);
        self
    }

    /// Sends a further header.
    #[must_use]
    pub fn extra_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.call.header(name.into(), value.into());
        self
    }

    /// Sends a further member of the request's JSON object.
    ///
    /// # Errors
    /// `invalid_request` if `value` cannot be written as JSON.
    pub fn extra_body<V: Serialize + ?Sized>(
        mut self,
        name: impl Into<String>,
        value: &V,
    ) -> Result<Self, Error> {
        self.call.body(name.into(), value)?;
        Ok(self)
    }

    /// The same calls, with the native answer.
    #[must_use]
    pub fn with_raw_response(mut self) -> RawCompletions<C> {
        self.call.keep_headers();
        RawCompletions(self)
    }
}

impl<T: Transport + Clone> Completions<Client<T>> {
    /// Asks, and waits for the whole answer.
    ///
    /// # Errors
    /// Whatever ended the call.
    pub fn create(&self, request: ChatRequest) -> Result<UnifiedChatResponse, Error> {
        self.client().chat(self.call.request(request)?)
    }

    /// Asks for the answer piece by piece.
    ///
    /// # Errors
    /// `invalid_request`; all else comes out of the stream.
    pub fn stream(&self, request: ChatRequest) -> Result<ChatStream<T>, Error> {
        self.client().stream(self.call.request(request)?)
    }

    fn client(&self) -> Client<T> {
        let options = self.call.options(self.client.options());
        self.client.clone().with_options(options)
    }
}

impl<T: AsyncTransport + Clone + Unpin> Completions<AsyncClient<T>> {
    /// Asks, and waits for the whole answer.
    ///
    /// # Errors
    /// Whatever ended the call.
    pub async fn create(&self, request: ChatRequest) -> Result<UnifiedChatResponse, Error> {
        self.client().chat(self.call.request(request)?).await
    }

    /// Asks for the answer piece by piece.
    ///
    /// # Errors
    /// `invalid_request`; all else comes out of the stream.
    pub fn stream(&self, request: ChatRequest) -> Result<AsyncChatStream<T>, Error> {
        self.client().stream(self.call.request(request)?)
    }

    fn client(&self) -> AsyncClient<T> {
        let options = self.call.options(self.client.options());
        self.client.clone().with_options(options)
    }
}

impl<T: Transport + Clone> RawCompletions<Client<T>> {
    /// Asks, and waits for the whole answer.
    ///
    /// # Errors
    /// Whatever ended the call; [`Error::status`] and [`Error::body`] have the native answer then.
    pub fn create(&self, request: ChatRequest) -> Result<RawResponse, Error> {
        self.0.create(request).map(RawResponse::of_chat)
    }

    /// Asks for the answer piece by piece, and for every frame as it was sent, in [`StreamEvent::Raw`](crate::StreamEvent::Raw).
    /// Status and headers stand in the [`provider_metadata`](UnifiedChatResponse::provider_metadata) of the stream's
    /// response.
    ///
    /// # Errors
    /// `invalid_request`; all else comes out of the stream.
    pub fn stream(&self, mut request: ChatRequest) -> Result<ChatStream<T>, Error> {
        request.include_raw_frames = true;
        self.0.stream(request)
    }
}

impl<T: AsyncTransport + Clone + Unpin> RawCompletions<AsyncClient<T>> {
    /// Asks, and waits for the whole answer.
    ///
    /// # Errors
    /// Whatever ended the call; [`Error::status`] and [`Error::body`] have the native answer then.
    pub async fn create(&self, request: ChatRequest) -> Result<RawResponse, Error> {
        self.0.create(request).await.map(RawResponse::of_chat)
    }

    /// Asks for the answer piece by piece, and for every frame as it was sent, in [`StreamEvent::Raw`](crate::StreamEvent::Raw).
    /// Status and headers stand in the [`provider_metadata`](UnifiedChatResponse::provider_metadata) of the stream's
    /// response.
    ///
    /// # Errors
    /// `invalid_request`; all else comes out of the stream.
    pub fn stream(&self, mut request: ChatRequest) -> Result<AsyncChatStream<T>, Error> {
        request.include_raw_frames = true;
        self.0.stream(request)
    }
}
