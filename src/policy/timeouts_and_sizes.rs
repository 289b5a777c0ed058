use std::time::Duration;

/// Time limits of a call. `None` means no limit.
///
/// ```
/// use std::time::Duration;
/// use unifiedai::Timeouts;
///
/// let timeouts = Timeouts::default()
///     .connect(Duration::from_secs(3))
///     .idle(None) // no limit
///     .total(Duration::from_secs(60));
/// assert_eq!(timeouts.idle, None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// Until the connection is established, over all addresses of the host together. Default 10 s.
    pub connect: Option<Duration>,
    /// From sending to the headers of a single-body response; after a streamed request body, from its last piece. Default
    /// 600 s: the server sends nothing while it generates a long response.
    pub first_byte: Option<Duration>,
    /// From sending to the headers of a streamed response. Default 120 s.
    pub first_byte_stream: Option<Duration>,
    /// From sending to the first text, reasoning or tool call of a stream. Default none.
    pub first_token: Option<Duration>,
    /// Between two chunks of the body, and between two pieces of a streamed request body that the connection takes. Default
    /// 60 s.
    pub idle: Option<Duration>,
    /// Between two events of a stream; comments and keep-alives do not count. Default 300 s. It also limits the body
    /// of a single-body response, unless [`first_byte`](Self::first_byte) is longer.
    pub progress: Option<Duration>,
    /// For the complete call, from the moment when it is first driven: all attempts, back-off, and waits for permits
    /// and the rate limiter. Default none.
    pub total: Option<Duration>,
    /// How long a stream may stay open after its finish reason, for usage and end marker. Default 10 s.
    pub after_finish: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let seconds = |n| Some(Duration::from_secs(n));
        Timeouts {
            connect: seconds(10),
            first_byte: seconds(600),
            first_byte_stream: seconds(120),
            first_token: None,
            idle: seconds(60),
            progress: seconds(300),
            total: None,
            after_finish: Duration::from_secs(10),
        }
    }
}

impl Timeouts {
    /// Sets [`connect`](Self::connect). `None` removes the limit, here and in the other setters.
    #[must_use]
    pub fn connect(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.connect = limit.into();
        self
    }

    /// Sets [`first_byte`](Self::first_byte).
    #[must_use]
    pub fn first_byte(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.first_byte = limit.into();
        self
    }

    /// Sets [`first_byte_stream`](Self::first_byte_stream).
    #[must_use]
    pub fn first_byte_stream(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.first_byte_stream = limit.into();
        self
    }

    /// Sets [`first_token`](Self::first_token).
    #[must_use]
    pub fn first_token(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.first_token = limit.into();
        self
    }

    /// Sets [`idle`](Self::idle).
    #[must_use]
    pub fn idle(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.idle = limit.into();
        self
    }

    /// Sets [`progress`](Self::progress).
    #[must_use]
    pub fn progress(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.progress = limit.into();
        self
    }

    /// Sets [`total`](Self::total).
    #[must_use]
    pub fn total(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.total = limit.into();
        self
    }

    /// Sets [`after_finish`](Self::after_finish).
    #[must_use]
    pub fn after_finish(mut self, limit: Duration) -> Self {
        self.after_finish = limit;
        self
    }
}

/// Size limits of a response, in bytes. They count received bytes, whatever the headers announce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SizeLimits {
    /// One event of a stream. Default 16 MiB, which suffices for images in base64.
    pub event: usize,
    /// A single-body response, and the kept part of a stream. Default 64 MiB.
    pub body: usize,
    /// The body of an error response; the rest is not read. Default 64 KiB.
    pub error_body: usize,
    /// All bytes of a stream. Default none.
    pub stream: Option<u64>,
}

impl Default for SizeLimits {
    fn default() -> Self {
        SizeLimits {
            event: 16 << 20,
            body: 64 << 20,
            error_body: 64 << 10,
            stream: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn setting_one_timeout_keeps_the_other_defaults() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let documented = Timeouts {
            connect: seconds(10),
            first_byte: seconds(600),
            first_byte_stream: seconds(120),
            first_token: None,
            idle: seconds(60),
            progress: seconds(300),
            total: None,
            after_finish: Duration::from_secs(10),
        };
        assert_eq!(Timeouts::default(), documented);
        let (set, five) = (Timeouts::default(), Duration::from_secs(5));
        let cases = [
            (
                set.connect(None),
                Timeouts {
                    connect: None,
                    ..documented
                },
            ),
            (
                set.first_byte(five),
                Timeouts {
                    first_byte: Some(five),
                    ..documented
                },
            ),
            (
                set.first_byte_stream(five),
                Timeouts {
                    first_byte_stream: Some(five),
                    ..documented
                },
            ),
            (
                set.first_token(five),
                Timeouts {
                    first_token: Some(five),
                    ..documented
                },
            ),
            (
                set.idle(five),
                Timeouts {
                    idle: Some(five),
                    ..documented
                },
            ),
            (
                set.progress(None),
                Timeouts {
                    progress: None,
                    ..documented
                },
            ),
            (
                set.total(five),
                Timeouts {
                    total: Some(five),
                    ..documented
                },
            ),
            (
                set.after_finish(five),
                Timeouts {
                    after_finish: five,
                    ..documented
                },
            ),
        ];
        for (set, expected) in cases {
            assert_eq!(set, expected);
        }
    }
}
