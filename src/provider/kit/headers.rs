//! Reads response headers: request id, rate limits, processing time.

use crate::{
    chat::{ProviderMetadata, RateLimit},
    codec::{decimal, rfc3339::rfc3339},
    policy::{MAX_WAIT, parse_duration},
};
use http::{HeaderMap, HeaderName};
use std::{
    borrow::Cow,
    time::{Duration, SystemTime},
};

/// Headers with the provider's request id, in order of preference.
static REQUEST_ID: [HeaderName; 7] = [
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("request-id"),
    HeaderName::from_static("x-amzn-requestid"),
    HeaderName::from_static("apim-request-id"),
    HeaderName::from_static("x-correlation-id"),
    HeaderName::from_static("x-goog-request-id"),
    HeaderName::from_static("cf-ray"),
];

/// Headers with the processing time in milliseconds, in order of preference. Source: recorded responses.
const PROCESSING_MS: [&str; 3] = [
    "openai-processing-ms",
    // xAI
    "x-metrics-e2e-ms",
    // The proxy in front of Anthropic, Cohere, Mistral and some of Azure.
    "x-envoy-upstream-service-time",
];

/// Reads the headers that all providers share.
pub fn read_metadata(headers: &HeaderMap, metadata: &mut ProviderMetadata) {
    metadata.request_id = REQUEST_ID.iter().find_map(|name| {
        let id = headers.get(name)?.to_str().ok()?;
        (!id.is_empty() && id.len() <= 256).then(|| id.to_owned())
    });
    metadata.rate_limits = read_rate_limits(headers);
}

/// The rate limits: `x-ratelimit-{limit,remaining,reset}-{what}` (OpenAI and most others, Cerebras with the period at
/// the end) and `anthropic-ratelimit-{what}-{limit,remaining,reset}`. Without `{what}` the unit is requests.
#[must_use]
pub fn read_rate_limits(headers: &HeaderMap) -> Vec<RateLimit> {
    let mut limits: Vec<RateLimit> = Vec::new();
    for (name, value) in headers {
        let Some((field, what)) = split(name.as_str()) else {
            continue;
        };
        let value = value.as_bytes().trim_ascii();
        let (number, time) = match field {
            Field::Limit | Field::Remaining => (count(value), None),
            Field::Reset => (None, reset(value, headers)),
        };
        // An unreadable value is ignored, but a value that is not ASCII is not even evidence of a rate limit.
        if number.is_none() && time.is_none() && !value.is_ascii() {
            continue;
        }
        let known = limits.iter().position(|limit| limit.name == what);
        let at = known.unwrap_or(limits.len());
        if known.is_none() && at < MAX_RATE_LIMITS {
            if limits.is_empty() {
                limits = Vec::with_capacity(2);
            }
            limits.push(RateLimit {
                name: name_of(what),
                ..RateLimit::default()
            });
        }
        let Some(limit) = limits.get_mut(at) else {
            continue;
        };
        match field {
            Field::Limit => limit.limit = number,
            Field::Remaining => limit.remaining = number,
            Field::Reset => limit.reset = time,
        }
    }
    limits.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    limits
}

/// The processing time of a single-body response. In a stream the same headers contain the time to its start.
pub(crate) fn server_time(headers: &HeaderMap) -> Option<Duration> {
    // Most responses have none of them, and comparing each header costs less than hashing each name.
    if !headers
        .keys()
        .any(|name| PROCESSING_MS.contains(&name.as_str()))
    {
        return None;
    }
    PROCESSING_MS.iter().find_map(|name| {
        let millis = headers.get(*name)?.to_str().ok()?;
        decimal::seconds(millis.trim_ascii())?.checked_div(1000)
    })
}

/// Further rate limits are ignored.
const MAX_RATE_LIMITS: usize = 32;

/// The usual units. Source: recorded responses.
const COUNTED: [&str; 6] = [
    "requests",
    "tokens",
    "requests-day",
    "tokens-minute",
    "input-tokens",
    "output-tokens",
];

#[derive(Clone, Copy)]
enum Field {
    Limit,
    Remaining,
    Reset,
}

fn split(name: &str) -> Option<(Field, &str)> {
    let (what_first, rest) = match name.as_bytes() {
        [b'x', b'-', b'r', ..] => (false, name.strip_prefix("x-ratelimit-")?),
        [b'r', ..] => (false, name.strip_prefix("ratelimit-")?),
        [b'a', ..] => (true, name.strip_prefix("anthropic-ratelimit-")?),
        // Most headers are something else.
        _ => return None,
    };
    if what_first {
        let (what, field) = rest.rsplit_once('-')?;
        return match leading_field(field)? {
            (field, "") => Some((field, what)),
            _ => None,
        };
    }
    let (field, what) = leading_field(rest)?;
    match what.strip_prefix('-') {
        Some(what) => Some((field, what)),
        None => what.is_empty().then_some((field, "requests")),
    }
}

/// The unit in a header's name, without an allocation for the usual ones.
fn name_of(what: &str) -> Cow<'static, str> {
    COUNTED
        .iter()
        .find(|known| **known == what)
        .map_or_else(|| what.to_owned().into(), |known| (*known).into())
}

/// The field at the beginning of a name, and the rest.
fn leading_field(name: &str) -> Option<(Field, &str)> {
    match name.as_bytes() {
        [b'l', ..] => Some((Field::Limit, name.strip_prefix("limit")?)),
        [b'r', b'e', b'm', ..] => Some((Field::Remaining, name.strip_prefix("remaining")?)),
        [b'r', b'e', b's', ..] => Some((Field::Reset, name.strip_prefix("reset")?)),
        _ => None,
    }
}

fn count(value: &[u8]) -> Option<u64> {
    if let Some((count, [])) = decimal::count_before(value) {
        return Some(count);
    }
    let value = std::str::from_utf8(value).ok()?;
    value.parse().ok().or_else(|| {
        let float: f64 = value.parse().ok()?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the range is checked"
        )]
        (0.0..=9e15).contains(&float).then_some(float as u64)
    })
}

/// A duration, a number of seconds, a date (RFC 3339), or a time in seconds or milliseconds since 1970.
fn reset(value: &[u8], headers: &HeaderMap) -> Option<Duration> {
    let date = || {
        headers
            .get(http::header::DATE)
            .and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok())
    };
    let epoch = match decimal::seconds(value) {
        Some(millis) if millis.as_secs() > 100_000_000_000 => millis.checked_div(1000)?,
        Some(seconds) if seconds.as_secs() > 1_000_000_000 => seconds,
        Some(seconds) => return Some(seconds.min(MAX_WAIT)),
        None => {
            let value = std::str::from_utf8(value).ok()?;
            return match rfc3339(value) {
                Some(at) => Some(at.duration_since(date()?).unwrap_or_default()),
                None => parse_duration(value),
            };
        }
    };
    let at = SystemTime::UNIX_EPOCH.checked_add(epoch)?;
    Some(at.duration_since(date()?).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn reads_rate_limits_of_every_style() {
        let read = read_rate_limits(&headers(&[
            ("x-ratelimit-limit-tokens-minute", "1000000"),
            ("x-ratelimit-remaining-tokens-minute", "999122"),
            ("x-ratelimit-reset-tokens-minute", "1.8837089538574219"),
            ("x-ratelimit-remaining-requests", "4"),
            ("x-ratelimit-reset-requests", "6m0s"),
            ("anthropic-ratelimit-input-tokens-remaining", "7"),
            (
                "anthropic-ratelimit-input-tokens-reset",
                "2026-11-22T18:00:30Z",
            ),
            ("date", "Sun, 22 Nov 2026 18:00:00 GMT"),
            ("x-ratelimit-junk", "x"),
        ]));
        let brief: Vec<_> = read
            .iter()
            .map(|l| (&*l.name, l.limit, l.remaining, l.reset.map(|r| r.as_secs())))
            .collect();
        assert_eq!(
            brief,
            [
                ("input-tokens", None, Some(7), Some(30)),
                ("requests", None, Some(4), Some(360)),
                ("tokens-minute", Some(1_000_000), Some(999_122), Some(1)),
            ]
        );
    }

    #[test]
    fn server_time_is_read_from_the_first_known_header() {
        let micros = |pairs: &[_]| Some(server_time(&headers(pairs))?.as_micros());
        let proxy = ("x-envoy-upstream-service-time", "2136");
        assert_eq!(micros(&[proxy]), Some(2_136_000));
        assert_eq!(
            micros(&[proxy, ("openai-processing-ms", "240")]),
            Some(240_000)
        );
        assert_eq!(
            micros(&[proxy, ("openai-processing-ms", "-1")]),
            Some(2_136_000)
        );
        assert_eq!(micros(&[("x-metrics-e2e-ms", "2719.8")]), Some(2_719_800));
        assert_eq!(micros(&[("openai-processing-ms", "soon")]), None);
        assert_eq!(micros(&[]), None);
    }

    #[test]
    fn absolute_times_count_from_the_response_date() {
        let date = ("date", "Sun, 22 Nov 2026 18:00:00 GMT");
        let now = httpdate::parse_http_date(date.1)
            .unwrap()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap()
            .as_secs();
        for value in [(now + 5).to_string(), ((now + 5) * 1000).to_string()] {
            let read = read_rate_limits(&headers(&[("x-ratelimit-reset", &value), date]));
            assert_eq!(read[0].reset, Some(Duration::from_secs(5)), "{value}");
        }
        for value in ["junk", "-", "2026-13-45T99:99:99Z"] {
            assert_eq!(
                read_rate_limits(&headers(&[("x-ratelimit-reset", value), date]))[0].reset,
                None,
                "{value}"
            );
        }
    }

    #[test]
    fn non_text_headers_give_no_rate_limit() {
        let mut odd = headers(&[("x-ratelimit-limit-requests", "5")]);
        for name in ["x-ratelimit-limit-requests", "x-ratelimit-limit-tokens"] {
            odd.append(name, http::HeaderValue::from_bytes("é".as_bytes()).unwrap());
            odd.append(name, http::HeaderValue::from_bytes(b"6\xff").unwrap());
        }
        let limits = read_rate_limits(&odd);
        let [requests] = &limits[..] else {
            panic!("{limits:?}");
        };
        assert_eq!((&*requests.name, requests.limit), ("requests", Some(5)));
    }

    // F92
    #[test]
    fn the_number_of_rate_limits_is_bounded() {
        let mut many = HeaderMap::new();
        for n in 0..=MAX_RATE_LIMITS {
            let name = format!("x-ratelimit-remaining-a{n:03}");
            many.insert(
                http::HeaderName::try_from(name).unwrap(),
                "1".parse().unwrap(),
            );
        }
        assert_eq!(read_rate_limits(&many).len(), MAX_RATE_LIMITS);
        many.remove("x-ratelimit-remaining-a000");
        assert_eq!(read_rate_limits(&many).len(), MAX_RATE_LIMITS);
    }
}
