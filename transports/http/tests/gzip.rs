//! Compressed bodies, in whatever pieces they come.

#![cfg(feature = "gzip")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::{HeaderMap, HeaderValue};
use std::io::Write as _;
use unifiedai_http::gzip::Decoder;
use unifiedai_transport::{TransportError, TransportErrorKind};

fn compressed(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn decoder() -> Decoder {
    let mut headers = HeaderMap::new();
    headers.insert("content-encoding", HeaderValue::from_static("GZip"));
    headers.insert("content-length", HeaderValue::from_static("7"));
    let decoder = Decoder::of(&mut headers).unwrap();
    assert!(headers.is_empty());
    decoder
}

fn decoded(pieces: &[&[u8]]) -> Result<Vec<u8>, TransportError> {
    let mut decoder = decoder();
    let mut all = Vec::new();
    let pieces = pieces
        .iter()
        .map(|piece| Some(Bytes::copy_from_slice(piece)));
    for piece in pieces.chain([None]) {
        decoder.push(piece);
        while let Some(part) = decoder.pull("a.test:443")? {
            assert!(part.len() <= 16 * 1024);
            all.extend(part);
        }
    }
    assert!(decoder.is_ended());
    Ok(all)
}

#[test]
fn any_split_gives_the_same_bytes() {
    let text = "data: {\"a\": 1}\n\n".repeat(40);
    let body = compressed(text.as_bytes());
    assert_eq!(decoded(&[&body]).unwrap(), text.as_bytes());
    let single: Vec<_> = body.chunks(1).collect();
    assert_eq!(decoded(&single).unwrap(), text.as_bytes());
    for cut in 1..body.len() {
        let (a, b) = body.split_at(cut);
        assert_eq!(decoded(&[a, b]).unwrap(), text.as_bytes(), "{cut}");
    }
}

#[test]
fn a_cut_is_truncated_and_garbage_is_no_gzip() {
    let body = compressed(b"a whole answer");
    for cut in 1..body.len() {
        let failure = decoded(&[&body[..cut]]).unwrap_err();
        assert_eq!(
            failure.kind(),
            TransportErrorKind::Truncated,
            "{cut}: {failure}"
        );
    }
    let failure = decoded(&[b"{\"not\": \"compressed\"}"]).unwrap_err();
    assert_eq!(failure.kind(), TransportErrorKind::Protocol);
    assert!(failure.to_string().contains("a.test:443"), "{failure}");
}

#[test]
fn a_bomb_comes_in_small_parts() {
    let body = compressed(&vec![0; 8 << 20]);
    assert!(body.len() < 10_000);
    assert_eq!(decoded(&[&body]).unwrap().len(), 8 << 20);
}

#[test]
fn other_encodings_are_left_alone() {
    let mut headers = HeaderMap::new();
    headers.insert("content-encoding", HeaderValue::from_static("br"));
    assert!(Decoder::of(&mut headers).is_none());
    assert!(headers.contains_key("content-encoding"));
}
