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

/// A row for each model, with how far it is from the best.
pub(crate) fn table(comparison: &Comparison, by: ComparisonMetric) {
    let title = |one: &ComparisonEntry| format!("{}.{}", one.provider, one.model);
    let width = comparison.results.iter().map(|one| title(one).len()).max();
    let width = width.unwrap_or(0).max(5);
    println!(
        "\n{:width$}  {:>16}  {:>16}  {:>16}  {:>14}",
        "model", "first token ms", "all ms", "tokens/s", "tokens"
    );
    let differences = ComparisonMetric::ALL.map(|criterion| comparison.differences(criterion));
    for (place, one) in comparison.results.iter().enumerate() {
        if let Err(error) = &one.result {
            println!("{:width$}  {error}", title(one));
            continue;
        }
        let cell = |at: usize, criterion| {
            let difference = differences.get(at).and_then(|all| *all.get(place)?);
            cell(one.value(criterion), difference)
        };
        println!(
            "{:width$}  {:>16}  {:>16}  {:>16}  {:>14}",
            title(one),
            cell(0, ComparisonMetric::FirstToken),
            cell(1, ComparisonMetric::Duration),
            cell(2, ComparisonMetric::TokensPerSecond),
            cell(3, ComparisonMetric::Tokens),
        );
    }
    match comparison.winner(by) {
        Some(winner) => println!("\nBest by {}: {}", by.as_str(), title(winner)),
        None => println!("\nNobody answered."),
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
