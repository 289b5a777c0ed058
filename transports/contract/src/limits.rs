use crate::Time;
use std::time::Duration;

/// How long one attempt may take. Given at send time because some clients cannot take them later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The connection (name lookup, TCP, TLS) stands by then.
    pub connect: Time,
    /// The response's head has arrived by then.
    pub head: Time,
    /// The longest gap between two reads of the body. [`Duration::MAX`] for none.
    pub idle: Duration,
    /// The whole attempt is over by then.
    pub total: Time,
}

impl Limits {
    /// No limit at all.
    pub const NONE: Limits = Limits {
        connect: Time::MAX,
        head: Time::MAX,
        idle: Duration::MAX,
        total: Time::MAX,
    };
}
