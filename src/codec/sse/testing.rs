//! What the tests of this folder use.

use super::{SseDecoder, SseError, SseEvent};
use crate::codec::chunking::every_way;

pub(super) const PLENTY: usize = 1 << 20;

pub(super) type Outcome = (Vec<(String, String)>, Option<SseError>);

fn own(event: SseEvent<'_>) -> (String, String) {
    (event.event.to_owned(), event.data.to_owned())
}

pub(super) fn decode<'c>(limit: usize, chunks: impl IntoIterator<Item = &'c [u8]>) -> Outcome {
    let mut decoder = SseDecoder::new(limit);
    let mut events = Vec::new();
    for chunk in chunks {
        let mut rest = chunk;
        loop {
            match decoder.next(&mut rest) {
                Ok(Some(event)) => events.push(own(event)),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(decoder.next(&mut &b"data: x\n\n"[..]), Err(error));
                    assert_eq!(decoder.finish(), Err(error));
                    return (events, Some(error));
                }
            }
        }
        assert!(rest.is_empty());
    }
    match decoder.finish() {
        Ok(last) => events.extend(last.map(own)),
        Err(error) => return (events, Some(error)),
    }
    assert_eq!(decoder.finish(), Ok(None));
    (events, None)
}

pub(super) fn decode_every_way(limit: usize, stream: &[u8]) -> Outcome {
    every_way(stream, |chunks| decode(limit, chunks))
}
