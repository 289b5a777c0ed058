use super::{frames, reference_sse, source::Source};
use http::Method;
use unifiedai::codec::{
    event_stream::EventStreamDecoder,
    http1::{ResponseDecoder, ResponsePart},
    ndjson::NdjsonDecoder,
    sse::SseDecoder,
};

/// Large enough to never apply here.
const NO_LIMIT: usize = 1 << 30;

/// The output of a decoder, in a comparable form.
type Said = Vec<String>;

/// Checks that all bytes together, one by one, and in chunks of another size give the same.
fn same_in_any_pieces(
    size: u8,
    body: &[u8],
    decode: impl Fn(&mut dyn Iterator<Item = &[u8]>) -> Said,
) -> Said {
    let whole = decode(&mut std::iter::once(body));
    for size in [1, usize::from(size).max(2)] {
        assert_eq!(whole, decode(&mut body.chunks(size)), "in pieces of {size}");
    }
    whole
}

/// Server-sent events: a limit, a chunk size, the stream. Compared with a simple decoder unless the limit is
/// exceeded.
pub fn sse(data: &[u8]) {
    let mut source = Source(data);
    let (limit, size) = (source.byte(), source.byte());
    let limit = if limit & 1 == 1 {
        NO_LIMIT
    } else {
        limit.into()
    };
    let said = same_in_any_pieces(size, source.0, |pieces| {
        let (mut decoder, mut said) = (SseDecoder::new(limit), Said::new());
        for mut piece in pieces {
            loop {
                match decoder.next(&mut piece) {
                    Ok(Some(event)) => said.push(format!("{:?}", (event.event, event.data))),
                    Ok(None) => break,
                    Err(error) => return [said, vec![error.to_string()]].concat(),
                }
            }
            assert!(piece.is_empty(), "bytes were left");
        }
        said.push(format!("{:?}", decoder.finish()));
        said
    });
    if let (NO_LIMIT, Some(events)) = (limit, reference_sse::events(source.0)) {
        let naive: Said = events.iter().map(|event| format!("{event:?}")).collect();
        assert_eq!(said[..said.len() - 1], naive);
    }
}

/// JSON lines: a limit, a chunk size, the stream. Compared with splitting at line ends.
pub fn ndjson(data: &[u8]) {
    let mut source = Source(data);
    let (limit, size) = (source.byte(), source.byte());
    let limit = if limit & 1 == 1 {
        NO_LIMIT
    } else {
        limit.into()
    };
    let said = same_in_any_pieces(size, source.0, |pieces| {
        let (mut decoder, mut said) = (NdjsonDecoder::new(limit), Said::new());
        for mut piece in pieces {
            loop {
                match decoder.next(&mut piece) {
                    Ok(Some(line)) => said.push(line.to_owned()),
                    Ok(None) => break,
                    Err(error) => return [said, vec![error.to_string()]].concat(),
                }
            }
        }
        said.push(format!("{:?}", decoder.finish()));
        said
    });
    if let (NO_LIMIT, Ok(text)) = (limit, std::str::from_utf8(source.0)) {
        let complete = text.rfind('\n').map_or("", |end| &text[..end]);
        let lines = complete
            .split('\n')
            .map(|line| line.strip_suffix('\r').unwrap_or(line));
        let naive: Said = lines
            .filter(|line| !line.trim_ascii().is_empty())
            .map(str::to_owned)
            .collect();
        assert_eq!(said[..said.len() - 1], naive);
    }
}

/// AWS frames with the checksums of the input: a chunk size, the stream.
pub fn event_stream(data: &[u8]) {
    let mut source = Source(data);
    let size = source.byte();
    same_in_any_pieces(size, source.0, |pieces| {
        let (mut decoder, mut said) = (EventStreamDecoder::new(1 << 16), Said::new());
        for mut piece in pieces {
            loop {
                match decoder.next(&mut piece) {
                    Ok(Some(message)) => said.push(format!(
                        "{:?} {:?} {:?}",
                        message.message_type(),
                        message.headers().collect::<Vec<_>>(),
                        message.payload()
                    )),
                    Ok(None) => break,
                    Err(error) => return [said, vec![error.to_string()]].concat(),
                }
            }
        }
        said.push(format!("{:?}", decoder.finish()));
        said
    });
}

/// AWS frames with corrected checksums, to reach the code after the checksum tests.
pub fn event_stream_valid_crc(data: &[u8]) {
    let mut forged = data.to_vec();
    if let Some(stream) = forged.get_mut(1..) {
        frames::forge_checksums(stream);
    }
    event_stream(&forged);
}

/// A raw HTTP/1.1 response: the method of its request, a chunk size, the bytes.
pub fn http1(data: &[u8]) {
    let mut source = Source(data);
    let method = if source.flag() {
        Method::HEAD
    } else {
        Method::POST
    };
    let size = source.byte();
    same_in_any_pieces(size, source.0, |pieces| {
        let mut decoder = ResponseDecoder::new(&method);
        let (mut said, mut body) = (Said::new(), Vec::new());
        for mut piece in pieces {
            loop {
                match decoder.next(&mut piece) {
                    Ok(Some(ResponsePart::Headers(head))) => {
                        said.push(format!("{} {:?}", head.status, head.headers));
                    }
                    Ok(Some(ResponsePart::Body(piece))) => {
                        assert!(!piece.is_empty());
                        body.extend_from_slice(piece);
                    }
                    Ok(Some(ResponsePart::End(trailers))) => {
                        assert!(decoder.is_complete());
                        said.push(format!("{body:?} {trailers:?}"));
                        return said;
                    }
                    Ok(Some(_)) => unreachable!("a part of a later version"),
                    Ok(None) => break,
                    Err(error) => return [said, vec![format!("{body:?} {error}")]].concat(),
                }
            }
        }
        let end = decoder.finish().map(|part| part.is_some());
        said.push(format!("{body:?} {end:?} {}", decoder.is_complete()));
        said
    });
}
