use bytes::BytesMut;
use http::{HeaderMap, HeaderName, HeaderValue, response::Parts};

/// hyper's header values are slices of the 8 KiB buffer that the head was read into. Whoever keeps one would keep the
/// buffer, and hyper would need another for the body, so they get a block of their own.
pub(crate) fn detach(head: &mut Parts) {
    if head.version == http::Version::HTTP_2 {
        return;
    }
    let size = head.headers.values().map(HeaderValue::len).sum();
    let mut block = BytesMut::with_capacity(size);
    for value in head.headers.values() {
        block.extend_from_slice(value.as_bytes());
    }
    let mut block = block.freeze();
    let mut headers = HeaderMap::with_capacity(head.headers.len());
    for (name, value) in &head.headers {
        let copy = HeaderValue::from_maybe_shared(block.split_to(value.len()));
        let name = HeaderName::from_bytes(name.as_ref());
        if let (Ok(name), Ok(copy)) = (name, copy) {
            headers.append(name, copy);
        }
    }
    head.headers = headers;
    // Nobody reads it, and it may be a slice too.
    head.extensions.remove::<hyper::ext::ReasonPhrase>();
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn headers_stay_the_same() {
        let buffer = Bytes::from_static(b"one two");
        let (mut head, ()) = http::Response::new(()).into_parts();
        for (name, value) in [("x-a", 0..3), ("content-type", 4..7), ("x-a", 4..7)] {
            let value = HeaderValue::from_maybe_shared(buffer.slice(value)).unwrap();
            head.headers.append(HeaderName::from_static(name), value);
        }
        let before = head.headers.clone();
        detach(&mut head);
        assert_eq!(head.headers, before);
        let all: Vec<_> = head.headers.get_all("x-a").iter().collect();
        assert_eq!(all, ["one", "two"]);
    }
}
