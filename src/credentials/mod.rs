//! Credentials that expire: fetched over the call's own transport, shared by calls, renewed before they expire.
//!
//! [`Credentials`] contain a source and its last [`Token`]. They replace a key wherever a provider accepts one:
//!
//! ```
//! use std::time::Duration;
//! use unifiedai::{credentials::{Credentials, Token}, provider::{Auth, OpenAiChat}, Secret};
//!
//! // From another library. The closure may be async: `Credentials::from_async`.
//! let credentials = Credentials::from_fn("vault agent", || {
//!     let secret = Secret::new("a token from elsewhere")?;
//!     Ok(Token::bearer(secret).expires_in(Duration::from_secs(3600)))
//! });
//! let provider = OpenAiChat::custom("https://llm.example/v1").auth(Auth::Bearer(credentials.into())).build()?;
//! # Ok::<(), unifiedai::Error>(())
//! ```
//!
//! # How a token is fetched
//! A source is an async function with a [`Fetcher`] as its argument. It does no I/O of its own: each of its requests
//! becomes a [`Step::Send`](crate::sans_io::Step::Send) of the call that fetches, each file or process a
//! [`Step::Supply`](crate::sans_io::Step::Supply). Therefore it runs with every transport, blocking or not, and with
//! your own driver.
//!
//! - One call fetches; others that need the token wait for it. If the call that fetches is dropped or no longer polled,
//!   another one takes over.
//! - A token is renewed a quarter of its lifetime before it expires, at most 5 minutes, by one call, while the others use the old one.
//! - If the provider says that the token has expired or is unknown, it is renewed once and the request is sent again.
//! - A fetch has limits of its own (30 seconds, 10 seconds for each request, 3 tries) within the total timeout of its call. It
//!   needs no permit of the provider's limits, and its failures do not count there.
//! - An error has the kind [`Credentials`](crate::ErrorKind::Credentials), and one of these codes: `credentials_missing`,
//!   `credentials_config`, `credentials_login`, `credentials_refused`, `credentials_unreachable`.

mod address;
mod anthropic;
#[cfg(feature = "bedrock")]
pub(crate) mod aws;
mod azure;
mod cache;
mod environment;
pub(crate) mod errors;
mod federation;
mod fetch;
mod fetcher;
pub(crate) mod form;
mod google;
mod jwt;
mod program;
mod supply;
mod token;
mod token_endpoint;
pub(crate) mod wire;

pub use environment::Environment;
pub use federation::{Federation, SubjectToken};
pub use fetch::CredentialRequest;
pub use fetcher::Fetcher;
pub use supply::{FileAccess, ProcessCommand, Supply};
pub use token::Token;
pub use token_endpoint::TokenEndpoint;

pub(crate) use cache::{Claim, Claimed};
pub(crate) use fetch::{Fetch, FetchPoll, Moment};

use crate::Error;
use cache::Slot;
use std::{
    fmt,
    future::{Future, ready},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The interval at which a source checks for a token that another call fetches.
const LOOK_AGAIN: std::time::Duration = std::time::Duration::from_millis(20);

/// The result of a source.
pub(crate) type FetchFuture = Pin<Box<dyn Future<Output = Result<Token, Error>> + Send>>;

/// A source of tokens, and its last token. Clones share both, so that all calls of all clients with a clone use one
/// token. They must also share a clock: use them with transports of one process.
#[derive(Clone)]
pub struct Credentials(Arc<Shared>);

struct Shared {
    name: Box<str>,
    source: Box<dyn Fn(Fetcher) -> FetchFuture + Send + Sync>,
    /// Whether two fetches must not overlap: a fetch that is not polled blocks a second one.
    exclusive: bool,
    slot: Mutex<Slot>,
}

impl Credentials {
    /// Creates a source from a function that returns quickly: it runs inside the `poll` of the call that fetches.
    /// `name` is shown in errors.
    pub fn from_fn(
        name: impl Into<String>,
        source: impl Fn() -> Result<Token, Error> + Send + Sync + 'static,
    ) -> Self {
        Credentials::from_async(name, move |_| ready(source()))
    }

    /// Creates a source from an async function. If it ignores the [`Fetcher`] and does its own I/O, the task of the
    /// call that fetches polls its futures, so they must fit that task's runtime. If it uses only the fetcher, it
    /// runs with every transport.
    ///
    /// ```
    /// use unifiedai::{credentials::{Credentials, Token}, Secret};
    /// # async fn token_of_some_library() -> Result<String, unifiedai::Error> { Ok(String::new()) }
    ///
    /// let credentials = Credentials::from_async("some library", |_| async {
    ///     let text = token_of_some_library().await?;
    ///     Ok(Token::bearer(Secret::new(text)?)) // without an expiry it is renewed after 15 minutes
    /// });
    /// ```
    pub fn from_async<F>(
        name: impl Into<String>,
        source: impl Fn(Fetcher) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Token, Error>> + Send + 'static,
    {
        Credentials(Arc::new(Shared {
            name: name.into().into(),
            source: Box::new(move |fetcher| Box::pin(source(fetcher))),
            exclusive: false,
            slot: Mutex::default(),
        }))
    }

    /// Returns the name of the source in errors.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Marks a source whose fetches must not overlap.
    #[cfg(feature = "bedrock")]
    #[must_use]
    pub(crate) fn exclusive(mut self) -> Self {
        if let Some(shared) = Arc::get_mut(&mut self.0) {
            shared.exclusive = true;
        }
        self
    }

    /// The token, for a source that needs it to get another one. If missing, it is fetched with the same fetcher.
    pub(crate) async fn fetch_for(&self, io: &Fetcher) -> Result<Token, Error> {
        loop {
            match self.claim(io.moment()) {
                Claim::Use(claimed) => return Ok(claimed.into_token()),
                Claim::Wait => io.sleep(LOOK_AGAIN).await?,
                Claim::Failed(error) => return Err(error),
                Claim::Lead(lease) => {
                    lease.keep();
                    let result = (self.0.source)(io.clone()).await;
                    io.publish(&lease, result);
                }
            }
        }
    }

    /// Discards the token, so that the next call fetches another one.
    pub fn forget(&self) {
        self.slot().forget();
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        // A panic while the lock was held leaves a consistent slot.
        self.0.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}
