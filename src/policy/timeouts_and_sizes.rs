use std::time::Duration;

/// How long to wait for what. `None` means without limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// Until the connection stands, all addresses of the name tried. Default 10 s.
    pub connect: Option<Duration>,
    /// From sending to the answer's head, for an answer that comes whole. Default 600 s: a long answer is silent until it
    /// is written.
    pub first_byte: Option<Duration>,
    /// The same for a stream. Default 120 s.
    pub first_byte_stream: Option<Duration>,
    /// From sending to the first text, reasoning or tool call of a stream. Default none.
    pub first_token: Option<Duration>,
    /// Between two bytes of the body. Default 60 s.
    pub idle: Option<Duration>,
    /// Between two events of a stream; comments and pings do not count. Default 300 s. The body of an answer that comes
    /// whole may take as long as this or [`first_byte`](Self::first_byte), whichever is longer.
    pub progress: Option<Duration>,
    /// For the whole call, from the moment when it is first driven: all attempts, back-off, and the waits for permits and for
    /// the pace together. Default none.
    pub total: Option<Duration>,
    /// How long a stream that has said why it stopped may stay open for its usage and end marker. Default 10 s.
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

/// How many bytes to accept. Counted as they arrive, whatever the headers announce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SizeLimits {
    /// One event of a stream. Default 16 MiB, room for pictures in base64.
    pub event: usize,
    /// An answer that comes whole, and what is kept of a stream. Default 64 MiB.
    pub body: usize,
    /// The body of an error; the rest is not read. Default 64 KiB.
    pub error_body: usize,
    /// A whole stream on the wire. Default none.
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
