mod beside;
mod calls;
mod end;
mod head;
mod ids;
mod limits;
mod open;
mod parts;
mod place;
mod revise;
mod text;
mod think;
#[cfg(test)]
mod told;
mod weight;
mod whole;

use super::{Accumulator, StreamEvent};
use crate::{ChatRequest, Error, UnifiedChatResponse, Warning, few::Few};
use bytes::Bytes;
use ids::CallIds;
use limits::too_many;
use open::OpenChoice;
use std::{collections::VecDeque, sync::Arc};
use weight::weight;

pub(crate) use calls::CallState;
pub use calls::ToolFragment;
pub use head::Head;
pub use limits::AssemblerLimits;

/// Where a provider's decoder puts what it reads.
///
/// It brings the pieces into order: starts and ends, fragments of tool calls that belong together, one finish per
/// answer, limits on what is kept. Whole answers and streams go through it alike, which is why both give the same
/// response.
///
/// The `part` that its methods take is the decoder's own number for a piece, often the wire's index. Pieces with lower
/// numbers come first in the message. Text, reasoning, a refusal, a call and an opaque piece of one number are different
/// parts, in the order reasoning, text, refusal, call, opaque; the events have a number for each of them.
#[derive(Debug)]
pub struct Assembler {
    accumulator: Accumulator,
    /// Events for the application; `None` for an answer that comes whole.
    queue: Option<VecDeque<StreamEvent>>,
    choices: Few<OpenChoice>,
    extract_think: bool,
    /// Answers that were asked for; without an end marker all of them must finish.
    wanted_choices: u32,
    end_marker: bool,
    /// Whether only the end marker completes a stream.
    needs_end_marker: bool,
    warned_of_end: bool,
    visible: bool,
    retained: usize,
    /// What the queue holds beside pieces of the answer, in bytes.
    waiting: usize,
    limits: AssemblerLimits,
    call_ids: CallIds,
    /// Whether everything has come, so that what is still handed over is no sign that the answer goes on.
    has_all: bool,
}

/// Further warnings of one kind are not worth comparing, nor telling.
const MOST_COMPARED: usize = 64;

impl Assembler {
    /// For an answer that comes whole (`streaming` false: no events are kept) or as a stream.
    #[must_use]
    pub fn new(streaming: bool, limits: AssemblerLimits) -> Self {
        Assembler {
            accumulator: Accumulator::new(),
            queue: streaming.then(VecDeque::new),
            choices: Few::default(),
            extract_think: false,
            wanted_choices: 1,
            end_marker: false,
            needs_end_marker: false,
            warned_of_end: false,
            visible: false,
            retained: 0,
            waiting: 0,
            limits,
            call_ids: CallIds::default(),
            has_all: false,
        }
    }

    pub(crate) fn extract_think(&mut self, on: bool) {
        self.extract_think = on;
    }

    pub(crate) fn wanted_choices(&mut self, n: u32) {
        self.wanted_choices = n;
    }

    /// Calls without an id get one that depends on `seed` alone and that no call in the history of `request` has.
    pub(crate) fn make_call_ids(&mut self, seed: u64, request: Arc<ChatRequest>) {
        self.call_ids = CallIds {
            seed,
            request: Some(request),
        };
    }

    /// Everything has come: what the decoder kept back follows.
    pub(crate) fn has_all(&mut self) {
        self.has_all = true;
    }

    /// An answer exists, though nothing of it is known yet.
    ///
    /// # Errors
    /// `too_large` if there are more answers than the limits allow.
    pub fn choice(&mut self, choice: u32) -> Result<(), Error> {
        self.open(choice).map(|_| ())
    }

    /// Something that the caller should know.
    pub fn warn(&mut self, warning: Warning) {
        // The connection and the wire can both notice that the end is missing.
        if warning.code == "missing_end" && std::mem::replace(&mut self.warned_of_end, true) {
            return;
        }
        self.count(&[&warning.message]);
        self.emit(StreamEvent::Warning(Box::new(warning)));
    }

    /// The same, unless there is a warning with this code already.
    pub(crate) fn warn_once(&mut self, warning: Warning) {
        let warnings = &self.accumulator.response().warnings;
        if warnings.iter().all(|other| other.code != warning.code) {
            self.warn(warning);
        }
    }

    /// The same, unless there is an equal one already.
    pub(crate) fn warn_new(&mut self, warning: Warning) {
        let known = &self.accumulator.response().warnings;
        if known.len() < MOST_COMPARED && !known.contains(&warning) {
            self.warn(warning);
        }
    }

    pub(crate) fn raw_frame(&mut self, frame: &[u8]) {
        self.emit(StreamEvent::Raw(Bytes::copy_from_slice(frame)));
    }

    /// Whether something that a user could see has come.
    pub(crate) fn is_visible(&self) -> bool {
        self.visible
    }

    pub(crate) fn next_event(&mut self) -> Option<StreamEvent> {
        let event = self.queue.as_mut()?.pop_front()?;
        self.waiting = self.waiting.saturating_sub(weight(&event));
        Some(event)
    }

    pub(crate) fn response_mut(&mut self) -> &mut UnifiedChatResponse {
        self.accumulator.response_mut()
    }

    pub(crate) fn into_response(self: Box<Self>) -> UnifiedChatResponse {
        self.accumulator.into_response()
    }

    /// Whether nothing of the answer has come.
    pub(crate) fn is_empty(&self) -> bool {
        let response = self.accumulator.response();
        response.choices.is_empty() && response.id.is_empty()
    }

    fn open(&mut self, choice: u32) -> Result<&mut OpenChoice, Error> {
        let known = self.choices.iter().position(|open| open.index == choice);
        let at = match known {
            Some(at) => at,
            None => {
                if self.choices.len() >= self.limits.choices {
                    return Err(too_many("answers", self.limits.choices));
                }
                self.choices.push(OpenChoice {
                    index: choice,
                    ..OpenChoice::default()
                });
                self.choices.len().saturating_sub(1)
            }
        };
        #[expect(clippy::unwrap_used, reason = "`at` was just found or made")]
        Ok(self.choices.get_mut(at).unwrap())
    }

    fn emit(&mut self, event: StreamEvent) {
        self.visible |= event.is_visible();
        match &mut self.queue {
            Some(queue) => {
                self.accumulator.apply(&event);
                self.waiting = self.waiting.saturating_add(weight(&event));
                queue.push_back(event);
            }
            None => self.accumulator.take(event),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{told::*, *};
    use crate::{ServerTiming, Usage};

    #[test]
    fn a_stream_is_visible_from_its_first_piece_on() {
        let mut stream = stream();
        stream.usage(Usage::default());
        assert!(!stream.is_visible());
        stream.text(0, 1, "a").unwrap();
        stream.timing(ServerTiming::default(), None);
        assert!(stream.is_visible());
    }

    #[test]
    fn an_answer_that_comes_whole_is_kept_and_not_told() {
        let mut whole = Assembler::new(false, AssemblerLimits::default());
        assert!(whole.is_empty());
        whole.text(0, 1, "a").unwrap();
        assert!(!whole.is_empty());
        whole.head(Head {
            id: "id".to_owned(),
            ..Head::default()
        });
        whole.usage(Usage::default());
        let server = ServerTiming {
            total: Some(std::time::Duration::from_secs(1)),
            ..ServerTiming::default()
        };
        whole.timing(server, Some(json("{}")));
        assert_eq!(whole.next_event(), None);
        let response = Box::new(whole).into_response();
        assert_eq!((response.id.as_str(), &*response.text()), ("id", "a"));
        assert_eq!(response.usage, Some(Usage::default()));
        assert_eq!(response.metrics.server, server);
        assert_eq!(response.metrics.provider_time_info, Some(json("{}")));
    }

    #[test]
    fn an_answer_of_a_head_alone_is_not_empty() {
        let mut whole = Assembler::new(false, AssemblerLimits::default());
        let id = "id".to_owned();
        whole.head(Head {
            id,
            ..Head::default()
        });
        assert!(!whole.is_empty());
    }
}
