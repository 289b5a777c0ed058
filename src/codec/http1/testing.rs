//! Helpers for the tests of this module.

use super::{Http1Error, ResponseDecoder, ResponsePart, decoder::MAX_HEADER_BYTES};
use crate::codec::chunking::every_chunking;
use http::{HeaderMap, HeaderValue, Method};

#[derive(Debug, Default, PartialEq, Clone)]
pub(super) struct Outcome {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    pub(super) trailers: Option<Vec<(String, String)>>,
    pub(super) reusable: bool,
    pub(super) surplus: usize,
    pub(super) error: Option<Http1Error>,
}

fn list(map: &HeaderMap) -> Vec<(String, String)> {
    let value = |value: &HeaderValue| String::from_utf8(value.as_bytes().to_vec()).unwrap();
    map.iter()
        .map(|(name, text)| (name.to_string(), value(text)))
        .collect()
}

/// Everything that the decoder returns for a connection that sends these bytes and closes.
pub(super) fn decode<'c>(
    method: &Method,
    limit: usize,
    chunks: impl IntoIterator<Item = &'c [u8]>,
) -> Outcome {
    let mut decoder = ResponseDecoder::new(method).with_max_header_size(limit);
    let mut outcome = Outcome::default();
    fn note(outcome: &mut Outcome, part: ResponsePart<'_>) {
        match part {
            ResponsePart::Headers(head) => {
                assert_eq!(outcome.status, 0);
                outcome.status = head.status.as_u16();
                outcome.headers = list(&head.headers);
            }
            ResponsePart::Body(piece) => {
                assert!(!piece.is_empty() && outcome.status > 0 && outcome.trailers.is_none());
                outcome.body.extend_from_slice(piece);
            }
            ResponsePart::End(trailers) => {
                assert!(outcome.status > 0 && outcome.trailers.is_none());
                outcome.trailers = Some(list(&trailers));
            }
        }
    }
    for chunk in chunks {
        let mut rest = chunk;
        loop {
            match decoder.next(&mut rest) {
                Ok(Some(part)) => note(&mut outcome, part),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(
                        decoder
                            .next(&mut &b"HTTP/1.1 200 OK\r\n\r\n"[..])
                            .unwrap_err(),
                        error
                    );
                    assert_eq!(decoder.finish().unwrap_err(), error);
                    assert!(!decoder.is_reusable() && !decoder.is_complete());
                    outcome.error = Some(error);
                    return outcome;
                }
            }
        }
        assert_eq!(decoder.is_complete(), outcome.trailers.is_some());
        assert!(rest.is_empty() || decoder.is_complete());
        outcome.surplus += rest.len();
    }
    outcome.reusable = decoder.is_reusable();
    match decoder.finish() {
        Ok(part) => {
            part.into_iter().for_each(|part| note(&mut outcome, part));
            assert!(decoder.is_complete() && !decoder.is_reusable());
        }
        Err(error) => outcome.error = Some(error),
    }
    outcome
}

pub(super) fn decode_with_every_chunking(method: &Method, limit: usize, stream: &[u8]) -> Outcome {
    every_chunking(stream, |chunks| decode(method, limit, chunks))
}

pub(super) fn get(stream: &[u8]) -> Outcome {
    decode_with_every_chunking(&Method::GET, MAX_HEADER_BYTES, stream)
}
