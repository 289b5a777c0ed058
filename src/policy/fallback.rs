use super::{ConcurrencyLimit, ProviderLimits};
use crate::{Error, ErrorKind, error::TimeoutKind, provider::Provider};
use ErrorKind::*;
use std::{collections::VecDeque, fmt, sync::Arc, time::Duration};

/// A provider and one of its models.
#[derive(Clone)]
#[non_exhaustive]
pub struct FallbackTarget {
    /// Who is asked.
    pub provider: Arc<dyn Provider>,
    /// Its name for the model.
    pub model: String,
    /// What its calls share; none by default.
    pub limits: Option<Arc<ProviderLimits>>,
    /// How long it may take to its first token, or, where the answer comes whole, to its head. Default as in the options.
    pub first_token_timeout: Option<Duration>,
    /// How many of its calls may run at once, as far as a client has set it.
    pub(crate) limiter: Option<Arc<ConcurrencyLimit>>,
    /// Request headers for this target alone, besides those of the request: its gateway's key, for example.
    pub headers: Vec<(String, String)>,
}

impl FallbackTarget {
    /// A target without a guard and without a limit of its own.
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

    /// What its calls share.
    #[must_use]
    pub fn limits(mut self, guard: Arc<ProviderLimits>) -> Self {
        self.limits = Some(guard);
        self
    }

    /// Adds a request header for this target alone.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// How long it may take to its first token.
    #[must_use]
    pub fn first_token_timeout(mut self, limit: Duration) -> Self {
        self.first_token_timeout = Some(limit);
        self
    }
}

impl fmt::Debug for FallbackTarget {
    /// Of headers only the names: one may be a key (F108).
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

/// Targets in the order in which they are asked.
///
/// The request's [`headers`](crate::ChatRequest::headers) go to the first target alone, its
/// [`shared_headers`](crate::ChatRequest::shared_headers) to all, and a target's [own](FallbackTarget::headers) to that one.
///
/// A call moves on to the next target at once; only the last one is tried again. Which failures it moves on for is data: by
/// default those of [`DEFAULT_ERROR_KINDS`](Self::DEFAULT_ERROR_KINDS), which another target may not have, as each has its own server, key and
/// model. [`fall_back_on`](Self::fall_back_on) and [`never_fall_back_on`](Self::never_fall_back_on) change that. A request that the provider would refuse
/// whatever the target is no such failure: [`bad_request`](ErrorKind::BadRequest) moves on only where the provider's code
/// says that its model lacks a parameter ([`DEFAULT_ERROR_CODES`](Self::DEFAULT_ERROR_CODES)). So is what must be seen: a content filter, a
/// conversation that is too long.
///
/// After visible output a call moves on only if [`allow_restart_mid_stream`](Self::allow_restart_mid_stream) allows it, and never after
/// [`Timeouts::total`](crate::Timeouts::total).
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
    /// Whether the codes count too.
    by_code: bool,
    /// The targets that the call has left.
    abandoned: Vec<AbandonedTarget>,
}

/// A target that a call has left, and why.
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
    /// The failures for which a call moves on by default.
    pub const DEFAULT_ERROR_KINDS: &[ErrorKind] = &[
        // The key, the model or the address is the target's own.
        Authentication,
        PermissionDenied,
        NotFound,
        Redirect,
        // The target's wire cannot say what is asked, or its configuration is wrong. What is wrong for all targets is found
        // before the first of them is asked.
        InvalidRequest,
        // Its limits and its money.
        RateLimit,
        QuotaExceeded,
        Conflict,
        // It is not well.
        Overloaded,
        InternalServer,
        ServiceUnavailable,
        Connection,
        Timeout,
        Truncated,
        Protocol,
        CircuitOpen,
    ];

    /// The codes by which a provider says that its model lacks what is asked. A call moves on for them whatever their kind,
    /// unless [`never_fall_back_on`](Self::never_fall_back_on) names it. Sources: the error references of OpenAI and of those that speak its wire.
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

    /// How messages begin or end with which a provider says in a 400 or 422 that it has no such model, that the key is not one of
    /// its own, or that the model lacks a parameter. They count like [`DEFAULT_ERROR_CODES`](Self::DEFAULT_ERROR_CODES), for providers that give
    /// no code of their own. Sources: recorded answers of xAI, Bedrock, OpenRouter, DeepSeek and Groq; for pydantic's words, which
    /// Anthropic, Mistral and vLLM use, BerriAI/litellm#11696.
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
        // Only of a name in quotes: a file or a picture that is unsupported is so for all.
        "' is unsupported",
        "\" is unsupported",
        "` is unsupported",
    ];

    /// The target to be asked first.
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

    /// Another one, to be asked if all before it fail.
    #[must_use]
    pub fn then(mut self, target: FallbackTarget) -> Self {
        self.targets.push_back(target);
        self
    }

    /// Moves on after visible output too. The stream then yields a warning `restarted`, and what came before it is void.
    #[must_use]
    pub fn allow_restart_mid_stream(mut self) -> Self {
        self.allow_restart_mid_stream = true;
        self
    }

    /// Moves on for these failures too. [`Cancelled`](ErrorKind::Cancelled) and [`Misuse`](ErrorKind::Misuse) end a call all the
    /// same.
    #[must_use]
    pub fn fall_back_on(mut self, kinds: impl IntoIterator<Item = ErrorKind>) -> Self {
        for kind in kinds {
            self.applies_to = self.applies_to.with(kind);
        }
        self
    }

    /// Does not move on for these failures. `BadRequest` among them also stays on where the provider's code says that its
    /// model lacks a parameter.
    #[must_use]
    pub fn never_fall_back_on(mut self, kinds: impl IntoIterator<Item = ErrorKind>) -> Self {
        for kind in kinds {
            self.applies_to = self.applies_to.without(kind);
            self.by_code &= kind != BadRequest;
        }
        self
    }

    /// Moves on for these failures and no others, whatever the provider's code.
    #[must_use]
    pub fn fall_back_only_on(mut self, kinds: impl IntoIterator<Item = ErrorKind>) -> Self {
        self.applies_to = ErrorKindSet(0);
        self.by_code = false;
        self.fall_back_on(kinds)
    }

    /// Moves on if the conversation is too long for a model: the next one may have a longer context.
    #[must_use]
    pub fn on_context_overflow(self) -> Self {
        self.fall_back_on([ContextOverflow])
    }

    /// Moves on if a provider's filter refuses the question: the next one may have another filter.
    #[must_use]
    pub fn on_content_filtered(self) -> Self {
        self.fall_back_on([ContentFiltered])
    }

    /// Whether a call moves on to the next target after this failure.
    #[must_use]
    pub fn applies_to(&self, error: &Error) -> bool {
        match error.kind() {
            Cancelled | Misuse => false,
            Timeout if error.timeout() == Some(TimeoutKind::Total) => false,
            BadRequest | UnprocessableEntity if self.by_code && is_of_target(error) => true,
            kind => self.applies_to.has(kind),
        }
    }

    /// Sets how many calls of each target may run at once.
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

    /// Notes that the call leaves this target.
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

/// Whether a refusal is of the target's own model or key, by its code, its type or the words of its message.
fn is_of_target(error: &Error) -> bool {
    let mut codes = [error.code(), error.error_type()].into_iter().flatten();
    let message = error.message().trim_end_matches('.');
    let has = |words: &&str| message.starts_with(*words) || message.ends_with(*words);
    codes.any(|code| Fallback::DEFAULT_ERROR_CODES.contains(&code))
        || Fallback::DEFAULT_ERROR_PHRASES.iter().any(has)
}
