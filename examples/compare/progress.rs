use std::{
    io::{IsTerminal, Write, stderr},
    time::{Duration, Instant},
};
use unifiedai::StreamEvent;

/// A bar for each model on a terminal, growing with what it writes. `|` marks the first token.
pub(crate) struct ProgressBars {
    rows: Vec<Row>,
    began: Instant,
    drawn: Option<Instant>,
    visible: bool,
}

struct Row {
    name: String,
    first: Option<Duration>,
    last: Duration,
    pieces: usize,
    over: bool,
}

/// How often the picture changes.
const FRAME: Duration = Duration::from_millis(33);

/// Characters of a bar, at most and at least.
const BAR: (usize, usize) = (48, 8);

/// Characters of a row beside its name and its bar.
const REST: usize = 46;

impl ProgressBars {
    pub(crate) fn new(names: &[&str], wanted: bool) -> Self {
        let row = |name: &&str| Row {
            name: (*name).to_owned(),
            first: None,
            last: Duration::ZERO,
            pieces: 0,
            over: false,
        };
        ProgressBars {
            rows: names.iter().map(row).collect(),
            began: Instant::now(),
            drawn: None,
            visible: wanted && stderr().is_terminal(),
        }
    }

    pub(crate) fn event(&mut self, place: usize, event: &StreamEvent) {
        let now = self.began.elapsed();
        if let Some(row) = self.rows.get_mut(place) {
            row.last = now;
            if event.is_visible() {
                row.first.get_or_insert(now);
                row.pieces += 1;
            }
            row.over |= matches!(event, StreamEvent::Finish { .. });
        }
        if self.drawn.is_none_or(|drawn| drawn.elapsed() >= FRAME) {
            self.draw();
        }
    }

    pub(crate) fn end(&mut self) {
        self.draw();
    }

    fn draw(&mut self) {
        if !self.visible {
            return;
        }
        let mut picture = String::new();
        if self.drawn.is_some() {
            picture.push_str(&format!("\x1b[{}A", self.rows.len()));
        }
        let max = self.rows.iter().map(|row| row.pieces).max().unwrap_or(0);
        // A row that wraps would be two lines, and the cursor would not come back to the first.
        let columns = terminal_size::terminal_size().map_or(80, |(width, _)| usize::from(width.0));
        let names = self.rows.iter().map(|row| row.name.chars().count()).max();
        let names = names.unwrap_or(0).min(columns / 3);
        let width = columns.saturating_sub(names + REST).clamp(BAR.1, BAR.0);
        for row in &self.rows {
            let name = cut(&row.name, names);
            picture.push_str(&format!("\x1b[2K{name:names$} {}\n", row.bar(max, width)));
        }
        let _ = stderr().write_all(picture.as_bytes());
        self.drawn = Some(Instant::now());
    }
}

impl Row {
    fn bar(&self, max: usize, width: usize) -> String {
        let filled = (self.pieces * width)
            .checked_div(max.max(width))
            .unwrap_or(0);
        let Some(first) = self.first else {
            return "\x1b[2m...\x1b[0m".into();
        };
        let colour = if self.over { 32 } else { 36 };
        format!(
            "\x1b[33m|\x1b[{colour}m{}\x1b[0m{} {:4} pieces, first after {:.0} ms, {:.1} s",
            "█".repeat(filled),
            " ".repeat(width - filled),
            self.pieces,
            first.as_secs_f64() * 1e3,
            self.last.as_secs_f64(),
        )
    }
}

/// The name, or its beginning where it has more than so many characters.
fn cut(name: &str, room: usize) -> String {
    if name.chars().count() <= room {
        return name.to_owned();
    }
    name.chars()
        .take(room.saturating_sub(1))
        .chain(['…'])
        .collect()
}
