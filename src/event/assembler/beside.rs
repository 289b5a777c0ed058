//! What stands beside the text.

use super::{
    Assembler,
    parts::{Slot, part_at},
};
use crate::{
    Citation, ContentPart, Error, Json, Logprobs, OpaqueBlock, ServerTiming, StreamEvent, Usage,
};

/// # What stands beside the text
impl Assembler {
    /// A piece in the provider's own JSON.
    ///
    /// # Errors
    /// `too_large` past the limits.
    pub fn opaque(&mut self, choice: u32, part: u32, block: OpaqueBlock) -> Result<(), Error> {
        let own = size_of::<ContentPart>().saturating_add(block.provider.len());
        self.retain(own.saturating_add(block.block.as_str().len()))?;
        self.leave(choice)?;
        let part = part_at(part, Slot::Opaque)?;
        self.emit(StreamEvent::Opaque {
            choice,
            part,
            block: Box::new(block),
        });
        Ok(())
    }

    /// A source for the text of a part.
    ///
    /// # Errors
    /// `too_large` past the limits.
    pub fn citation(&mut self, choice: u32, part: u32, citation: Citation) -> Result<(), Error> {
        let texts = [&citation.url, &citation.title, &citation.cited_text];
        let texts = texts.into_iter().flatten().map(String::len);
        let raw = citation.raw.as_ref().map_or(0, |raw| raw.as_str().len());
        // It is kept, and waits in an event of its own.
        let own = size_of::<Citation>().saturating_mul(2);
        self.retain(texts.fold(own.saturating_add(raw), usize::saturating_add))?;
        self.open(choice)?;
        let part = part_at(part, Slot::Text)?;
        self.emit(StreamEvent::Citation {
            choice,
            part,
            citation: Box::new(citation),
        });
        Ok(())
    }

    /// Whether the text of a part has this source already.
    ///
    /// # Errors
    /// `too_large` past the limits.
    pub(crate) fn has_citation(
        &self,
        choice: u32,
        part: u32,
        citation: &Citation,
    ) -> Result<bool, Error> {
        let part = part_at(part, Slot::Text)?;
        let known = self.accumulator.citations_of(choice, part);
        Ok(known.contains(citation))
    }

    /// Log probabilities.
    ///
    /// # Errors
    /// `too_large` past the limits.
    pub fn logprobs(&mut self, choice: u32, logprobs: Logprobs) -> Result<(), Error> {
        let tokens = [&logprobs.content, &logprobs.refusal, &logprobs.reasoning];
        if tokens.iter().all(|list| list.is_empty()) {
            return Ok(());
        }
        let alternatives = tokens.iter().flat_map(|list| list.iter()).map(|token| {
            let tops = token.top_logprobs.iter();
            tops.fold(token.token.len().saturating_add(64), |sum, top| {
                sum.saturating_add(top.token.len()).saturating_add(64)
            })
        });
        self.retain(alternatives.fold(0, usize::saturating_add))?;
        self.open(choice)?;
        self.emit(StreamEvent::Logprobs {
            choice,
            logprobs: Box::new(logprobs),
        });
        Ok(())
    }

    /// Leaves out the probabilities of tokens that have come already: a whole repeats them.
    pub(crate) fn drop_known_logprobs(&self, choice: u32, logprobs: &mut Logprobs) {
        let choices = &self.accumulator.response().choices;
        let own = choices.iter().find(|own| own.index == choice);
        let Some(known) = own.and_then(|own| own.logprobs.as_ref()) else {
            return;
        };
        for (list, known) in [
            (&mut logprobs.content, known.content.len()),
            (&mut logprobs.refusal, known.refusal.len()),
            (&mut logprobs.reasoning, known.reasoning.len()),
        ] {
            list.drain(..known.min(list.len()));
        }
    }

    /// The tokens counted; replaces earlier counts.
    pub fn usage(&mut self, usage: Usage) {
        if self.accumulator.response().usage.as_ref() != Some(&usage) {
            match self.queue {
                Some(_) => self.emit(StreamEvent::Usage(Box::new(usage))),
                None => self.accumulator.usage(usage),
            }
        }
    }

    /// The tokens counted so far.
    #[must_use]
    pub fn usage_so_far(&self) -> Option<&Usage> {
        self.accumulator.response().usage.as_ref()
    }

    /// What the server says of its own time.
    pub fn timing(&mut self, server: ServerTiming, raw: Option<Json>) {
        match self.queue {
            Some(_) => self.emit(StreamEvent::Timing {
                server,
                raw: raw.map(Box::new),
            }),
            None => self.accumulator.timing(server, raw),
        }
    }

    /// Such members so far.
    pub(crate) fn extras(&self) -> &[(String, Json)] {
        &self.accumulator.response().provider_metadata.extra
    }

    /// A member of the answer that has no place in the response.
    ///
    /// # Errors
    /// `too_large` past the limits.
    pub fn extra(&mut self, name: &str, value: Json) -> Result<(), Error> {
        let own = size_of::<(String, Json)>().saturating_add(name.len());
        self.retain(own.saturating_add(value.as_str().len()))?;
        self.emit(StreamEvent::Extra {
            name: name.into(),
            value: Box::new(value),
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Warning, event::assembler::told::*};

    #[test]
    fn what_stands_beside_the_text_is_told_as_it_comes() {
        let mut stream = stream();
        let usage = Usage {
            prompt_tokens: Some(1),
            ..Usage::default()
        };
        stream.usage(usage.clone());
        stream.usage(usage.clone());
        assert_eq!(stream.usage_so_far(), Some(&usage));
        stream.usage(Usage::default());
        stream.timing(ServerTiming::default(), None);
        stream.extra("name", json("1")).unwrap();
        stream.warn(Warning::new("code", "words"));
        stream.raw_frame(b"frame");
        stream.citation(0, 1, Citation::default()).unwrap();
        stream.logprobs(0, Logprobs::default()).unwrap();
        let content = vec![crate::TokenLogprob::default()];
        stream
            .logprobs(
                0,
                Logprobs {
                    content,
                    ..Logprobs::default()
                },
            )
            .unwrap();
        assert_eq!(
            told(&mut stream),
            "usage, usage, timing, extra name, warning words, raw, citation 1, logprobs"
        );
    }
}
