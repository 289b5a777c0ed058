//! `compare` draws a row for each model over the one before, also in a narrow terminal. It needs tmux, and says so where that is not.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that goes wrong is to stop, and this one looks at a terminal"
)]

mod support;

use std::{
    process::Command,
    time::{Duration, Instant},
};
use support::program;

#[test]
fn compare_draws_one_row_for_each_model_at_80_and_120_columns() {
    let Some(program) = program("compare") else {
        return;
    };
    if Command::new("tmux").arg("-V").output().is_err() {
        println!("skipped: tmux is not installed, so nothing is drawn in a terminal");
        return;
    }
    for columns in ["80", "120"] {
        let session = format!("unifiedai-{}-{columns}", std::process::id());
        let tmux = |arguments: &[&str]| {
            let output = Command::new("tmux")
                .args(["-L", &session])
                .args(arguments)
                .output();
            String::from_utf8(output.unwrap().stdout).unwrap()
        };
        let path = program.get_program().to_str().unwrap();
        // It ends by itself, also if the test does not.
        let command = format!("env -u CEREBRAS_API_KEY -u AWS_ACCESS_KEY_ID {path}; sleep 20");
        tmux(&["new-session", "-d", "-x", columns, "-y", "30", &command]);
        let end = Instant::now() + Duration::from_secs(15);
        let mut screen = String::new();
        while !screen.contains("Best by") && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(100));
            screen = tmux(&["capture-pane", "-p"]);
        }
        tmux(&["kill-server"]);
        for model in ["fast.gpt-oss-120b", "slow.gpt-oss-120b"] {
            let drawn = screen
                .lines()
                .filter(|line| line.starts_with(&format!("{model} |")));
            assert_eq!(drawn.count(), 1, "{columns} columns, {model}:\n{screen}");
            let rows = screen.lines().filter(|line| line.starts_with(model));
            assert_eq!(rows.count(), 2, "a bar and a row of the table:\n{screen}");
        }
        let table = screen
            .lines()
            .find(|line| line.starts_with("model "))
            .unwrap();
        assert!(table.ends_with("cached"), "{screen}");
    }
}
