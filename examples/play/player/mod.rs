//! Plays a case: a conversation with scripted answers, without network and on a virtual clock.
//!
//! The program `play` and the tests both use it.
#![allow(
    unreachable_pub,
    clippy::disallowed_methods,
    reason = "a program and a test include this"
)]

mod case;
mod document;
mod drive;
mod events;
mod request;
mod response;

use case::{Case, Step};
use document::{Document, Played};
use drive::{Clock, drive};
use std::sync::Arc;
use unifiedai::{
    CallOptions, ContentPart, Error, Message,
    provider::{self, Provider},
    sans_io::{CallStart, Exchange},
    transport::testing::provider_for_recording,
};

/// A case that was played.
pub struct Play {
    pub document: Document,
    /// What is odd about the case and does not keep it from being played, such as a member that the format does not have.
    pub notes: Vec<String>,
}

/// Plays the case in `text`.
///
/// # Errors
/// `invalid_request` with the line and the member if the case is not in the format.
pub fn play(text: &str) -> Result<Play, Error> {
    let case = Case::parse(text)?;
    let mut notes = case.notes().to_vec();
    let mut conversation = Conversation {
        messages: Vec::new(),
        calls: Vec::new(),
        clock: Clock::default(),
        document: Document::default(),
    };
    for step in case.steps() {
        let step = step?;
        if conversation.step(&step, &mut notes)?.is_break() {
            break;
        }
    }
    Ok(Play {
        document: conversation.document,
        notes,
    })
}

struct Conversation {
    messages: Vec<Message>,
    /// The ids of the calls of each step's answer.
    calls: Vec<Vec<String>>,
    clock: Clock,
    document: Document,
}

impl Conversation {
    fn step(
        &mut self,
        step: &Step<'_>,
        notes: &mut Vec<String>,
    ) -> Result<std::ops::ControlFlow<()>, Error> {
        let provider = provider(step)?;
        if let Some(messages) = step.messages()? {
            self.messages = messages;
        }
        let answers = step.answers()?;
        let played = if step.is_embed()? {
            let request = Arc::new(request::embed(step)?);
            let exchange = Exchange::embed(provider, request, options(), self.start());
            let driven = drive(exchange, answers.as_deref(), &mut self.clock)?;
            driven.map(|response| Played::Embed(Box::new(response)))
        } else {
            let request = Arc::new(request::chat(step, &self.messages)?);
            let exchange = Exchange::new(provider, request, options(), self.start());
            let driven = drive(exchange, answers.as_deref(), &mut self.clock)?;
            driven.map(|response| Played::Chat(Box::new(response)))
        };
        let message = match &played.result {
            Some(Ok(Played::Chat(response))) => response.message().cloned(),
            _ => None,
        };
        let calls = message.iter().flat_map(Message::tool_calls);
        self.calls.push(calls.map(|call| call.id.clone()).collect());
        self.messages.extend(message);
        for mut message in step.append()? {
            for part in &mut message.content {
                self.refer(part, notes);
            }
            self.messages.push(message);
        }
        let is_error = matches!(played.result, Some(Err(_)));
        self.document.add(played);
        Ok(match is_error {
            true => std::ops::ControlFlow::Break(()),
            false => std::ops::ControlFlow::Continue(()),
        })
    }

    fn start(&self) -> CallStart {
        self.clock.start()
    }

    /// Puts the id of an earlier call in the place of `$call:..`.
    fn refer(&self, part: &mut ContentPart, notes: &mut Vec<String>) {
        let id = match part {
            ContentPart::ToolResult(result) => &mut result.call_id,
            ContentPart::ToolCall(call) => &mut call.id,
            _ => return,
        };
        let Some(wanted) = id.strip_prefix("$call:") else {
            return;
        };
        match self.call(wanted) {
            Some(found) => *id = found,
            None => notes.push(format!(
                "`{id}` is sent as it is: no answer so far has this call"
            )),
        }
    }

    fn call(&self, wanted: &str) -> Option<String> {
        let (step, call) = match wanted.split_once('.') {
            Some((step, call)) => (step.parse().ok()?, call),
            None => (self.calls.len().checked_sub(1)?, wanted),
        };
        let calls = self.calls.get::<usize>(step)?;
        calls.get(call.parse::<usize>().ok()?).cloned()
    }
}

fn options() -> Arc<CallOptions> {
    Arc::new(CallOptions::default())
}

fn provider(step: &Step<'_>) -> Result<Arc<dyn Provider>, Error> {
    let name = step.provider()?;
    match step.place()? {
        case::ProviderSource::At(url) => provider::from_env(&name, Some(&url)),
        case::ProviderSource::Recorded(dialect) => provider_for_recording(&name, &dialect),
    }
}
