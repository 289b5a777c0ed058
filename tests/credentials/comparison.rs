//! Requests for credentials in a form in which those of two programs can be compared.

use super::fake::Asked;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime},
};
use unifiedai::provider::{AwsCredentials, Signer};

/// The secret of all keys.
pub(crate) const SECRET: &str = "exampleSecretExampleSecretExampleSecret0";

/// A request without what differs from one run to the next.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Seen {
    method: String,
    pub(crate) path: String,
    query: BTreeSet<(String, String)>,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

/// Headers that servers read.
const HEADERS: [&str; 9] = [
    "authorization",
    "content-type",
    "x-aws-ec2-metadata-token",
    "x-aws-ec2-metadata-token-ttl-seconds",
    "x-amz-sso_bearer_token",
    "metadata-flavor",
    "metadata",
    "x-identity-header",
    "anthropic-beta",
];

pub(crate) fn seen(asked: &Asked) -> Seen {
    let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
    let mut headers = BTreeMap::new();
    for name in HEADERS {
        if let Some(value) = asked.header(name) {
            headers.insert(name.to_owned(), header(asked, name, value));
        }
    }
    let body = match serde_json::from_str::<Value>(&asked.body) {
        Ok(mut value) => {
            // `null` and no delegates are the same.
            if value["delegates"] == json!([]) {
                value["delegates"] = Value::Null;
            }
            value.to_string()
        }
        Err(_) => {
            let fields = fields(&asked.body);
            // A type without a body says nothing.
            if asked.body.is_empty() {
                headers.remove("content-type");
            }
            format!("{fields:?}")
        }
    };
    Seen {
        method: asked.method.clone(),
        path: path.to_owned(),
        query: fields(query),
        headers,
        body,
    }
}

fn header(asked: &Asked, name: &str, value: &str) -> String {
    match name {
        "authorization" if value.starts_with("AWS4-HMAC-SHA256 ") => signature(asked, value),
        // The parameter `charset` says nothing of ASCII.
        "content-type" => value.split(';').next().unwrap().trim().to_owned(),
        _ => value.to_owned(),
    }
}

/// A form or a query, whose order does not count.
pub(crate) fn fields(text: &str) -> BTreeSet<(String, String)> {
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(name, value)| {
            let value = decoded(value);
            let value = match name {
                "assertion" => claims(&value),
                _ => value,
            };
            (decoded(name), value)
        })
        .collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let hex = [rest.next().unwrap(), rest.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap()
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).unwrap()
}

/// The header and the claims of a JWT, with its lifetime in place of its times.
fn claims(jwt: &str) -> String {
    let mut parts = jwt.split('.').take(2).map(|part| {
        let bytes = URL_SAFE_NO_PAD.decode(part).unwrap();
        serde_json::from_slice::<Value>(&bytes).unwrap()
    });
    let (Some(header), Some(mut claims)) = (parts.next(), parts.next()) else {
        return jwt.to_owned();
    };
    let claims = claims.as_object_mut().unwrap();
    let time = |value: Option<Value>| value.unwrap().as_u64().unwrap();
    let lifetime = time(claims.remove("exp")) - time(claims.remove("iat"));
    format!("{header} {} for {lifetime}", json!(claims))
}

/// Whether our signer gives the same signature at the time of the request, and what it covers.
fn signature(asked: &Asked, authorization: &str) -> String {
    let (_, rest) = authorization.split_once("Credential=").unwrap();
    let (credential, rest) = rest.split_once(',').unwrap();
    let mut scope = credential.split('/');
    let (key, _, region, service) = (
        scope.next().unwrap(),
        scope.next(),
        scope.next().unwrap(),
        scope.next().unwrap(),
    );
    let (_, signed) = rest.split_once("SignedHeaders=").unwrap();
    let (signed, _) = signed.split_once(',').unwrap();
    let date = asked.header("x-amz-date").unwrap();
    let token = asked.header("x-amz-security-token").map(str::to_owned);
    let keys = AwsCredentials::new(key, SECRET, token).unwrap();
    let url = format!("http://{}{}", asked.header("host").unwrap(), asked.path);
    let mut request = http::Request::builder()
        .method(&*asked.method)
        .uri(url)
        .header("content-type", asked.header("content-type").unwrap())
        .body(bytes::Bytes::from(asked.body.clone()))
        .unwrap();
    let signer = Signer::new(keys, region, service).unwrap();
    signer.apply(&mut request, time_of(date)).unwrap();
    assert_eq!(
        request.headers()["authorization"].to_str().unwrap(),
        authorization.replace(", ", ",").replace(',', ", "),
        "the signature of {}",
        asked.body
    );
    format!("{key} {region} {service} {signed}")
}

/// `20261129T120000Z`
fn time_of(date: &str) -> SystemTime {
    let text = format!(
        "{}-{}-{}T{}:{}:{}Z",
        &date[..4],
        &date[4..6],
        &date[6..8],
        &date[9..11],
        &date[11..13],
        &date[13..15]
    );
    let start = SystemTime::UNIX_EPOCH;
    let days = |text: &str| -> i64 {
        let number = |range: std::ops::Range<usize>| text[range].parse::<i64>().unwrap();
        let (year, month, day) = (number(0..4), number(5..7), number(8..10));
        // Days since 1970 by the calendar's cycle of 400 years, with years that begin in March.
        let year = if month <= 2 { year - 1 } else { year };
        let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
        let of_era = year.rem_euclid(400) * 365 + year.rem_euclid(400) / 4
            - year.rem_euclid(400) / 100
            + of_year;
        year.div_euclid(400) * 146_097 + of_era - 719_468
    };
    let clock = |range: std::ops::Range<usize>| text[range].parse::<u64>().unwrap();
    let seconds = clock(11..13) * 3600 + clock(14..16) * 60 + clock(17..19);
    start + Duration::from_secs(u64::try_from(days(&text)).unwrap() * 86_400 + seconds)
}
