//! How the tests run the programs that `cargo test` builds beside them.

#![allow(dead_code, reason = "each test uses a part of this")]

use std::process::{Command, Output, Stdio};

/// The program of this name, without the keys and addresses of the environment. Says so where it was not built.
#[expect(clippy::disallowed_methods, reason = "the test starts the programs")]
pub(crate) fn program(name: &str) -> Option<Command> {
    let test = std::env::current_exe().unwrap();
    let file = format!("examples/{name}{}", std::env::consts::EXE_SUFFIX);
    let program = test.parent()?.parent()?.join(file);
    if !program.exists() {
        println!("skipped: {} was not built", program.display());
        return None;
    }
    let mut command = Command::new(program);
    for provider in ["CEREBRAS", "OPENAI", "ANTHROPIC"] {
        command.env_remove(format!("{provider}_API_KEY"));
        command.env_remove(format!("{provider}_BASE_URL"));
    }
    command.stdin(Stdio::null());
    Some(command)
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}
