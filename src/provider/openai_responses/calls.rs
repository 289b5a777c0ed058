//! Calls of functions, whose arguments come in deltas and whole.

use super::{
    arguments,
    items::{Items, Source},
    output_items::Kind,
    parts::item_part,
    types::{Event, Item},
};
use crate::{
    Error, ErrorKind, Json,
    chat::ProviderData,
    event::ToolCallProgress,
    provider::{ResponseBuilder, kit::lenient::Raw},
};

impl Items {
    /// A piece of arguments. Without the call's name it waits for it.
    pub(super) fn arguments(
        &mut self,
        event: &Event<'_>,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        let number = self
            .slots
            .of(event.output_index.0, event.item_id.non_empty())?;
        self.slots.is(number, Kind::Call);
        let Some(delta) = event.delta.as_deref() else {
            self.warn_unreadable(event, out);
            return Ok(());
        };
        if self
            .slots
            .get(number)
            .is_some_and(|slot| slot.has_arguments)
        {
            self.warn_late_delta(event, out);
            return Ok(());
        }
        out.tool_arguments(0, item_part(number), delta)
    }

    /// All arguments of a call.
    pub(super) fn arguments_done(
        &mut self,
        event: &Event<'_>,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        let number = self
            .slots
            .of(event.output_index.0, event.item_id.non_empty())?;
        self.slots.is(number, Kind::Call);
        let name = event.name.as_deref().unwrap_or_default();
        self.check_name(number, name, out)?;
        // Before its name comes nothing of a call is visible, so that its whole arguments can still replace others.
        self.complete_arguments(number, event.arguments, out)?;
        out.tool_start(0, item_part(number), "", name)?;
        if let Some(slot) = self.slots.get(number) {
            slot.has_arguments = true;
        }
        Ok(())
    }

    pub(super) fn call(
        &mut self,
        number: u32,
        item: &Item<'_>,
        json: Json,
        source: Source,
        is_first: bool,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        let part = item_part(number);
        let name = item.name.as_deref().unwrap_or_default();
        let id = item.call_id.as_deref().unwrap_or_default();
        self.check_name(number, name, out)?;
        self.complete_arguments(number, item.arguments, out)?;
        out.tool_start(0, part, id, name)?;
        if let Some(call) = out.current_call(0, part)
            && !id.is_empty()
            && call.id != id
        {
            let message = format!(
                "the call in `output[{number}]` was announced with another `call_id` than it was finished with; it keeps the first"
            );
            self.unknown.warn("call_id_differs", message, out);
        }
        if !is_first {
            return Ok(());
        }
        out.tool_call_provider_data(0, part, ProviderData::new(&self.provider, json))?;
        let has_arguments = self
            .slots
            .get(number)
            .is_some_and(|slot| slot.has_arguments);
        let is_open = matches!(item.status.as_deref(), Some("in_progress" | "incomplete"));
        let is_empty = out
            .current_call(0, part)
            .is_some_and(|call| call.arguments.trim().is_empty());
        if source == Source::Response && is_open && is_empty && !has_arguments {
            // As if it were only announced: what the response ended with decides.
            if let Some(slot) = self.slots.get(number) {
                slot.done = false;
            }
            return Ok(());
        }
        if let Some(slot) = self.slots.get(number) {
            slot.has_arguments = true;
        }
        self.has_call();
        out.end_part(0, part)
    }

    /// One name in the announcement and another one at the end are two commands.
    fn check_name(&self, number: u32, name: &str, out: &ResponseBuilder) -> Result<(), Error> {
        match out.current_call(0, item_part(number)) {
            Some(call) if ![&*call.name, ""].contains(&name) && !call.name.is_empty() => {
                Err(Error::new(
                    ErrorKind::Protocol,
                    format!(
                        "the call in `output[{number}]` was announced as `{}` and finished as `{}`",
                        call.name.escape_debug(),
                        name.escape_debug()
                    ),
                ))
            }
            _ => Ok(()),
        }
    }

    /// All arguments of a call, of which some may have been handed out. None say nothing: some servers leave out at the end
    /// what they have sent before.
    fn complete_arguments(
        &mut self,
        number: u32,
        arguments: Raw<'_>,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        let part = item_part(number);
        let whole = arguments.arguments()?;
        let has_arguments = self
            .slots
            .get(number)
            .is_some_and(|slot| slot.has_arguments);
        let is_open = out.tool_call_progress(0, part) != Some(ToolCallProgress::Ended);
        let come = out.current_call(0, part).map_or("", |call| &call.arguments);
        if whole.is_empty() || *come == *whole || arguments::same(come, &whole) {
            return Ok(());
        }
        if let Some(rest) = whole.strip_prefix(come)
            && is_open
            && (come.is_empty() || !has_arguments)
        {
            return out.tool_arguments(0, part, rest);
        }
        if out.replace_arguments(0, part, &whole)? {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Protocol,
            format!(
                "the arguments of the call in `output[{number}]` differ between its deltas and the finished call: it is not known which command was meant"
            ),
        ))
    }
}
