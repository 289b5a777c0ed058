use super::{
    config_macro::settings,
    env::seed,
    providers::{PreparedCall, ProviderRegistry, not_kept},
};
use crate::observe::Observer;
use crate::{
    AsyncChatStream, CallOptions, ChatRequest, EmbedRequest, EmbedResponse, Error, ErrorKind, Json,
    Model, UnifiedChatResponse,
    cache::{CacheExpiry, CachedContent, NewCachedContent},
    chat::{CompactedConversation, Continuation, ProviderMetadata},
    policy::{Fallback, ProviderLimits},
    provider::{ApiRequest, ApiResponse, Provider},
    provider_batch::{BatchAnswer, BatchCall, BatchItem},
    sans_io::{CallStart, Operation},
    tokens::{Fit, TokenCount},
    transport::AsyncDriver,
};
use std::{future::Future, sync::Arc};
use unifiedai_transport::{AsyncTransport, BoxedAsyncTransport};

/// A client whose calls are async. It needs no runtime except the one of its transport. Clones share connections,
/// limits and [`close`](Self::close).
///
/// A client has one provider or several. A model named `<provider>.<model>` selects that provider, any other name the
/// first one.
///
/// ```no_run
/// # #[cfg(feature = "hyper")] async fn example() -> Result<(), unifiedai::Error> {
/// use unifiedai::{AsyncClient, ChatRequest, transport, provider::OpenAiChat};
///
/// let client = AsyncClient::new(transport::HyperTransport::new(), OpenAiChat::cerebras("my-key")?);
/// let mut stream = client.stream(ChatRequest::new("gpt-oss-120b").user("Why is fast inference important?"))?;
/// while let Some(event) = stream.next().await {
///     print!("{}", event?.text().unwrap_or_default());
/// }
/// println!("{:?}", stream.into_response().await?.usage);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct AsyncClient<T = BoxedAsyncTransport> {
    pub(crate) transport: T,
    pub(crate) providers: ProviderRegistry,
}

settings!(
    AsyncClient,
    BoxedAsyncTransport,
    AsyncTransport,
    (AsyncTransport + 'static)
);

impl<T> AsyncClient<T> {
    fn of(transport: T, providers: ProviderRegistry) -> Self {
        AsyncClient {
            transport,
            providers,
        }
    }
}

impl<T: AsyncTransport + Clone + Unpin> AsyncClient<T> {
    /// Sends a chat request and returns the complete response.
    ///
    /// # Errors
    /// The error that ended the call; see [`ErrorKind`].
    pub fn chat(
        &self,
        request: impl Into<Arc<ChatRequest>>,
    ) -> impl Future<Output = Result<UnifiedChatResponse, Error>> {
        let request = request.into();
        async move {
            let call = self.providers.chat(request, false, self.start())?;
            self.run(call).await
        }
    }

    /// Sends a chat request and returns its events as they arrive. Nothing is sent before the first event is read.
    ///
    /// # Errors
    /// `invalid_request`. The stream returns all other errors.
    pub fn stream(
        &self,
        request: impl Into<Arc<ChatRequest>>,
    ) -> Result<AsyncChatStream<T>, Error> {
        let call = self.providers.chat(request.into(), true, self.start())?;
        Ok(AsyncChatStream::new(self.driver(call)))
    }

    /// [`chat`](Self::chat) with other options for this call. Start from [`options`](Self::options), the client's
    /// own:
    ///
    /// ```no_run
    /// # use unifiedai::{AsyncClient, ChatRequest, Error};
    /// # use std::time::Duration;
    /// # async fn example(client: &AsyncClient) -> Result<(), Error> {
    /// let request = ChatRequest::new("gpt-oss-120b").user("Why is fast inference important?");
    /// let options = client.options().clone().timeout(Duration::from_secs(20)).max_retries(0);
    /// println!("{}", client.chat_with(&request, &options).await?.text());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`chat`](Self::chat).
    pub async fn chat_with(
        &self,
        request: impl Into<Arc<ChatRequest>>,
        options: &CallOptions,
    ) -> Result<UnifiedChatResponse, Error> {
        self.with(options).chat(request).await
    }

    /// [`stream`](Self::stream) with other options for this call.
    ///
    /// # Errors
    /// As [`stream`](Self::stream).
    pub fn stream_with(
        &self,
        request: impl Into<Arc<ChatRequest>>,
        options: &CallOptions,
    ) -> Result<AsyncChatStream<T>, Error> {
        self.with(options).stream(request)
    }

    /// Starts a chat that the provider generates in the [background](ChatRequest::background), and returns once the response
    /// exists there. [`resume`](Self::resume) reads it, in this or in another process. With
    /// [`ChatRequest::stream`] it can be read as a stream later.
    ///
    /// ```no_run
    /// # use unifiedai::{AsyncClient, ChatRequest, Error};
    /// # async fn example(client: &AsyncClient) -> Result<(), Error> {
    /// let request = ChatRequest::new("gpt-5").user("Compare the tax systems of Europe.");
    /// let position = client.start_background(request).await?;
    /// let stored = serde_json::to_string(&position).unwrap_or_default();
    /// println!("{stored}");
    /// // Later, maybe in another process:
    /// let position = serde_json::from_str(&stored).expect("a position");
    /// println!("{}", client.resume(&position).await?.text());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `invalid_request` if the provider has no such responses; else the error that ended the call.
    pub async fn start_background(
        &self,
        request: impl Into<Arc<ChatRequest>>,
    ) -> Result<Continuation, Error> {
        let call = self
            .providers
            .start_background(request.into(), self.start())?;
        let mut driver = self.driver(call);
        while driver.next_event().await.is_some() {}
        let position = driver.started();
        let response = driver.finish().await?;
        position.ok_or_else(|| not_kept(response))
    }

    /// Waits until a response that the provider keeps is complete, and returns it. The provider of this name must be one of the
    /// client's.
    ///
    /// # Errors
    /// `not_found` if the provider has removed the response; the error of a response that failed; else the error that ended
    /// the call, with its [`continuation`](Error::continuation).
    pub async fn resume(&self, continuation: &Continuation) -> Result<UnifiedChatResponse, Error> {
        let call = self.providers.resume(continuation, false, self.start())?;
        self.run(call).await
    }

    /// Returns the events of a response that the provider keeps, after the position. The response at the end of the stream is
    /// complete. If the provider can no longer stream it, all of its events follow a warning `restarted`.
    ///
    /// # Errors
    /// `invalid_request`. The stream returns all other errors.
    pub fn resume_stream(&self, continuation: &Continuation) -> Result<AsyncChatStream<T>, Error> {
        let call = self.providers.resume(continuation, true, self.start())?;
        Ok(AsyncChatStream::new(self.driver(call)))
    }

    /// Ends a response that the provider still generates, and returns it as far as it got, with the usage if the provider
    /// reports it. Its finish reason is `cancelled`, unless it was complete before.
    ///
    /// # Errors
    /// `not_found` if the provider does not know the response; else the error that ended the call.
    pub async fn cancel_response(
        &self,
        continuation: &Continuation,
    ) -> Result<UnifiedChatResponse, Error> {
        let call = self.providers.cancel_response(continuation, self.start())?;
        self.run(call).await
    }

    /// Removes a response that the provider keeps.
    ///
    /// # Errors
    /// `not_found` if the provider does not know the response; else the error that ended the call.
    pub async fn delete_response(&self, continuation: &Continuation) -> Result<(), Error> {
        let delete = |provider: &dyn Provider| {
            let request = provider.encode_delete(continuation)?;
            Ok(ApiRequest::new(request, |_, _| Ok(())).any_body())
        };
        self.api_call(Some(&continuation.provider), delete).await?;
        Ok(())
    }

    /// Sends the request to the first target of `fallback`, and to the next ones while targets fail. The request's
    /// own model is ignored.
    ///
    /// # Errors
    /// The error of the last target; its attempts include those of the earlier targets.
    pub async fn chat_with_fallback(
        &self,
        request: impl Into<Arc<ChatRequest>>,
        fallback: Fallback,
    ) -> Result<UnifiedChatResponse, Error> {
        let start = self.start();
        let call = self
            .providers
            .chat_with_fallback(request.into(), fallback, false, start)?;
        self.run(call).await
    }

    /// [`chat_with_fallback`](Self::chat_with_fallback) as a stream.
    ///
    /// # Errors
    /// `invalid_request`. The stream returns all other errors.
    pub fn stream_with_fallback(
        &self,
        request: impl Into<Arc<ChatRequest>>,
        fallback: Fallback,
    ) -> Result<AsyncChatStream<T>, Error> {
        let start = self.start();
        let call = self
            .providers
            .chat_with_fallback(request.into(), fallback, true, start)?;
        Ok(AsyncChatStream::new(self.driver(call)))
    }

    /// Turns texts into vectors, in as many requests as the provider's batch limit requires.
    ///
    /// # Errors
    /// The error that ended the call.
    pub async fn embed(
        &self,
        request: impl Into<Arc<EmbedRequest>>,
    ) -> Result<EmbedResponse, Error> {
        let start = self.start();
        self.run(self.providers.embed(request.into(), start)?).await
    }

    /// [`embed`](Self::embed) with other options for this call.
    ///
    /// # Errors
    /// As [`embed`](Self::embed).
    pub async fn embed_with(
        &self,
        request: impl Into<Arc<EmbedRequest>>,
        options: &CallOptions,
    ) -> Result<EmbedResponse, Error> {
        self.with(options).embed(request).await
    }

    /// Lists the models of the named provider (default: the first).
    ///
    /// # Errors
    /// The error that ended the call.
    pub async fn list_models(&self, provider: Option<&str>) -> Result<Vec<Model>, Error> {
        let call = self.providers.list_models(provider, self.start())?;
        Ok(self.run(call).await?.answer)
    }

    /// Returns one model.
    ///
    /// # Errors
    /// The error that ended the call.
    pub async fn retrieve_model(&self, id: &str) -> Result<Model, Error> {
        let call = self.providers.retrieve_model(id, self.start())?;
        Ok(self.run(call).await?.answer)
    }

    /// Checks that the named provider (default: the first) responds, and leaves a warm connection.
    ///
    /// # Errors
    /// The error that ended the call.
    pub async fn check_provider(&self, provider: Option<&str>) -> Result<ProviderMetadata, Error> {
        let call = self.providers.check_provider(provider, self.start())?;
        Ok(self.run(call).await?.provider_metadata)
    }

    /// Makes a call of the batch or file API of the provider of this name, or of the first one. Each result of
    /// [`BatchCall::Results`] goes to `on_item` as it arrives. A [`BatchRun`](crate::provider_batch::BatchRun) says which calls
    /// to make.
    ///
    /// # Errors
    /// The error that ended the call. The results before it are valid.
    pub async fn batch_call(
        &self,
        provider: Option<&str>,
        call: BatchCall,
        mut on_item: impl FnMut(BatchItem<Json>),
    ) -> Result<BatchAnswer, Error> {
        let call = self.providers.batch_call(provider, call, self.start())?;
        let mut driver = self.driver(call);
        while let Some(item) = driver.next_event().await {
            on_item(item);
        }
        driver.finish().await
    }

    /// Counts the tokens of a request by the provider's own endpoint; the model does not get it. See
    /// [`tokens`](crate::tokens).
    ///
    /// # Errors
    /// `invalid_request` if the provider has no endpoint for that, else the error that ended the call.
    pub async fn count_tokens(
        &self,
        request: &ChatRequest,
    ) -> Result<ApiResponse<TokenCount>, Error> {
        let call = self.providers.count_tokens(request, self.start())?;
        self.run(call).await
    }

    /// [`count_tokens`](Self::count_tokens) with other options for this call.
    ///
    /// # Errors
    /// As [`count_tokens`](Self::count_tokens).
    pub async fn count_tokens_with(
        &self,
        request: &ChatRequest,
        options: &CallOptions,
    ) -> Result<ApiResponse<TokenCount>, Error> {
        self.with(options).count_tokens(request).await
    }

    /// Whether a request fits into the context of `model`, an element of [`list_models`](Self::list_models). If the list does
    /// not have the model's limit, nothing is sent and the answer is [`Fit::Unknown`].
    ///
    /// # Errors
    /// As [`count_tokens`](Self::count_tokens).
    pub async fn fits(&self, request: &ChatRequest, model: &Model) -> Result<Fit, Error> {
        if model.context_length.is_none() {
            return Ok(Fit::Unknown);
        }
        let count = self.count_tokens(request).await?;
        Ok(count.answer.fit(request, model))
    }

    /// Makes the conversation of a request shorter (OpenAI's `/responses/compact`). It is paid for like a chat.
    ///
    /// # Errors
    /// `invalid_request` if the provider has no endpoint for that, else the error that ended the call.
    pub async fn compact(
        &self,
        request: &ChatRequest,
    ) -> Result<ApiResponse<CompactedConversation>, Error> {
        let call = self.providers.compact(request, self.start())?;
        self.run(call).await
    }

    /// [`compact`](Self::compact) with other options for this call.
    ///
    /// # Errors
    /// As [`compact`](Self::compact).
    pub async fn compact_with(
        &self,
        request: &ChatRequest,
        options: &CallOptions,
    ) -> Result<ApiResponse<CompactedConversation>, Error> {
        self.with(options).compact(request).await
    }

    /// Creates a cached content at the provider that the model of its prompt selects. Later requests name it with
    /// [`ChatRequest::cached_content`].
    ///
    /// # Errors
    /// `invalid_request` if the provider has none, else the error that ended the call.
    pub async fn create_cached_content(
        &self,
        new: &NewCachedContent,
    ) -> Result<ApiResponse<CachedContent>, Error> {
        let call = self.providers.create_cached_content(new, self.start())?;
        self.run(call).await
    }

    /// Retrieves a cached content of the named provider (default: the first).
    ///
    /// # Errors
    /// As [`create_cached_content`](Self::create_cached_content). [`CachedContent::is_gone`] recognises that it does not
    /// exist.
    pub async fn cached_content(
        &self,
        provider: Option<&str>,
        name: &str,
    ) -> Result<ApiResponse<CachedContent>, Error> {
        let start = self.start();
        let call = self
            .providers
            .cached_content(provider, |contents| contents.get(name), start)?;
        self.run(call).await
    }

    /// Lists the cached contents of the named provider (default: the first), the newest first.
    ///
    /// # Errors
    /// As [`cached_content`](Self::cached_content).
    pub async fn list_cached_contents(
        &self,
        provider: Option<&str>,
    ) -> Result<ApiResponse<Vec<CachedContent>>, Error> {
        let start = self.start();
        let call = self.providers.list_cached_contents(provider, start)?;
        self.run(call).await
    }

    /// Sets another expiry of a cached content of the named provider (default: the first).
    ///
    /// # Errors
    /// As [`cached_content`](Self::cached_content).
    pub async fn renew_cached_content(
        &self,
        provider: Option<&str>,
        name: &str,
        expiry: &CacheExpiry,
    ) -> Result<ApiResponse<CachedContent>, Error> {
        let start = self.start();
        let call = self.providers.cached_content(
            provider,
            |contents| contents.renew(name, expiry),
            start,
        )?;
        self.run(call).await
    }

    /// Deletes a cached content of the named provider (default: the first).
    ///
    /// # Errors
    /// As [`cached_content`](Self::cached_content).
    pub async fn delete_cached_content(
        &self,
        provider: Option<&str>,
        name: &str,
    ) -> Result<ApiResponse<()>, Error> {
        let start = self.start();
        let call =
            self.providers
                .cached_content(provider, |contents| contents.delete(name), start)?;
        self.run(call).await
    }

    /// Makes a small JSON call that `describe` creates for the provider of this name, or for the first one: a call that this
    /// client has no method for. The parameters of this client's other calls apply: options, limits, observers.
    ///
    /// # Errors
    /// The error of `describe`, or the error that ended the call.
    pub async fn api_call<A: Default>(
        &self,
        provider: Option<&str>,
        describe: impl FnOnce(&dyn Provider) -> Result<ApiRequest<A>, Error>,
    ) -> Result<ApiResponse<A>, Error> {
        let start = self.start();
        let call = self.providers.api_call(provider, "api", describe, start)?;
        self.run(call).await
    }

    fn with(&self, options: &CallOptions) -> Self {
        self.clone().with_options(options.clone())
    }

    pub(crate) fn run<O: Operation>(
        &self,
        call: PreparedCall<O>,
    ) -> impl Future<Output = Result<O::Output, Error>> + use<T, O> {
        self.driver(call).finish()
    }

    fn driver<O: Operation>(&self, call: PreparedCall<O>) -> AsyncDriver<T, O> {
        let io = self.transport.clone();
        AsyncDriver::with_context(io, call.exchange, call.context, call.start.now)
    }
}
