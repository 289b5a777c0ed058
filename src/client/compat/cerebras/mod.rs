mod completions;
mod models;

pub use completions::{Chat, Completions, RawCompletions};
pub use models::{Models, RawModels};

use crate::{
    AsyncClient, CallOptions, Client, Error,
    provider::{OpenAiChat, openai_chat::CEREBRAS},
};
use std::time::Duration;
use unifiedai_transport::{AsyncTransport, BoxedAsyncTransport, BoxedTransport, Transport};

/// Cerebras in the shape of its official SDK, with calls that block.
///
/// ```no_run
/// # #[cfg(feature = "ureq")] {
/// use unifiedai::{compat::Cerebras, transport::UreqTransport, ChatRequest};
///
/// let client = Cerebras::from_env(UreqTransport::new())?; // CEREBRAS_API_KEY, CEREBRAS_BASE_URL
/// let completion = client.chat().completions().create(
///     ChatRequest::new("gpt-oss-120b").user("Why is fast inference important?"),
/// )?;
/// println!("{}", completion.text());
/// # }
/// # Ok::<(), unifiedai::Error>(())
/// ```
pub type Cerebras<T = BoxedTransport> = CerebrasCompat<Client<T>>;

/// Cerebras in the shape of its official SDK, with calls that do not block.
pub type AsyncCerebras<T = BoxedAsyncTransport> = CerebrasCompat<AsyncClient<T>>;

/// [`Cerebras`] or [`AsyncCerebras`], by the client that makes its calls.
#[derive(Clone, Debug)]
pub struct CerebrasCompat<C>(C);

/// How long warming up may take: it is not worth more.
const WARMING: Duration = Duration::from_secs(1);

impl<C: Clone> CerebrasCompat<C> {
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

impl<C> From<C> for CerebrasCompat<C> {
    /// A client that has been told more, such as further providers: their models are named `<provider>.<model>`.
    fn from(client: C) -> Self {
        CerebrasCompat(client)
    }
}

impl Cerebras {
    /// A client with a key.
    ///
    /// # Errors
    /// `invalid_request` if the key cannot be one.
    pub fn new(
        transport: impl Transport<Body: Send + 'static> + Send + Sync + 'static,
        api_key: impl Into<String>,
    ) -> Result<Self, Error> {
        Ok(Client::new(transport, OpenAiChat::cerebras(api_key)?).into())
    }

    /// A client with the key in `CEREBRAS_API_KEY`, at `CEREBRAS_BASE_URL` if that is set.
    ///
    /// # Errors
    /// `invalid_request` that names the variable that is missing or wrong.
    pub fn from_env(
        transport: impl Transport<Body: Send + 'static> + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        Ok(Client::new(
            transport,
            OpenAiChat::builder()
                .profile(CEREBRAS)
                .read_env()?
                .build()?,
        )
        .into())
    }
}

impl<T: Transport + Clone> Cerebras<T> {
    /// Has a connection ready for the first call. The official SDK does this whenever a client is made.
    ///
    /// # Errors
    /// Whatever was in the way, after a second at most. Calls will tell it again, so it may be ignored.
    pub fn warm_up(&self) -> Result<(), Error> {
        let client = self
            .0
            .clone()
            .with_options(warm_up_request(self.0.options()));
        client.check_provider(None).map(drop)
    }

    /// Ends the client: see [`Client::close`].
    pub fn close(&self) {
        self.0.close();
    }
}

impl AsyncCerebras {
    /// A client with a key.
    ///
    /// # Errors
    /// `invalid_request` if the key cannot be one.
    pub fn new(
        transport: impl AsyncTransport + 'static,
        api_key: impl Into<String>,
    ) -> Result<Self, Error> {
        Ok(AsyncClient::new(transport, OpenAiChat::cerebras(api_key)?).into())
    }

    /// A client with the key in `CEREBRAS_API_KEY`, at `CEREBRAS_BASE_URL` if that is set.
    ///
    /// # Errors
    /// `invalid_request` that names the variable that is missing or wrong.
    pub fn from_env(transport: impl AsyncTransport + 'static) -> Result<Self, Error> {
        Ok(AsyncClient::new(
            transport,
            OpenAiChat::builder()
                .profile(CEREBRAS)
                .read_env()?
                .build()?,
        )
        .into())
    }
}

impl<T: AsyncTransport + Clone + Unpin> AsyncCerebras<T> {
    /// Has a connection ready for the first call. The official SDK does this whenever a client is made.
    ///
    /// # Errors
    /// Whatever was in the way, after a second at most. Calls will tell it again, so it may be ignored.
    pub async fn warm_up(&self) -> Result<(), Error> {
        let client = self
            .0
            .clone()
            .with_options(warm_up_request(self.0.options()));
        client.check_provider(None).await.map(drop)
    }

    /// Ends the client: see [`AsyncClient::close`].
    pub fn close(&self) {
        self.0.close();
    }
}

fn warm_up_request(options: &CallOptions) -> CallOptions {
    let mut options = options.clone();
    options.timeouts.total = Some(WARMING);
    options
}
