//! The canonical form of a request, which both sides hash.

use super::{hex, timestamp::Timestamp};
use crate::codec::percent::{SEGMENT, encode_into};
use http::{
    HeaderMap, HeaderName, Method,
    header::{AUTHORIZATION, HOST},
};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

const DATE_NAME: &str = "x-amz-date";
const TOKEN_NAME: &str = "x-amz-security-token";
pub(super) const DATE: HeaderName = HeaderName::from_static(DATE_NAME);
pub(super) const SECURITY_TOKEN: HeaderName = HeaderName::from_static(TOKEN_NAME);
pub(super) const CONTENT_HASH: HeaderName = HeaderName::from_static("x-amz-content-sha256");

/// The parts of a request that a signature covers.
pub(super) struct Signable<'a> {
    pub(super) method: &'a Method,
    pub(super) host: &'a [u8],
    /// In wire format, encoded.
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    pub(super) headers: &'a HeaderMap,
    pub(super) payload: &'a [u8],
    /// Whether the request is for S3, which signs the path as it is sent.
    pub(super) is_s3: bool,
}

impl Signable<'_> {
    pub(super) fn payload_hash(&self) -> String {
        let stated = self.headers.get(CONTENT_HASH).filter(|_| self.is_s3);
        match stated.and_then(|hash| hash.to_str().ok()) {
            Some(stated) => stated.to_owned(),
            None => hex(&Sha256::digest(self.payload)),
        }
    }
}

/// The text whose hash is signed, and the names of the headers in it.
pub(super) struct CanonicalRequest {
    pub(super) text: Zeroizing<Vec<u8>>,
    pub(super) signed_headers: String,
}

impl CanonicalRequest {
    /// Of a URL that signs itself: a `POST` of nothing to `/`, with `host` as its only header.
    pub(super) fn presigned(host: &str, query: &str) -> Self {
        let mut text = Zeroizing::new(b"POST\n/\n".to_vec());
        canonical_query(query, &mut text);
        text.extend_from_slice(format!("\nhost:{host}\n\nhost\n").as_bytes());
        text.extend_from_slice(hex(&Sha256::digest(b"")).as_bytes());
        CanonicalRequest {
            text,
            signed_headers: "host".to_owned(),
        }
    }

    pub(super) fn new(
        parts: &Signable<'_>,
        is_signed: impl Fn(&HeaderName) -> bool,
        time: &Timestamp,
        token: Option<&str>,
    ) -> Self {
        let mut headers = vec![("host", parts.host), (DATE_NAME, time.text.as_bytes())];
        headers.extend(token.map(|token| (TOKEN_NAME, token.as_bytes())));
        for (name, value) in parts.headers {
            let ours =
                *name == HOST || *name == DATE || *name == SECURITY_TOKEN || *name == AUTHORIZATION;
            if !ours && is_signed(name) {
                headers.push((name.as_str(), value.as_bytes()));
            }
        }
        // Stable, so that the values of one name keep their order.
        headers.sort_by_key(|(name, _)| *name);

        let mut text = Zeroizing::new(Vec::with_capacity(1024));
        text.extend_from_slice(parts.method.as_str().as_bytes());
        text.push(b'\n');
        match parts.is_s3 {
            true => text.extend_from_slice(parts.path.as_bytes()),
            false => canonical_path(parts.path, &mut text),
        }
        text.push(b'\n');
        canonical_query(parts.query, &mut text);
        let mut signed_headers = String::new();
        for (name, value) in headers {
            let last = signed_headers.rsplit(';').next().unwrap_or_default();
            if last == name {
                text.push(b',');
            } else {
                if !signed_headers.is_empty() {
                    signed_headers.push(';');
                }
                signed_headers.push_str(name);
                text.push(b'\n');
                text.extend_from_slice(name.as_bytes());
                text.push(b':');
            }
            collapse_spaces(value, &mut text);
        }
        text.extend_from_slice(b"\n\n");
        text.extend_from_slice(signed_headers.as_bytes());
        text.push(b'\n');
        text.extend_from_slice(parts.payload_hash().as_bytes());
        CanonicalRequest {
            text,
            signed_headers,
        }
    }
}

/// The path, encoded once more than in the request, after dot segments and empty segments are resolved.
fn canonical_path(path: &str, out: &mut Vec<u8>) {
    let mut segments = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            segment => segments.push(segment),
        }
    }
    for segment in &segments {
        out.push(b'/');
        encode_into(segment.as_bytes(), SEGMENT, out);
    }
    if segments.is_empty() || ["/", "/.", "/.."].iter().any(|end| path.ends_with(end)) {
        out.push(b'/');
    }
}

/// The parameters, each in the encoding that is signed, sorted by name and then by value.
fn canonical_query(query: &str, out: &mut Vec<u8>) {
    let mut pairs: Vec<_> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (recode(name), recode(value))
        })
        .collect();
    pairs.sort_unstable();
    for (at, (name, value)) in pairs.iter().enumerate() {
        if at > 0 {
            out.push(b'&');
        }
        out.extend_from_slice(name);
        out.push(b'=');
        out.extend_from_slice(value);
    }
}

/// Decodes a part of a query, where `+` is a space, and encodes it again.
fn recode(text: &str) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    loop {
        rest = match rest {
            [b'%', high, low, rest @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                decoded.push(hex_value(*high) << 4 | hex_value(*low));
                rest
            }
            [b'+', rest @ ..] => {
                decoded.push(b' ');
                rest
            }
            [byte, rest @ ..] => {
                decoded.push(*byte);
                rest
            }
            [] => break,
        };
    }
    let mut encoded = Vec::with_capacity(text.len());
    encode_into(&decoded, SEGMENT, &mut encoded);
    encoded
}

fn hex_value(digit: u8) -> u8 {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
        .unwrap_or(0)
}

fn collapse_spaces(value: &[u8], out: &mut Vec<u8>) {
    let words = value
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty());
    for (at, word) in words.enumerate() {
        if at > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equivalent_queries_have_one_canonical_form() {
        for (query, canonical) in [
            ("", ""),
            ("a", "a="),
            ("b=2&a=3&a=1&&A=", "A=&a=1&a=3&b=2"),
            ("a=%2f%2F%7e%zz%", "a=%2F%2F~%25zz%25"),
            ("a=%2z%z2", "a=%252z%25z2"),
            ("a=b=c&d=x+y%20z%2B", "a=b%3Dc&d=x%20y%20z%2B"),
            ("a-=1&a=2", "a=2&a-=1"),
        ] {
            let mut out = Vec::new();
            canonical_query(query, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), canonical);
        }
    }
}
