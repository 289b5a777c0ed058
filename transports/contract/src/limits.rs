use crate::Time;

/// The deadlines of one attempt. They are given at send time, because some clients cannot change them later. The wait
/// for a chunk of the body has the deadline of that call.
///
/// The earliest applies: `connect` may be later than `headers`, and `total` earlier than either. The core never sets
/// `connect` or `headers` later than `total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AttemptDeadlines {
    /// The connection must be established (name resolution, TCP, TLS).
    pub connect: Time,
    /// The response headers must be received.
    pub headers: Time,
    /// The attempt must be complete.
    pub total: Time,
}

impl AttemptDeadlines {
    /// No deadlines.
    pub const NONE: AttemptDeadlines = AttemptDeadlines {
        connect: Time::MAX,
        headers: Time::MAX,
        total: Time::MAX,
    };
}
