//! Text-like deltas: text, reasoning, refusals.

use super::{
    PartKind, ResponseBuilder, TextKind, TextRun, key_of, part_number,
    think::{ThinkSide, ThinkTagParser},
};
use crate::{ContentPart, Error, StreamEvent, chat::Warning};
use std::borrow::Cow;

/// Each part takes more memory than a short text. The first few are not charged.
const UNCOUNTED_PARTS: u32 = 64;

/// # Text, reasoning and refusals
impl ResponseBuilder {
    /// Adds text to a part.
    ///
    /// # Errors
    /// `too_large` if a limit is exceeded.
    pub fn text<'t>(
        &mut self,
        choice: u32,
        key: u32,
        text: impl Into<Cow<'t, str>>,
    ) -> Result<(), Error> {
        let text = text.into();
        if text.is_empty() {
            return Ok(());
        }
        if self.parse_think_tags {
            return self.append_with_think_tags(choice, key, &text);
        }
        self.charge(text.len())?;
        let part = part_number(key, PartKind::Text)?;
        let kind = TextKind::Text;
        self.append_to_run(choice, TextRun { kind, part }, text)
    }

    /// Adds reasoning to a part.
    ///
    /// # Errors
    /// `too_large` if a limit is exceeded.
    pub fn reasoning<'t>(
        &mut self,
        choice: u32,
        key: u32,
        text: impl Into<Cow<'t, str>>,
    ) -> Result<(), Error> {
        let text = text.into();
        if text.is_empty() {
            return Ok(());
        }
        self.charge(text.len())?;
        let part = part_number(key, PartKind::Reasoning)?;
        let kind = TextKind::Reasoning;
        self.append_to_run(choice, TextRun { kind, part }, text)
    }

    /// Adds the signature of a reasoning part, which the provider requires in later requests.
    ///
    /// # Errors
    /// `too_large` if a limit is exceeded.
    pub fn reasoning_signature(
        &mut self,
        choice: u32,
        key: u32,
        signature: &str,
    ) -> Result<(), Error> {
        self.charge(signature.len())?;
        let part = part_number(key, PartKind::Reasoning)?;
        let kind = TextKind::Reasoning;
        self.begin_run(choice, TextRun { kind, part })?;
        self.emit(StreamEvent::ReasoningSignature {
            choice,
            part,
            signature: signature.to_owned(),
        });
        Ok(())
    }

    /// Adds to a refusal.
    ///
    /// # Errors
    /// `too_large` if a limit is exceeded.
    pub fn refusal(&mut self, choice: u32, key: u32, text: &str) -> Result<(), Error> {
        if text.is_empty() {
            return Ok(());
        }
        self.charge(text.len())?;
        self.end_run(choice)?;
        self.on_content(choice)?;
        let part = part_number(key, PartKind::Refusal)?;
        self.emit(StreamEvent::RefusalDelta {
            choice,
            part,
            text: text.to_owned(),
        });
        Ok(())
    }

    /// Emits a delta that was charged already.
    fn append_to_run(
        &mut self,
        choice: u32,
        flow: TextRun,
        text: Cow<'_, str>,
    ) -> Result<(), Error> {
        self.begin_run(choice, flow)?;
        let (part, text) = (flow.part, text.into_owned());
        self.emit(match flow.kind {
            TextKind::Text => StreamEvent::TextDelta { choice, part, text },
            TextKind::Reasoning => StreamEvent::ReasoningDelta { choice, part, text },
        });
        Ok(())
    }

    fn begin_run(&mut self, choice: u32, flow: TextRun) -> Result<(), Error> {
        let is_told = self.queue.is_some();
        let has_all = self.is_logically_complete;
        let open = self.open(choice)?;
        if open.finish.is_some() && is_told && !has_all {
            open.on_content_after_finish();
        }
        if open.current_run == Some(flow) {
            return Ok(());
        }
        open.runs_started = open.runs_started.saturating_add(1);
        if open.runs_started > UNCOUNTED_PARTS {
            self.charge(size_of::<ContentPart>())?;
        }
        let open = self.open(choice)?;
        if !is_told {
            // Starting and ending a run only emits events.
            open.current_run = Some(flow);
            return Ok(());
        }
        self.end_run(choice)?;
        self.open(choice)?.current_run = Some(flow);
        let part = flow.part;
        self.emit(match flow.kind {
            TextKind::Text => StreamEvent::TextStart { choice, part },
            TextKind::Reasoning => StreamEvent::ReasoningStart { choice, part },
        });
        Ok(())
    }

    /// Content was received, perhaps after a finish reason.
    pub(super) fn on_content(&mut self, choice: u32) -> Result<(), Error> {
        if self.queue.is_some() && !self.is_logically_complete {
            self.open(choice)?.on_content_after_finish();
        }
        Ok(())
    }

    pub(super) fn end_run(&mut self, choice: u32) -> Result<(), Error> {
        if let Some(TextRun { kind, part }) = self.open(choice)?.current_run.take() {
            self.emit(match kind {
                TextKind::Text => StreamEvent::TextEnd { choice, part },
                TextKind::Reasoning => StreamEvent::ReasoningEnd { choice, part },
            });
        }
        Ok(())
    }

    /// Whether the current run has this key.
    pub(super) fn has_run_at(&mut self, choice: u32, key: u32) -> Result<bool, Error> {
        let flowing = self.open(choice)?.current_run;
        Ok(flowing.is_some_and(|flow| key_of(flow.part) == key))
    }
}

/// The part of a complete text that the deltas did not contain.
#[derive(Debug, PartialEq, Eq)]
enum Remainder<'w> {
    New(&'w str),
    /// The deltas contain something else.
    Differs,
}

/// The new part of `whole` after `seen`. White space at the ends makes no difference.
fn remainder<'w>(seen: &str, whole: &'w str) -> Remainder<'w> {
    match whole.strip_prefix(seen) {
        Some(rest) => Remainder::New(rest),
        None if seen.starts_with(whole) || seen.trim() == whole.trim() => Remainder::New(""),
        None => Remainder::Differs,
    }
}

/// # Complete texts after their deltas
impl ResponseBuilder {
    /// Sets the complete text of a part. Returns `false` and changes nothing if the deltas contain something else.
    ///
    /// # Errors
    /// `too_large` if a limit is exceeded.
    pub(crate) fn complete_text(
        &mut self,
        choice: u32,
        key: u32,
        whole: &str,
    ) -> Result<bool, Error> {
        if self.parse_think_tags {
            return self.complete_text_with_think_tags(choice, key, whole);
        }
        match self.remainder(choice, key, PartKind::Text, whole)? {
            Remainder::New(rest) => self.text(choice, key, rest).map(|()| true),
            Remainder::Differs => Ok(false),
        }
    }

    /// [`complete_text`](Self::complete_text) for reasoning.
    ///
    /// # Errors
    /// `too_large` if a limit is exceeded.
    pub(crate) fn complete_reasoning(
        &mut self,
        choice: u32,
        key: u32,
        whole: &str,
    ) -> Result<bool, Error> {
        match self.remainder(choice, key, PartKind::Reasoning, whole)? {
            Remainder::New(rest) => self.reasoning(choice, key, rest).map(|()| true),
            Remainder::Differs => Ok(false),
        }
    }

    /// [`complete_text`](Self::complete_text) for a refusal.
    ///
    /// # Errors
    /// `too_large` if a limit is exceeded.
    pub(crate) fn complete_refusal(
        &mut self,
        choice: u32,
        key: u32,
        whole: &str,
    ) -> Result<bool, Error> {
        match self.remainder(choice, key, PartKind::Refusal, whole)? {
            Remainder::New(rest) => self.refusal(choice, key, rest).map(|()| true),
            Remainder::Differs => Ok(false),
        }
    }

    fn remainder<'w>(
        &self,
        choice: u32,
        key: u32,
        kind: PartKind,
        whole: &'w str,
    ) -> Result<Remainder<'w>, Error> {
        let seen = self.accumulator.text(choice, part_number(key, kind)?);
        Ok(remainder(seen.unwrap_or_default(), whole))
    }

    /// Warns that a complete message differs from its deltas, which the caller already has.
    pub(crate) fn warn_of_difference(&mut self, what: &str) {
        self.warn_once(Warning::new(
            "message_differs",
            format!("{what} of the complete message differs from the streamed deltas; the deltas are kept"),
        ));
    }

    /// The text, reasoning or refusal of a part so far.
    pub(crate) fn current_text(&self, choice: u32, key: u32) -> Option<&str> {
        let mut kinds = [PartKind::Text, PartKind::Reasoning, PartKind::Refusal].into_iter();
        kinds.find_map(|kind| {
            let part = part_number(key, kind).ok()?;
            self.accumulator.text(choice, part)
        })
    }
}

/// # `<think>` tags in text
impl ResponseBuilder {
    /// Adds text that is searched for `<think>` tags. Text that may be a tag is buffered, and charged once it is
    /// emitted.
    fn append_with_think_tags(&mut self, choice: u32, key: u32, text: &str) -> Result<(), Error> {
        self.charge(text.len())?;
        let open = self.open(choice)?;
        let known = open.think.iter_mut().find(|(other, _)| *other == key);
        let mut pieces = Vec::new();
        let mut keep = |side, piece: &str| pieces.push((side, piece.to_owned()));
        match known {
            Some((_, splitter)) => splitter.push(text, &mut keep),
            None => {
                let mut splitter = ThinkTagParser::default();
                splitter.push(text, &mut keep);
                open.think.push((key, splitter));
                self.charge(size_of::<ThinkTagParser>())?;
            }
        }
        self.split_text(choice, key, pieces)
    }

    /// Ends the text of a key: buffered text was not a tag.
    pub(super) fn end_think(&mut self, choice: u32, key: u32) -> Result<(), Error> {
        let all = &mut self.open(choice)?.think;
        let Some(at) = all.iter().position(|(other, _)| *other == key) else {
            return Ok(());
        };
        let (_, mut splitter) = all.remove(at);
        let mut pieces = Vec::new();
        splitter.finish(&mut |side, piece: &str| pieces.push((side, piece.to_owned())));
        self.split_text(choice, key, pieces)
    }

    pub(super) fn split_text(
        &mut self,
        choice: u32,
        key: u32,
        pieces: Vec<(ThinkSide, String)>,
    ) -> Result<(), Error> {
        for (side, piece) in pieces {
            let (kind, part_kind) = match side {
                ThinkSide::Text => (TextKind::Text, PartKind::Text),
                ThinkSide::Reasoning => (TextKind::Reasoning, PartKind::Thought),
            };
            let part = part_number(key, part_kind)?;
            self.append_to_run(choice, TextRun { kind, part }, piece.into())?;
        }
        Ok(())
    }

    /// The complete text is split at its tags in the same way as its deltas were.
    fn complete_text_with_think_tags(
        &mut self,
        choice: u32,
        key: u32,
        whole: &str,
    ) -> Result<bool, Error> {
        let (mut text, mut thoughts) = (String::new(), String::new());
        let mut splitter = ThinkTagParser::default();
        splitter.push(whole, &mut |side, piece: &str| match side {
            ThinkSide::Text => text.push_str(piece),
            ThinkSide::Reasoning => thoughts.push_str(piece),
        });
        let text_part = part_number(key, PartKind::Text)?;
        let thought_part = part_number(key, PartKind::Thought)?;
        let rests = (
            remainder(
                self.accumulator.text(choice, text_part).unwrap_or_default(),
                &text,
            ),
            remainder(
                self.accumulator
                    .text(choice, thought_part)
                    .unwrap_or_default(),
                &thoughts,
            ),
        );
        let (new_text, new_thoughts) = match rests {
            (Remainder::New(text), Remainder::New(thoughts)) => {
                (text.to_owned(), thoughts.to_owned())
            }
            _ => return Ok(false),
        };
        self.charge(new_text.len().saturating_add(new_thoughts.len()))?;
        let open = self.open(choice)?;
        match open.think.iter_mut().find(|(other, _)| *other == key) {
            Some((_, old)) => *old = splitter,
            None => open.think.push((key, splitter)),
        }
        let pieces = [
            (ThinkSide::Reasoning, new_thoughts),
            (ThinkSide::Text, new_text),
        ];
        let pieces = pieces.into_iter().filter(|(_, piece)| !piece.is_empty());
        self.split_text(choice, key, pieces.collect())?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use crate::{chat::ProviderBlock, event::response_builder::test_util::*};

    #[test]
    fn text_runs_start_before_deltas_and_end_before_the_next() {
        let mut stream = stream();
        stream.text(0, 1, "a").unwrap();
        stream.text(0, 1, "").unwrap();
        stream.text(0, 1, "b").unwrap();
        stream.reasoning(0, 0, "").unwrap();
        stream.reasoning(0, 0, "r").unwrap();
        stream.reasoning_signature(0, 0, "s").unwrap();
        stream.refusal(0, 2, "").unwrap();
        assert_eq!(
            event_log(&mut stream),
            "text 1, 'a', 'b', end 1, reasoning 0, 'r', signature s"
        );
        stream.refusal(0, 2, "no").unwrap();
        stream.text(0, 1, "c").unwrap();
        stream.end_part(0, 7).unwrap();
        assert_eq!(event_log(&mut stream), "end 0, refusal 'no', text 1, 'c'");
        stream.end_part(0, 1).unwrap();
        assert_eq!(event_log(&mut stream), "end 1");
        stream
            .provider_block(0, 3, ProviderBlock::new("p", json("{}")))
            .unwrap();
        stream.finish_response().unwrap();
        assert_eq!(event_log(&mut stream), "opaque 3, finish 0 ");
    }

    #[test]
    fn complete_parts_emit_only_the_remainder() {
        let mut stream = stream();
        assert!(stream.complete_text(0, 1, "Hel").unwrap());
        stream.text(0, 1, "lo").unwrap();
        for (whole, fits) in [
            ("Hello", true),
            ("Hel", true),
            (" Hello\n", true),
            ("Hello you", true),
            ("Hallo", false),
        ] {
            assert_eq!(stream.complete_text(0, 1, whole).unwrap(), fits, "{whole}");
        }
        assert!(stream.complete_reasoning(0, 0, "so").unwrap());
        assert!(stream.complete_reasoning(0, 0, "so").unwrap());
        assert!(!stream.complete_reasoning(0, 0, "no").unwrap());
        assert!(stream.complete_refusal(0, 2, "I'm").unwrap());
        assert!(stream.complete_refusal(0, 2, "I'm sorry").unwrap());
        assert!(!stream.complete_refusal(0, 2, "Sorry").unwrap());
        assert_eq!(
            event_log(&mut stream),
            "text 1, 'Hel', 'lo', ' you', end 1, reasoning 0, 'so', end 0, refusal 'I'm', refusal ' sorry'"
        );
    }

    #[test]
    fn current_text_is_found_by_part() {
        let mut stream = stream();
        stream.text(0, 2, "a").unwrap();
        stream.reasoning(0, 1, "r").unwrap();
        stream.text(0, 2, "b").unwrap();
        assert_eq!(stream.current_text(0, 2), Some("ab"));
        assert_eq!(stream.current_text(0, 1), Some("r"));
        assert_eq!(stream.current_text(0, 3), None);
        assert_eq!(stream.current_text(1, 2), None);
    }

    #[test]
    fn think_tags_are_emitted_as_reasoning_before_the_text() {
        let mut stream = stream();
        stream.parse_think_tags(true);
        stream.text(0, 1, "<think>t</think>a <").unwrap();
        assert_eq!(
            event_log(&mut stream),
            "reasoning 1, 't', end 1, text 1, 'a'"
        );
        stream.finish_response().unwrap();
        assert_eq!(event_log(&mut stream), "' ', '<', end 1, finish 0 ");
    }

    #[test]
    fn complete_text_with_think_tags_is_split_like_its_deltas() {
        let whole = "<think>a b</think>c <";
        for cut in 0..=whole.len() {
            let mut stream = stream();
            stream.parse_think_tags(true);
            stream.text(0, 1, &whole[..cut]).unwrap();
            assert!(stream.complete_text(0, 1, whole).unwrap());
            assert!(stream.complete_text(0, 1, whole).unwrap());
            assert!(!stream.complete_text(0, 1, "<think>a c").unwrap());
            stream.finish_response().unwrap();
            let response = Box::new(stream).into_response();
            assert_eq!((&*response.text(), &*response.reasoning()), ("c <", "a b"));
        }
    }
}
