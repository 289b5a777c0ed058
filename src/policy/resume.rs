use std::time::Duration;

/// How a call goes on with a response that is not complete: one that the provider generates in the background, or a turn
/// that it paused.
///
/// By default a call does only what costs nothing: it reads the rest of a background response whose stream was cut, and
/// asks for one that is not complete yet. Each further turn is billed as a request of its own, so
/// [`max_turns`](Self::max_turns) is 0 by default.
///
/// ```
/// use unifiedai::{CallOptions, policy::ResumePolicy};
///
/// let options = CallOptions::default().resume(ResumePolicy::default().max_turns(4));
/// # assert_eq!(options.resume.max_turns, 4);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResumePolicy {
    /// How many failed requests may follow one another, without a new event between them, to read the rest of a response that
    /// the provider keeps. Default 5. With 0 a call neither resumes a stream nor waits for a response: it ends with an error
    /// that has a [`continuation`](crate::Error::continuation).
    pub max_resumes: u32,
    /// The time between two requests for a response that is not complete. Default 2 s.
    pub poll_interval: Duration,
    /// How many further requests continue a turn that the provider paused (`pause_turn` of Anthropic). Default 0. Each of them
    /// is billed, and its prompt contains the turn so far. The response has the parts of all turns, and the sum of their usage.
    pub max_turns: u32,
}

impl Default for ResumePolicy {
    fn default() -> Self {
        ResumePolicy {
            max_resumes: 5,
            poll_interval: Duration::from_secs(2),
            max_turns: 0,
        }
    }
}

impl ResumePolicy {
    /// Neither resumes nor waits nor continues.
    #[must_use]
    pub fn none() -> Self {
        ResumePolicy {
            max_resumes: 0,
            ..ResumePolicy::default()
        }
    }

    /// Sets [`max_resumes`](Self::max_resumes).
    #[must_use]
    pub fn max_resumes(mut self, resumes: u32) -> Self {
        self.max_resumes = resumes;
        self
    }

    /// Sets [`poll_interval`](Self::poll_interval).
    #[must_use]
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.poll_interval = interval;
        self
    }

    /// Sets [`max_turns`](Self::max_turns).
    #[must_use]
    pub fn max_turns(mut self, turns: u32) -> Self {
        self.max_turns = turns;
        self
    }
}
