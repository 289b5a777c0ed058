use crate::{Timeouts, error::TimeoutKind};
use std::time::Duration;
use unifiedai_transport::{AttemptDeadlines, Phase, Time, UploadProgress};

const TIMER_TOLERANCE: Duration = Duration::from_millis(50);

/// The time at which each limit expires; [`Time::MAX`] is never.
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

    /// An attempt's request is sent.
    pub(super) fn begin_attempt(&mut self, now: Time, streaming: bool, timeouts: &Timeouts) {
        self.clear_attempt();
        self.streaming = streaming;
        self.connect = after(now, timeouts.connect);
        self.first_byte = after(now, self.first_byte_limit(timeouts));
        if streaming {
            self.first_token = after(now, timeouts.first_token);
        }
    }

    /// The connection took more of a streamed request body.
    pub(super) fn on_upload(&mut self, progress: UploadProgress, timeouts: &Timeouts) {
        match progress {
            UploadProgress::Sending(since) => {
                self.first_byte = Time::MAX;
                self.idle = after(since, timeouts.idle);
            }
            UploadProgress::Sent(since) => {
                self.idle = Time::MAX;
                self.first_byte = after(since, self.first_byte_limit(timeouts));
            }
            _ => {}
        }
    }

    /// The response headers were received.
    pub(super) fn begin_body(&mut self, now: Time, timeouts: &Timeouts) {
        self.connect = Time::MAX;
        self.first_byte = Time::MAX;
        self.on_bytes(now, timeouts);
        self.progress = after(now, self.progress_limit(timeouts));
    }

    pub(super) fn on_bytes(&mut self, now: Time, timeouts: &Timeouts) {
        self.idle = after(now, timeouts.idle);
    }

    pub(super) fn on_progress(&mut self, now: Time, timeouts: &Timeouts) {
        self.progress = after(now, timeouts.progress);
    }

    pub(super) fn on_token(&mut self) {
        self.first_token = Time::MAX;
    }

    /// The stream sent a finish reason. Later data does not extend this deadline.
    pub(super) fn on_finish(&mut self, now: Time, timeouts: &Timeouts) {
        if self.end == Time::MAX {
            self.end = now.saturating_add(timeouts.after_finish);
        }
    }

    /// The caller read the next event this much later. The server was not idle during that time.
    pub(super) fn extend(&mut self, by: Duration) {
        for deadline in [
            &mut self.first_token,
            &mut self.idle,
            &mut self.progress,
            &mut self.end,
        ] {
            *deadline = deadline.saturating_add(by);
        }
    }

    /// The finish reason turned out not to be one.
    pub(super) fn clear_finish(&mut self) {
        self.end = Time::MAX;
    }

    /// No attempt is open: only the total timeout applies.
    pub(super) fn clear_attempt(&mut self) {
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

    /// The earliest deadline. The connect timeout is left to the transport, which alone knows when it is connected.
    pub(super) fn next(&self) -> Time {
        self.all()
            .into_iter()
            .fold(Time::MAX, |next, (at, _)| next.min(at))
    }

    /// The timeout that has expired; the earliest if there are several.
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

    /// The timeout that a transport's error corresponds to. The transport's timer may run slightly ahead of the
    /// driver's clock.
    pub(super) fn classify_timeout(&self, phase: Phase, now: Time) -> TimeoutKind {
        let now = now.saturating_add(TIMER_TOLERANCE);
        match phase {
            Phase::Connect if self.total <= now && self.total < self.connect => TimeoutKind::Total,
            Phase::Connect => TimeoutKind::Connect,
            Phase::RequestBody if self.total <= now => TimeoutKind::Total,
            Phase::RequestBody => TimeoutKind::Idle,
            Phase::Headers => self.passed(now).unwrap_or(TimeoutKind::FirstByte),
            _ => self.passed(now).unwrap_or(TimeoutKind::Idle),
        }
    }

    pub(super) fn attempt_deadlines(&self, timeouts: &Timeouts) -> AttemptDeadlines {
        let mut limits = AttemptDeadlines::NONE;
        limits.connect = self.connect.min(self.total);
        limits.headers = self.first_byte.min(self.first_token).min(self.total);
        limits.total = self.total;
        limits.write_pause = timeouts.idle.unwrap_or(Duration::MAX);
        limits.response_wait = self.first_byte_limit(timeouts).unwrap_or(Duration::MAX);
        limits
    }

    /// The configured limit, for the error message.
    pub(super) fn configured_limit(
        &self,
        kind: TimeoutKind,
        timeouts: &Timeouts,
    ) -> Option<Duration> {
        match kind {
            TimeoutKind::Connect => timeouts.connect,
            TimeoutKind::FirstByte => self.first_byte_limit(timeouts),
            TimeoutKind::FirstToken => timeouts.first_token,
            TimeoutKind::Idle => timeouts.idle,
            TimeoutKind::Progress => self.progress_limit(timeouts),
            TimeoutKind::Total => timeouts.total,
        }
    }

    fn first_byte_limit(&self, timeouts: &Timeouts) -> Option<Duration> {
        match self.streaming {
            true => timeouts.first_byte_stream,
            false => timeouts.first_byte,
        }
    }

    /// A single-body response has no events; this limits the duration of its body.
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

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(millis: u64) -> Time {
        Time::ZERO.saturating_add(Duration::from_millis(millis))
    }

    fn timeouts() -> Timeouts {
        Timeouts {
            connect: Some(SECOND),
            first_byte: Some(20 * SECOND),
            first_byte_stream: Some(10 * SECOND),
            first_token: Some(15 * SECOND),
            idle: Some(5 * SECOND),
            progress: Some(8 * SECOND),
            total: Some(60 * SECOND),
            after_finish: 2 * SECOND,
        }
    }

    fn attempt(now: Time, streaming: bool) -> Deadlines {
        let mut deadlines = Deadlines::new(Time::ZERO, &timeouts());
        deadlines.begin_attempt(now, streaming, &timeouts());
        deadlines
    }

    /// Checks that nothing has expired just before this time, and that this timeout expires then.
    fn next_is(deadlines: &Deadlines, millis: u64, kind: TimeoutKind) {
        assert_eq!(deadlines.next(), at(millis));
        assert_eq!(deadlines.passed(at(millis - 1)), None);
        assert_eq!(deadlines.passed(at(millis)), Some(kind));
        assert_eq!(
            deadlines.passed(at(600_000)),
            Some(kind),
            "the earliest counts"
        );
    }

    #[test]
    fn stream_timeouts_restart_at_the_last_event() {
        let limits = &timeouts();
        let mut stream = attempt(at(1000), true);
        next_is(&stream, 11_000, TimeoutKind::FirstByte);
        stream.begin_body(at(2000), limits);
        next_is(&stream, 7000, TimeoutKind::Idle);
        stream.on_bytes(at(6000), limits);
        next_is(&stream, 10_000, TimeoutKind::Progress);
        stream.on_progress(at(9000), limits);
        next_is(&stream, 11_000, TimeoutKind::Idle);
        stream.on_bytes(at(15_000), limits);
        next_is(&stream, 16_000, TimeoutKind::FirstToken);
        stream.on_token();
        next_is(&stream, 17_000, TimeoutKind::Progress);
        stream.on_finish(at(14_000), limits);
        stream.on_finish(at(15_500), limits);
        next_is(&stream, 16_000, TimeoutKind::Progress);
        stream.clear_finish();
        next_is(&stream, 17_000, TimeoutKind::Progress);
    }

    #[test]
    fn single_body_may_take_as_long_as_its_headers() {
        let limits = &timeouts();
        let mut whole = attempt(at(1000), false);
        next_is(&whole, 21_000, TimeoutKind::FirstByte);
        whole.begin_body(at(2000), limits);
        whole.on_bytes(at(20_000), limits);
        next_is(&whole, 22_000, TimeoutKind::Progress);
    }

    #[test]
    fn reader_time_counts_only_towards_the_total_timeout() {
        let mut stream = attempt(at(1000), true);
        stream.begin_body(at(2000), &timeouts());
        next_is(&stream, 7000, TimeoutKind::Idle);
        stream.extend(30 * SECOND);
        next_is(&stream, 37_000, TimeoutKind::Idle);
        stream.extend(30 * SECOND);
        next_is(&stream, 60_000, TimeoutKind::Total);
    }

    #[test]
    fn between_attempts_only_the_total_timeout_applies() {
        let mut stream = attempt(at(1000), true);
        stream.begin_body(at(2000), &timeouts());
        stream.on_finish(at(3000), &timeouts());
        stream.clear_attempt();
        next_is(&stream, 60_000, TimeoutKind::Total);
        assert_eq!(stream.total(), at(60_000));
        let last = stream.configured_limit(TimeoutKind::FirstByte, &timeouts());
        assert_eq!(
            last,
            Some(10 * SECOND),
            "it is still known what the last attempt was"
        );
    }

    #[test]
    fn no_timeout_expires_without_limits() {
        let deadlines = Deadlines::new(Time::ZERO, &NEVER);
        assert_eq!(deadlines.next(), Time::MAX);
        assert_eq!(deadlines.passed(Time::MAX), None);
    }

    #[test]
    fn transport_timeout_is_reported_as_the_configured_limit() {
        let connecting = attempt(at(0), true);
        for (now, kind) in [(1000, TimeoutKind::Connect), (61_000, TimeoutKind::Connect)] {
            assert_eq!(connecting.classify_timeout(Phase::Connect, at(now)), kind);
        }
        let late = attempt(at(59_500), true);
        for (now, kind) in [(59_900, TimeoutKind::Connect), (59_950, TimeoutKind::Total)] {
            assert_eq!(late.classify_timeout(Phase::Connect, at(now)), kind);
        }
        let both_at_once = attempt(at(59_000), true);
        assert_eq!(
            both_at_once.classify_timeout(Phase::Connect, at(60_000)),
            TimeoutKind::Connect
        );
        assert_eq!(
            late.classify_timeout(Phase::Headers, at(59_600)),
            TimeoutKind::FirstByte
        );
        assert_eq!(
            late.classify_timeout(Phase::Body, at(59_600)),
            TimeoutKind::Idle
        );
        for phase in [Phase::Headers, Phase::Body] {
            assert_eq!(late.classify_timeout(phase, at(59_950)), TimeoutKind::Total);
        }
    }

    #[test]
    fn transport_receives_the_attempt_deadlines() {
        let limits = attempt(at(1000), true).attempt_deadlines(&timeouts());
        let told = (limits.connect, limits.headers, limits.total);
        assert_eq!(told, (at(2000), at(11_000), at(60_000)));
    }

    #[test]
    fn timeout_error_names_the_configured_limit() {
        for (streaming, first_byte, progress) in [(true, 10, 8), (false, 20, 20)] {
            let deadlines = attempt(at(0), streaming);
            for (kind, seconds) in [
                (TimeoutKind::Connect, 1),
                (TimeoutKind::FirstByte, first_byte),
                (TimeoutKind::FirstToken, 15),
                (TimeoutKind::Idle, 5),
                (TimeoutKind::Progress, progress),
                (TimeoutKind::Total, 60),
            ] {
                let allowed = deadlines.configured_limit(kind, &timeouts());
                assert_eq!(allowed, Some(seconds * SECOND), "{kind:?}");
            }
        }
    }
}
