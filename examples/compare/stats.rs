use serde::Serialize;
use unifiedai::compare::{Comparison, ComparisonEntry, ComparisonMetric};

/// `{"results": [{"provider", "model", "ok" or "error"}, ...], "winner"}` on one line.
pub(crate) fn json(comparison: &Comparison, by: ComparisonMetric) -> String {
    #[derive(Serialize)]
    struct Line<'a> {
        results: &'a [ComparisonEntry],
        winner: Option<String>,
        criterion: &'static str,
    }
    let line = Line {
        results: &comparison.results,
        winner: comparison.winner(by).map(|winner| name(comparison, winner)),
        criterion: by.as_str(),
    };
    serde_json::to_string(&line).unwrap_or_else(|e| format!("{{\"error\":\"{e}\"}}"))
}

/// The provider's name, with the model's where the provider has several.
pub(crate) fn name(comparison: &Comparison, one: &ComparisonEntry) -> String {
    let same = |other: &&ComparisonEntry| other.provider == one.provider;
    if comparison.results.iter().filter(same).count() == 1 {
        one.provider.clone()
    } else {
        format!("{}.{}", one.provider, one.model)
    }
}

/// A row for each model, with how far it is from the best. Columns are as wide as what is in them.
pub(crate) fn table(comparison: &Comparison, by: ComparisonMetric) {
    let title = |one: &ComparisonEntry| format!("{}.{}", one.provider, one.model);
    let heads = [
        "model",
        "first token ms",
        "all ms",
        "tokens/s",
        "tokens",
        "cached",
    ]
    .map(str::to_owned);
    let differences = ComparisonMetric::ALL.map(|criterion| comparison.differences(criterion));
    let row = |(place, one): (usize, &ComparisonEntry)| {
        let cell = |at: usize, criterion| {
            let difference = differences.get(at).and_then(|all| *all.get(place)?);
            cell(one.value(criterion), difference)
        };
        [
            title(one),
            cell(0, ComparisonMetric::FirstToken),
            cell(1, ComparisonMetric::Duration),
            cell(2, ComparisonMetric::TokensPerSecond),
            cell(3, ComparisonMetric::Tokens),
            cell(4, ComparisonMetric::CachedTokens),
        ]
    };
    let rows: Vec<[String; 6]> = comparison.results.iter().enumerate().map(row).collect();
    let all = || std::iter::once(&heads).chain(&rows);
    let cell_width = |at| all().filter_map(|row| row.get(at)).map(String::len).max();
    let widths = [0, 1, 2, 3, 4, 5].map(|at| cell_width(at).unwrap_or(0));
    let line = |row: &[String; 6]| {
        let [model, first, duration, rate, tokens, cached] = row;
        let [a, b, c, d, e, g] = widths;
        println!("{model:a$}  {first:>b$}  {duration:>c$}  {rate:>d$}  {tokens:>e$}  {cached:>g$}");
    };
    println!();
    line(&heads);
    for (row, one) in rows.iter().zip(&comparison.results) {
        match &one.result {
            Ok(_) => line(row),
            Err(error) => println!("{:width$}  {error}", title(one), width = widths[0]),
        }
    }
    match comparison.winner(by) {
        Some(winner) => println!("\nBest by {}: {}", by.as_str(), title(winner)),
        None => println!("\nNo model answered."),
    }
}

fn cell(value: Option<f64>, difference: Option<f64>) -> String {
    match (value, difference) {
        (None, _) => "-".into(),
        (Some(value), Some(difference)) if difference != 0.0 => {
            format!("{value:.0} ({difference:+.0})")
        }
        (Some(value), _) => format!("{value:.0}"),
    }
}
