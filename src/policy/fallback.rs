use super::{ConcurrencyLimit, ProviderLimits};
use crate::{Error, ErrorKind, error::TimeoutKind, provider::Provider};
use ErrorKind::*;
use std::{collections::VecDeque, fmt, sync::Arc, time::Duration};

/// A provider and one of its models.
#[derive(Clone)]
#[non_exhaustive]
pub struct FallbackTarget {
    /// The provider.
    pub provider: Arc<dyn Provider>,
    /// The model's name at this provider.
    pub model: String,
    /// The limits that its calls share; none by default.
    pub limits: Option<Arc<ProviderLimits>>,
    /// Time to the first token, or, for a single-body response, to its headers. Default: the options' limits.
    pub first_token_timeout: Option<Duration>,
    /// The concurrency limit of the provider, if the client has set one.
    pub(crate) limiter: Option<Arc<ConcurrencyLimit>>,
    /// Request headers for this target only, in addition to the request's: for example the key of its gateway.
    pub headers: Vec<(String, String)>,
}

impl FallbackTarget {
    /// A target without limits and without a timeout of its own.
    pub fn new(provider: Arc<dyn Provider>, model: impl Into<String>) -> Self {
        FallbackTarget {
            provider,
            model: model.into(),
            limits: None,
            first_token_timeout: None,
            limiter: None,
            headers: Vec::new(),
        }
    }

    /// Sets the limits that its calls share.
    #[must_use]
    pub fn limits(mut self, guard: Arc<ProviderLimits>) -> Self {
        self.limits = Some(guard);
        self
    }

    /// Adds a request header for this target only.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Limits the time to the first token.
    #[must_use]
    pub fn first_token_timeout(mut self, limit: Duration) -> Self {
        self.first_token_timeout = Some(limit);
        self
    }
}

impl fmt::Debug for FallbackTarget {
    /// Shows only the names of headers, because a value may be a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<&str> = self.headers.iter().map(|(name, _)| &**name).collect();
        f.debug_struct("FallbackTarget")
            .field("provider", &self.provider)
            .field("model", &self.model)
            .field("limits", &self.limits)
            .field("first_token_timeout", &self.first_token_timeout)
            .field("headers", &headers)
            .finish()
    }
}

/// Targets in the order in which they are tried.
///
/// The request's [`headers`](crate::ChatRequest::headers) are sent to the first target only, its
/// [`shared_headers`](crate::ChatRequest::shared_headers) to all targets, and a target's [own
/// headers](FallbackTarget::headers) to that target.
///
/// After a failure a call moves to the next target immediately; only the last target is retried. Which failures count
/// is data. The default is [`DEFAULT_ERROR_KINDS`](Self::DEFAULT_ERROR_KINDS): failures that another target may not
/// have, because each target has its own server, key and model. [`fall_back_on`](Self::fall_back_on) and
/// [`never_fall_back_on`](Self::never_fall_back_on) change the set. [`BadRequest`](ErrorKind::BadRequest), a content
/// filter and a conversation that is too long are not in the default set; the caller should see them. But a call
/// moves on if the provider's error code says that the model lacks a parameter
/// ([`DEFAULT_ERROR_CODES`](Self::DEFAULT_ERROR_CODES)).
///
/// After visible output a call moves on only with [`allow_restart_mid_stream`](Self::allow_restart_mid_stream), and
/// never after [`Timeouts::total`](crate::Timeouts::total).
///
/// ```
/// use unifiedai::{policy::{Fallback, FallbackTarget}, ErrorKind};
/// # fn example(small: FallbackTarget, large: FallbackTarget) {
/// let fallback = Fallback::new(small)
///     .then(large)
///     .fall_back_on([ErrorKind::ContextOverflow, ErrorKind::ContentFiltered])
///     .never_fall_back_on([ErrorKind::Authentication]);
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Fallback {
    targets: VecDeque<FallbackTarget>,
    pub(crate) allow_restart_mid_stream: bool,
    applies_to: ErrorKindSet,
    /// Whether error codes and phrases count too.
    by_code: bool,
    /// The abandoned targets.
    abandoned: Vec<AbandonedTarget>,
}

/// A target that failed, and its error.
#[derive(Clone, Debug)]
pub(crate) struct AbandonedTarget {
    pub(crate) provider: String,
    pub(crate) model: String,
    pub(crate) status: Option<u16>,
    pub(crate) error: ErrorKind,
}

/// A set of kinds.
#[derive(Clone, Copy, Debug)]
struct ErrorKindSet(u32);

impl ErrorKindSet {
    fn of(kinds: &[ErrorKind]) -> Self {
        kinds
            .iter()
            .fold(ErrorKindSet(0), |set, kind| set.with(*kind))
    }

    fn with(self, kind: ErrorKind) -> Self {
        ErrorKindSet(self.0 | bit(kind))
    }

    fn without(self, kind: ErrorKind) -> Self {
        ErrorKindSet(self.0 & !bit(kind))
    }

    fn has(self, kind: ErrorKind) -> bool {
        self.0 & bit(kind) != 0
    }
}

fn bit(kind: ErrorKind) -> u32 {
    1_u32.checked_shl(kind as u32).unwrap_or_default()
}

impl Fallback {
    /// The failures after which a call moves to the next target by default.
    pub const DEFAULT_ERROR_KINDS: &[ErrorKind] = &[
        // The key, the model or the URL is the target's own.
        Authentication,
        Credentials,
        PermissionDenied,
        NotFound,
        Redirect,
        // The target's API cannot express the request, or its configuration is wrong. Errors that concern all targets
        // are found before the first request.
        InvalidRequest,
        // Each target has its own rate limits and quota.
        RateLimit,
        QuotaExceeded,
        Conflict,
        // The target is overloaded or down.
        Overloaded,
        InternalServer,
        ServiceUnavailable,
        Connection,
        Timeout,
        Truncated,
        Protocol,
        CircuitOpen,
    ];

    /// Error codes that say that the model lacks a parameter or feature. A call moves on for them whatever the
    /// error's kind, unless [`never_fall_back_on`](Self::never_fall_back_on) names it. Sources: the error references
    /// of OpenAI and of compatible servers.
    pub const DEFAULT_ERROR_CODES: &[&str] = &[
        "unsupported_parameter",
        "unsupported_value",
        "unknown_parameter",
        "parameter_not_supported",
        "unsupported_model",
        "model_not_supported",
        "model_not_available",
        "invalid_model",
        "extra_forbidden",
    ];

    /// Beginnings or ends of error messages with status 400 or 422 that say that the model does not exist, that the
    /// key is invalid, or that the model lacks a parameter. They count like
    /// [`DEFAULT_ERROR_CODES`](Self::DEFAULT_ERROR_CODES), for providers without error codes. Sources: recorded
    /// responses of xAI, Bedrock, OpenRouter, DeepSeek and Groq; for pydantic's messages, which Anthropic, Mistral
    /// and vLLM use, BerriAI/litellm#11696.
    pub const DEFAULT_ERROR_PHRASES: &[&str] = &[
        "Incorrect API key provided",
        "API key not valid",
        "Invalid model",
        "Model Not Exist",
        "The provided model identifier is invalid",
        "is not a valid model ID",
        "is not supported by this model",
        "is not supported for this model",
        "is not supported with this model",
        // Bedrock, then Ollama.
        "This model doesn't support",
        "does not support tools",
        // pydantic, in its second and its first version.
        "Extra inputs are not permitted",
        "extra fields not permitted",
        // Only with a quoted name before it: an unsupported file or image is unsupported by all targets.
        "' is unsupported",
        "\" is unsupported",
        "` is unsupported",
    ];

    /// Starts a chain with its first target.
    #[must_use]
    pub fn new(first: FallbackTarget) -> Self {
        Fallback {
            targets: [first].into(),
            allow_restart_mid_stream: false,
            applies_to: ErrorKindSet::of(Fallback::DEFAULT_ERROR_KINDS),
            by_code: true,
            abandoned: Vec::new(),
        }
    }

    /// Adds a target, which is tried if all before it fail.
    #[must_use]
    pub fn then(mut self, target: FallbackTarget) -> Self {
        self.targets.push_back(target);
        self
    }

    /// Also moves on after visible output. The stream then yields a warning `restarted`; discard the output before
    /// it.
    #[must_use]
    pub fn allow_restart_mid_stream(mut self) -> Self {
        self.allow_restart_mid_stream = true;
        self
    }

    /// Also moves on after these failures. [`Cancelled`](ErrorKind::Cancelled) and [`Misuse`](ErrorKind::Misuse)
    /// always end a call.
    #[must_use]
    pub fn fall_back_on(mut self, kinds: impl IntoIterator<Item = ErrorKind>) -> Self {
        for kind in kinds {
            self.applies_to = self.applies_to.with(kind);
        }
        self
    }

    /// Does not move on after these failures. With `BadRequest`, error codes that say that the model lacks a
    /// parameter do not count either.
    #[must_use]
    pub fn never_fall_back_on(mut self, kinds: impl IntoIterator<Item = ErrorKind>) -> Self {
        for kind in kinds {
            self.applies_to = self.applies_to.without(kind);
            self.by_code &= kind != BadRequest;
        }
        self
    }

    /// Moves on after these failures only, whatever the provider's error code.
    #[must_use]
    pub fn fall_back_only_on(mut self, kinds: impl IntoIterator<Item = ErrorKind>) -> Self {
        self.applies_to = ErrorKindSet(0);
        self.by_code = false;
        self.fall_back_on(kinds)
    }

    /// Also moves on if the conversation is too long for a model: the next one may have a longer context.
    #[must_use]
    pub fn on_context_overflow(self) -> Self {
        self.fall_back_on([ContextOverflow])
    }

    /// Also moves on if a provider's content filter refuses the request: the next one may have another filter.
    #[must_use]
    pub fn on_content_filtered(self) -> Self {
        self.fall_back_on([ContentFiltered])
    }

    /// Whether a call moves to the next target after this failure.
    #[must_use]
    pub fn applies_to(&self, error: &Error) -> bool {
        match error.kind() {
            Cancelled | Misuse => false,
            Timeout if error.timeout() == Some(TimeoutKind::Total) => false,
            BadRequest | UnprocessableEntity if self.by_code && is_of_target(error) => true,
            kind => self.applies_to.has(kind),
        }
    }

    /// Sets the concurrency limit of each target.
    pub(crate) fn set_concurrency_limits(
        &mut self,
        limiter: impl Fn(&str) -> Option<Arc<ConcurrencyLimit>>,
    ) {
        for target in &mut self.targets {
            target.limiter = limiter(target.provider.name());
        }
    }

    pub(crate) fn next(&mut self) -> Option<FallbackTarget> {
        self.targets.pop_front()
    }

    /// Records that the call leaves this target.
    pub(crate) fn abandon(&mut self, provider: &str, model: &str, error: &Error) {
        self.abandoned.push(AbandonedTarget {
            provider: provider.to_owned(),
            model: model.to_owned(),
            status: error.status(),
            error: error.kind(),
        });
    }

    pub(crate) fn abandoned(&self) -> &[AbandonedTarget] {
        &self.abandoned
    }

    pub(crate) fn has_next(&self) -> bool {
        !self.targets.is_empty()
    }
}

/// Whether an error is specific to the target's model or key, by its code, type or message.
fn is_of_target(error: &Error) -> bool {
    let mut codes = [error.code(), error.error_type()].into_iter().flatten();
    let message = error.message().trim_end_matches('.');
    let has = |words: &&str| message.starts_with(*words) || message.ends_with(*words);
    codes.any(|code| Fallback::DEFAULT_ERROR_CODES.contains(&code))
        || Fallback::DEFAULT_ERROR_PHRASES.iter().any(has)
}
