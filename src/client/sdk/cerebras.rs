use super::{per_call::PerCall, raw::RawResponse};
use crate::{
    AsyncClient, CallOptions, ChatRequest, Client, Error, Model, UnifiedChatResponse,
    provider::{OpenAiChat, openai_chat::CEREBRAS},
    transport::{AsyncChatStream, ChatStream},
};
use serde::Serialize;
use std::time::Duration;
use unifiedai_transport::{AsyncTransport, Transport};

/// Cerebras in the shape of its official SDK, with calls that block.
///
/// ```no_run
/// # #[cfg(feature = "ureq")] {
/// use unifiedai::{Cerebras, ChatRequest, ureq::Agent};
///
/// let client = Cerebras::from_env(Agent::new())?; // CEREBRAS_API_KEY, CEREBRAS_BASE_URL
/// let completion = client.chat().completions().create(
///     ChatRequest::new("gpt-oss-120b").user("Why is fast inference important?"),
/// )?;
/// println!("{}", completion.text());
/// # }
/// # Ok::<(), unifiedai::Error>(())
/// ```
pub type Cerebras<T> = CerebrasSdk<Client<T>>;

/// Cerebras in the shape of its official SDK, with calls that do not block.
pub type AsyncCerebras<T> = CerebrasSdk<AsyncClient<T>>;

/// [`Cerebras`] or [`AsyncCerebras`], by the client that makes its calls.
#[derive(Clone, Debug)]
pub struct CerebrasSdk<C>(C);

/// `client.chat()`.
#[derive(Clone, Debug)]
pub struct Chat<C>(C);

/// `client.chat().completions()`: calls, after what they are to have differently from the client's others.
#[derive(Clone, Debug)]
pub struct Completions<C> {
    client: C,
    call: PerCall,
}

/// `client.chat().completions().with_raw_response()`: the same calls, whose answers come with status, headers and body.
#[derive(Clone, Debug)]
pub struct RawCompletions<C>(Completions<C>);

/// `client.models()`.
#[derive(Clone, Debug)]
pub struct Models<C>(C);

/// How long warming up may take: it is not worth more.
const WARMING: Duration = Duration::from_secs(1);

impl<C: Clone> CerebrasSdk<C> {
    /// Chats.
    #[must_use]
    pub fn chat(&self) -> Chat<C> {
        Chat(self.0.clone())
    }

    /// Models.
    #[must_use]
    pub fn models(&self) -> Models<C> {
        Models(self.0.clone())
    }

    /// The client underneath, for everything that the official SDK has not.
    #[must_use]
    pub fn client(&self) -> &C {
        &self.0
    }
}

impl<C> From<C> for CerebrasSdk<C> {
    /// A client that has been told more, such as further providers: their models are named `<provider>.<model>`.
    fn from(client: C) -> Self {
        CerebrasSdk(client)
    }
}

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

impl<T: Transport + Clone> Cerebras<T> {
    /// A client with a key.
    ///
    /// # Errors
    /// `invalid_request` if the key cannot be one.
    pub fn new(transport: T, api_key: impl Into<String>) -> Result<Self, Error> {
        Ok(Client::new(transport, OpenAiChat::cerebras(api_key)?).into())
    }

    /// A client with the key in `CEREBRAS_API_KEY`, at `CEREBRAS_BASE_URL` if that is set.
    ///
    /// # Errors
    /// `invalid_request` that names the variable that is missing or wrong.
    pub fn from_env(transport: T) -> Result<Self, Error> {
        Ok(Client::new(transport, OpenAiChat::from_env(CEREBRAS, None)?).into())
    }

    /// Has a connection ready for the first call. The official SDK does this whenever a client is made.
    ///
    /// # Errors
    /// Whatever was in the way, after a second at most. Calls will tell it again, so it may be ignored.
    pub fn warm_up(&self) -> Result<(), Error> {
        let client = self.0.clone().with_options(warming(self.0.options()));
        client.ping(None).map(drop)
    }
}

impl<T: AsyncTransport + Clone + Unpin> AsyncCerebras<T> {
    /// A client with a key.
    ///
    /// # Errors
    /// `invalid_request` if the key cannot be one.
    pub fn new(transport: T, api_key: impl Into<String>) -> Result<Self, Error> {
        Ok(AsyncClient::new(transport, OpenAiChat::cerebras(api_key)?).into())
    }

    /// A client with the key in `CEREBRAS_API_KEY`, at `CEREBRAS_BASE_URL` if that is set.
    ///
    /// # Errors
    /// `invalid_request` that names the variable that is missing or wrong.
    pub fn from_env(transport: T) -> Result<Self, Error> {
        Ok(AsyncClient::new(transport, OpenAiChat::from_env(CEREBRAS, None)?).into())
    }

    /// Has a connection ready for the first call. The official SDK does this whenever a client is made.
    ///
    /// # Errors
    /// Whatever was in the way, after a second at most. Calls will tell it again, so it may be ignored.
    pub async fn warm_up(&self) -> Result<(), Error> {
        let client = self.0.clone().with_options(warming(self.0.options()));
        client.ping(None).await.map(drop)
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
        self.0.create(request).map(RawResponse::new)
    }
}

impl<T: AsyncTransport + Clone + Unpin> RawCompletions<AsyncClient<T>> {
    /// Asks, and waits for the whole answer.
    ///
    /// # Errors
    /// Whatever ended the call; [`Error::status`] and [`Error::body`] have the native answer then.
    pub async fn create(&self, request: ChatRequest) -> Result<RawResponse, Error> {
        self.0.create(request).await.map(RawResponse::new)
    }
}

impl<T: Transport + Clone> Models<Client<T>> {
    /// All models.
    ///
    /// # Errors
    /// Whatever ended the call.
    pub fn list(&self) -> Result<Vec<Model>, Error> {
        self.0.list_models(None)
    }

    /// One model.
    ///
    /// # Errors
    /// Whatever ended the call.
    pub fn retrieve(&self, id: &str) -> Result<Model, Error> {
        self.0.model(id)
    }
}

impl<T: AsyncTransport + Clone + Unpin> Models<AsyncClient<T>> {
    /// All models.
    ///
    /// # Errors
    /// Whatever ended the call.
    pub async fn list(&self) -> Result<Vec<Model>, Error> {
        self.0.list_models(None).await
    }

    /// One model.
    ///
    /// # Errors
    /// Whatever ended the call.
    pub async fn retrieve(&self, id: &str) -> Result<Model, Error> {
        self.0.model(id).await
    }
}

fn warming(options: &CallOptions) -> CallOptions {
    let mut options = options.clone();
    options.timeouts.total = Some(WARMING);
    options
}
