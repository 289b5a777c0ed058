//! AWS Signature Version 4, as in the [signing guide][guide], for services that are not S3.
//!
//! [guide]: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html

use super::Secret;
use crate::{Error, ErrorKind, codec::percent::encode_into};
use bytes::Bytes;
use hmac::{Hmac, Mac};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Uri,
    header::{AUTHORIZATION, CONTENT_TYPE, HOST},
    uri::Scheme,
};
use sha2::{Digest, Sha256};
use std::{
    borrow::Cow,
    fmt,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};
use zeroize::Zeroizing;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const DATE: HeaderName = HeaderName::from_static("x-amz-date");
const SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");

/// AWS credentials: an access key and, for temporary ones, a session token. Never printed, and wiped from memory when the
/// last clone is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct AwsCredentials {
    access_key: Secret,
    secret_key: Secret,
    session_token: Option<Secret>,
}

impl AwsCredentials {
    /// Checks and keeps credentials.
    ///
    /// # Errors
    /// `invalid_request` if one of them is empty or has anything but visible ASCII characters. The error names which one,
    /// the problem and the length, never the value.
    pub fn new(
        access_key: impl Into<String>,
        secret_key: impl Into<String>,
        session_token: Option<String>,
    ) -> Result<AwsCredentials, Error> {
        let named = |name: &str, value: String| {
            Secret::new(value).map_err(|error| {
                Error::new(
                    ErrorKind::InvalidRequest,
                    format!("the AWS {name}: {}", error.message()),
                )
            })
        };
        let access_key = named("access key id", access_key.into())?;
        if access_key.expose().contains(['/', ',']) {
            return Err(Error::new(
                ErrorKind::InvalidRequest,
                "the AWS access key id has a `/` or a `,`: is it the secret access key?",
            ));
        }
        Ok(AwsCredentials {
            access_key,
            secret_key: named("secret access key", secret_key.into())?,
            session_token: session_token
                .map(|token| named("session token", token))
                .transpose()?,
        })
    }
}

impl fmt::Debug for AwsCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsCredentials")
            .field("session_token", &self.session_token.is_some())
            .finish_non_exhaustive()
    }
}

/// AWS credentials, or where to get them.
#[derive(Clone)]
#[non_exhaustive]
pub enum AwsCredentialSource {
    /// Always these.
    Fixed(AwsCredentials),
    /// Asked for each attempt, so that they can be renewed. Must not block for long: it runs inside the machine's `poll`.
    Ask(Arc<dyn Fn() -> Result<AwsCredentials, Error> + Send + Sync>),
}

impl From<AwsCredentials> for AwsCredentialSource {
    fn from(credentials: AwsCredentials) -> Self {
        AwsCredentialSource::Fixed(credentials)
    }
}

impl fmt::Debug for AwsCredentialSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AwsCredentialSource::Fixed(_) => "Fixed([secret])",
            AwsCredentialSource::Ask(_) => "Ask(..)",
        })
    }
}

/// Signs requests to one service in one region.
#[derive(Clone, Debug)]
pub struct Signer {
    credentials: AwsCredentialSource,
    region: String,
    service: String,
}

impl Signer {
    /// A signer for a region such as `us-east-1` and a service by its signing name, which for Bedrock's runtime is
    /// `bedrock`.
    ///
    /// # Errors
    /// `invalid_request` if region or service are not made of letters, digits and hyphens.
    pub fn new(
        credentials: impl Into<AwsCredentialSource>,
        region: impl Into<String>,
        service: impl Into<String>,
    ) -> Result<Signer, Error> {
        let (region, service) = (region.into(), service.into());
        for (name, value) in [("region", &region), ("service", &service)] {
            if value.is_empty()
                || value.len() > 63
                || !value
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            {
                return Err(Error::new(
                    ErrorKind::InvalidRequest,
                    format!(
                        "the AWS {name} must be 1 to 63 letters, digits and hyphens, such as `us-east-1`"
                    ),
                ));
            }
        }
        Ok(Signer {
            credentials: credentials.into(),
            region,
            service,
        })
    }

    /// Signs a request that is about to be sent at `wall`, replacing an earlier signature: adds `authorization`,
    /// `x-amz-date` and for temporary credentials `x-amz-security-token`. Returns the most secret thing that the request
    /// carries or is signed with, so that the answer can be cleaned of it.
    ///
    /// Covered are the method, the path and query, the body, and of the headers `host`, `content-type` and `x-amz*`.
    /// Others may be changed on the way, by the transport or by a proxy, without breaking the signature.
    ///
    /// # Errors
    /// `invalid_request` if the URL has no host or `wall` is before 1970 or after 9999; and whatever the source of the
    /// credentials says.
    pub fn apply(&self, request: &mut Request<Bytes>, wall: SystemTime) -> Result<Secret, Error> {
        let credentials = match &self.credentials {
            AwsCredentialSource::Fixed(credentials) => credentials.clone(),
            AwsCredentialSource::Ask(ask) => ask()?,
        };
        let host = host(request)?;
        let parts = Signable {
            method: request.method(),
            host: &host,
            path: request.uri().path(),
            query: request.uri().query().unwrap_or_default(),
            headers: request.headers(),
            payload: request.body(),
        };
        let signature = sign(
            &parts,
            is_signed,
            &credentials,
            &self.region,
            &self.service,
            wall,
        )?;
        let headers = request.headers_mut();
        headers.insert(AUTHORIZATION, signature.authorization);
        headers.insert(DATE, signature.date);
        match signature.security_token {
            Some(token) => headers.insert(SECURITY_TOKEN, token),
            None => headers.remove(SECURITY_TOKEN),
        };
        Ok(credentials.session_token.unwrap_or(credentials.secret_key))
    }
}

/// What the `host` header will say: only a port that the scheme does not imply is named.
fn host(request: &Request<Bytes>) -> Result<Cow<'_, [u8]>, Error> {
    if let Some(host) = request.headers().get(HOST) {
        return Ok(Cow::Borrowed(host.as_bytes()));
    }
    let uri: &Uri = request.uri();
    let host = uri.host().ok_or_else(|| {
        Error::new(
            ErrorKind::InvalidRequest,
            "a request without a host cannot be signed",
        )
    })?;
    let implied = match uri.scheme() {
        Some(scheme) if *scheme == Scheme::HTTP => 80,
        _ => 443,
    };
    Ok(match uri.port_u16() {
        Some(port) if port != implied => Cow::Owned(format!("{host}:{port}").into_bytes()),
        _ => Cow::Borrowed(host.as_bytes()),
    })
}

/// Load balancers rewrite `x-amzn-trace-id`.
fn is_signed(name: &HeaderName) -> bool {
    *name == CONTENT_TYPE || (name.as_str().starts_with("x-amz") && name != "x-amzn-trace-id")
}

/// What of a request its signature can cover.
struct Signable<'a> {
    method: &'a Method,
    host: &'a [u8],
    /// As on the wire, encoded.
    path: &'a str,
    query: &'a str,
    headers: &'a HeaderMap,
    payload: &'a [u8],
}

/// The headers that a signature adds.
struct Signature {
    authorization: HeaderValue,
    date: HeaderValue,
    security_token: Option<HeaderValue>,
}

fn sign(
    parts: &Signable<'_>,
    is_signed: impl Fn(&HeaderName) -> bool,
    credentials: &AwsCredentials,
    region: &str,
    service: &str,
    wall: SystemTime,
) -> Result<Signature, Error> {
    let time = Timestamp::new(wall)?;
    let token = credentials.session_token.as_ref().map(Secret::expose);
    let canonical = CanonicalRequest::new(parts, is_signed, &time, token);
    let scope = scope(&time, region, service);
    let key = SigningKey::derive(&credentials.secret_key, time.day(), region, service);
    let signature = key.sign(&string_to_sign(&canonical, &time, &scope));
    let authorization = format!(
        "{ALGORITHM} Credential={}/{scope}, SignedHeaders={}, Signature={signature}",
        credentials.access_key.expose(),
        canonical.signed_headers,
    );
    let value = |text: &str, sensitive| {
        let mut value = HeaderValue::from_str(text).map_err(|_| {
            Error::new(
                ErrorKind::InvalidRequest,
                "the credentials cannot be sent in a header",
            )
        })?;
        value.set_sensitive(sensitive);
        Ok::<_, Error>(value)
    };
    Ok(Signature {
        authorization: value(&authorization, true)?,
        date: value(&time.text, false)?,
        security_token: token.map(|token| value(token, true)).transpose()?,
    })
}

/// The text whose hash is signed, and the names of the headers in it.
struct CanonicalRequest {
    text: Zeroizing<Vec<u8>>,
    signed_headers: String,
}

impl CanonicalRequest {
    fn new(
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
        canonical_path(parts.path, &mut text);
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
        text.extend_from_slice(hex(&Sha256::digest(parts.payload)).as_bytes());
        CanonicalRequest {
            text,
            signed_headers,
        }
    }
}

const DATE_NAME: &str = "x-amz-date";
const TOKEN_NAME: &str = "x-amz-security-token";

/// The path encoded once more than on the wire, after dot segments and empty ones are resolved.
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
        encode_into(segment.as_bytes(), b"", out);
    }
    if segments.is_empty() || ["/", "/.", "/.."].iter().any(|end| path.ends_with(end)) {
        out.push(b'/');
    }
}

/// The parameters, each encoded in the one way that is signed, sorted by name and then by value.
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
    encode_into(&decoded, b"", &mut encoded);
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

fn scope(time: &Timestamp, region: &str, service: &str) -> String {
    format!("{}/{region}/{service}/aws4_request", time.day())
}

fn string_to_sign(canonical: &CanonicalRequest, time: &Timestamp, scope: &str) -> String {
    format!(
        "{ALGORITHM}\n{}\n{scope}\n{}",
        time.text,
        hex(&Sha256::digest(&*canonical.text))
    )
}

/// What signs all requests of one day, region and service.
struct SigningKey(Zeroizing<[u8; 32]>);

impl SigningKey {
    fn derive(secret_key: &Secret, day: &str, region: &str, service: &str) -> Self {
        let secret = Zeroizing::new(["AWS4", secret_key.expose()].concat());
        let mut key = hmac(secret.as_bytes(), day.as_bytes());
        for part in [region, service, "aws4_request"] {
            key = hmac(&*key, part.as_bytes());
        }
        SigningKey(key)
    }

    fn sign(&self, text: &str) -> String {
        hex(&*hmac(&*self.0, text.as_bytes()))
    }
}

fn hmac(key: &[u8], message: &[u8]) -> Zeroizing<[u8; 32]> {
    // HMAC takes a key of any length, so the empty default stands for nothing that happens.
    let mac = Hmac::<Sha256>::new_from_slice(key).map(|mac| mac.chain_update(message).finalize());
    Zeroizing::new(mac.map(|mac| mac.into_bytes().into()).unwrap_or_default())
}

fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

/// A moment as `20250102T030405Z`.
struct Timestamp {
    text: String,
}

impl Timestamp {
    fn new(wall: SystemTime) -> Result<Self, Error> {
        let unsigned = || {
            Error::new(
                ErrorKind::InvalidRequest,
                "the clock says a year that cannot be signed: it must be 1970 to 9999",
            )
        };
        let seconds = wall
            .duration_since(UNIX_EPOCH)
            .map_err(|_| unsigned())?
            .as_secs();
        let (year, month, day) = civil(seconds / 86_400).ok_or_else(unsigned)?;
        let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
        let text = format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z");
        Ok(Timestamp { text })
    }

    fn day(&self) -> &str {
        self.text.get(..8).unwrap_or_default()
    }
}

/// The year, month and day of the month, so many days after 1970-01-01; none after 9999.
fn civil(days: u64) -> Option<(u64, u64, u64)> {
    let mut rest = days;
    for year in 1970..10_000 {
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let (february, length) = if leap { (29, 366) } else { (28, 365) };
        if let Some(later) = u64::checked_sub(rest, length) {
            rest = later;
            continue;
        }
        let months = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        for (month, length) in (1..).zip(months) {
            match u64::checked_sub(rest, length) {
                Some(later) => rest = later,
                None => return Some((year, month, rest.saturating_add(1))),
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const EXAMPLE_SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
    /// 2015-08-30T12:36:00Z, the moment of the published examples.
    const EXAMPLE_SECONDS: u64 = 1_440_938_160;

    fn example_credentials() -> AwsCredentials {
        AwsCredentials::new("AKIDEXAMPLE", EXAMPLE_SECRET, None).unwrap()
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn header_map(headers: &[(&str, &str)]) -> HeaderMap {
        headers
            .iter()
            .map(|(name, value)| {
                (
                    name.parse::<HeaderName>().unwrap(),
                    value.parse::<HeaderValue>().unwrap(),
                )
            })
            .collect()
    }

    struct Signed {
        canonical: String,
        to_sign: String,
        authorization: String,
    }

    fn sign_all(
        parts: &Signable<'_>,
        credentials: &AwsCredentials,
        region: &str,
        service: &str,
        wall: SystemTime,
    ) -> Signed {
        let time = Timestamp::new(wall).unwrap();
        let token = credentials.session_token.as_ref().map(Secret::expose);
        let canonical = CanonicalRequest::new(parts, |_| true, &time, token);
        let to_sign = string_to_sign(&canonical, &time, &scope(&time, region, service));
        let signature = sign(parts, |_| true, credentials, region, service, wall).unwrap();
        Signed {
            canonical: String::from_utf8(canonical.text.to_vec()).unwrap(),
            to_sign,
            authorization: signature.authorization.to_str().unwrap().to_owned(),
        }
    }

    #[test]
    fn the_signing_guides_example() {
        let headers = header_map(&[(
            "content-type",
            "application/x-www-form-urlencoded; charset=utf-8",
        )]);
        let parts = Signable {
            method: &Method::GET,
            host: b"iam.amazonaws.com",
            path: "/",
            query: "Action=ListUsers&Version=2010-05-08",
            headers: &headers,
            payload: b"",
        };
        let signed = sign_all(
            &parts,
            &example_credentials(),
            "us-east-1",
            "iam",
            at(EXAMPLE_SECONDS),
        );
        assert_eq!(
            signed.to_sign,
            "AWS4-HMAC-SHA256\n20150830T123600Z\n20150830/us-east-1/iam/aws4_request\n\
             f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59"
        );
        assert_eq!(
            signed.authorization,
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date, \
             Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
        );
    }

    #[test]
    fn the_published_test_suite() {
        const VANILLA: &str = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";
        let letters = "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        let same = format!("{0}={0}", &letters[1..]);
        type Headers<'a> = &'a [(&'a str, &'a str)];
        let form: Headers<'_> = &[("content-type", "application/x-www-form-urlencoded")];
        let cases: &[(&str, &str, &str, Headers<'_>, &str, &str)] = &[
            ("GET", "/", "", &[], "", VANILLA),
            ("GET", "//", "", &[], "", VANILLA),
            ("GET", "/./", "", &[], "", VANILLA),
            ("GET", "/example/..", "", &[], "", VANILLA),
            ("GET", "/example1/example2/../..", "", &[], "", VANILLA),
            (
                "GET",
                letters,
                "",
                &[],
                "",
                "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
            ),
            (
                "GET",
                "/\u{1234}",
                "",
                &[],
                "",
                "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85",
            ),
            (
                "GET",
                "/example space/",
                "",
                &[],
                "",
                "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741",
            ),
            (
                "GET",
                "/",
                &same,
                &[],
                "",
                "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197",
            ),
            (
                "GET",
                "/",
                "Param2=value2&Param1=value1",
                &[],
                "",
                "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            ),
            (
                "GET",
                "/",
                "",
                &[
                    ("my-header1", "value2"),
                    ("my-header1", "value2"),
                    ("my-header1", "value1"),
                ],
                "",
                "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
            ),
            (
                "GET",
                "/",
                "",
                &[("my-header1", "value1"), ("my-header2", "\"a   b   c\"")],
                "",
                "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
            ),
            (
                "POST",
                "/",
                "",
                &[],
                "",
                "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
            ),
            (
                "POST",
                "/",
                "",
                form,
                "Param1=value1",
                "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
            ),
        ];
        for (method, path, query, headers, payload, signature) in cases {
            let parts = Signable {
                method: &method.parse().unwrap(),
                host: b"example.amazonaws.com",
                path,
                query,
                headers: &header_map(headers),
                payload: payload.as_bytes(),
            };
            let signed = sign_all(
                &parts,
                &example_credentials(),
                "us-east-1",
                "service",
                at(EXAMPLE_SECONDS),
            );
            assert!(
                signed.authorization.ends_with(signature),
                "{method} {path} {query} {}",
                signed.canonical
            );
        }
    }

    /// Made with botocore; they lie beside the repository, not in it.
    #[test]
    #[allow(clippy::disallowed_methods, reason = "says where the vectors are")]
    fn botocore_vectors() {
        let shared = std::env::var("UNIFIEDAI_SHARED")
            .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../shared").to_owned());
        let path = std::path::Path::new(&shared).join("wire/sigv4_vectors.json");
        let Ok(text) = std::fs::read(&path) else {
            println!("skipped: no SigV4 vectors at {}", path.display());
            return;
        };
        let vectors: Vec<serde_json::Value> = serde_json::from_slice(&text).unwrap();
        assert!(!vectors.is_empty());
        for vector in &vectors {
            let text = |name: &str| vector[name].as_str().unwrap();
            let uri: Uri = text("url").parse().unwrap();
            let mut request = Request::new(Bytes::copy_from_slice(
                vector["body"].as_str().unwrap_or("").as_bytes(),
            ));
            *request.method_mut() = text("method").parse().unwrap();
            for (name, value) in vector["headers"].as_object().unwrap() {
                let value = HeaderValue::from_str(value.as_str().unwrap()).unwrap();
                request
                    .headers_mut()
                    .insert(name.parse::<HeaderName>().unwrap(), value);
            }
            *request.uri_mut() = uri.clone();
            let token = vector["session_token"].as_str().map(str::to_owned);
            let credentials =
                AwsCredentials::new(text("access_key"), text("secret_key"), token).unwrap();
            let wall = parse_date(text("amz_date"));

            let parts = Signable {
                method: request.method(),
                host: &host(&request).unwrap(),
                path: uri.path(),
                query: uri.query().unwrap_or(""),
                headers: request.headers(),
                payload: request.body(),
            };
            let signed = sign_all(&parts, &credentials, text("region"), text("service"), wall);
            assert_eq!(
                signed.canonical,
                text("canonical_request"),
                "{}",
                text("name")
            );
            assert_eq!(signed.to_sign, text("string_to_sign"), "{}", text("name"));
            assert_eq!(
                signed.authorization,
                text("authorization"),
                "{}",
                text("name")
            );

            let signer = Signer::new(credentials, text("region"), text("service")).unwrap();
            signer.apply(&mut request, wall).unwrap();
            if request
                .headers()
                .keys()
                .all(|name| *name == AUTHORIZATION || is_signed(name))
            {
                assert_eq!(
                    request.headers()[AUTHORIZATION],
                    text("authorization"),
                    "{}",
                    text("name")
                );
            }
        }
        println!("{} SigV4 vectors", vectors.len());
    }

    /// The inverse of [`Timestamp`], by search.
    fn parse_date(text: &str) -> SystemTime {
        let (mut low, mut high) = (0, 253_402_300_800);
        while low + 1 < high {
            let middle = (low + high) / 2;
            match Timestamp::new(at(middle)).unwrap().text.as_str() <= text {
                true => low = middle,
                false => high = middle,
            }
        }
        assert_eq!(Timestamp::new(at(low)).unwrap().text, text);
        at(low)
    }

    #[test]
    fn dates() {
        for (seconds, text) in [
            (0, "19700101T000000Z"),
            (68_169_599, "19720228T235959Z"),
            (68_169_600, "19720229T000000Z"),
            (951_782_400, "20000229T000000Z"),
            (EXAMPLE_SECONDS, "20150830T123600Z"),
            (1_735_787_045, "20250102T030405Z"),
            (4_107_542_399, "21000228T235959Z"),
            (4_107_542_400, "21000301T000000Z"),
            (253_402_300_799, "99991231T235959Z"),
        ] {
            assert_eq!(Timestamp::new(at(seconds)).unwrap().text, text);
        }
        for wall in [
            UNIX_EPOCH - Duration::from_nanos(1),
            at(253_402_300_800),
            at(i64::MAX as u64),
        ] {
            assert_eq!(
                Timestamp::new(wall)
                    .map(|time| time.text)
                    .unwrap_err()
                    .kind(),
                ErrorKind::InvalidRequest
            );
        }
        let mut last = String::new();
        for day in 0..100_000 {
            let text = Timestamp::new(at(day * 86_400)).unwrap().text;
            assert!(last < text, "{last} {text}");
            last = text;
        }
    }

    #[test]
    fn queries_have_one_form() {
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

    fn request(url: &str) -> Request<Bytes> {
        let mut request = Request::post(url).body(Bytes::from_static(b"{}")).unwrap();
        request
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        request
    }

    #[test]
    fn signing_again_replaces_the_signature() {
        let url = "https://bedrock-runtime.us-east-1.amazonaws.com/model/m%3A0/converse";
        let temporary = AwsCredentials::new("AKID", "canary", Some("token".to_owned())).unwrap();
        let first = Signer::new(temporary, "us-east-1", "bedrock").unwrap();
        let second = Signer::new(example_credentials(), "us-east-1", "bedrock").unwrap();
        let (mut twice, mut once) = (request(url), request(url));
        assert_eq!(first.apply(&mut twice, at(1)).unwrap().expose(), "token");
        assert_eq!(twice.headers()[SECURITY_TOKEN], "token");
        second.apply(&mut twice, at(EXAMPLE_SECONDS)).unwrap();
        second.apply(&mut once, at(EXAMPLE_SECONDS)).unwrap();
        assert_eq!(twice.headers(), once.headers());
    }

    #[test]
    fn headers_that_others_rewrite_are_not_signed() {
        let mut request = request("https://host.example:8443/");
        for name in [
            "user-agent",
            "accept-encoding",
            "content-length",
            "traceparent",
            "x-amzn-trace-id",
        ] {
            request
                .headers_mut()
                .insert(HeaderName::from_static(name), HeaderValue::from_static("1"));
        }
        request
            .headers_mut()
            .insert("x-amzn-bedrock-trace", HeaderValue::from_static("ENABLED"));
        let signer = Signer::new(example_credentials(), "us-east-1", "bedrock").unwrap();
        signer.apply(&mut request, at(0)).unwrap();
        let authorization = request.headers()[AUTHORIZATION].to_str().unwrap();
        assert!(
            authorization
                .contains(" SignedHeaders=content-type;host;x-amz-date;x-amzn-bedrock-trace, ")
        );
    }

    #[test]
    fn the_host_is_the_one_on_the_wire() {
        for (url, expected) in [
            ("https://h.example/", "h.example"),
            ("https://h.example:443/", "h.example"),
            ("https://h.example:80/", "h.example:80"),
            ("http://h.example:80/", "h.example"),
            ("http://127.0.0.1:8080/", "127.0.0.1:8080"),
            ("http://[::1]:8080/", "[::1]:8080"),
        ] {
            assert_eq!(&*host(&request(url)).unwrap(), expected.as_bytes());
        }
        let mut request = request("http://127.0.0.1:8080/");
        request
            .headers_mut()
            .insert(HOST, HeaderValue::from_static("other.example"));
        assert_eq!(&*host(&request).unwrap(), b"other.example");
        let signer = Signer::new(example_credentials(), "us-east-1", "bedrock").unwrap();
        let mut nowhere = Request::new(Bytes::new());
        assert_eq!(
            signer.apply(&mut nowhere, at(0)).unwrap_err().kind(),
            ErrorKind::InvalidRequest
        );
    }

    // F107, F108
    #[test]
    fn credentials_are_checked_and_never_printed() {
        for (access, secret, token) in [
            ("", "canary", None),
            ("AKIDcanary", "", None),
            ("AKIDcanary\n", "canary", None),
            ("AKID/canary", "canary", None),
            ("AKIDcanary", "canary ", None),
            ("AKIDcanary", "canary", Some("canary\r\nx: y")),
            ("AKIDcanary", "canary", Some("")),
        ] {
            let error = AwsCredentials::new(access, secret, token.map(str::to_owned)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidRequest);
            assert!(error.to_string().contains("the AWS "), "{error}");
            assert!(!format!("{error} {error:?}").contains("canary"));
        }
        let credentials =
            AwsCredentials::new("AKIDcanary", "canary", Some("canary".to_owned())).unwrap();
        let signer = Signer::new(credentials.clone(), "eu-west-1", "bedrock").unwrap();
        let mut request = request("https://host.example/");
        signer.apply(&mut request, at(0)).unwrap();
        let printed =
            format!("{credentials:?} {credentials:#?} {signer:?} {signer:#?} {request:?}");
        assert!(!printed.contains("canary"), "{printed}");
    }

    #[test]
    fn a_region_is_a_word() {
        for region in [
            "",
            "us-east-1/x",
            "us east",
            "us.east",
            "a\n",
            &"a".repeat(64),
        ] {
            let error = Signer::new(example_credentials(), region, "bedrock").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        }
    }

    #[test]
    fn credentials_are_asked_for_each_time() {
        let ask = AwsCredentialSource::Ask(Arc::new(|| {
            Err(Error::new(ErrorKind::InvalidRequest, "expired"))
        }));
        let signer = Signer::new(ask, "us-east-1", "bedrock").unwrap();
        let error = signer
            .apply(&mut request("https://host.example/"), at(0))
            .unwrap_err();
        assert_eq!(error.message(), "expired");
    }
}
