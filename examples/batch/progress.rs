use indicatif::{ProgressBar, ProgressStyle};
use std::time::{Duration, Instant, SystemTime};
use unifiedai::{Error, UnifiedChatResponse, provider_batch::RunProgress};

/// The progress, as a bar on a terminal and as one line at the end: lines, rate, tokens, and the time spent on retries.
pub(crate) struct Progress {
    /// Hidden if stderr is not a terminal.
    bar: ProgressBar,
    total: usize,
    skipped: usize,
    done: usize,
    failed: usize,
    tokens: u64,
    first_error: Option<String>,
    /// The batches that the last line about a run named: all, and the open ones.
    reported: Option<(usize, usize)>,
    /// Waits between attempts, of all calls together.
    waited: Duration,
    began: Instant,
}

impl Progress {
    pub(crate) fn new(total: usize) -> Self {
        let bar = ProgressBar::new(total as u64);
        let template = "{bar:24} {pos}/{len} {msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("█▌░"));
        }
        Progress {
            bar,
            total,
            skipped: 0,
            done: 0,
            failed: 0,
            tokens: 0,
            first_error: None,
            reported: None,
            waited: Duration::ZERO,
            began: Instant::now(),
        }
    }

    pub(crate) fn total(&self) -> usize {
        self.total
    }

    /// Lines that an earlier start of the program completed.
    pub(crate) fn skip(&mut self, done: usize) {
        self.skipped = done;
        if done > 0 {
            eprintln!("{done} of {} lines already have a response.", self.total);
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
                self.first_error.get_or_insert_with(|| error.to_string());
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
        self.bar.set_position((self.skipped + self.done) as u64);
        self.bar.set_message(self.text());
    }

    /// The progress of a run, by the provider's counts, and the time until its first batch expires.
    /// Without a terminal, a line whenever the number of batches changes.
    pub(crate) fn at_provider(&mut self, run: &RunProgress) {
        let ended = run.ended.max((self.skipped + self.done) as u64);
        let text = run_text(run, SystemTime::now());
        let batches = Some((run.batches, run.open));
        if self.bar.is_hidden() && self.reported != batches && run.batches > 0 {
            eprintln!("{ended}/{} {text}", self.total);
            self.reported = batches;
        }
        self.bar.set_position(ended);
        self.bar.set_message(text);
    }

    /// Clears the bar of a run and prints a line about it.
    pub(crate) fn end_of_run(&self, text: Option<String>) {
        if let Some(text) = text {
            self.bar.suspend(|| eprintln!("{text}"));
        }
    }

    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
        if let Some(error) = &self.first_error {
            eprintln!("The first error: {error}");
        }
        eprintln!(
            "{}/{} {}",
            self.skipped + self.done,
            self.total,
            self.text()
        );
    }

    fn text(&self) -> String {
        let seconds = self.began.elapsed().as_secs_f64();
        let rate = self.done as f64 / seconds.max(1e-3);
        let left = self.total.saturating_sub(self.skipped + self.done);
        let rest = match left {
            0 => String::new(),
            left => format!(", {:.0} s left", left as f64 / rate.max(1e-3)),
        };
        format!(
            "done, {} failed, {rate:.1}/s, {} tokens ({:.0}/s), {:.1} s waited for retries{rest}",
            self.failed,
            self.tokens,
            self.tokens as f64 / seconds.max(1e-3),
            self.waited.as_secs_f64(),
        )
    }
}

fn run_text(run: &RunProgress, now: SystemTime) -> String {
    let now = now.duration_since(SystemTime::UNIX_EPOCH);
    let left = run.expires_at.zip(now.ok());
    let left = left.map_or_else(String::new, |(end, now)| {
        match end.checked_sub(now.as_secs()) {
            Some(left) => format!(
                ", {} h {} min until the first expires",
                left / 3600,
                left / 60 % 60
            ),
            None => ", the first is past its expiry".to_owned(),
        }
    });
    format!(
        "ended at the provider, {} of {} batches open{left}",
        run.open, run.batches
    )
}
