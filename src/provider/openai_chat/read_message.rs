//! Decodes one message of a response, complete or as deltas.

use super::{
    decode::OpenAiChatDecoder,
    types::{Content, Message, Part, ToolCall, has_unknown_fields, is_blank},
};
use crate::{
    Error,
    chat::{Citation, ProviderData, ToolFragment},
    event::MESSAGE_KEY,
    provider::{
        ResponseBuilder,
        kit::lenient::{List, Object, Raw, Text, WithRawText, object},
    },
};
use std::borrow::Cow;

impl OpenAiChatDecoder {
    pub(super) fn message(
        &mut self,
        choice: u32,
        message: &mut Message<'_>,
        form: MessageForm,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        self.reasoning(choice, message, form, out)?;
        match std::mem::take(&mut message.content) {
            Content::Nothing => {}
            Content::Text(text) => self.text(choice, text, form, out)?,
            Content::Parts(parts) => self.parts(choice, &parts, form, out)?,
            // Cloudflare's JSON mode sends an object where others send its text.
            Content::Value(raw) => match raw.text() {
                Some(text) if text.starts_with('{') => {
                    self.text(choice, text.into(), form, out)?;
                }
                _ => {
                    let is_whole = form == MessageForm::Cumulative;
                    self.kept.member(choice, "content", raw, is_whole, out)?;
                }
            },
        }
        if let Some(refusal) = message.refusal.non_empty() {
            self.refusal(choice, refusal, form, out)?;
        }
        self.tool_calls(choice, message, form, out)?;
        self.annotations(choice, &message.annotations, form, out)?;
        if let Some(value) = message.extra_content.json() {
            self.details.add_extra_content(choice, value, out)?;
        }
        for (name, raw) in message.others.iter() {
            if !raw.text().is_none_or(is_blank) {
                let is_whole = form == MessageForm::Cumulative;
                self.kept.member(choice, name, raw, is_whole, out)?;
            }
        }
        Ok(())
    }

    pub(super) fn has_deltas(&self, choice: u32) -> bool {
        self.with_deltas.iter().any(|known| *known == choice)
    }

    fn text(
        &mut self,
        choice: u32,
        text: Cow<'_, str>,
        form: MessageForm,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        let is_new = self.is_new(choice, "the text", &text, form, out, |out| {
            out.complete_text(choice, MESSAGE_KEY, &text)
        })?;
        match is_new {
            true => out.text(choice, MESSAGE_KEY, text),
            false => Ok(()),
        }
    }

    fn refusal(
        &mut self,
        choice: u32,
        text: &str,
        form: MessageForm,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        let is_new = self.is_new(choice, "the refusal", text, form, out, |out| {
            out.complete_refusal(choice, MESSAGE_KEY, text)
        })?;
        match is_new {
            true => out.refusal(choice, MESSAGE_KEY, text),
            false => Ok(()),
        }
    }

    fn thought(
        &mut self,
        choice: u32,
        text: Cow<'_, str>,
        form: MessageForm,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        let is_new = self.is_new(choice, "the reasoning", &text, form, out, |out| {
            out.complete_reasoning(choice, MESSAGE_KEY, &text)
        })?;
        match is_new {
            true => out.reasoning(choice, MESSAGE_KEY, text),
            false => Ok(()),
        }
    }

    /// Whether a text must be emitted: it is neither a repetition nor a complete text that differs from its deltas.
    fn is_new(
        &self,
        choice: u32,
        what: &str,
        text: &str,
        form: MessageForm,
        out: &mut ResponseBuilder,
        repeat: impl FnOnce(&mut ResponseBuilder) -> Result<bool, Error>,
    ) -> Result<bool, Error> {
        if form != MessageForm::Cumulative || text.is_empty() {
            return Ok(true);
        }
        if repeat(out)? {
            return Ok(false);
        }
        let differs = self.has_deltas(choice);
        if differs {
            out.warn_of_difference(what);
        }
        Ok(!differs)
    }

    /// The parts of a content: texts, reasoning, and unknown ones.
    fn parts(
        &mut self,
        choice: u32,
        parts: &[WithRawText<'_, Part<'_>>],
        form: MessageForm,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        let mut all = Texts::default();
        for part in parts {
            self.part(choice, part, false, form, &mut all, out)?;
        }
        self.thought(choice, all.thoughts.into(), form, out)?;
        if let Some(signature) = all.signature.filter(|_| form != MessageForm::Cumulative) {
            out.reasoning_signature(choice, MESSAGE_KEY, &signature)?;
        }
        self.text(choice, all.text.into(), form, out)?;
        self.refusal(choice, &all.refusal, form, out)
    }

    fn part(
        &mut self,
        choice: u32,
        spelled: &WithRawText<'_, Part<'_>>,
        is_thought: bool,
        form: MessageForm,
        all: &mut Texts,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        let Some(part) = &spelled.value.0 else {
            match text_of(spelled.raw).as_deref() {
                Some(text) if is_thought => all.thoughts.push_str(text),
                Some(text) => all.text.push_str(text),
                None => self.keep_part(choice, spelled.raw, false, form, out)?,
            }
            return Ok(());
        };
        let kind = part.r#type.as_deref().unwrap_or_default();
        let is_thought = is_thought || matches!(kind, "reasoning" | "thinking" | "reasoning_text");
        let mut is_known = matches!(kind, "" | "text" | "output_text") || is_thought;
        if let Some(text) = part.text.non_empty() {
            is_known = true;
            match is_thought {
                true => all.thoughts.push_str(text),
                false => all.text.push_str(text),
            }
        }
        // Mistral and Databricks: reasoning is a nested list of parts.
        for raw in [part.thinking, part.summary, part.reasoning] {
            let inner = thoughts(raw);
            is_known |= !inner.is_empty();
            for part in inner {
                self.inner_thought(choice, &part, form, all, out)?;
            }
        }
        if let Some(refusal) = part.refusal.non_empty() {
            is_known = true;
            all.refusal.push_str(refusal);
        }
        if let Some(signature) = part.signature.non_empty() {
            if is_thought {
                all.signature.get_or_insert_default().push_str(signature);
            } else {
                is_known = false;
            }
        }
        if is_known && !has_unknown_fields(&part.others) {
            return Ok(());
        }
        self.keep_part(choice, spelled.raw, is_known, form, out)
    }

    /// Reasoning within a part, which is not nested further.
    fn inner_thought(
        &mut self,
        choice: u32,
        spelled: &WithRawText<'_, Part<'_>>,
        form: MessageForm,
        all: &mut Texts,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        let plain: Text<'_> = match &spelled.value.0 {
            None => text_of(spelled.raw),
            Some(part) if !has_unknown_fields(&part.others) && part.thinking.text().is_none() => {
                if let Some(signature) = part.signature.non_empty() {
                    all.signature.get_or_insert_default().push_str(signature);
                }
                Text(part.text.0.clone())
            }
            Some(part) => {
                all.thoughts
                    .push_str(part.text.as_deref().unwrap_or_default());
                Text(None)
            }
        };
        match plain.as_deref() {
            Some(text) => all.thoughts.push_str(text),
            None => self.keep_part(choice, spelled.raw, true, form, out)?,
        }
        Ok(())
    }

    fn keep_part(
        &mut self,
        choice: u32,
        raw: Raw<'_>,
        is_rest: bool,
        form: MessageForm,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        if raw.text().is_none_or(is_blank) {
            return Ok(());
        }
        let is_whole = form == MessageForm::Cumulative;
        self.kept.part(choice, raw, is_rest, is_whole, out)
    }

    /// Servers that use several field names repeat the same reasoning; the details then repeat all.
    fn reasoning(
        &mut self,
        choice: u32,
        message: &mut Message<'_>,
        form: MessageForm,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        let named = [
            &mut message.reasoning,
            &mut message.reasoning_content,
            &mut message.reasoning_text,
        ];
        let found = named
            .into_iter()
            .map(std::mem::take)
            .find(|content| !content.is_empty());
        self.named_reasoning |= found.is_some();
        match found {
            None | Some(Content::Nothing) => {}
            Some(Content::Text(text)) => self.thought(choice, text, form, out)?,
            Some(Content::Parts(parts)) => {
                let mut all = Texts::default();
                for part in &parts {
                    self.part(choice, part, true, form, &mut all, out)?;
                }
                self.thought(choice, all.thoughts.into(), form, out)?;
            }
            Some(Content::Value(raw)) => {
                let mut all = Texts::default();
                let part: WithRawText<'_, Part<'_>> = raw.read().unwrap_or_default();
                self.part(choice, &part, true, form, &mut all, out)?;
                self.thought(choice, all.thoughts.into(), form, out)?;
            }
        }
        if form == MessageForm::Cumulative && !message.reasoning_details.0.is_empty() {
            self.details.clear_choice(choice);
        }
        let mut all_shown = String::new();
        for detail in &message.reasoning_details.0 {
            let shown = self.details.add(choice, *detail, out)?;
            if let Some(text) = shown.filter(|_| !self.named_reasoning) {
                all_shown.push_str(&text);
            }
        }
        self.thought(choice, all_shown.into(), form, out)
    }

    fn tool_calls(
        &mut self,
        choice: u32,
        message: &Message<'_>,
        form: MessageForm,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        let calls = &message.tool_calls.0;
        // Without an index the position in a list of several identifies the call.
        let unnumbered = |call: &WithRawText<'_, ToolCall<'_>>| {
            call.value
                .0
                .as_ref()
                .is_none_or(|call| call.index.0.is_none())
        };
        let by_place = calls.len() > 1 && calls.iter().all(unnumbered);
        let mut fragments = Vec::new();
        for (position, spelled) in (0_u64..).zip(calls) {
            let Some(call) = &spelled.value.0 else {
                self.keep_call(choice, None, None, spelled.raw, form, out)?;
                continue;
            };
            let index = call.index.0.or(by_place.then_some(position));
            let id = call.id.non_empty();
            let goes_on = || call.function.0.is_none() && has_unknown_fields(&call.others);
            let is_kept =
                call.is_not_function() || (goes_on() && self.kept.has_call(choice, index, id));
            if is_kept {
                self.keep_call(choice, index, id, spelled.raw, form, out)?;
                continue;
            }
            for (name, _) in call.others.iter() {
                self.unknown.member("a tool call", name, out);
            }
            let function = call.function.0.as_ref();
            let arguments =
                function.map_or(Ok(Cow::Borrowed("")), |own| own.arguments.arguments())?;
            let name = function.and_then(|function| function.name.as_deref());
            let call = Call {
                index,
                id,
                name,
                arguments,
                extra_content: call.extra_content,
            };
            match form {
                MessageForm::Cumulative => fragments.push(call),
                MessageForm::Delta => {
                    out.tool_fragment(choice, call.fragment())?;
                    self.tool_data(choice, &call, out)?;
                }
                // In a single-body response every element is a separate call, whatever its index and id.
                MessageForm::Complete => {
                    out.add_call(choice, call.fragment())?;
                    self.tool_data(choice, &call, out)?;
                }
            }
        }
        if form == MessageForm::Cumulative && !fragments.is_empty() {
            let list: Vec<_> = fragments.iter().map(Call::fragment).collect();
            let at = out.complete_tool_calls(choice, &list)?;
            for (call, at) in fragments.iter().zip(at) {
                if let Some(data) = call.extra_content.json() {
                    out.tool_call_provider_data_at(
                        choice,
                        at,
                        ProviderData::new(&*self.provider, data),
                    )?;
                }
            }
        }
        if by_place && form == MessageForm::Delta {
            out.tool_calls_interleave(choice)?;
        }
        // The older form of `tool_calls`. Snowflake fills it with empty texts.
        let old = message.function_call.0.as_ref();
        if let Some(function) = old.filter(|_| calls.is_empty()) {
            let arguments = function.arguments.arguments()?;
            let name = function.name.as_deref();
            let fragment = ToolFragment::new(Some(0), None, name, Some(&arguments));
            match form {
                MessageForm::Cumulative => drop(out.complete_tool_calls(choice, &[fragment])?),
                _ => out.tool_fragment(choice, fragment)?,
            }
        }
        Ok(())
    }

    fn tool_data(
        &self,
        choice: u32,
        call: &Call<'_>,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        match call.extra_content.json() {
            Some(data) => {
                out.last_tool_call_provider_data(choice, ProviderData::new(&*self.provider, data))
            }
            None => Ok(()),
        }
    }

    fn keep_call(
        &mut self,
        choice: u32,
        index: Option<u64>,
        id: Option<&str>,
        raw: Raw<'_>,
        form: MessageForm,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        if raw.text().is_none_or(is_blank) {
            return Ok(());
        }
        self.kept
            .call(choice, index, id, raw, form == MessageForm::Cumulative, out)
    }

    fn annotations(
        &mut self,
        choice: u32,
        annotations: &List<Raw<'_>>,
        form: MessageForm,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        for annotation in &annotations.0 {
            let Some(citation) = citation(*annotation) else {
                continue;
            };
            if form != MessageForm::Cumulative
                || !out.has_citation(choice, MESSAGE_KEY, &citation)?
            {
                out.citation(choice, MESSAGE_KEY, citation)?;
            }
        }
        Ok(())
    }
}

/// The form of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MessageForm {
    /// Of a single-body response.
    Complete,
    /// The new content, in a stream.
    Delta,
    /// All content so far, in a stream: it may repeat earlier content.
    Cumulative,
}

/// The texts of a list of parts.
#[derive(Default)]
struct Texts {
    thoughts: String,
    signature: Option<String>,
    text: String,
    refusal: String,
}

/// A fragment of a function call.
struct Call<'a> {
    index: Option<u64>,
    id: Option<&'a str>,
    name: Option<&'a str>,
    arguments: Cow<'a, str>,
    extra_content: Raw<'a>,
}

impl Call<'_> {
    fn fragment(&self) -> ToolFragment<'_> {
        ToolFragment::new(self.index, self.id, self.name, Some(&self.arguments))
    }
}

/// The reasoning in a field of a part: a text, a part, or a list of parts.
fn thoughts(raw: Raw<'_>) -> Vec<WithRawText<'_, Part<'_>>> {
    match raw.text().and_then(|text| text.bytes().next()) {
        None => Vec::new(),
        Some(b'[') => {
            raw.read::<List<WithRawText<'_, Part<'_>>>>()
                .unwrap_or_default()
                .0
        }
        Some(_) => vec![raw.read().unwrap_or_default()],
    }
}

/// A value that is a text.
fn text_of(raw: Raw<'_>) -> Text<'_> {
    match raw.text() {
        Some(text) if text.starts_with('"') => raw.read().unwrap_or_default(),
        _ => Text::default(),
    }
}

fn citation(annotation: Raw<'_>) -> Option<Citation> {
    object! {
        struct AnnotationFields<'a> {
            url_citation: Object<UrlCitation<'a>>,
        }
    }
    object! {
        struct UrlCitation<'a> {
            url: Text<'a>,
            title: Text<'a>,
            content: Text<'a>,
        }
    }
    let wire: AnnotationFields<'_> = annotation.read()?;
    let url = wire.url_citation.0.unwrap_or_default();
    let owned = |text: &Text<'_>| text.non_empty().map(str::to_owned);
    Some(Citation {
        url: owned(&url.url),
        title: owned(&url.title),
        cited_text: owned(&url.content),
        raw: annotation.json(),
    })
}
