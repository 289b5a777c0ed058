//! The items of `output`: each is begun, poured out in deltas, and told again in full when it is done.

use super::{
    slots::{Slots, content_part, item_part, message_part},
    wire::{Event, Item, Part},
};
use crate::{
    Assembler, Citation, Error, Json, Logprobs, OpaqueBlock, OpaqueData,
    provider::{
        lenient::{Object, Raw, Text, object},
        logprobs,
    },
};
use serde::Serialize;

/// What a text is.
#[derive(Clone, Copy, Debug)]
enum Flow {
    Text,
    Refusal,
    Reasoning,
}

/// The items that have come, and what is said of them.
#[derive(Debug)]
pub(super) struct Items {
    provider: String,
    slots: Slots,
    /// Whether the program has to answer an item.
    calls: bool,
    /// Whether the last command for a shell has no output, so that the program is to run it.
    shell_waits: bool,
    /// Whether a reasoning item came: the items behind it are only known with their ids then.
    reasoned: bool,
}

impl Items {
    pub(super) fn new(provider: &str) -> Self {
        Items {
            provider: provider.to_owned(),
            slots: Slots::default(),
            calls: false,
            shell_waits: false,
            reasoned: false,
        }
    }

    pub(super) fn has_calls(&self) -> bool {
        self.calls || self.shell_waits
    }

    pub(super) fn added(&mut self, event: &Event<'_>, out: &mut Assembler) -> Result<(), Error> {
        let number = self.slots.add(event.output_index.0)?;
        let item: Item<'_> = event.item.read().unwrap_or_default();
        if let (Some("function_call"), Some(name)) = (item.r#type.as_deref(), item.name.non_empty())
        {
            let id = item.call_id.as_deref().unwrap_or_default();
            out.tool_start(0, item_part(number), id, name)?;
            self.slots.seen(item_part(number))?;
        }
        Ok(())
    }

    pub(super) fn done(&mut self, event: &Event<'_>, out: &mut Assembler) -> Result<(), Error> {
        let number = self.slots.of(event.output_index.0)?;
        let item: Item<'_> = event.item.read().unwrap_or_default();
        self.complete(number, &item, event.item, out)
    }

    /// A response is complete, and has so many items.
    pub(super) fn expect(&mut self, total: usize) {
        self.slots.align(total);
    }

    /// An item of a response that is complete; in a stream it may have come before.
    pub(super) fn of_response(
        &mut self,
        position: usize,
        item: &Item<'_>,
        raw: Raw<'_>,
        out: &mut Assembler,
    ) -> Result<(), Error> {
        match self.slots.at(position)? {
            Some(number) => self.complete(number, item, raw, out),
            None => Ok(()),
        }
    }

    pub(super) fn text(&mut self, event: &Event<'_>, out: &mut Assembler) -> Result<(), Error> {
        let part = self.message_part(event)?;
        self.pour(
            part,
            Flow::Text,
            event.delta.as_deref().unwrap_or_default(),
            out,
        )?;
        let seen = self.slots.seen(part)?;
        seen.logprobs = seen.logprobs.saturating_add(event.logprobs.0.len());
        pour_logprobs(&event.logprobs.0, out)
    }

    pub(super) fn refusal(&mut self, event: &Event<'_>, out: &mut Assembler) -> Result<(), Error> {
        let part = self.message_part(event)?;
        self.pour(
            part,
            Flow::Refusal,
            event.delta.as_deref().unwrap_or_default(),
            out,
        )
    }

    pub(super) fn summary(&mut self, event: &Event<'_>, out: &mut Assembler) -> Result<(), Error> {
        let number = self.slots.of(event.output_index.0)?;
        let part = message_part(number, event.summary_index.0.unwrap_or(0));
        self.pour(
            part,
            Flow::Reasoning,
            event.delta.as_deref().unwrap_or_default(),
            out,
        )
    }

    pub(super) fn reasoning(
        &mut self,
        event: &Event<'_>,
        out: &mut Assembler,
    ) -> Result<(), Error> {
        let number = self.slots.of(event.output_index.0)?;
        let part = content_part(number, event.content_index.0.unwrap_or(0));
        self.pour(
            part,
            Flow::Reasoning,
            event.delta.as_deref().unwrap_or_default(),
            out,
        )
    }

    /// A piece of arguments. Without the call's name it waits for the item's end, which tells all.
    pub(super) fn arguments(
        &mut self,
        event: &Event<'_>,
        out: &mut Assembler,
    ) -> Result<(), Error> {
        let part = item_part(self.slots.of(event.output_index.0)?);
        let Some(delta) = event.delta.non_empty().filter(|_| self.slots.has(part)) else {
            return Ok(());
        };
        self.slots.seen(part)?.add(delta);
        out.tool_arguments(0, part, delta)
    }

    fn message_part(&mut self, event: &Event<'_>) -> Result<u32, Error> {
        let number = self.slots.of(event.output_index.0)?;
        Ok(message_part(number, event.content_index.0.unwrap_or(0)))
    }

    /// An item in full: hands out what the deltas left out.
    fn complete(
        &mut self,
        number: u32,
        item: &Item<'_>,
        raw: Raw<'_>,
        out: &mut Assembler,
    ) -> Result<(), Error> {
        let Some(json) = raw.json() else {
            return Ok(());
        };
        self.slots.done(number);
        match item.r#type.as_deref().unwrap_or_default() {
            "message" if matches!(item.role.as_deref(), None | Some("" | "assistant")) => {
                self.message(number, item, out)
            }
            "function_call" => self.call(number, item, json, out),
            other => {
                if other == "reasoning" {
                    self.reasoned = true;
                    self.thoughts(number, item, out)?;
                }
                match other {
                    "custom_tool_call" | "computer_call" | "local_shell_call"
                    | "apply_patch_call" => self.calls = true,
                    "shell_call" => self.shell_waits = true,
                    "shell_call_output" => self.shell_waits = false,
                    _ => {}
                }
                out.opaque(0, item_part(number), OpaqueBlock::new(&self.provider, json))
            }
        }
    }

    fn message(&mut self, number: u32, item: &Item<'_>, out: &mut Assembler) -> Result<(), Error> {
        for (index, part) in (0_u64..).zip(parts(&item.content.0)) {
            let place = message_part(number, index);
            if part.r#type.as_deref() == Some("refusal") {
                self.rest(place, Flow::Refusal, &part.refusal, out)?;
                continue;
            }
            self.rest(place, Flow::Text, &part.text, out)?;
            for annotation in &part.annotations.0 {
                out.citation(0, place, citation(*annotation))?;
            }
            let seen = self.slots.seen(place)?.logprobs;
            pour_logprobs(part.logprobs.0.get(seen..).unwrap_or_default(), out)?;
            out.close(0, place)?;
        }
        if self.reasoned || item.phase.non_empty().is_some() {
            let block = Json::new(&MessageMark {
                r#type: "message",
                id: item.id.non_empty(),
                phase: item.phase.non_empty(),
            })?;
            out.opaque(
                0,
                item_part(number),
                OpaqueBlock::new(&self.provider, block),
            )?;
        }
        Ok(())
    }

    fn thoughts(&mut self, number: u32, item: &Item<'_>, out: &mut Assembler) -> Result<(), Error> {
        for (index, part) in (0_u64..).zip(parts(&item.summary.0)) {
            self.rest(
                message_part(number, index),
                Flow::Reasoning,
                &part.text,
                out,
            )?;
        }
        for (index, part) in (0_u64..).zip(parts(&item.content.0)) {
            self.rest(
                content_part(number, index),
                Flow::Reasoning,
                &part.text,
                out,
            )?;
        }
        Ok(())
    }

    fn call(
        &mut self,
        number: u32,
        item: &Item<'_>,
        json: Json,
        out: &mut Assembler,
    ) -> Result<(), Error> {
        self.calls = true;
        let part = item_part(number);
        let text = |text: &Text<'_>| text.as_deref().unwrap_or_default().to_owned();
        out.tool_start(0, part, &text(&item.call_id), &text(&item.name))?;
        let arguments = item.arguments.arguments()?;
        out.tool_arguments(0, part, self.slots.seen(part)?.rest(&arguments)?)?;
        out.tool_data(0, part, OpaqueData::new(&self.provider, json))?;
        out.close(0, part)
    }

    fn rest(
        &mut self,
        part: u32,
        flow: Flow,
        full: &Text<'_>,
        out: &mut Assembler,
    ) -> Result<(), Error> {
        let full = full.as_deref().unwrap_or_default();
        let rest = self.slots.seen(part)?.rest(full)?;
        self.pour(part, flow, rest, out)
    }

    fn pour(
        &mut self,
        part: u32,
        flow: Flow,
        text: &str,
        out: &mut Assembler,
    ) -> Result<(), Error> {
        self.slots.seen(part)?.add(text);
        match flow {
            Flow::Text => out.text(0, part, text),
            Flow::Refusal => out.refusal(0, part, text),
            Flow::Reasoning => out.reasoning(0, part, text),
        }
    }
}

/// What a message needs, beside its text, to be recognised by the provider when it comes back.
#[derive(Serialize)]
struct MessageMark<'a> {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    phase: Option<&'a str>,
}

fn parts<'a, 'w>(list: &'a [Object<Part<'w>>]) -> impl Iterator<Item = &'a Part<'w>> {
    list.iter().filter_map(|part| part.0.as_ref())
}

fn pour_logprobs(list: &[Raw<'_>], out: &mut Assembler) -> Result<(), Error> {
    let content = logprobs::tokens(list);
    out.logprobs(
        0,
        Logprobs {
            content,
            ..Logprobs::default()
        },
    )
}

/// Of a page, or of a file.
fn citation(annotation: Raw<'_>) -> Citation {
    object! {
        struct Wire<'a> {
            url: Text<'a>,
            title: Text<'a>,
            filename: Text<'a>,
        }
    }
    let wire: Wire<'_> = annotation.read().unwrap_or_default();
    let owned = |text: &Text<'_>| text.non_empty().map(str::to_owned);
    Citation {
        url: owned(&wire.url),
        title: owned(&wire.title).or_else(|| owned(&wire.filename)),
        cited_text: None,
        raw: annotation.json(),
    }
}
