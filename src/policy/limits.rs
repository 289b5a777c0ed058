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
    /// Limits the whole call, with all its attempts and waits.
    #[must_use]
    pub fn total(mut self, limit: Duration) -> Self {
        self.total = Some(limit);
        self
    }

    /// Limits the silence between two bytes.
    #[must_use]
    pub fn idle(mut self, limit: Duration) -> Self {
        self.idle = Some(limit);
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
    fn a_limit_that_is_set_leaves_the_others_as_documented() {
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
        let (total, idle) = (seconds(7), seconds(5));
        let set = Timeouts::default().total(Duration::from_secs(7));
        assert_eq!(
            set,
            Timeouts {
                total,
                ..documented
            }
        );
        let set = Timeouts::default().idle(Duration::from_secs(5));
        assert_eq!(set, Timeouts { idle, ..documented });
    }
}
