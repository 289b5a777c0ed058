use crate::Time;
use std::time::Duration;

/// The deadlines of one attempt. They are given at send time, because some clients cannot change them later. The wait
/// for a chunk of the body has the deadline of that call.
///
/// The earliest applies: `connect` may be later than `headers`, and `total` earlier than either. The core never sets
/// `connect` or `headers` later than `total`.
///
/// A streamed request body ([`RequestBody`](crate::RequestBody)) may take longer than `headers`. From its first piece on,
/// `write_pause` and `response_wait` apply instead of `headers`: see [`headers_by`](Self::headers_by).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AttemptDeadlines {
    /// The connection must be established (name resolution, TCP, TLS).
    pub connect: Time,
    /// The response headers must be received.
    pub headers: Time,
    /// The attempt must be complete.
    pub total: Time,
    /// While a streamed request body is sent: the longest time between two pieces of it that the connection takes.
    pub write_pause: Duration,
    /// After the last piece of a streamed request body: the longest time until the response headers are received.
    pub response_wait: Duration,
}

/// How far a streamed request body was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UploadProgress {
    /// No piece was taken yet, or the body is not streamed.
    NotStarted,
    /// The connection took a piece at this time, and more are left.
    Sending(Time),
    /// The connection took the last piece at this time.
    Sent(Time),
}

impl AttemptDeadlines {
    /// No deadlines.
    pub const NONE: AttemptDeadlines = AttemptDeadlines {
        connect: Time::MAX,
        headers: Time::MAX,
        total: Time::MAX,
        write_pause: Duration::MAX,
        response_wait: Duration::MAX,
    };

    /// The time by which the response headers must be received, or the next piece of a streamed request body must be taken.
    #[must_use]
    pub fn headers_by(&self, upload: UploadProgress) -> Time {
        let by = match upload {
            UploadProgress::NotStarted => self.headers,
            UploadProgress::Sending(since) => since.saturating_add(self.write_pause),
            UploadProgress::Sent(since) => since.saturating_add(self.response_wait),
        };
        by.min(self.total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_an_upload_move_the_deadline_up_to_the_total_one() {
        let at = Time::from_nanos;
        let mut limits = AttemptDeadlines::NONE;
        assert_eq!(limits.headers_by(UploadProgress::Sending(at(7))), Time::MAX);
        (limits.headers, limits.total) = (at(100), at(1000));
        limits.write_pause = Duration::from_nanos(20);
        limits.response_wait = Duration::from_nanos(50);
        for (progress, by) in [
            (UploadProgress::NotStarted, 100),
            (UploadProgress::Sending(at(5)), 25),
            (UploadProgress::Sending(at(500)), 520),
            (UploadProgress::Sent(at(510)), 560),
            (UploadProgress::Sent(at(990)), 1000),
        ] {
            assert_eq!(limits.headers_by(progress), at(by), "{progress:?}");
        }
    }
}
