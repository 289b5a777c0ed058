//! The items that are still open when the response ends.

use super::{
    items::Items,
    output_items::Kind,
    parts::{List, item_part},
    streamed::Streamed,
    types::Item,
};
use crate::{
    Error, Json,
    event::ToolCallProgress,
    provider::{
        ResponseBuilder,
        kit::{json_object::JsonObject, lenient, unknown_fields::shown},
    },
};
use serde::Serialize;

/// How a response ended that has an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Complete,
    /// Cut by a limit or a filter.
    Incomplete,
}

impl Items {
    /// The response is over: what of its items was not completed by an event of its own.
    pub(super) fn finish(&mut self, ended: Ended, out: &mut ResponseBuilder) -> Result<(), Error> {
        for number in self.slots.numbers() {
            let kept = self
                .slots
                .get(number)
                .and_then(|slot| slot.unencrypted.take());
            if let Some(json) = kept {
                self.provider_block(number, json, out)?;
            }
            let Some(slot) = self.slots.get(number).filter(|slot| !slot.done) else {
                continue;
            };
            slot.done = true;
            let kind = slot.key.kind;
            let announced = slot.announced.take();
            let streamed = std::mem::take(&mut slot.streamed);
            match kind {
                Kind::Call => self.open_call(number, ended, out)?,
                Kind::Message => self.open_message(number, announced, out)?,
                Kind::Reasoning => self.open_reasoning(number, announced, out)?,
                Kind::Other(_) => self.open_other(number, announced, streamed, out)?,
                Kind::Unknown if streamed.is_empty() => {}
                Kind::Unknown => self.not_completed(number, "", out),
            }
        }
        Ok(())
    }

    /// A call that nothing completed is whole only if its arguments are one JSON object.
    fn open_call(
        &mut self,
        number: u32,
        ended: Ended,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        let part = item_part(number);
        let has_arguments = self
            .slots
            .get(number)
            .is_some_and(|slot| slot.has_arguments);
        if !has_arguments {
            let is_cut = ended == Ended::Incomplete;
            if out.end_open_call(0, part, is_cut, &format!("output[{number}]"))? {
                self.has_call();
            }
            return Ok(());
        }
        if !matches!(
            out.tool_call_progress(0, part),
            None | Some(ToolCallProgress::Ended)
        ) {
            self.has_call();
        }
        out.end_part(0, part)
    }

    /// The text of a message is whole once the response is. A text that only the announcement has is taken.
    fn open_message(
        &mut self,
        number: u32,
        announced: Option<Json>,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        let Some(json) = announced else {
            return Ok(());
        };
        let item: Item<'_> = lenient::parse(json.as_str())?;
        if self.parts.of(List::First, number).next().is_none() {
            self.message(number, &item, out)?;
        }
        self.mark(number, &item, out)
    }

    /// A reasoning item goes back with the texts that came of it.
    fn open_reasoning(
        &mut self,
        number: u32,
        announced: Option<Json>,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        #[derive(Serialize)]
        struct Text<'a> {
            r#type: &'static str,
            text: &'a str,
        }
        let Some(json) = announced else {
            return Ok(());
        };
        self.has_reasoning();
        let item: Item<'_> = lenient::parse(json.as_str())?;
        let nothing_came = |list| self.parts.of(list, number).next().is_none();
        if nothing_came(List::First) && nothing_came(List::Second) {
            self.thoughts(number, &item, out)?;
        }
        let Some(mut members) = JsonObject::read(json.as_str()) else {
            return Ok(());
        };
        for (list, member, r#type) in [
            (List::First, "summary", "summary_text"),
            (List::Second, "content", "reasoning_text"),
        ] {
            let texts: Vec<Text<'_>> = self
                .parts
                .of(list, number)
                .filter_map(|part| out.current_text(0, part))
                .map(|text| Text { r#type, text })
                .collect();
            if !texts.is_empty() {
                members.set(member, Json::new(&texts)?);
            }
        }
        self.provider_block(number, members.without(&["status"]).to_json()?, out)
    }

    /// An item without a place of its own is whole if an event completed the member that it is about.
    fn open_other(
        &mut self,
        number: u32,
        announced: Option<Json>,
        streamed: Streamed,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        let Some(json) = announced else {
            self.not_completed(number, "", out);
            return Ok(());
        };
        let item: Item<'_> = lenient::parse(json.as_str())?;
        let kind = item.r#type.as_deref().unwrap_or_default();
        if !streamed.has_whole() {
            self.not_completed(number, kind, out);
            return Ok(());
        }
        let (filled, differing) = streamed.complete(json.clone())?;
        for member in differing {
            self.differs(number, member, "its announcement", out);
        }
        let Some(mut members) = JsonObject::read(filled.as_str()) else {
            return Ok(());
        };
        members.set("status", Json::new("completed")?);
        self.is_program_call(kind);
        self.provider_block(number, members.to_json()?, out)
    }

    fn not_completed(&mut self, number: u32, kind: &str, out: &mut ResponseBuilder) {
        let message = format!(
            "the item `{}` in `output[{number}]` was announced and never completed; it was left out",
            shown(kind)
        );
        self.unknown.warn("item_not_completed", message, out);
    }
}
