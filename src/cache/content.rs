use crate::{ChatRequest, Error, ErrorKind, Json, codec::rfc3339::rfc3339, provider::ApiRequest};
use serde::Serialize;
use std::time::{Duration, SystemTime};

/// The calls for cached contents: parts of a prompt that a provider keeps, so that later requests name them instead of
/// sending them. See [`Provider::cached_contents`](crate::provider::Provider::cached_contents).
pub trait CachedContentApi {
    /// Describes the call that creates a cached content. It costs the prompt's tokens, and storage until it expires.
    ///
    /// # Errors
    /// `invalid_request` that names what a cached content cannot have.
    fn create(&self, new: &NewCachedContent) -> Result<ApiRequest<CachedContent>, Error>;

    /// Describes the call that retrieves one by its [name](CachedContent::name).
    ///
    /// # Errors
    /// `invalid_request` if the name has another form.
    fn get(&self, name: &str) -> Result<ApiRequest<CachedContent>, Error>;

    /// Describes the call for a page of the list, the newest first. [`CachedContentPage::next_page`] selects the next one.
    ///
    /// # Errors
    /// `invalid_request` if the request cannot be created.
    fn list(&self, page: Option<&str>) -> Result<ApiRequest<CachedContentPage>, Error>;

    /// Describes the call that sets another expiry.
    ///
    /// # Errors
    /// `invalid_request` if the name has another form.
    fn renew(&self, name: &str, expiry: &CacheExpiry) -> Result<ApiRequest<CachedContent>, Error>;

    /// Describes the call that deletes one.
    ///
    /// # Errors
    /// `invalid_request` if the name has another form.
    fn delete(&self, name: &str) -> Result<ApiRequest<()>, Error>;
}

/// A cached content to be created: the model, system messages, messages and tools of a request.
///
/// ```
/// use std::time::Duration;
/// use unifiedai::{ChatRequest, cache::NewCachedContent};
///
/// let prompt = ChatRequest::new("gemini-2.5-flash").system("Answer from this book.").user("(the book)");
/// let new = NewCachedContent::new(prompt).ttl(Duration::from_secs(600)).display_name("the book");
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NewCachedContent {
    /// What is cached. Its other parameters are ignored.
    pub prompt: ChatRequest,
    /// When it expires; the provider's default if `None` (Gemini: an hour).
    pub expiry: Option<CacheExpiry>,
    /// A name by which a person finds it in a list.
    pub display_name: Option<String>,
}

impl NewCachedContent {
    /// Caches the model, system messages, messages and tools of `prompt`.
    #[must_use]
    pub fn new(prompt: ChatRequest) -> Self {
        NewCachedContent {
            prompt,
            expiry: None,
            display_name: None,
        }
    }

    /// Sets its life from now on.
    #[must_use]
    pub fn ttl(mut self, life: Duration) -> Self {
        self.expiry = Some(CacheExpiry::Ttl(life));
        self
    }

    /// Sets another expiry.
    #[must_use]
    pub fn expiry(mut self, expiry: CacheExpiry) -> Self {
        self.expiry = Some(expiry);
        self
    }

    /// Sets a name by which a person finds it in a list.
    #[must_use]
    pub fn display_name(mut self, name: impl Into<String>) -> Self {
        self.display_name = Some(name.into());
        self
    }
}

/// A page of the list of cached contents.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct CachedContentPage {
    /// The cached contents.
    pub contents: Vec<CachedContent>,
    /// The token of the next page; `None` on the last page.
    pub next_page: Option<String>,
}

impl CachedContentPage {
    /// Creates a page with the token of the next one.
    #[must_use]
    pub fn new(contents: Vec<CachedContent>, next_page: Option<String>) -> Self {
        CachedContentPage {
            contents,
            next_page,
        }
    }
}

/// When a cached content expires.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CacheExpiry {
    /// After this time from the call on.
    Ttl(Duration),
    /// At this time, in the form of RFC 3339: `2026-11-30T12:00:00Z`. A time in the past is accepted; the content is then
    /// gone.
    At(String),
}

/// A cached content of a provider. The contents themselves are not returned.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CachedContent {
    /// The name for [`ChatRequest::cached_content`]: `cachedContents/..`.
    pub name: String,
    /// The model, as the provider names it. Only this model can use it.
    pub model: String,
    /// The name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Its tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// The creation time, in the form of RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub create_time: Option<String>,
    /// The time of the last change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_time: Option<String>,
    /// The expiry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expire_time: Option<String>,
    /// The provider's own JSON object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw: Option<Json>,
}

impl CachedContent {
    /// Creates a cached content of which only the names are known.
    #[must_use]
    pub fn new(name: impl Into<String>, model: impl Into<String>) -> Self {
        CachedContent {
            name: name.into(),
            model: model.into(),
            ..CachedContent::default()
        }
    }

    /// The expiry as a time, without its fraction of a second.
    #[must_use]
    pub fn expires(&self) -> Option<SystemTime> {
        rfc3339(self.expire_time.as_deref()?)
    }

    /// Whether an error of a call says that the cached content that it names does not exist: it was deleted, has expired,
    /// or belongs to another account. Then create it again, and send the request again with the new name.
    #[must_use]
    pub fn is_gone(error: &Error) -> bool {
        matches!(
            error.kind(),
            ErrorKind::PermissionDenied | ErrorKind::NotFound
        ) && error.message().contains("CachedContent not found")
    }
}
