//! The signature, and the headers that contain it.

use super::{
    canonical::{CanonicalRequest, Signable},
    credentials::AwsCredentials,
    hex,
    key::SigningKey,
    timestamp::Timestamp,
};
use crate::{Error, ErrorKind, auth::Secret};
use http::{HeaderName, HeaderValue};
use sha2::{Digest, Sha256};
use std::time::SystemTime;

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
