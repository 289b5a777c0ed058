use crate::{TimeoutKind, Timeouts};
use std::time::Duration;
use unifiedai_transport::{Limits, Phase, Time};

const EARLY: Duration = Duration::from_millis(50);

/// When which limit passes. [`Time::MAX`] is never.
#[derive(Debug)]
pub(super) struct Deadlines {
    total: Time,
    connect: Time,
    first_byte: Time,
    first_token: Time,
    idle: Time,
    progress: Time,
    /// After the finish reason of a stream.
    end: Time,
    streaming: bool,
}

impl Deadlines {
    pub(super) fn new(now: Time, timeouts: &Timeouts) -> Self {
        Deadlines {
            total: after(now, timeouts.total),
            connect: Time::MAX,
            first_byte: Time::MAX,
            first_token: Time::MAX,
            idle: Time::MAX,
            progress: Time::MAX,
            end: Time::MAX,
            streaming: false,
        }
    }

    /// A request goes out.
    pub(super) fn begin_attempt(&mut self, now: Time, streaming: bool, timeouts: &Timeouts) {
        self.rest();
        self.streaming = streaming;
        self.connect = after(now, timeouts.connect);
        self.first_byte = after(
            now,
            if streaming {
                timeouts.first_byte_stream
            } else {
                timeouts.first_byte
            },
        );
        if streaming {
            self.first_token = after(now, timeouts.first_token);
        }
    }

    /// The head arrived.
    pub(super) fn begin_body(&mut self, now: Time, timeouts: &Timeouts) {
        self.connect = Time::MAX;
        self.first_byte = Time::MAX;
        self.saw_bytes(now, timeouts);
        self.progress = after(now, self.progress_limit(timeouts));
    }

    pub(super) fn saw_bytes(&mut self, now: Time, timeouts: &Timeouts) {
        self.idle = after(now, timeouts.idle);
    }

    pub(super) fn saw_progress(&mut self, now: Time, timeouts: &Timeouts) {
        self.progress = after(now, timeouts.progress);
    }

    pub(super) fn saw_token(&mut self) {
        self.first_token = Time::MAX;
    }

    /// The stream said why it stopped. What comes after that does not put its end off.
    pub(super) fn saw_finish(&mut self, now: Time, timeouts: &Timeouts) {
        if self.end == Time::MAX {
            self.end = now.saturating_add(timeouts.after_finish);
        }
    }

    /// No attempt is under way: only the whole call's limit holds.
    pub(super) fn rest(&mut self) {
        let total = self.total;
        *self = Deadlines {
            total,
            streaming: self.streaming,
            ..Deadlines::new(Time::ZERO, &NEVER)
        };
    }

    pub(super) fn total(&self) -> Time {
        self.total
    }

    /// The earliest limit. Connecting is watched by the transport alone: only it knows when it is over.
    pub(super) fn next(&self) -> Time {
        self.all()
            .into_iter()
            .fold(Time::MAX, |next, (at, _)| next.min(at))
    }

    /// The limit that has passed; of several the earliest.
    pub(super) fn passed(&self, now: Time) -> Option<TimeoutKind> {
        if now < self.next() {
            return None;
        }
        self.all()
            .into_iter()
            .filter(|(at, _)| *at <= now && *at != Time::MAX)
            .min_by_key(|(at, _)| *at)
            .map(|(_, kind)| kind)
    }

    /// The limit behind a timeout that the transport reports. Its timers may be a little ahead of the driver's clock.
    pub(super) fn behind(&self, phase: Phase, now: Time) -> TimeoutKind {
        let now = now.saturating_add(EARLY);
        match phase {
            Phase::Connect if self.total <= now && self.total < self.connect => TimeoutKind::Total,
            Phase::Connect => TimeoutKind::Connect,
            Phase::Head => self.passed(now).unwrap_or(TimeoutKind::FirstByte),
            _ => self.passed(now).unwrap_or(TimeoutKind::Idle),
        }
    }

    pub(super) fn limits(&self, timeouts: &Timeouts) -> Limits {
        let mut limits = Limits::NONE;
        limits.connect = self.connect.min(self.total);
        limits.head = self.first_byte.min(self.first_token).min(self.total);
        limits.idle = timeouts.idle.unwrap_or(Duration::MAX);
        limits.total = self.total;
        limits
    }

    /// What the caller allowed, for the error's words.
    pub(super) fn allowed(&self, kind: TimeoutKind, timeouts: &Timeouts) -> Option<Duration> {
        match kind {
            TimeoutKind::Connect => timeouts.connect,
            TimeoutKind::FirstByte if self.streaming => timeouts.first_byte_stream,
            TimeoutKind::FirstByte => timeouts.first_byte,
            TimeoutKind::FirstToken => timeouts.first_token,
            TimeoutKind::Idle => timeouts.idle,
            TimeoutKind::Progress => self.progress_limit(timeouts),
            TimeoutKind::Total => timeouts.total,
        }
    }

    /// A whole answer has no events: this is what its body may take.
    fn progress_limit(&self, timeouts: &Timeouts) -> Option<Duration> {
        if self.streaming {
            return timeouts.progress;
        }
        Some(timeouts.progress?.max(timeouts.first_byte?))
    }

    fn all(&self) -> [(Time, TimeoutKind); 6] {
        [
            (self.total, TimeoutKind::Total),
            (self.first_byte, TimeoutKind::FirstByte),
            (self.first_token, TimeoutKind::FirstToken),
            (self.idle, TimeoutKind::Idle),
            (self.progress, TimeoutKind::Progress),
            (self.end, TimeoutKind::Progress),
        ]
    }
}

const NEVER: Timeouts = Timeouts {
    connect: None,
    first_byte: None,
    first_byte_stream: None,
    first_token: None,
    idle: None,
    progress: None,
    total: None,
    after_finish: Duration::ZERO,
};

fn after(now: Time, limit: Option<Duration>) -> Time {
    limit.map_or(Time::MAX, |limit| now.saturating_add(limit))
}
