//! Each program explains itself in the same way, and says what is wrong on one line.
#![allow(clippy::unwrap_used, reason = "a test that goes wrong is to stop")]

mod support;

use support::{program, stderr, stdout};

const PROGRAMS: [&str; 22] = [
    "background",
    "batch",
    "caching",
    "chat",
    "chat_loop",
    "compare",
    "credentials",
    "custom_runtime",
    "embeddings",
    "fallback",
    "hosted_tools",
    "load",
    "own_provider",
    "play",
    "prometheus",
    "raw_socket",
    "replay",
    "server",
    "soak",
    "structured",
    "tools",
    "vision",
];

#[test]
fn the_list_has_each_program_of_the_manifest() {
    let manifest = include_str!("../Cargo.toml");
    let named = manifest
        .lines()
        .filter_map(|line| line.strip_prefix("name = \""));
    let mut examples: Vec<&str> = named
        .filter_map(|name| name.strip_suffix('"'))
        .filter(|name| *name != "unifiedai-examples")
        .collect();
    examples.sort_unstable();
    assert_eq!(examples, PROGRAMS);
}

#[test]
fn help_has_a_sentence_the_usage_and_the_exit_status() {
    for name in PROGRAMS {
        for flag in ["--help", "-h"] {
            let Some(mut program) = program(name) else {
                continue;
            };
            let output = program.arg(flag).output().unwrap();
            assert!(output.status.success(), "{name} {flag}");
            assert_eq!(stderr(&output), "", "{name}");
            let help = stdout(&output);
            let paragraphs: Vec<&str> = help.split("\n\n").collect();
            assert!(paragraphs[0].ends_with('.'), "{name}: {help}");
            assert!(paragraphs[0].starts_with(|c: char| c.is_ascii_uppercase()));
            let usage = format!("Usage: {name}");
            assert!(paragraphs[1].starts_with(&usage), "{name}: {help}");
            let last = paragraphs.last().unwrap();
            assert!(last.starts_with("Exit status: 0 if "), "{name}: {help}");
            for line in help.lines() {
                assert!(line.len() <= 120, "{name}: {line}");
            }
        }
    }
}

#[test]
fn a_wrong_argument_is_one_line_without_debug_output() {
    // These take none, or read them by position.
    let others = ["custom_runtime", "own_provider", "raw_socket", "soak"];
    for name in PROGRAMS.iter().filter(|name| !others.contains(name)) {
        let Some(mut program) = program(name) else {
            continue;
        };
        let output = program.arg("--no-such-option").output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{name}");
        let message = stderr(&output);
        assert_eq!(message.lines().count(), 1, "{name}: {message}");
        assert!(message.contains("--no-such-option"), "{name}: {message}");
        assert!(!message.contains('{'), "{name}: {message}");
    }
}

#[test]
fn a_server_that_is_not_there_is_one_line() {
    for name in ["raw_socket", "tools", "embeddings", "chat"] {
        let Some(mut program) = program(name) else {
            continue;
        };
        let url = "http://127.0.0.1:9/v1";
        let arguments: &[&str] = if name == "raw_socket" {
            &[url]
        } else {
            &["--base-url", url]
        };
        let output = program.args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{name}");
        let message = stderr(&output);
        assert_eq!(message.lines().count(), 1, "{name}: {message}");
        assert!(message.contains("127.0.0.1:9"), "{name}: {message}");
        assert!(!message.contains('{'), "{name}: {message}");
    }
}
