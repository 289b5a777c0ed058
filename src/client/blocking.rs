use super::{env::seed, providers::Providers};
use crate::{
    CallOptions, ChatRequest, Error, Exchange, Fallback, Guard, Model, Operation, Provider, Start,
    UnifiedChatResponse,
    transport::{ChatStream, Driver},
};
use std::sync::Arc;
use unifiedai_transport::Transport;

/// A client whose calls block. Clones share the transport's connections.
///
/// ```no_run
/// # #[cfg(feature = "ureq")] {
/// use unifiedai::{ChatRequest, Client, provider::OpenAiChat, ureq::Agent};
///
/// let client = Client::new(Agent::new(), OpenAiChat::cerebras("my-key")?);
/// let response = client.chat(ChatRequest::new("gpt-oss-120b").user("Why is fast inference important?"))?;
/// println!("{}", response.text());
/// # }
/// # Ok::<(), unifiedai::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Client<T> {
    transport: T,
    providers: Providers,
}

impl<T: Transport + Clone> Client<T> {
    /// A client of one provider.
    pub fn new(transport: T, provider: impl Provider + 'static) -> Self {
        Client::shared(transport, Arc::new(provider))
    }

    /// A client of a provider that others use too.
    pub fn shared(transport: T, provider: Arc<dyn Provider>) -> Self {
        Client {
            transport,
            providers: Providers::new(provider),
        }
    }

    /// Adds a provider: models named `<provider>.<model>` go to it.
    ///
    /// # Errors
    /// `invalid_request` if there is one of that name.
    pub fn with_provider(mut self, provider: impl Provider + 'static) -> Result<Self, Error> {
        self.providers.add(Arc::new(provider))?;
        Ok(self)
    }

    /// Changes the rules of all calls.
    #[must_use]
    pub fn with_options(mut self, options: CallOptions) -> Self {
        self.providers.set_options(options);
        self
    }

    /// Changes what the calls to a provider share: their pace, a circuit breaker, the budget for retries.
    ///
    /// # Errors
    /// `invalid_request` if there is no provider of that name.
    pub fn with_guard(mut self, provider: &str, guard: Arc<Guard>) -> Result<Self, Error> {
        self.providers.set_guard(provider, guard)?;
        Ok(self)
    }

    /// The providers, to make a [`Fallback`] of their models or to look at their guards.
    pub fn providers(&self) -> &Providers {
        &self.providers
    }

    /// Asks, and waits for the whole answer.
    ///
    /// # Errors
    /// Whatever ended the call; see [`ErrorKind`](crate::ErrorKind).
    pub fn chat(&self, request: impl Into<Arc<ChatRequest>>) -> Result<UnifiedChatResponse, Error> {
        let start = self.start();
        self.run(self.providers.chat(request.into(), false, start)?, start)
    }

    /// Asks for the answer piece by piece. Nothing is sent before the first event is asked for.
    ///
    /// # Errors
    /// `invalid_request`; all else comes out of the stream.
    pub fn stream(&self, request: impl Into<Arc<ChatRequest>>) -> Result<ChatStream<T>, Error> {
        let start = self.start();
        let exchange = self.providers.chat(request.into(), true, start)?;
        Ok(ChatStream::new(Driver::new(
            self.transport.clone(),
            exchange,
            start.now,
        )))
    }

    /// Asks the first of several targets that can answer, whatever the model that the request names.
    ///
    /// # Errors
    /// What the last one asked said; its attempts tell what all of them said.
    pub fn chat_any(
        &self,
        request: impl Into<Arc<ChatRequest>>,
        fallback: Fallback,
    ) -> Result<UnifiedChatResponse, Error> {
        let start = self.start();
        let exchange = self
            .providers
            .chat_any(request.into(), fallback, false, start)?;
        self.run(exchange, start)
    }

    /// The same piece by piece.
    ///
    /// # Errors
    /// `invalid_request`; all else comes out of the stream.
    pub fn stream_any(
        &self,
        request: impl Into<Arc<ChatRequest>>,
        fallback: Fallback,
    ) -> Result<ChatStream<T>, Error> {
        let start = self.start();
        let exchange = self
            .providers
            .chat_any(request.into(), fallback, true, start)?;
        Ok(ChatStream::new(Driver::new(
            self.transport.clone(),
            exchange,
            start.now,
        )))
    }

    /// The models of the provider named, or of the first one.
    ///
    /// # Errors
    /// Whatever ended the call.
    pub fn list_models(&self, provider: Option<&str>) -> Result<Vec<Model>, Error> {
        let start = self.start();
        self.run(self.providers.list_models(provider, start)?, start)
    }

    /// One model.
    ///
    /// # Errors
    /// Whatever ended the call.
    pub fn model(&self, id: &str) -> Result<Model, Error> {
        let start = self.start();
        self.run(self.providers.model(id, start)?, start)
    }

    fn run<O: Operation>(&self, exchange: Exchange<O>, start: Start) -> Result<O::Output, Error> {
        Driver::new(self.transport.clone(), exchange, start.now).finish()
    }

    fn start(&self) -> Start {
        Start::new(self.transport.now(), self.transport.wall_clock(), seed())
    }
}
