use std::fmt::Write as _;
use unifiedai::compare::{Comparison, ComparisonMetric};

const LABELS: f64 = 220.0;
const BARS: f64 = 560.0;
const ROW: f64 = 56.0;
const TOP: f64 = 78.0;

/// Characters that have room above, and left of the bars.
const TITLE: usize = 90;
const NAME: usize = 30;

/// A picture: for each model the wait for the first token, and the writing after it, on one axis of time.
pub(crate) fn svg(comparison: &Comparison, prompt: &str) -> String {
    let rows = comparison.results.len();
    let max = comparison
        .results
        .iter()
        .filter_map(|one| one.value(ComparisonMetric::Duration))
        .fold(1.0, f64::max);
    let step = step(max);
    let axis = (max / step).ceil() * step;
    let x = |ms: f64| LABELS + ms / axis * BARS;
    let bottom = TOP + ROW * rows as f64;
    let (width, height) = (LABELS + BARS + 150.0, bottom + 60.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text x=\"20\" y=\"30\" font-size=\"17\" font-weight=\"bold\" fill=\"#222222\">{}</text>\n\
         <rect x=\"20\" y=\"44\" width=\"12\" height=\"12\" fill=\"#d9dee5\"/><text x=\"38\" y=\"55\" fill=\"#555555\">to the first token</text>\n\
         <rect x=\"160\" y=\"44\" width=\"12\" height=\"12\" fill=\"#2f7dd1\"/><text x=\"178\" y=\"55\" fill=\"#555555\">writing</text>\n",
        escape(prompt, TITLE)
    );
    let mut tick = 0.0;
    while tick <= axis {
        let at = x(tick);
        let _ = writeln!(
            svg,
            "<line x1=\"{at:.1}\" y1=\"{TOP}\" x2=\"{at:.1}\" y2=\"{bottom}\" stroke=\"#e8e8e8\"/>\
             <text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#777777\" font-size=\"11\">{tick:.0} ms</text>",
            bottom + 20.0
        );
        tick += step;
    }
    for (place, one) in comparison.results.iter().enumerate() {
        let y = TOP + ROW * place as f64 + 12.0;
        let _ = writeln!(
            svg,
            "<text x=\"20\" y=\"{:.1}\" fill=\"#222222\">{}</text><text x=\"20\" y=\"{:.1}\" fill=\"#777777\" font-size=\"11\">{}</text>",
            y + 14.0,
            escape(&one.provider, NAME),
            y + 30.0,
            escape(&one.model, NAME)
        );
        match &one.result {
            Ok(_) => {
                let all = one.value(ComparisonMetric::Duration).unwrap_or(0.0);
                let first = one.value(ComparisonMetric::FirstToken).unwrap_or(all);
                let rate = one.value(ComparisonMetric::TokensPerSecond);
                let rate = rate.map_or_else(String::new, |rate| format!("{rate:.0} tokens/s"));
                let _ = writeln!(
                    svg,
                    "<rect x=\"{LABELS}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"32\" fill=\"#d9dee5\"/>\
                     <rect x=\"{:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"32\" fill=\"#2f7dd1\"/>\
                     <text x=\"{:.1}\" y=\"{:.1}\" fill=\"#222222\">{all:.0} ms</text>\
                     <text x=\"{:.1}\" y=\"{:.1}\" fill=\"#777777\" font-size=\"11\">{rate}</text>",
                    x(first) - LABELS,
                    x(first),
                    (x(all) - x(first)).max(1.0),
                    x(all) + 8.0,
                    y + 14.0,
                    x(all) + 8.0,
                    y + 29.0,
                );
            }
            Err(error) => {
                let _ = writeln!(
                    svg,
                    "<text x=\"{LABELS}\" y=\"{:.1}\" fill=\"#b3261e\">{}</text>",
                    y + 20.0,
                    escape(error.kind().as_str(), TITLE)
                );
            }
        }
    }
    svg.push_str("</svg>\n");
    svg
}

/// A round number of milliseconds, so that an axis has four to ten of them.
fn step(max: f64) -> f64 {
    let power = 10_f64.powf((max / 4.0).log10().floor());
    let ratio = max / 4.0 / power;
    power
        * if ratio >= 5.0 {
            5.0
        } else if ratio >= 2.0 {
            2.0
        } else {
            1.0
        }
}

/// Text for a picture, cut where there is no more room.
fn escape(text: &str, room: usize) -> String {
    let mut escaped = String::new();
    for (place, c) in text.chars().enumerate() {
        if place == room {
            escaped.push('…');
            break;
        }
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}
