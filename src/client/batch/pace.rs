use crate::{Error, RateLimit, UnifiedChatResponse};
use std::time::Duration;
use unifiedai_transport::Time;

/// When the provider's own word allows the next call.
#[derive(Debug)]
pub(super) struct Pace {
    not_before: Time,
    longest: Duration,
}

impl Pace {
    pub(super) fn new(longest: Duration) -> Self {
        Pace {
            not_before: Time::ZERO,
            longest,
        }
    }

    pub(super) fn not_before(&self) -> Time {
        self.not_before
    }

    /// Learns from a result; `running` calls have not told yet what they take.
    pub(super) fn learn(
        &mut self,
        result: &Result<UnifiedChatResponse, Error>,
        running: usize,
        now: Time,
    ) {
        let pause = match result {
            Ok(response) => {
                let limits = &response.provider_metadata.rate_limits;
                limits
                    .iter()
                    .filter(|limit| is_used_up(limit, running))
                    .filter_map(|limit| limit.reset)
                    .filter(|reset| *reset <= self.longest)
                    .max()
            }
            Err(error) => error.retry_after().filter(|wait| *wait <= self.longest),
        };
        if let Some(pause) = pause {
            self.not_before = self.not_before.max(now.saturating_add(pause));
        }
    }
}

/// Of requests the running ones may take one each; of tokens nobody knows how many they take.
fn is_used_up(limit: &RateLimit, running: usize) -> bool {
    let running = u64::try_from(running).unwrap_or(u64::MAX);
    match limit.remaining {
        Some(left) if limit.name.starts_with("requests") => left <= running,
        Some(left) => left == 0,
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    fn answer(name: &str, remaining: u64, reset: u64) -> Result<UnifiedChatResponse, Error> {
        let mut response = UnifiedChatResponse::default();
        response.provider_metadata.rate_limits = vec![RateLimit {
            name: name.into(),
            limit: None,
            remaining: Some(remaining),
            reset: Some(Duration::from_secs(reset)),
        }];
        Ok(response)
    }

    #[test]
    fn pauses_for_what_is_used_up_and_comes_back_soon() {
        let refused =
            Error::new(ErrorKind::RateLimit, "x").with_retry_after(Duration::from_secs(7));
        for (result, running, seconds) in [
            (answer("tokens-minute", 0, 20), 0, 20),
            (answer("tokens-minute", 1, 20), 9, 0),
            (answer("requests-minute", 3, 20), 3, 20),
            (answer("requests-minute", 4, 20), 3, 0),
            (answer("requests-day", 0, 10_804), 0, 0),
            (Err(refused), 0, 7),
            (Err(Error::new(ErrorKind::RateLimit, "x")), 0, 0),
        ] {
            let mut pace = Pace::new(Duration::from_secs(60));
            pace.learn(&result, running, Time::ZERO);
            assert_eq!(
                pace.not_before().as_nanos(),
                seconds * 1_000_000_000,
                "{result:?}"
            );
        }
    }
}
