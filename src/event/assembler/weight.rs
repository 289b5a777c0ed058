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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ServerTiming, Usage, Warning, event::Head};
    use bytes::Bytes;

    #[test]
    fn what_nothing_else_counts_weighs_itself_and_its_text() {
        let raw = || Json::parse("[1,2,3]").unwrap();
        let event = size_of::<StreamEvent>();
        let head = Head {
            id: "four".into(),
            model: "seven77".into(),
            ..Head::default()
        };
        let usage = Usage {
            raw: Some(raw()),
            ..Usage::default()
        };
        let timing = StreamEvent::Timing {
            server: ServerTiming::default(),
            raw: Some(Box::new(raw())),
        };
        for (counted, bytes) in [
            (StreamEvent::Start(Box::new(head)), size_of::<Head>() + 11),
            (StreamEvent::Usage(Box::new(usage)), size_of::<Usage>() + 7),
            (timing, 7),
            (
                StreamEvent::Warning(Box::new(Warning::new("code", "words"))),
                size_of::<Warning>() + 5,
            ),
            (StreamEvent::Raw(Bytes::from_static(b"frame")), 5),
        ] {
            assert_eq!(weight(&counted), event + bytes, "{counted:?}");
        }
    }

    #[test]
    fn a_piece_of_the_answer_is_counted_with_the_answer() {
        let piece = StreamEvent::TextDelta {
            choice: 0,
            part: 0,
            text: "words".into(),
        };
        assert_eq!(weight(&piece), 0);
    }
}
