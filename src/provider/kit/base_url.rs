use crate::{Error, ErrorKind, provider::Auth};
use http::{Uri, uri::Scheme};
use std::{fmt, net::Ipv6Addr};

/// A provider's URL: scheme, host, port and the path before its operations, without a trailing slash.
#[derive(Clone, PartialEq, Eq)]
pub struct BaseUrl {
    text: String,
    uri: Uri,
}

impl BaseUrl {
    /// Parses a base URL such as `https://api.cerebras.ai/v1`.
    ///
    /// # Errors
    /// `invalid_request` that names the problem: no scheme, a scheme other than `https` or `http`, no host, an
    /// invalid port, white space, a user name, a query, a fragment. The error does not repeat the URL, because its
    /// user name or query may be a secret.
    pub fn parse(url: &str) -> Result<BaseUrl, Error> {
        let refuse = |what: &str| {
            Err(Error::new(
                ErrorKind::InvalidRequest,
                format!("the base URL {what}; it should look like `https://api.example.com/v1`"),
            ))
        };
        if url.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return refuse("contains white space");
        }
        let text = url.trim_end_matches('/');
        let Some((scheme, place)) = text.split_once("://") else {
            return refuse("has no scheme");
        };
        if !scheme.eq_ignore_ascii_case("https") && !scheme.eq_ignore_ascii_case("http") {
            return refuse("has a scheme other than `https` or `http`");
        }
        let authority = place.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.contains('@') {
            return refuse("has a user name or password, which would be sent with every request");
        }
        if text.contains(['?', '#']) {
            return refuse("has a query or fragment");
        }
        if text.contains('\\') {
            return refuse("contains a backslash");
        }
        let Some((host, port)) = host_and_port(authority) else {
            return refuse("has an invalid IPv6 address in brackets");
        };
        if host.is_empty() {
            return refuse("has no host");
        }
        if let Some(port) = port {
            // `Uri` would drop an invalid port, and the request would use the scheme's default.
            let is_number = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
            if !is_number || !port.parse::<u16>().is_ok_and(|port| port > 0) {
                return refuse("has a port that is not a number from 1 to 65535");
            }
        }
        let Ok(uri) = text.parse::<Uri>() else {
            return refuse("is not a URL");
        };
        if uri.host() != Some(host) {
            return refuse("is not a URL");
        }
        Ok(BaseUrl {
            text: text.to_owned(),
            uri,
        })
    }

    /// Adds a version to `url`, unless it ends with one (`v1`, `v1beta`): programs and variables use both forms.
    pub(crate) fn with_version(url: &str, version: &str) -> String {
        let url = url.trim_end_matches('/');
        let place = url.split_once("://").map_or(url, |(_, place)| place);
        let path = place.split_once('/').map_or("", |(_, path)| path);
        let last = path.rsplit('/').next().unwrap_or_default();
        let has_version = last
            .strip_prefix('v')
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        if has_version {
            return url.to_owned();
        }
        [url, "/", version].concat()
    }

    /// The URL of an operation. `path` begins with a slash and is percent-encoded.
    ///
    /// # Errors
    /// `invalid_request` if the path cannot be part of a URL.
    pub fn join(&self, path: &str) -> Result<Uri, Error> {
        [&self.text, path].concat().parse().map_err(|_| {
            Error::new(
                ErrorKind::InvalidRequest,
                format!("`{}` cannot be part of a URL", path.escape_debug()),
            )
        })
    }

    /// The URL as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The host name or address.
    #[must_use]
    pub fn host(&self) -> &str {
        self.uri.host().unwrap_or_default()
    }

    /// The host, and the port if the URL has one.
    pub(crate) fn authority(&self) -> &str {
        self.uri
            .authority()
            .map_or("", http::uri::Authority::as_str)
    }

    /// True if the host is this machine, see [`is_loopback`](unifiedai_transport::is_loopback).
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        unifiedai_transport::is_loopback(self.host())
    }

    /// The environment variable that, set to `1` or `true`, allows unencrypted keys; each provider's `from_env` reads
    /// it.
    pub const ALLOW_INSECURE_HTTP: &'static str = "UNIFIEDAI_ALLOW_INSECURE_HTTP";

    /// Refuses to send a secret unencrypted to another machine. The providers' builders skip this check after
    /// `allow_insecure_http()`.
    ///
    /// # Errors
    /// `invalid_request` for `http://` to a host that is not loopback, if `auth` has a secret. The error names the
    /// host and the alternatives.
    pub fn check_secrecy(&self, auth: &Auth) -> Result<(), Error> {
        if auth.is_required() && self.uri.scheme() != Some(&Scheme::HTTPS) && !self.is_loopback() {
            return Err(Error::new(
                ErrorKind::InvalidRequest,
                format!(
                    "the key would be sent unencrypted to `{}`: use `https://`, or, in a trusted network, call `allow_insecure_http()` on the provider's builder or set {}=1",
                    self.authority(),
                    Self::ALLOW_INSECURE_HTTP
                ),
            ));
        }
        Ok(())
    }
}

/// The host, with the brackets of an IPv6 address, and the text after the colon. `None` if the brackets contain no
/// IPv6 address.
fn host_and_port(authority: &str) -> Option<(&str, Option<&str>)> {
    let Some(rest) = authority.strip_prefix('[') else {
        return Some(match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        });
    };
    let (address, rest) = rest.split_once(']')?;
    address.parse::<Ipv6Addr>().ok()?;
    let host = authority.get(..address.len().saturating_add(2))?;
    match rest.strip_prefix(':') {
        Some(port) => Some((host, Some(port))),
        None => rest.is_empty().then_some((host, None)),
    }
}

impl fmt::Debug for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Secret;

    #[test]
    fn base_url_errors_give_the_reason() {
        let cases = [
            ("api.cerebras.ai/v1", "no scheme"),
            ("localhost:8080", "no scheme"),
            ("ftp://x/v1", "scheme other"),
            ("https://", ""),
            ("https:///v1", ""),
            ("https://user:pw@x/v1", "user name"),
            ("https://x/v1?key=canary", "query"),
            ("https://x/#a", "query or fragment"),
            ("https://x#a", "query or fragment"),
            ("https://x?key=canary", "query"),
            ("https://canary@x", "user name"),
            ("https://x:canary@y/v1", "user name"),
            ("https://a b/", "white space"),
            (" https://x/v1", "white space"),
            ("https://x/v1\n", "white space"),
            ("https://x\u{a0}y/v1", "white space"),
            ("https://x\\@y/", ""),
            ("https://x\\y/", "backslash"),
            ("http://127.0.0.9:99999", "port"),
            ("http://127.0.0.9:65536/v1", "port"),
            ("http://127.0.0.9:0", "port"),
            ("http://127.0.0.9:", "port"),
            ("http://127.0.0.9:/v1", "port"),
            ("http://127.0.0.9:-1", "port"),
            ("http://127.0.0.9:+80", "port"),
            ("http://127.0.0.9:8o", "port"),
            ("http://127.0.0.9:80:80", "port"),
            ("http://[::1]:99999/v1", "port"),
            ("http://[::1]:", "port"),
            ("http://[::1", "IPv6"),
            ("http://[x]", "IPv6"),
            ("http://[]:80", "IPv6"),
            ("http://[::1]80", "IPv6"),
            ("http://::1/v1", ""),
            ("http://:80", "no host"),
            ("", "no scheme"),
        ];
        for (url, what) in cases {
            let error = BaseUrl::parse(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{url}");
            assert!(error.to_string().contains(what), "{url}: {error}");
            assert!(!error.to_string().contains("canary"), "{error}");
        }
        for (url, host) in [
            ("http://127.0.0.9:1/v1", "127.0.0.9"),
            ("http://127.0.0.9:65535", "127.0.0.9"),
            ("http://127.0.0.9:08080/v1", "127.0.0.9"),
            ("http://[::1]:80/v1", "[::1]"),
            ("http://[2001:db8::1]", "[2001:db8::1]"),
            ("HTTPS://Api.Example.com/v1/a:b@c", "Api.Example.com"),
        ] {
            assert_eq!(BaseUrl::parse(url).unwrap().host(), host, "{url}");
        }
        assert_eq!(
            BaseUrl::parse("https://x/v1/")
                .unwrap()
                .join("/models")
                .unwrap(),
            "https://x/v1/models"
        );
    }

    #[test]
    fn a_version_is_added_once() {
        for (url, full) in [
            ("https://x", "https://x/v1"),
            ("https://x/", "https://x/v1"),
            ("https://x/v1", "https://x/v1"),
            ("https://x/v1beta1/", "https://x/v1beta1"),
            ("https://x/anthropic", "https://x/anthropic/v1"),
            ("https://v2.x", "https://v2.x/v1"),
            ("https://x/vertex", "https://x/vertex/v1"),
        ] {
            assert_eq!(BaseUrl::with_version(url, "v1"), full);
        }
    }

    // F111
    #[test]
    fn a_key_is_sent_unencrypted_only_to_this_machine() {
        let auth = Auth::Bearer(Secret::new("k").unwrap().into());
        let cases = [
            ("https://api.example.com", true),
            ("http://localhost:1", true),
            ("http://127.0.0.1/v1", true),
            ("http://127.9.9.9/v1", true),
            ("http://[::1]:80/v1", true),
            ("http://[::ffff:127.0.0.1]/v1", true),
            ("http://llm.localhost:8000/v1", true),
            ("http://api.example.com", false),
            ("http://localhost.evil.example", false),
            ("http://evillocalhost", false),
            ("http://127.0.0.1.evil.example", false),
            ("http://10.0.0.1", false),
            ("http://0.0.0.0", false),
        ];
        for (url, allowed) in cases {
            let url = BaseUrl::parse(url).unwrap();
            let checked = url.check_secrecy(&auth);
            assert_eq!(checked.is_ok(), allowed, "{url}");
            if let Err(error) = checked {
                for way_out in ["allow_insecure_http()", BaseUrl::ALLOW_INSECURE_HTTP] {
                    assert!(error.message().contains(way_out), "{error}");
                }
            }
            assert!(url.check_secrecy(&Auth::None).is_ok());
        }
    }
}
