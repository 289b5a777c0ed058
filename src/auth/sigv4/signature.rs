//! The signature, and the headers that contain it.

use super::{
    canonical::{CanonicalRequest, Signable},
    credentials::AwsCredentials,
    hex,
    timestamp::Timestamp,
};
use crate::{Error, ErrorKind, auth::Secret, credentials::form::encoded};
use hmac::{Hmac, Mac};
use http::{HeaderName, HeaderValue};
use sha2::{Digest, Sha256};
use std::time::{Duration, SystemTime};
use zeroize::Zeroizing;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// The headers that a signature adds.
pub(super) struct Signature {
    pub(super) authorization: HeaderValue,
    pub(super) date: HeaderValue,
    pub(super) security_token: Option<HeaderValue>,
}

pub(super) fn sign(
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
                "the AWS credentials are not a valid header value",
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

/// The query of a presigned URL.
pub(super) fn presign(
    host: &str,
    query: &str,
    credentials: &AwsCredentials,
    (region, service): (&str, &str),
    wall: SystemTime,
    lifetime: Duration,
) -> Result<String, Error> {
    let time = Timestamp::new(wall)?;
    let scope = scope(&time, region, service);
    let credential = [credentials.access_key.expose(), "/", &scope].concat();
    let mut query = format!(
        "{query}&X-Amz-Algorithm={ALGORITHM}&X-Amz-Credential={}&X-Amz-Date={}&X-Amz-Expires={}&X-Amz-SignedHeaders=host",
        encoded(&credential),
        time.text,
        lifetime.as_secs(),
    );
    if let Some(token) = &credentials.session_token {
        query.push_str("&X-Amz-Security-Token=");
        query.push_str(&encoded(token.expose()));
    }
    let canonical = CanonicalRequest::presigned(host, &query);
    let key = SigningKey::derive(&credentials.secret_key, time.day(), region, service);
    let signature = key.sign(&string_to_sign(&canonical, &time, &scope));
    query.push_str("&X-Amz-Signature=");
    query.push_str(&signature);
    Ok(query)
}

pub(super) fn scope(time: &Timestamp, region: &str, service: &str) -> String {
    format!("{}/{region}/{service}/aws4_request", time.day())
}

pub(super) fn string_to_sign(
    canonical: &CanonicalRequest,
    time: &Timestamp,
    scope: &str,
) -> String {
    format!(
        "{ALGORITHM}\n{}\n{scope}\n{}",
        time.text,
        hex(&Sha256::digest(&*canonical.text))
    )
}

// The signing key.

/// Signs all requests of one day, region and service.
pub(super) struct SigningKey(Zeroizing<[u8; 32]>);

impl SigningKey {
    pub(super) fn derive(secret_key: &Secret, day: &str, region: &str, service: &str) -> Self {
        let secret = Zeroizing::new(["AWS4", secret_key.expose()].concat());
        let mut key = hmac(secret.as_bytes(), day.as_bytes());
        for part in [region, service, "aws4_request"] {
            key = hmac(&*key, part.as_bytes());
        }
        SigningKey(key)
    }

    pub(super) fn sign(&self, text: &str) -> String {
        hex(&*hmac(&*self.0, text.as_bytes()))
    }
}

fn hmac(key: &[u8], message: &[u8]) -> Zeroizing<[u8; 32]> {
    // HMAC accepts a key of any length, so this default is unreachable.
    let mac = Hmac::<Sha256>::new_from_slice(key).map(|mac| mac.chain_update(message).finalize());
    Zeroizing::new(mac.map(|mac| mac.into_bytes().into()).unwrap_or_default())
}
