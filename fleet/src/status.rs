//! The state of a fleet: how far its runs are, what its limiters and workers do; as JSON and as a table.

use serde::Serialize;
use std::{collections::BTreeMap, fmt::Write};

/// The state of runs, limiters and workers at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// The runs, in the order of their submission.
    pub runs: Vec<RunStatus>,
    /// The limiters of these runs.
    pub limiters: Vec<LimiterStatus>,
    /// The workers that are not gone, and those that were lost in the last ten minutes.
    pub workers: Vec<WorkerStatus>,
}

/// How far a run is.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RunStatus {
    /// Its name.
    pub name: String,
    /// `open`, `paused`, `cancelled` or `done`.
    pub state: String,
    /// Why it was paused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether its input was read to the end.
    pub input_complete: bool,
    /// Its items.
    pub items: u64,
    /// Items with an outcome.
    pub done: u64,
    /// Of these, in finished chunks, those with a response.
    pub ok: u64,
    /// Of these, in finished chunks, those without one.
    pub failed: u64,
    /// Chunks that workers hold.
    pub leased_chunks: u64,
    /// The age of the oldest lease, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_lease_s: Option<f64>,
    /// Attempts of finished chunks whose end is not known: calls that may have been made without an outcome being stored.
    pub unknown_attempts: u64,
    /// Attempts of finished chunks.
    pub attempts: u64,
    /// Tokens of the prompts, in finished chunks.
    pub input_tokens: u64,
    /// Tokens of the completions, in finished chunks.
    pub output_tokens: u64,
    /// Failed attempts and outcomes of finished chunks, by kind.
    pub errors: BTreeMap<String, u64>,
    /// Outcomes a second in the last two minutes.
    pub rate: f64,
    /// The time until the end at this rate, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_s: Option<f64>,
}

/// The state of a rate limit.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LimiterStatus {
    /// The account.
    pub account: String,
    /// The model, or `*`.
    pub model: String,
    /// The configured requests a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rpm: Option<f64>,
    /// The configured tokens a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tpm: Option<f64>,
    /// The share of these rates in use, from 0 to 1.
    pub factor: f64,
    /// How often the rate was lowered.
    pub reductions: i32,
    /// How long no call starts, in seconds; 0 if calls start.
    pub held_for_s: f64,
}

/// The state of a worker.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct WorkerStatus {
    /// Its number.
    pub id: i64,
    /// Its host and process.
    pub host: String,
    /// `working`, `leaving`, `silent` or `lost`.
    pub state: String,
    /// Seconds since its last sign of life.
    pub last_sign_s: f64,
    /// Calls in progress.
    pub in_flight: i64,
    /// Outcomes since its start.
    pub done: i64,
    /// Outcomes a second.
    pub rate: f64,
}

impl RunStatus {
    pub(crate) fn set_time_left(&mut self) {
        let left = self.items.saturating_sub(self.done);
        self.left_s = (self.state == "open" && self.rate > 0.0).then(|| left as f64 / self.rate);
    }
}

impl Status {
    /// The state as text for a terminal.
    #[must_use]
    pub fn table(&self) -> String {
        let mut out = String::new();
        let mut rows = vec![
            [
                "RUN", "STATE", "DONE", "ITEMS", "OK", "FAILED", "RATE", "LEFT", "LEASES",
                "OLDEST", "UNKNOWN", "TOKENS",
            ]
            .map(String::from)
            .to_vec(),
        ];
        for run in &self.runs {
            rows.push(vec![
                run.name.clone(),
                run.state.clone(),
                run.done.to_string(),
                run.items.to_string(),
                run.ok.to_string(),
                run.failed.to_string(),
                format!("{:.1}/s", run.rate),
                run.left_s.map_or("-".into(), duration),
                run.leased_chunks.to_string(),
                run.oldest_lease_s.map_or("-".into(), duration),
                run.unknown_attempts.to_string(),
                (run.input_tokens + run.output_tokens).to_string(),
            ]);
        }
        columns(&mut out, &rows);
        for run in &self.runs {
            if let Some(reason) = &run.reason {
                let _ = writeln!(out, "{}: {reason}", run.name);
            }
            if !run.errors.is_empty() {
                let errors: Vec<String> = run
                    .errors
                    .iter()
                    .map(|(kind, n)| format!("{kind} {n}"))
                    .collect();
                let _ = writeln!(out, "{}: {}", run.name, errors.join(", "));
            }
        }
        if !self.limiters.is_empty() {
            let mut rows = vec![
                [
                    "ACCOUNT", "MODEL", "RPM", "TPM", "IN USE", "REDUCED", "HELD FOR",
                ]
                .map(String::from)
                .to_vec(),
            ];
            let rate = |rate: Option<f64>| rate.map_or("-".into(), |rate| format!("{rate:.0}"));
            for limiter in &self.limiters {
                rows.push(vec![
                    limiter.account.clone(),
                    limiter.model.clone(),
                    rate(limiter.rpm),
                    rate(limiter.tpm),
                    format!("{:.0} %", limiter.factor * 100.0),
                    format!("{} x", limiter.reductions),
                    duration(limiter.held_for_s),
                ]);
            }
            out.push('\n');
            columns(&mut out, &rows);
        }
        if !self.workers.is_empty() {
            let mut rows = vec![
                [
                    "WORKER",
                    "HOST",
                    "STATE",
                    "LAST SIGN",
                    "IN FLIGHT",
                    "DONE",
                    "RATE",
                ]
                .map(String::from)
                .to_vec(),
            ];
            for worker in &self.workers {
                rows.push(vec![
                    worker.id.to_string(),
                    worker.host.clone(),
                    worker.state.clone(),
                    duration(worker.last_sign_s),
                    worker.in_flight.to_string(),
                    worker.done.to_string(),
                    format!("{:.1}/s", worker.rate),
                ]);
            }
            out.push('\n');
            columns(&mut out, &rows);
        }
        out
    }
}

fn columns(out: &mut String, rows: &[Vec<String>]) {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    for row in rows {
        let cells: Vec<String> = row
            .iter()
            .enumerate()
            .map(|(column, cell)| format!("{cell:<width$}", width = width(column)))
            .collect();
        out.push_str(cells.join("  ").trim_end());
        out.push('\n');
    }
}

fn duration(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    match whole {
        0..=119 => format!("{whole} s"),
        120..=7199 => format!("{} min", whole / 60),
        7200..=172_799 => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
        _ => format!("{} d {} h", whole / 86_400, whole % 86_400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_aligned_columns_and_the_reason_of_a_pause() {
        let mut run = RunStatus {
            name: "june".into(),
            state: "open".into(),
            items: 1000,
            done: 400,
            rate: 5.0,
            ..RunStatus::default()
        };
        run.set_time_left();
        let mut paused = run.clone();
        (paused.name, paused.state) = ("july-long-name".into(), "paused".into());
        paused.reason = Some("quota_exceeded: no credit".into());
        paused.set_time_left();
        assert_eq!((run.left_s, paused.left_s), (Some(120.0), None));
        let status = Status {
            runs: vec![run, paused],
            ..Status::default()
        };
        let table = status.table();
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines[0].find("STATE"), lines[1].find("open"));
        assert_eq!(lines[1].find("open"), lines[2].find("paused"));
        assert!(lines[1].contains("2 min"), "{table}");
        assert_eq!(lines[3], "july-long-name: quota_exceeded: no credit");
    }

    #[test]
    fn durations_are_in_the_unit_of_their_size() {
        let texts = [0.4, 119.0, 120.0, 7300.0, 200_000.0].map(duration);
        assert_eq!(texts, ["0 s", "119 s", "2 min", "2 h 1 min", "2 d 7 h"]);
    }
}
