//! Encodes a message to bytes.

use super::{
    EventStreamError,
    decoder::{MAX_HEADERS, OVERHEAD},
    malformed,
    message::{HeaderValue, MAX_VALUE},
};

/// Encodes one message, for tests and for servers.
///
/// # Errors
/// If a name is empty or longer than 255 bytes, a value longer than 32,767, the headers longer than 128 KiB, or the
/// message longer than a `u32` can express.
pub fn encode_message(
    headers: &[(&str, HeaderValue<'_>)],
    payload: &[u8],
) -> Result<Vec<u8>, EventStreamError> {
    let mut block = Vec::new();
    for (name, value) in headers {
        match u8::try_from(name.len()) {
            Ok(len @ 1..) => block.push(len),
            _ => return Err(malformed("its name is empty or too long")),
        }
        block.extend_from_slice(name.as_bytes());
        encode_value(value, &mut block)?;
    }
    let too_large = EventStreamError::HeadersTooLarge { headers: u32::MAX };
    let headers_len = u32::try_from(block.len()).map_err(|_| too_large)?;
    if block.len() > MAX_HEADERS {
        return Err(EventStreamError::HeadersTooLarge {
            headers: headers_len,
        });
    }
    let total = block
        .len()
        .saturating_add(payload.len())
        .saturating_add(OVERHEAD);
    let too_large = EventStreamError::MessageTooLarge {
        total: u32::MAX,
        limit: u32::MAX as usize,
    };
    let total_len = u32::try_from(total).map_err(|_| too_large)?;

    let mut message = Vec::with_capacity(total);
    message.extend_from_slice(&total_len.to_be_bytes());
    message.extend_from_slice(&headers_len.to_be_bytes());
    message.extend_from_slice(&crc32fast::hash(&message).to_be_bytes());
    message.extend_from_slice(&block);
    message.extend_from_slice(payload);
    message.extend_from_slice(&crc32fast::hash(&message).to_be_bytes());
    Ok(message)
}

fn encode_value(value: &HeaderValue<'_>, block: &mut Vec<u8>) -> Result<(), EventStreamError> {
    let (kind, bytes): (u8, &[u8]) = match value {
        HeaderValue::Bool(true) => (0, &[]),
        HeaderValue::Bool(false) => (1, &[]),
        HeaderValue::Byte(value) => (2, &value.to_be_bytes()),
        HeaderValue::Int16(value) => (3, &value.to_be_bytes()),
        HeaderValue::Int32(value) => (4, &value.to_be_bytes()),
        HeaderValue::Int64(value) => (5, &value.to_be_bytes()),
        HeaderValue::Bytes(value) => (6, value),
        HeaderValue::String(value) => (7, value.as_bytes()),
        HeaderValue::Timestamp(value) => (8, &value.to_be_bytes()),
        HeaderValue::Uuid(value) => (9, value),
    };
    block.push(kind);
    if matches!(kind, 6 | 7) {
        match u16::try_from(bytes.len()) {
            Ok(len) if bytes.len() <= MAX_VALUE => block.extend_from_slice(&len.to_be_bytes()),
            _ => return Err(malformed("its value is too long")),
        }
    }
    block.extend_from_slice(bytes);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::event_stream::testing::{
        EMPTY, INT32, LIMIT, decode, decode_with_every_chunking,
    };
    use proptest::prelude::*;

    #[test]
    fn published_messages() {
        assert_eq!(
            decode_with_every_chunking(LIMIT, EMPTY),
            (vec![(vec![], vec![])], None)
        );
        assert_eq!(encode_message(&[], b"").unwrap(), EMPTY);
        let headers = vec![("event-type".to_owned(), "Int32(40972)".to_owned())];
        assert_eq!(
            decode_with_every_chunking(LIMIT, INT32),
            (vec![(headers, b"{'foo':'bar'}".to_vec())], None)
        );
        let headers = [("event-type", HeaderValue::Int32(40972))];
        assert_eq!(encode_message(&headers, b"{'foo':'bar'}").unwrap(), INT32);
    }

    #[test]
    fn the_largest_sizes_of_the_specification_fit() {
        let value = [0; 32_768];
        let longest = [("a", HeaderValue::Bytes(&value[..32_767]))];
        let frame = encode_message(&longest, b"").unwrap();
        assert_eq!(decode(LIMIT, [&frame[..]]).1, None);
        assert!(encode_message(&[("a", HeaderValue::Bytes(&value))], b"").is_err());

        // Each header has five bytes in addition to its value.
        let quarter = ("a", HeaderValue::Bytes(&value[..32_763]));
        let frame = encode_message(&[quarter; 4], b"").unwrap();
        assert_eq!(decode(LIMIT, [&frame[..]]).1, None);
        let over = ("a", HeaderValue::Bytes(&value[..32_764]));
        let error = encode_message(&[quarter, quarter, quarter, over], b"").unwrap_err();
        assert_eq!(
            error,
            EventStreamError::HeadersTooLarge { headers: 131_073 }
        );
    }

    #[test]
    fn unencodable_messages_are_errors() {
        let long = "x".repeat(40_000);
        let refused: [&[(&str, HeaderValue<'_>)]; 4] = [
            &[("", HeaderValue::Bool(true))],
            &[(&long, HeaderValue::Bool(true))],
            &[("a", HeaderValue::String(&long))],
            &[("a", HeaderValue::Bytes(&long.as_bytes()[..32_767])); 5],
        ];
        for headers in refused {
            assert!(encode_message(headers, b"").is_err());
        }
    }

    fn value() -> impl Strategy<Value = (u8, i64, Vec<u8>, String)> {
        (
            0_u8..10,
            any::<i64>(),
            prop::collection::vec(any::<u8>(), 16..40),
            ".{0,20}",
        )
    }

    proptest! {
        #[test]
        fn encoded_messages_decode_to_the_same(
            messages in prop::collection::vec(
                (
                    prop::collection::vec(("[a-z:-]{1,12}", value()), 0..5),
                    prop::collection::vec(any::<u8>(), 0..200),
                ),
                0..5,
            ),
            chunk in 1_usize..100,
        ) {
            let mut stream = Vec::new();
            let mut expected = Vec::new();
            for (headers, payload) in &messages {
                let headers: Vec<_> = headers
                    .iter()
                    .map(|(name, (kind, number, bytes, text))| {
                        let value = match kind {
                            0 => HeaderValue::Bool(true),
                            1 => HeaderValue::Bool(false),
                            2 => HeaderValue::Byte(*number as i8),
                            3 => HeaderValue::Int16(*number as i16),
                            4 => HeaderValue::Int32(*number as i32),
                            5 => HeaderValue::Int64(*number),
                            6 => HeaderValue::Bytes(bytes),
                            7 => HeaderValue::String(text),
                            8 => HeaderValue::Timestamp(*number),
                            _ => HeaderValue::Uuid(bytes[..16].try_into().unwrap()),
                        };
                        (name.as_str(), value)
                    })
                    .collect();
                stream.extend(encode_message(&headers, payload).unwrap());
                let headers = headers.iter().map(|(n, v)| (n.to_string(), format!("{v:?}")));
                expected.push((headers.collect(), payload.clone()));
            }
            prop_assert_eq!(decode(LIMIT, [&stream[..]]), (expected.clone(), None));
            prop_assert_eq!(decode(LIMIT, stream.chunks(chunk)), (expected, None));
        }
    }
}
