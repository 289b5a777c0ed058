//! Drives an exchange with scripted answers on a virtual clock.

use super::{document::Driven, response::Answer};
use std::{
    collections::VecDeque,
    time::{Duration, SystemTime},
};
use unifiedai::{
    Error, ErrorKind, StreamEvent,
    sans_io::{CallStart, Exchange, Input, Operation, Step},
    transport::Time,
};

/// It stands still but for the waits that an exchange asks for.
#[derive(Debug, Default)]
pub struct Clock(Duration);

impl Clock {
    /// The wall clock begins at 2026-01-01, so that signatures and dates are the same at each run.
    pub fn start(&self) -> CallStart {
        let since_1970 = Duration::from_secs(1_767_225_600).saturating_add(self.0);
        let wall = SystemTime::UNIX_EPOCH.checked_add(since_1970);
        CallStart::new(self.now(), wall.unwrap_or(SystemTime::UNIX_EPOCH), 0)
    }

    fn now(&self) -> Time {
        Time::ZERO.saturating_add(self.0)
    }

    fn wait(&mut self, until: Time) -> Duration {
        let wait = until.saturating_since(self.now());
        self.0 = self.0.saturating_add(wait);
        wait
    }
}

/// Without answers it ends with the first request, which nothing answers.
///
/// # Errors
/// `misuse` if the exchange asks for something that the player does not know.
pub fn drive<O: Operation<Event = StreamEvent>>(
    exchange: Result<Exchange<O>, Error>,
    answers: Option<&[Answer]>,
    clock: &mut Clock,
) -> Result<Driven<O::Output>, Error> {
    let mut driven = Driven {
        sent: Vec::new(),
        waited: Duration::ZERO,
        events: Vec::new(),
        result: None,
    };
    let mut exchange = match exchange {
        Ok(exchange) => exchange,
        Err(error) => {
            driven.result = Some(Err(error));
            return Ok(driven);
        }
    };
    let mut pieces = VecDeque::new();
    loop {
        match exchange.poll(clock.now()) {
            Step::Send { request, .. } => {
                let answer = answers.and_then(|all| all.get(driven.sent.len()).or(all.last()));
                let request = request.map(|body| body.as_bytes().cloned().unwrap_or_default());
                driven.sent.push(request);
                let Some(answer) = answer else {
                    return Ok(driven);
                };
                pieces = answer.pieces();
                exchange.handle(Input::Headers(answer.head()), clock.now());
            }
            Step::Receive { .. } => {
                let input = pieces.pop_front().map_or(Input::BodyEnd, Input::Body);
                exchange.handle(input, clock.now());
            }
            Step::Sleep { until } => {
                driven.waited = driven.waited.saturating_add(clock.wait(until));
            }
            Step::Event(event) => driven.events.push(event),
            Step::Done => break,
            step => {
                return Err(Error::new(
                    ErrorKind::Misuse,
                    format!("the player does not know what to do for {step:?}"),
                ));
            }
        }
    }
    driven.result = Some(exchange.into_result());
    Ok(driven)
}
