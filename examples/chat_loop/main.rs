//! A conversation in a terminal, blocking. Ctrl-C stops an answer and keeps what came of it; a second one ends the program.
//!
//! `cargo run --example chat_loop --features chat_loop`
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program")]

#[path = "../common/mod.rs"]
mod common;

use common::{Question, bad_usage};
use std::{
    io::{BufRead, Write, stdin, stdout},
    sync::{Arc, Mutex, PoisonError},
};
use unifiedai::{
    ChatRequest, Client, Error, ErrorKind,
    transport::{CancelHandle, UreqTransport},
};

const HELP: &str = "Chats, line by line, until its input ends. Ctrl-C stops an answer; without one it ends the program.\n\nUsage: chat_loop [OPTIONS]";

fn main() -> std::process::ExitCode {
    common::finish(run())
}

fn run() -> Result<(), Error> {
    let Some(question) = Question::parse(HELP, "cerebras")? else {
        return Ok(());
    };
    let (provider, _server) = question.provider()?;
    let client = Client::shared(UreqTransport::new(), provider);
    // The handle of the answer that is being written, if there is one.
    let answering: Arc<Mutex<Option<CancelHandle>>> = Arc::default();
    let stop = answering.clone();
    let set = |handle| *answering.lock().unwrap_or_else(PoisonError::into_inner) = handle;
    let take = move || stop.lock().unwrap_or_else(PoisonError::into_inner).take();
    ctrlc::set_handler(move || match take() {
        Some(answer) => answer.cancel(),
        None => std::process::exit(0),
    })
    .map_err(|e| bad_usage(format!("no handler for Ctrl-C: {e}")))?;

    let mut conversation = ChatRequest::new(question.model());
    show("> ");
    for line in stdin().lock().lines() {
        let line = line.map_err(|e| bad_usage(format!("cannot read the input: {e}")))?;
        let asked = conversation.clone().user(line);
        let mut stream = client.stream(&asked)?;
        set(Some(stream.cancel_handle()));
        let mut failed = None;
        for event in &mut stream {
            match event {
                Ok(event) => show(event.text().unwrap_or_default()),
                Err(error) => failed = Some(error),
            }
        }
        set(None);
        match failed.map_or_else(|| stream.into_response(), Err) {
            Ok(response) => conversation = asked.messages(response.message().cloned()),
            Err(error) => {
                // Without a partial answer the conversation is as if nothing had been asked.
                if let Some(partial) = error.partial() {
                    conversation = asked.assistant(partial.text());
                }
                match error.kind() {
                    ErrorKind::Cancelled => show(" [stopped]"),
                    _ => eprintln!("{error}"),
                }
            }
        }
        show("\n> ");
    }
    Ok(())
}

fn show(text: &str) {
    print!("{text}");
    let _ = stdout().flush();
}
