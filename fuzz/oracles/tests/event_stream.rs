//! Compares `codec::event_stream` with `aws-smithy-eventstream`, on random and recorded streams.

use aws_smithy_eventstream::frame::{DecodedFrame, MessageFrameDecoder, write_message_to};
use aws_smithy_types::{
    DateTime,
    event_stream::{Header, HeaderValue as TheirValue, Message},
};
use base64::Engine as _;
use std::path::Path;
use unifiedai::codec::event_stream::{EventStreamDecoder, HeaderValue, encode_message};
use unifiedai_oracles::{Rng, cases, rng};

const LIMIT: usize = 16 * 1024 * 1024;

/// Messages in a form that both sides can produce, and whether the stream was refused.
type Outcome = (Vec<(Vec<(String, String)>, Vec<u8>)>, bool);

fn ours<'c>(chunks: impl IntoIterator<Item = &'c [u8]>) -> Outcome {
    let mut decoder = EventStreamDecoder::new(LIMIT);
    let mut messages = Vec::new();
    for mut chunk in chunks {
        loop {
            match decoder.next(&mut chunk) {
                Ok(Some(message)) => {
                    let headers = message.headers().map(|(name, value)| {
                        let value = match value {
                            HeaderValue::Bool(value) => format!("bool {value}"),
                            HeaderValue::Byte(value) => format!("i8 {value}"),
                            HeaderValue::Int16(value) => format!("i16 {value}"),
                            HeaderValue::Int32(value) => format!("i32 {value}"),
                            HeaderValue::Int64(value) => format!("i64 {value}"),
                            HeaderValue::Bytes(value) => format!("bytes {value:?}"),
                            HeaderValue::String(value) => format!("string {value}"),
                            HeaderValue::Timestamp(value) => format!("timestamp {value}"),
                            HeaderValue::Uuid(value) => {
                                format!("uuid {}", u128::from_be_bytes(value))
                            }
                            other => format!("{other:?}"),
                        };
                        (name.to_owned(), value)
                    });
                    messages.push((headers.collect(), message.payload().to_vec()));
                }
                Ok(None) => break,
                Err(_) => return (messages, true),
            }
        }
    }
    (messages, false)
}

/// Also returns the rest of the stream while they wait for more.
fn theirs(stream: &[u8]) -> (Outcome, &[u8]) {
    let mut decoder = MessageFrameDecoder::new();
    let mut messages = Vec::new();
    let mut rest = stream;
    loop {
        let left = rest;
        match decoder.decode_frame(&mut rest) {
            Ok(DecodedFrame::Complete(message)) => {
                let headers = message.headers().iter().map(|header| {
                    let value = match header.value() {
                        TheirValue::Bool(value) => format!("bool {value}"),
                        TheirValue::Byte(value) => format!("i8 {value}"),
                        TheirValue::Int16(value) => format!("i16 {value}"),
                        TheirValue::Int32(value) => format!("i32 {value}"),
                        TheirValue::Int64(value) => format!("i64 {value}"),
                        TheirValue::ByteArray(value) => format!("bytes {:?}", &value[..]),
                        TheirValue::String(value) => format!("string {}", value.as_str()),
                        TheirValue::Timestamp(value) => {
                            format!("timestamp {}", value.to_millis().unwrap())
                        }
                        TheirValue::Uuid(value) => format!("uuid {value}"),
                        other => format!("{other:?}"),
                    };
                    (header.name().as_str().to_owned(), value)
                });
                messages.push((headers.collect(), message.payload().to_vec()));
            }
            Ok(DecodedFrame::Incomplete) => return ((messages, false), left),
            Err(_) => return ((messages, true), left),
        }
    }
}

fn compare(stream: &[u8], rng: &mut Rng) -> Outcome {
    let whole = ours([stream]);
    let (theirs, left) = theirs(stream);
    if whole != theirs {
        // They validate a prelude only after all announced bytes were received.
        let announced = left
            .first_chunk()
            .map_or(0, |len| u32::from_be_bytes(*len) as usize);
        assert!(whole.1 && !theirs.1 && announced > left.len(), "{stream:?}");
        assert_eq!(whole.0, theirs.0, "{stream:?}");
    }
    let chunk = 1 + rng.below(200);
    assert_eq!(
        ours(stream.chunks(chunk)),
        whole,
        "in chunks of {chunk}: {stream:?}"
    );
    whole
}

/// A message, encoded by both.
fn message(rng: &mut Rng) -> Vec<u8> {
    let payload = rng.bytes(200);
    let mut their = Message::new(payload.clone());
    let mut values = Vec::new();
    for _ in 0..rng.below(5) {
        let name = format!("n{}", rng.text("abc:-é", 10));
        let (number, bytes, text) = (
            rng.next() as i64,
            rng.bytes(50),
            rng.text("abc \u{1F980}é\0", 50),
        );
        // Their dates are seconds and nanoseconds, whose range is smaller than an i64 of milliseconds.
        let millis = number >> 16;
        let value = match rng.below(9) {
            0 => TheirValue::Bool(number > 0),
            1 => TheirValue::Byte(number as i8),
            2 => TheirValue::Int16(number as i16),
            3 => TheirValue::Int32(number as i32),
            4 => TheirValue::Int64(number),
            5 => TheirValue::ByteArray(bytes.into()),
            6 => TheirValue::String(text.into()),
            7 => TheirValue::Timestamp(DateTime::from_millis(millis)),
            _ => TheirValue::Uuid(u128::from(number as u64) << 64 | u128::from(rng.next())),
        };
        their = their.add_header(Header::new(name.clone(), value.clone()));
        values.push((name, value));
    }
    let headers: Vec<_> = values
        .iter()
        .map(|(name, value)| {
            let value = match value {
                TheirValue::Bool(value) => HeaderValue::Bool(*value),
                TheirValue::Byte(value) => HeaderValue::Byte(*value),
                TheirValue::Int16(value) => HeaderValue::Int16(*value),
                TheirValue::Int32(value) => HeaderValue::Int32(*value),
                TheirValue::Int64(value) => HeaderValue::Int64(*value),
                TheirValue::ByteArray(value) => HeaderValue::Bytes(value),
                TheirValue::String(value) => HeaderValue::String(value.as_str()),
                TheirValue::Timestamp(value) => HeaderValue::Timestamp(value.to_millis().unwrap()),
                TheirValue::Uuid(value) => HeaderValue::Uuid(value.to_be_bytes()),
                _ => unreachable!(),
            };
            (name.as_str(), value)
        })
        .collect();
    let our = encode_message(&headers, &payload).unwrap();
    let mut their_bytes = Vec::new();
    write_message_to(&their, &mut their_bytes).unwrap();
    assert_eq!(our, their_bytes);
    our
}

/// Corrects the checksums of the message that starts the stream, as far as its length allows.
fn forge(stream: &mut [u8]) {
    let prelude = crc32fast::hash(&stream[..8]);
    stream[8..12].copy_from_slice(&prelude.to_be_bytes());
    let total = u32::from_be_bytes(stream[..4].try_into().unwrap()) as usize;
    if (16..=stream.len()).contains(&total) {
        let checksum = crc32fast::hash(&stream[..total - 4]);
        stream[total - 4..total].copy_from_slice(&checksum.to_be_bytes());
    }
}

#[test]
fn random_streams() {
    let mut rng = rng();
    for _ in 0..cases() {
        let count = rng.below(5);
        let stream: Vec<u8> = (0..count).flat_map(|_| message(&mut rng)).collect();
        let (messages, refused) = compare(&stream, &mut rng);
        assert_eq!((messages.len(), refused), (count, false));
        let cut = rng.below(stream.len() + 1);
        compare(&stream[..cut], &mut rng);
    }
    println!("{} random streams", cases());
}

#[test]
fn damaged_streams() {
    let mut rng = rng();
    let mut refused = 0;
    for case in 0..cases() {
        let mut stream = message(&mut rng);
        for _ in 0..=rng.below(3) {
            // The high bytes of the length would make both wait for megabytes.
            let at = 2 + rng.below(stream.len() - 2);
            stream[at] = match rng.below(3) {
                0 => rng.next() as u8,
                1 => stream[at] ^ (1 << rng.below(8)),
                _ => rng.below(12) as u8,
            };
        }
        if case % 4 > 0 {
            forge(&mut stream);
        }
        stream.extend(message(&mut rng));
        refused += usize::from(compare(&stream, &mut rng).1);
    }
    println!("{} damaged streams, {refused} refused", cases());
    assert!(refused > 0);
}

#[test]
fn recorded_streams() {
    let corpus = std::env::var("UNIFIEDAI_CORPUS").unwrap_or_else(|_| {
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/corpus").to_owned()
    });
    let folder = Path::new(&corpus).join("bedrock");
    let Ok(files) = std::fs::read_dir(&folder) else {
        println!("skipped: no corpus at {}", folder.display());
        return;
    };
    let mut rng = rng();
    let (mut streams, mut messages) = (0, 0);
    for file in files {
        let text = std::fs::read(file.unwrap().path()).unwrap();
        let exchange: serde_json::Value = serde_json::from_slice(&text).unwrap();
        let Some(body) = exchange["response"]["body_base64"].as_str() else {
            continue;
        };
        let body = base64::engine::general_purpose::STANDARD
            .decode(body)
            .unwrap();
        let (decoded, refused) = compare(&body, &mut rng);
        assert!(!refused, "{}", exchange["id"]);
        assert_eq!(ours(body.chunks(1)), (decoded.clone(), false));
        streams += 1;
        messages += decoded.len();
    }
    println!("{streams} recorded streams, {messages} messages");
    assert!(streams > 0);
}
