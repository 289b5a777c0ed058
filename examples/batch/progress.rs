use std::{
    io::{IsTerminal, stderr},
    time::{Duration, Instant, SystemTime},
};
use unifiedai::{Error, UnifiedChatResponse, provider_batch::RunProgress};

/// A line that tells how far it is: done, rate, tokens, what waiting cost, and when it will be over.
pub(crate) struct Progress {
    total: usize,
    skipped: usize,
    done: usize,
    failed: usize,
    tokens: u64,
    /// Spent on waits between attempts, all calls together.
    waited: Duration,
    began: Instant,
    drawn: Option<Instant>,
    live: bool,
}

const WIDTH: usize = 24;

impl Progress {
    pub(crate) fn new(total: usize) -> Self {
        Progress {
            total,
            skipped: 0,
            done: 0,
            failed: 0,
            tokens: 0,
            waited: Duration::ZERO,
            began: Instant::now(),
            drawn: None,
            live: stderr().is_terminal(),
        }
    }

    pub(crate) fn total(&self) -> usize {
        self.total
    }

    /// Some were done before.
    pub(crate) fn skip(&mut self, done: usize) {
        self.skipped = done;
        if done > 0 {
            eprintln!("{done} of {} were answered before.", self.total);
        }
    }

    pub(crate) fn count(&mut self, result: &Result<UnifiedChatResponse, Error>) {
        self.done += 1;
        let attempts = match result {
            Ok(response) => {
                let usage = response.usage.as_ref();
                self.tokens += usage.and_then(|usage| usage.total_tokens).unwrap_or(0);
                &response.metrics.attempts[..]
            }
            Err(error) => {
                self.failed += 1;
                error.attempts()
            }
        };
        for pair in attempts.windows(2) {
            if let [before, after] = pair {
                self.waited += after
                    .started
                    .saturating_sub(before.started + before.duration);
            }
        }
        let due = self
            .drawn
            .is_none_or(|at| at.elapsed() > Duration::from_millis(100));
        if self.live && due {
            eprint!("\r\x1b[2K{}", self.line());
            self.drawn = Some(Instant::now());
        }
    }

    /// How far the provider's batches are, in its own counts, and how long they may take at most.
    pub(crate) fn at_provider(&mut self, run: &RunProgress) {
        let due = self
            .drawn
            .is_none_or(|at| at.elapsed() > Duration::from_secs(1));
        if !self.live || !due {
            return;
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let left = run.expires_at.zip(now.ok());
        let left = left.map_or_else(String::new, |(end, now)| {
            let minutes = end.saturating_sub(now.as_secs()) / 60;
            format!(", {} h {} min to the expiry", minutes / 60, minutes % 60)
        });
        eprint!(
            "\r\x1b[2K{} of {} batches open, {} of {} requests over{left}",
            run.open, run.batches, run.ended, run.lines
        );
        self.drawn = Some(Instant::now());
    }

    pub(crate) fn end(&self) {
        let clear = if self.live { "\r\x1b[2K" } else { "" };
        eprintln!("{clear}{}", self.line());
    }

    fn line(&self) -> String {
        let done = self.skipped + self.done;
        let filled = (done * WIDTH).checked_div(self.total).unwrap_or(WIDTH);
        let seconds = self.began.elapsed().as_secs_f64();
        let rate = self.done as f64 / seconds.max(1e-3);
        let left = self.total.saturating_sub(done) as f64 / rate.max(1e-3);
        let eta = match self.total.saturating_sub(done) {
            0 => String::new(),
            _ => format!(", {left:.0} s to go"),
        };
        format!(
            "{}{} {done}/{} done, {} failed, {rate:.1}/s, {} tokens ({:.0}/s), {:.1} s spent waiting to try again{eta}",
            "█".repeat(filled),
            "░".repeat(WIDTH.saturating_sub(filled)),
            self.total,
            self.failed,
            self.tokens,
            self.tokens as f64 / seconds.max(1e-3),
            self.waited.as_secs_f64(),
        )
    }
}
