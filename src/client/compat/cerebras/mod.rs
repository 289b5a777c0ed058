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

/// A blocking client in the shape of Cerebras' official SDK.
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

/// An async client in the shape of Cerebras' official SDK.
pub type AsyncCerebras<T = BoxedAsyncTransport> = CerebrasCompat<AsyncClient<T>>;

/// [`Cerebras`] or [`AsyncCerebras`], generic over the client that makes the calls.
#[derive(Clone, Debug)]
pub struct CerebrasCompat<C>(C);

/// Limit for [`warm_up`](Cerebras::warm_up).
const WARMING: Duration = Duration::from_secs(1);

impl<C: Clone> CerebrasCompat<C> {
    /// The chat calls.
    #[must_use]
    pub fn chat(&self) -> Chat<C> {
        Chat(self.0.clone())
    }

    /// The model calls.
    #[must_use]
    pub fn models(&self) -> Models<C> {
        Models(self.0.clone())
    }

    /// The underlying client, for calls that the official SDK lacks.
    #[must_use]
    pub fn client(&self) -> &C {
        &self.0
    }
}

impl<C> From<C> for CerebrasCompat<C> {
    /// Wraps a configured client, such as one with further providers: their models are named `<provider>.<model>`.
    fn from(client: C) -> Self {
        CerebrasCompat(client)
    }
}

impl Cerebras {
    /// Creates a client with a key.
    ///
    /// # Errors
    /// `invalid_request` if the key is not a valid header value.
    pub fn new(
        transport: impl Transport<Body: Send + 'static> + Send + Sync + 'static,
        api_key: impl Into<String>,
    ) -> Result<Self, Error> {
        Ok(Client::new(transport, OpenAiChat::cerebras(api_key)?).into())
    }

    /// Creates a client with the key in `CEREBRAS_API_KEY`, at `CEREBRAS_BASE_URL` if that is set.
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
    /// Opens a connection for the first call. The official SDK does this whenever a client is created.
    ///
    /// # Errors
    /// The error of the check, which takes at most 1 s. It may be ignored: later calls report it again.
    pub fn warm_up(&self) -> Result<(), Error> {
        let client = self
            .0
            .clone()
            .with_options(warm_up_request(self.0.options()));
        client.check_provider(None).map(drop)
    }

    /// Closes the client: see [`Client::close`].
    pub fn close(&self) {
        self.0.close();
    }
}

impl AsyncCerebras {
    /// Creates a client with a key.
    ///
    /// # Errors
    /// `invalid_request` if the key is not a valid header value.
    pub fn new(
        transport: impl AsyncTransport + 'static,
        api_key: impl Into<String>,
    ) -> Result<Self, Error> {
        Ok(AsyncClient::new(transport, OpenAiChat::cerebras(api_key)?).into())
    }

    /// Creates a client with the key in `CEREBRAS_API_KEY`, at `CEREBRAS_BASE_URL` if that is set.
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
    /// Opens a connection for the first call. The official SDK does this whenever a client is created.
    ///
    /// # Errors
    /// The error of the check, which takes at most 1 s. It may be ignored: later calls report it again.
    pub async fn warm_up(&self) -> Result<(), Error> {
        let client = self
            .0
            .clone()
            .with_options(warm_up_request(self.0.options()));
        client.check_provider(None).await.map(drop)
    }

    /// Closes the client: see [`AsyncClient::close`].
    pub fn close(&self) {
        self.0.close();
    }
}

fn warm_up_request(options: &CallOptions) -> CallOptions {
    let mut options = options.clone();
    options.timeouts.total = Some(WARMING);
    options
}
