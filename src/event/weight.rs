use super::StreamEvent;
use crate::Json;

/// The bytes that an event takes while it waits to be handed out and that nothing else counts. Events that hold a piece of
/// the answer are counted with the answer, for as long as that is kept.
pub(super) fn weight(event: &StreamEvent) -> usize {
    let json = |raw: Option<&Json>| raw.map_or(0, |raw| raw.as_str().len());
    let (own, text) = match event {
        StreamEvent::Start(head) => (
            size_of_val(&**head),
            head.id.len().saturating_add(head.model.len()),
        ),
        StreamEvent::Usage(usage) => (size_of_val(&**usage), json(usage.raw.as_ref())),
        StreamEvent::Timing { raw, .. } => (0, json(raw.as_deref())),
        StreamEvent::Warning(warning) => (size_of_val(&**warning), warning.message.len()),
        StreamEvent::Raw(frame) => (0, frame.len()),
        _ => return 0,
    };
    size_of::<StreamEvent>()
        .saturating_add(own)
        .saturating_add(text)
}
