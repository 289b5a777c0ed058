use super::Guard;
use crate::{Error, ErrorKind, Provider, TimeoutKind};
use std::{collections::VecDeque, sync::Arc, time::Duration};

/// A provider and one of its models.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Target {
    /// Who is asked.
    pub provider: Arc<dyn Provider>,
    /// Its name for the model.
    pub model: String,
    /// What its calls share; none by default.
    pub guard: Option<Arc<Guard>>,
    /// How long it may take to its first token, or, where the answer comes whole, to its head. Default as in the options.
    pub first_token: Option<Duration>,
}

impl Target {
    /// A target without a guard and without a limit of its own.
    pub fn new(provider: Arc<dyn Provider>, model: impl Into<String>) -> Self {
        Target {
            provider,
            model: model.into(),
            guard: None,
            first_token: None,
        }
    }

    /// What its calls share.
    #[must_use]
    pub fn guard(mut self, guard: Arc<Guard>) -> Self {
        self.guard = Some(guard);
        self
    }

    /// How long it may take to its first token.
    #[must_use]
    pub fn first_token(mut self, limit: Duration) -> Self {
        self.first_token = Some(limit);
        self
    }
}

/// Targets in the order in which they are asked.
///
/// A call moves on for what another target can cure: an outage, an overload, a rate limit or a used-up quota, silence. It
/// does not for what would be wrong everywhere or must be seen: a bad request, a content filter, a wrong key. It moves on at
/// once; only the last target is tried again. After visible output it moves on only if [`restart`](Self::restart) allows it.
#[derive(Clone, Debug)]
pub struct Fallback {
    targets: VecDeque<Target>,
    pub(crate) restart: bool,
    on_context_overflow: bool,
}

impl Fallback {
    /// The target to be asked first.
    #[must_use]
    pub fn new(first: Target) -> Self {
        Fallback {
            targets: [first].into(),
            restart: false,
            on_context_overflow: false,
        }
    }

    /// Another one, to be asked if all before it fail.
    #[must_use]
    pub fn or(mut self, target: Target) -> Self {
        self.targets.push_back(target);
        self
    }

    /// Moves on after visible output too. The stream then yields a warning `restarted`, and what came before it is void.
    #[must_use]
    pub fn restart(mut self) -> Self {
        self.restart = true;
        self
    }

    /// Moves on if the conversation is too long for a model: the next one may have a longer context.
    #[must_use]
    pub fn on_context_overflow(mut self) -> Self {
        self.on_context_overflow = true;
        self
    }

    pub(crate) fn next(&mut self) -> Option<Target> {
        self.targets.pop_front()
    }

    pub(crate) fn has_next(&self) -> bool {
        !self.targets.is_empty()
    }

    /// Whether another target can do better.
    pub(crate) fn cures(&self, error: &Error) -> bool {
        match error.kind() {
            ErrorKind::RateLimit
            | ErrorKind::QuotaExceeded
            | ErrorKind::Overloaded
            | ErrorKind::InternalServer
            | ErrorKind::ServiceUnavailable
            | ErrorKind::Connection
            | ErrorKind::Truncated
            | ErrorKind::Protocol
            | ErrorKind::CircuitOpen => true,
            ErrorKind::Timeout => error.timeout() != Some(TimeoutKind::Total),
            ErrorKind::ContextOverflow => self.on_context_overflow,
            _ => false,
        }
    }
}
