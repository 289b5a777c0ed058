use crate::Time;

/// How long one attempt may take. Given at send time because some clients cannot take them later. How long a read of the
/// body may wait is the deadline of each read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AttemptDeadlines {
    /// The connection (name lookup, TCP, TLS) stands by then.
    pub connect: Time,
    /// The response's head has arrived by then.
    pub headers: Time,
    /// The whole attempt is over by then.
    pub total: Time,
}

impl AttemptDeadlines {
    /// No limit at all.
    pub const NONE: AttemptDeadlines = AttemptDeadlines {
        connect: Time::MAX,
        headers: Time::MAX,
        total: Time::MAX,
    };
}
