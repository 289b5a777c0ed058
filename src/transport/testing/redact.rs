//! What a recording must not have: keys in headers and addresses, and wherever an answer repeats them.

use http::{HeaderMap, Uri};
use std::{collections::BTreeMap, fmt};

const REDACTED: &str = "[REDACTED]";

/// Headers that are secrets, whoever sends them.
const HEADERS: [&str; 9] = [
    "authorization",
    "proxy-authorization",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "x-amz-security-token",
    "cookie",
    "set-cookie",
    "openai-organization",
];

/// Parameters of an address that are secrets, in lower case.
const PARAMETERS: [&str; 8] = [
    "key",
    "api_key",
    "api-key",
    "access_token",
    "token",
    "sig",
    "x-amz-signature",
    "x-amz-security-token",
];

/// The secrets of one request.
#[derive(Default)]
pub(super) struct Secrets(Vec<String>);

impl fmt::Debug for Secrets {
    /// How many: what holds them is public and has a Debug, too (F108).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

impl Secrets {
    /// Headers as they may be kept. What they had to hide is looked for in all that follows.
    pub(super) fn headers(&mut self, headers: &HeaderMap) -> BTreeMap<String, String> {
        let mut kept = BTreeMap::new();
        for (name, value) in headers {
            let Ok(text) = value.to_str() else { continue };
            let text = if value.is_sensitive() || HEADERS.contains(&name.as_str()) {
                // After the scheme: `Bearer <key>`.
                self.add(text.split_whitespace().next_back().unwrap_or_default());
                REDACTED.to_owned()
            } else {
                self.text(text)
            };
            kept.insert(name.as_str().to_owned(), text);
        }
        kept
    }

    /// An address as it may be kept.
    pub(super) fn url(&mut self, uri: &Uri) -> String {
        let mut url = String::new();
        if let Some(scheme) = uri.scheme_str() {
            url.extend([scheme, "://"]);
        }
        if let Some(authority) = uri.authority() {
            let at = authority.as_str().rsplit_once('@');
            if let Some((user, _)) = at {
                user.split(':').for_each(|part| self.add(part));
            }
            url.push_str(at.map_or(authority.as_str(), |(_, host)| host));
        }
        url.push_str(uri.path());
        if let Some(query) = uri.query() {
            url.push('?');
            url.push_str(&self.query(query));
        }
        url
    }

    fn query(&mut self, query: &str) -> String {
        let parameters = query.split('&').map(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            if PARAMETERS.contains(&name.to_ascii_lowercase().as_str()) {
                self.add(value);
                [name, REDACTED].join("=")
            } else {
                parameter.to_owned()
            }
        });
        parameters.collect::<Vec<_>>().join("&")
    }

    /// A body as it may be kept. Binary frames whose checksums covered a secret do not play any more.
    pub(super) fn bytes(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        for secret in &self.0 {
            bytes = replaced(bytes, secret);
        }
        bytes
    }

    fn text(&self, text: &str) -> String {
        let secrets = self.0.iter();
        secrets.fold(text.to_owned(), |text, secret| {
            text.replace(secret, REDACTED)
        })
    }

    /// Very short ones are no keys but words, and would be cut out of every sentence.
    fn add(&mut self, secret: &str) {
        const SHORTEST: usize = 6;
        if secret.len() >= SHORTEST {
            // As some servers write it in JSON.
            let escaped = secret.replace('/', "\\/");
            if escaped != secret {
                self.0.push(escaped);
            }
            self.0.push(secret.to_owned());
        }
    }
}

fn replaced(bytes: Vec<u8>, secret: &str) -> Vec<u8> {
    let finder = memchr::memmem::Finder::new(secret);
    let mut clean = Vec::with_capacity(bytes.len());
    let mut rest = bytes.as_slice();
    while let Some((before, after)) = finder.find(rest).and_then(|at| rest.split_at_checked(at)) {
        clean.extend_from_slice(before);
        clean.extend_from_slice(REDACTED.as_bytes());
        rest = after.get(secret.len()..).unwrap_or_default();
    }
    clean.extend_from_slice(rest);
    clean
}

/// The parts of an address by which a recording is found again: path and parameters.
pub(super) fn address(uri: &Uri) -> String {
    let path = uri.path().to_owned();
    match uri.query() {
        Some(query) => path + "?" + &Secrets::default().query(query),
        None => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lose_their_secrets_and_nothing_else() {
        for (from, kept) in [
            ("https://h/v1/m?alt=sse", "https://h/v1/m?alt=sse"),
            (
                "https://h/v1/m?Key=abcdef1&alt=sse",
                "https://h/v1/m?Key=[REDACTED]&alt=sse",
            ),
            ("http://user:password@h:80/v1", "http://h:80/v1"),
            ("/v1?x-amz-signature=0", "/v1?x-amz-signature=[REDACTED]"),
        ] {
            let mut secrets = Secrets::default();
            assert_eq!(secrets.url(&from.parse().unwrap()), kept);
        }
    }

    #[test]
    fn a_secret_is_found_wherever_it_is_repeated() {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", "Bearer abc/def".parse().unwrap());
        let mut secrets = Secrets::default();
        let kept = secrets.headers(&headers);
        assert_eq!(kept["authorization"], REDACTED);
        let echo = br#"{"key": "abc/def", "again": "abc\/def", "word": "abc"}"#;
        assert_eq!(
            String::from_utf8(secrets.bytes(echo.to_vec())).unwrap(),
            r#"{"key": "[REDACTED]", "again": "[REDACTED]", "word": "abc"}"#
        );
    }
}
