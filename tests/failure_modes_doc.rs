//! The table of failures is complete, and the tests that it names exist.
#![expect(
    clippy::disallowed_methods,
    reason = "the test reads the page and the sources"
)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    reason = "a test that goes wrong is to stop"
)]

use std::{fs, path::Path};

struct Row<'a> {
    id: &'a str,
    /// File and test.
    tests: Vec<(&'a str, &'a str)>,
    reason: Option<&'a str>,
}

fn rows(table: &str) -> Vec<Row<'_>> {
    let cells = table.lines().filter_map(|line| {
        let line = line.strip_prefix("| F")?.strip_suffix(" |")?;
        let mut cells = line.splitn(3, " | ");
        Some((cells.next()?, cells.nth(1)?))
    });
    cells
        .map(|(id, cell)| {
            let reason = cell.strip_prefix("not tested: ");
            let words: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
            let pairs = if reason.is_some() { &[] } else { &words[..] };
            Row {
                id,
                tests: pairs
                    .chunks_exact(2)
                    .map(|pair| (pair[0], pair[1]))
                    .collect(),
                reason,
            }
        })
        .collect()
}

fn table() -> String {
    fs::read_to_string(root().join("docs/failures.md")).unwrap()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn every_failure_has_exactly_one_row_with_a_test_or_a_reason() {
    let numbered = (1..=118).map(|n| format!("{n:02}"));
    let mut wanted: Vec<String> = numbered.chain(["95b".into(), "95c".into()]).collect();
    let table = table();
    let rows = rows(&table);
    let mut found: Vec<String> = rows.iter().map(|row| row.id.to_owned()).collect();
    wanted.sort();
    found.sort();
    assert_eq!(found, wanted);
    for row in rows {
        let explained = row.reason.is_some_and(|reason| reason.len() > 20);
        assert!(
            explained || !row.tests.is_empty(),
            "F{} has neither test nor reason",
            row.id
        );
    }
}

#[test]
fn every_test_that_is_named_exists() {
    let table = table();
    let mut missing = String::new();
    for row in rows(&table) {
        for (file, test) in row.tests {
            let source = fs::read_to_string(root().join(file)).unwrap_or_default();
            let place = [format!("fn {test}("), format!("fn {test}<")]
                .iter()
                .find_map(|name| source.find(name.as_str()));
            // The cases of the transports become tests through macros that list them.
            let lists = [("cases", "lib.rs"), ("network", "network/mod.rs")];
            let listed = lists.iter().any(|(folder, list)| {
                let cases = Path::new("transports/testing/src");
                let list = fs::read_to_string(root().join(cases).join(list)).unwrap();
                Path::new(file).starts_with(cases.join(folder))
                    && list.contains(&format!(" {test}\n"))
            });
            let attributed = place.is_some_and(|at| {
                let before = &source[..at];
                let attribute = before.rfind("test]").into_iter().max();
                attribute.is_some_and(|attribute| before[attribute..].lines().count() <= 8)
            });
            if place.is_none() || !(listed || attributed) {
                missing += &format!("F{}: {file} {test}\n", row.id);
            }
        }
    }
    assert!(missing.is_empty(), "not found:\n{missing}");
}
