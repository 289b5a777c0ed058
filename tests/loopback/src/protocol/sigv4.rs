//! Verifies AWS Signature Version 4 like the service, with its error messages.

use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

use crate::{AwsKeys, Request};

/// Why a request is refused.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) exception: &'static str,
    pub(crate) message: String,
}

/// The tolerated clock difference of a client, in seconds.
const SKEW: i64 = 300;

const BEDROCK: &str = "bedrock";
const S3: &str = "s3";

/// Verifies the credentials of a request at the current time.
pub(crate) fn verify(request: &Request, keys: &AwsKeys) -> Result<(), Refused> {
    verify_at(request, keys, BEDROCK, now())
}

/// Verifies the credentials of a request of S3. It signs the path as it is sent, and takes no bearer keys.
pub(crate) fn verify_s3(request: &Request, keys: &AwsKeys) -> Result<(), Refused> {
    let keys = AwsKeys {
        api_key: None,
        ..keys.clone()
    };
    if request.header("x-amz-content-sha256").is_none() {
        return Err(Refused {
            exception: "InvalidRequest",
            message: "Missing required header for this request: x-amz-content-sha256".to_owned(),
        });
    }
    verify_at(request, &keys, S3, now())
}

fn now() -> i64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}

fn verify_at(
    request: &Request,
    keys: &AwsKeys,
    required_service: &str,
    now: i64,
) -> Result<(), Refused> {
    let refused = |exception, message: String| Err(Refused { exception, message });
    let invalid = |message: &str| refused("InvalidSignatureException", message.to_owned());
    let Some(authorization) = request.header("authorization") else {
        return refused(
            "MissingAuthenticationTokenException",
            "Missing Authentication Token".to_owned(),
        );
    };
    if let Some(key) = authorization.strip_prefix("Bearer ") {
        return if keys.api_key.as_deref() == Some(key) {
            Ok(())
        } else {
            refused(
                "AccessDeniedException",
                "The bearer key is not known here, or is no longer.".to_owned(),
            )
        };
    }
    let Some(parts) = authorization.strip_prefix("AWS4-HMAC-SHA256 ") else {
        return refused(
            "IncompleteSignatureException",
            "The Authorization header names no scheme that is known here.".to_owned(),
        );
    };
    let part = |name: &str| {
        parts
            .split(',')
            .find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='))
    };
    let (Some(credential), Some(signed), Some(signature)) =
        (part("Credential"), part("SignedHeaders"), part("Signature"))
    else {
        let message =
            "The Authorization header needs 'Credential', 'SignedHeaders' and 'Signature'.";
        return refused("IncompleteSignatureException", message.to_owned());
    };
    let Some(date) = request.header("x-amz-date") else {
        return refused(
            "IncompleteSignatureException",
            "The request needs an 'X-Amz-Date' header.".to_owned(),
        );
    };
    let Some(time) = parse_date(date) else {
        return refused(
            "IncompleteSignatureException",
            "The date must look like 20250102T030405Z.".to_owned(),
        );
    };
    let scope: Vec<&str> = credential.split('/').collect();
    let [access_key, day, region, service, "aws4_request"] = scope[..] else {
        return refused(
            "IncompleteSignatureException",
            "The credential needs a key and a scope of four parts.".to_owned(),
        );
    };
    if access_key != keys.access_key {
        return refused(
            "UnrecognizedClientException",
            "The access key is not known here.".to_owned(),
        );
    }
    if request.header("x-amz-security-token") != keys.session_token.as_deref() {
        return match request.header("x-amz-security-token") {
            Some("expired") => refused(
                "ExpiredTokenException",
                "The security token of this request is expired".to_owned(),
            ),
            _ => refused(
                "UnrecognizedClientException",
                "The security token of this request is invalid.".to_owned(),
            ),
        };
    }
    if service != required_service {
        return invalid(&format!(
            "Credential should be scoped to correct service: '{required_service}'."
        ));
    }
    if region != keys.region {
        return invalid(&format!(
            "Credential should be scoped to a valid region, not '{region}'."
        ));
    }
    if !date.starts_with(day) {
        return invalid("The date in the credential's scope is not the date of the request.");
    }
    // The message by which clients recognise a wrong clock.
    if time < now - SKEW {
        let (earliest, now) = (format_date(now - SKEW), format_date(now));
        return invalid(&format!(
            "Signature expired: {date} is now earlier than {earliest} ({now} - 5 min.)"
        ));
    }
    if time > now + SKEW {
        let (latest, now) = (format_date(now + SKEW), format_date(now));
        return invalid(&format!(
            "Signature not yet current: {date} is still later than {latest} ({now} + 5 min.)"
        ));
    }
    let names: Vec<&str> = signed.split(';').collect();
    for required in ["host", "x-amz-date", "x-amz-security-token"] {
        if request.header(required).is_some() && !names.contains(&required) {
            return invalid(&format!("The header '{required}' must be a signed header."));
        }
    }
    let hash = hex(&Sha256::digest(&request.body));
    if request
        .header("x-amz-content-sha256")
        .is_some_and(|given| given != hash && given != "UNSIGNED-PAYLOAD")
    {
        return invalid("The hash in 'x-amz-content-sha256' is not that of the body.");
    }
    let canonical = canonical_request(request, &names, &hash, required_service == S3);
    if sign(&canonical, &keys.secret_key, date, day, region, service) != signature {
        return invalid(
            "The signature that was calculated here is not the one in the request. Check the secret key and the way of signing.",
        );
    }
    Ok(())
}

fn canonical_request(request: &Request, names: &[&str], hash: &str, is_s3: bool) -> String {
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    let mut pairs: Vec<(String, String)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (encode(&decode(name), ""), encode(&decode(value), "")))
        .collect();
    pairs.sort();
    let query: Vec<String> = pairs
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let mut canonical = format!(
        "{}\n{}\n{}\n",
        request.method,
        if is_s3 {
            path.to_owned()
        } else {
            encode(path.as_bytes(), "/")
        },
        query.join("&")
    );
    for name in names {
        let values: Vec<String> = request
            .headers
            .iter()
            .filter(|(n, _)| n == name)
            .map(|(_, value)| value.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        canonical.push_str(&format!("{name}:{}\n", values.join(",")));
    }
    canonical.push_str(&format!("\n{}\n{hash}", names.join(";")));
    canonical
}

fn sign(
    canonical: &str,
    secret: &str,
    date: &str,
    day: &str,
    region: &str,
    service: &str,
) -> String {
    let scope = format!("{day}/{region}/{service}/aws4_request");
    let text = format!(
        "AWS4-HMAC-SHA256\n{date}\n{scope}\n{}",
        hex(&Sha256::digest(canonical))
    );
    let mut key = format!("AWS4{secret}").into_bytes();
    for part in [day, region, service, "aws4_request", &text] {
        // HMAC accepts keys of any length, so this cannot fail.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&key) else {
            return String::new();
        };
        mac.update(part.as_bytes());
        key = mac.finalize().into_bytes().to_vec();
    }
    hex(&key)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn encode(bytes: &[u8], keep: &str) -> String {
    let mut encoded = String::new();
    for &byte in bytes {
        let c = char::from(byte);
        if c.is_ascii_alphanumeric() || "-._~".contains(c) || keep.contains(c) {
            encoded.push(c);
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// The current time as `2025-01-02T03:04:05Z`.
pub(crate) fn rfc_3339_now() -> String {
    let mut text = format_date(now());
    for (at, mark) in [(4, '-'), (7, '-'), (13, ':'), (16, ':')] {
        text.insert(at, mark);
    }
    text
}

/// Decodes percent-encoding.
pub(crate) fn decode(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let coded = after
            .get(..2)
            .filter(|_| first == b'%')
            .and_then(|two| std::str::from_utf8(two).ok());
        match coded.and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    bytes
}

/// Seconds since 1970 of `20250102T030405Z`.
fn parse_date(text: &str) -> Option<i64> {
    let digits = text
        .strip_suffix('Z')
        .filter(|text| text.len() == 15 && text.as_bytes()[8] == b'T')?;
    let number = |from: usize, to: usize| digits.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    let (hour, minute, second) = (number(9, 11)?, number(11, 13)?, number(13, 15)?);
    Some(days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
}

/// Days from 1970-01-01 to a date of the Gregorian calendar, whose year begins in March here.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + of_year
        - 719_468
}

fn format_date(time: i64) -> String {
    let (day, second) = (time.div_euclid(86_400), time.rem_euclid(86_400));
    let mut year = 1970 + day / 366;
    while days(year + 1, 1, 1) <= day {
        year += 1;
    }
    let month = (1..=12)
        .rev()
        .find(|month| days(year, *month, 1) <= day)
        .unwrap_or(1);
    let date = day - days(year, month, 1) + 1;
    format!(
        "{year:04}{month:02}{date:02}T{:02}{:02}{:02}Z",
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(authorization: &str) -> Request {
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        Request {
            method: "POST".to_owned(),
            path: "/model/amazon.nova-lite-v1%3A0/converse".to_owned(),
            headers: vec![
                header("content-type", "application/json"),
                header("host", "bedrock-runtime.us-east-1.amazonaws.com"),
                header("x-amz-date", "20250102T030405Z"),
                header("authorization", authorization),
            ],
            body: r#"{"messages":[{"role":"user","content":[{"text":"hi"}]}]}"#.into(),
            connection: 1,
        }
    }

    /// Signed by botocore.
    const RIGHT: &str = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20250102/us-east-1/bedrock/aws4_request, \
        SignedHeaders=content-type;host;x-amz-date, \
        Signature=9ebf2aa9f3926c1cfcbaf4324b8aa8247770b52225800e2d8d55df725f951110";

    fn keys() -> AwsKeys {
        AwsKeys {
            access_key: "AKIDEXAMPLE".to_owned(),
            secret_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned(),
            ..AwsKeys::default()
        }
    }

    fn check(request: &Request, now: &str) -> &'static str {
        match verify_at(request, &keys(), BEDROCK, parse_date(now).unwrap()) {
            Ok(()) => "ok",
            Err(refused) => refused.exception,
        }
    }

    #[test]
    fn a_signature_of_another_implementation_is_right() {
        assert_eq!(check(&request(RIGHT), "20250102T030405Z"), "ok");
    }

    #[test]
    fn time_is_checked() {
        for (now, result) in [
            ("20250102T030905Z", "ok"),
            ("20250102T025905Z", "ok"),
            ("20250102T030906Z", "InvalidSignatureException"),
            ("20250102T025904Z", "InvalidSignatureException"),
        ] {
            assert_eq!(check(&request(RIGHT), now), result, "{now}");
        }
    }

    #[test]
    fn every_part_is_covered() {
        let now = "20250102T030405Z";
        let changes: [fn(&mut Request); 4] = [
            |request| request.method = "PUT".to_owned(),
            |request| request.path = "/model/amazon.nova-lite-v2%3A0/converse".to_owned(),
            |request| request.headers[0].1.push('x'),
            |request| request.body = "{}".into(),
        ];
        for change in changes {
            let mut request = request(RIGHT);
            change(&mut request);
            assert_eq!(check(&request, now), "InvalidSignatureException");
        }
        for (from, to, result) in [
            ("9ebf", "0ebf", "InvalidSignatureException"),
            ("us-east-1", "us-west-2", "InvalidSignatureException"),
            ("bedrock/", "bedrock-runtime/", "InvalidSignatureException"),
            ("AKID", "BKID", "UnrecognizedClientException"),
            ("Signature=", "Sign=", "IncompleteSignatureException"),
            ("AWS4-HMAC-SHA256", "Basic", "IncompleteSignatureException"),
            (
                "content-type;host;x-amz-date",
                "content-type;host",
                "InvalidSignatureException",
            ),
        ] {
            assert_eq!(
                check(&request(&RIGHT.replace(from, to)), now),
                result,
                "{from}"
            );
        }
    }

    #[test]
    fn a_raw_colon_equals_an_encoded_one_that_was_encoded_once() {
        let mut raw = request(RIGHT);
        raw.path = "/model/amazon.nova-lite-v1:0/converse?b=2&a=%20x".to_owned();
        let canonical = canonical_request(&raw, &["host"], "hash", false);
        assert!(canonical.starts_with(
            "POST\n/model/amazon.nova-lite-v1%3A0/converse\na=%20x&b=2\nhost:bedrock"
        ));
    }

    #[test]
    fn dates_are_formatted_and_parsed() {
        for date in [
            "19700101T000000Z",
            "20240229T235959Z",
            "20250102T030405Z",
            "20991231T120000Z",
        ] {
            assert_eq!(format_date(parse_date(date).unwrap()), date);
        }
    }
}
