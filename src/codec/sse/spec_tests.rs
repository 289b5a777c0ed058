//! The specification's algorithm as a reference for the decoder, and helpers for the tests of this module.

use super::{SseDecoder, SseError, SseEvent};
use crate::codec::chunking::every_chunking;
use proptest::prelude::*;

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

pub(super) fn decode_with_every_chunking(limit: usize, stream: &[u8]) -> Outcome {
    every_chunking(stream, |chunks| decode(limit, chunks))
}

/// The specification's algorithm, step by step, on the complete stream.
fn reference(limit: usize, stream: &[u8]) -> Outcome {
    let stream = stream.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(stream);
    let mut lines = vec![Vec::new()];
    let mut at = 0;
    while at < stream.len() {
        match stream[at] {
            b'\r' | b'\n' => {
                if stream[at..].starts_with(b"\r\n") {
                    at += 1;
                }
                lines.push(Vec::new());
            }
            byte => lines.last_mut().unwrap().push(byte),
        }
        at += 1;
    }
    let (mut events, mut event, mut data) = (Vec::new(), Vec::new(), Vec::<u8>::new());
    let count = lines.len();
    let mut finish = |event: &mut Vec<u8>, data: &mut Vec<u8>, at_end: bool| {
        data.pop();
        let (event, data) = (std::mem::take(event), std::mem::take(data));
        if data.is_empty() {
            return Ok(());
        }
        for bytes in [&event, &data] {
            if let Err(error) = std::str::from_utf8(bytes) {
                let valid_up_to = error.valid_up_to();
                return match at_end && error.error_len().is_none() {
                    true => Ok(()),
                    false => Err(SseError::InvalidUtf8 { valid_up_to }),
                };
            }
        }
        events.push((
            String::from_utf8(event).unwrap(),
            String::from_utf8(data).unwrap(),
        ));
        Ok(())
    };
    for (number, line) in lines.iter().enumerate() {
        let result = if line.is_empty() && number + 1 < count {
            finish(&mut event, &mut data, false)
        } else {
            let colon = line.iter().position(|byte| *byte == b':');
            let (name, value) = match colon {
                Some(at) => (&line[..at], &line[at + 1..]),
                None => (&line[..], &b""[..]),
            };
            let value = value.strip_prefix(b" ").unwrap_or(value);
            match name {
                b"event" => event = value.to_vec(),
                b"data" => data.extend_from_slice(&[value, b"\n"].concat()),
                _ => {}
            }
            match event.len() + data.len().saturating_sub(1) > limit {
                true => Err(SseError::EventTooLarge { limit }),
                false => Ok(()),
            }
        };
        if let Err(error) = result {
            return (events, Some(error));
        }
    }
    let last = finish(&mut event, &mut data, true);
    (events, last.err())
}

#[test]
fn framing() {
    type Case<'a> = (&'a [u8], &'a [(&'a str, &'a str)]);
    let cases: &[Case<'_>] = &[
        (b"", &[]),
        (b"\n\n\r\r\n", &[]),
        (b"data: a\n\n", &[("", "a")]),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", &[("", "a"), ("", "b")]),
        (b"data: a\r\rdata: b\r\r", &[("", "a"), ("", "b")]),
        (
            b"data: a\n\r\ndata: b\r\n\rdata: c\r\n\n",
            &[("", "a"), ("", "b"), ("", "c")],
        ),
        (
            b"data: a\r\ndata: b\rdata: c\ndata: d\n\n",
            &[("", "a\nb\nc\nd")],
        ),
        (
            b"data:a\n\ndata:  a\n\ndata:\ta\n\n",
            &[("", "a"), ("", " a"), ("", "\ta")],
        ),
        (b"data\n\ndata:\n\ndata: \n\n", &[]),
        (b"data\ndata\n\n", &[("", "\n")]),
        (b"data\ndata: a\ndata:\n\n", &[("", "\na\n")]),
        (
            b"event: x\ndata: a\n\ndata: b\n\n",
            &[("x", "a"), ("", "b")],
        ),
        (b"data: a\nevent:x\n\n", &[("x", "a")]),
        (b"event: x\nevent: y\ndata: a\n\n", &[("y", "a")]),
        (b"event: x\nevent\ndata: a\n\n", &[("", "a")]),
        (b"event: ping\n\ndata: a\n\n", &[("", "a")]),
        (b"event: x\n: c\n:\n::\n: d\ndata: a\n\n", &[("x", "a")]),
        (
            b"id: 1\x002\nretry: soon\nfoo: bar\nfoo\ndata: a\n\n",
            &[("", "a")],
        ),
        (
            b"dat: a\ndata2: b\nDATA: c\n data: d\ndata : e\nevents: f\ndata: g\n\n",
            &[("", "g")],
        ),
        (b"data: a: b\n\n", &[("", "a: b")]),
        (b"data: a\0b\n\n", &[("", "a\0b")]),
        (
            "data: \u{1F980}é\nevent: ü\n\n".as_bytes(),
            &[("ü", "\u{1F980}é")],
        ),
        (b"\xEF\xBB\xBFdata: a\n\n", &[("", "a")]),
        (
            b"\xEF\xBB\xBF\n\xEF\xBB\xBFdata: a\n\ndata: b\n\n",
            &[("", "b")],
        ),
        (
            b"\xEF\xBB\xBF\xEF\xBB\xBFdata: a\n\ndata: b\n\n",
            &[("", "b")],
        ),
        (b"\xEF\xBBdata: a\ndata: b\n\n", &[("", "b")]),
        (b"\xEF\xBB\ndata: b\n\n", &[("", "b")]),
        (b"\xEF\ndata: b\n\n", &[("", "b")]),
        ("data: \u{FEFF}a\n\n".as_bytes(), &[("", "\u{FEFF}a")]),
        (b": \xFF\xFE\nevent: \xFF\n\ndata: a\n\n", &[("", "a")]),
        (b"data: a\n", &[("", "a")]),
        (b"data: a", &[("", "a")]),
        (b"data: a\r", &[("", "a")]),
        (b"data: a\ndata", &[("", "a\n")]),
        (b"data: a\n\nevent: x", &[("", "a")]),
        (b"data: a\n\ndata: \xE2\x82", &[("", "a")]),
    ];
    for (stream, expected) in cases {
        let expected = expected
            .iter()
            .map(|(e, d)| (e.to_string(), d.to_string()))
            .collect();
        assert_eq!(
            decode_with_every_chunking(PLENTY, stream),
            (expected, None),
            "{stream:?}"
        );
        assert_eq!(
            reference(PLENTY, stream),
            decode(PLENTY, [*stream]),
            "{stream:?}"
        );
    }
}

fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        &b"data"[..],
        b"event",
        b"id",
        b":",
        b": ",
        b" ",
        b"\n",
        b"\r",
        b"\r\n",
        b"\n\n",
        b"x",
        b"{\"a\":1}",
        b"\xEF",
        b"\xBB",
        b"\xBF",
        b"\xEF\xBB\xBF",
        "\u{1F980}".as_bytes(),
        b"\0",
        b"\xFF",
        b"data: a\n\n",
        b"event: e\n",
        b"0123456789",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_chunking_gives_the_specified_events(
        stream in pieces(),
        cuts in prop::collection::vec(0_usize..200, 0..10),
        limit in prop_oneof![Just(PLENTY), 0_usize..40],
    ) {
        let mut cuts: Vec<_> = cuts.into_iter().filter(|at| *at <= stream.len()).collect();
        cuts.sort_unstable();
        cuts.insert(0, 0);
        cuts.push(stream.len());
        let chunks = cuts.windows(2).map(|pair| &stream[pair[0]..pair[1]]);
        let expected = reference(limit, &stream);
        prop_assert_eq!(decode(limit, chunks), expected.clone());
        prop_assert_eq!(decode(limit, [&stream[..]]), expected);
    }
}
