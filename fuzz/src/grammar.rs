//! The valid order of events.

use std::collections::BTreeMap;
use unifiedai::StreamEvent;

#[derive(Default)]
struct Choice {
    /// The current part, and whether it is reasoning.
    flowing: Option<(u32, bool)>,
    /// Calls by part: id, name, arguments so far, whether it has ended.
    calls: BTreeMap<u32, (String, String, String, bool)>,
    finished: bool,
}

/// Whether the events are in a valid order; `complete`: they are all events of a successful response.
pub fn check(events: &[StreamEvent], complete: bool) -> Result<(), String> {
    let mut choices = BTreeMap::<u32, Choice>::new();
    for (at, event) in events.iter().enumerate() {
        step(&mut choices, event).map_err(|what| format!("event {at}, {event:?}: {what}"))?;
    }
    for (index, choice) in choices {
        if complete && !choice.finished {
            return Err(format!("answer {index} is not finished"));
        }
    }
    Ok(())
}

/// The first difference between the events of a cut response and those of the complete one.
pub fn differs<'e>(
    full: &'e [StreamEvent],
    cut: &'e [StreamEvent],
) -> Option<(Option<&'e StreamEvent>, &'e StreamEvent)> {
    let mut full = full.iter();
    let mut pairs = cut.iter().map(|event| (full.next(), event));
    pairs.find(|(full, cut)| *full != Some(*cut))
}

fn step(choices: &mut BTreeMap<u32, Choice>, event: &StreamEvent) -> Result<(), &'static str> {
    use StreamEvent as E;
    let (choice, flow) = match event {
        E::TextStart { choice, part }
        | E::TextDelta { choice, part, .. }
        | E::TextEnd { choice, part } => (choice, Some((*part, false))),
        E::ReasoningStart { choice, part }
        | E::ReasoningDelta { choice, part, .. }
        | E::ReasoningSignature { choice, part, .. }
        | E::ReasoningEnd { choice, part } => (choice, Some((*part, true))),
        E::RefusalDelta { choice, .. }
        | E::ToolCallStart { choice, .. }
        | E::ToolCallDelta { choice, .. }
        | E::ToolCallEnd { choice, .. }
        | E::HostedToolCall { choice, .. }
        | E::HostedToolResult { choice, .. }
        | E::Compaction { choice, .. }
        | E::ProviderBlock { choice, .. }
        | E::Finish { choice, .. } => (choice, None),
        _ => return Ok(()),
    };
    let choice = choices.entry(*choice).or_default();
    require(!choice.finished, "the answer is finished already")?;
    match event {
        E::TextStart { .. } | E::ReasoningStart { .. } => {
            require(choice.flowing.is_none(), "another part is under way")?;
            choice.flowing = flow;
        }
        E::TextEnd { .. } | E::ReasoningEnd { .. } => {
            require(choice.flowing.take() == flow, "it was not under way")?;
        }
        E::TextDelta { text, .. } | E::ReasoningDelta { text, .. } => {
            require(
                choice.flowing == flow && !text.is_empty(),
                "it was not under way, or is empty",
            )?;
        }
        E::ReasoningSignature { .. } => require(choice.flowing == flow, "it was not under way")?,
        E::ToolCallStart { part, id, name, .. } => {
            require(choice.flowing.is_none(), "another part is under way")?;
            let call = (id.clone(), name.clone(), String::new(), false);
            require(
                choice.calls.insert(*part, call).is_none(),
                "it began before",
            )?;
        }
        E::ToolCallDelta {
            part, arguments, ..
        } => {
            let call = choice.calls.get_mut(part).ok_or("it did not begin")?;
            require(
                !call.3 && !arguments.is_empty(),
                "it has ended, or is empty",
            )?;
            call.2.push_str(arguments);
        }
        E::ToolCallEnd { part, call, .. } => {
            let begun = choice.calls.get_mut(part).ok_or("it did not begin")?;
            require(!std::mem::replace(&mut begun.3, true), "it has ended")?;
            let same = begun.0 == call.id && begun.1 == call.name && begun.2 == call.arguments;
            require(same, "its pieces do not add up to it")?;
        }
        E::Finish { .. } => {
            require(choice.flowing.is_none(), "a part is under way")?;
            require(
                choice.calls.values().all(|call| call.3),
                "a call is under way",
            )?;
            choice.finished = true;
        }
        _ => {}
    }
    Ok(())
}

fn require(holds: bool, otherwise: &'static str) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err(otherwise) }
}
