//! The waits that providers ask for, in all known formats.

use crate::codec::decimal;
use http::HeaderMap;
use std::time::{Duration, SystemTime};

/// Longer waits are reduced to this: thirty days.
pub(crate) const MAX_WAIT: Duration = Duration::from_secs(30 * 24 * 3600);

/// The wait in response headers: `retry-after-ms`, `x-amz-retry-after` (milliseconds), `retry-after` in seconds or as
/// a date.
///
/// A date counts from the response's own `date` header, else from `now`. A date or number in the past is zero; an
/// invalid value is `None`.
#[must_use]
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    for name in ["retry-after-ms", "x-amz-retry-after"] {
        if let Some(millis) = text(name).and_then(number) {
            return Some(seconds(millis / 1000.0));
        }
    }
    let value = text("retry-after")?;
    if let Some(wait) = number(value) {
        return Some(seconds(wait));
    }
    let until = httpdate::parse_http_date(value).ok()?;
    let from = text("date")
        .and_then(|date| httpdate::parse_http_date(date).ok())
        .unwrap_or(now);
    Some(until.duration_since(from).unwrap_or_default().min(MAX_WAIT))
}

/// A duration as rate-limit headers and error bodies write it: seconds (`12.5`), or numbers with units (`6m0s`,
/// `1h2m3.5s`, `20ms`, `37s`, `500us`).
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    let text = text.trim_ascii();
    if let Some(plain) = decimal::seconds(text) {
        return Some(plain.min(MAX_WAIT));
    }
    if let Some(plain) = number(text) {
        return Some(seconds(plain));
    }
    let mut total = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (value, tail) = rest.split_at_checked(digits)?;
        let unit_end = tail
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at_checked(unit_end)?;
        let scale = match unit {
            "d" => 86400.0,
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        total += number(value)? * scale;
        rest = tail;
    }
    (!text.is_empty()).then(|| seconds(total))
}

fn number(text: &str) -> Option<f64> {
    // `f64` also parses `inf` and `nan`, with and without a sign; neither is a wait.
    if text.contains(['n', 'N']) {
        return None;
    }
    text.parse().ok()
}

fn seconds(value: f64) -> Duration {
    if value <= 0.0 {
        return Duration::ZERO;
    }
    Duration::try_from_secs_f64(value)
        .unwrap_or(MAX_WAIT)
        .min(MAX_WAIT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn read(pairs: &[(&'static str, &str)]) -> Option<Duration> {
        let headers: HeaderMap = pairs
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()))
            .collect();
        retry_after(&headers, NOW)
    }

    // F49, F50
    #[test]
    fn every_form_in_use() {
        let ms = Duration::from_millis;
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        type Case<'a> = (&'a [(&'static str, &'a str)], Option<Duration>);
        let month = Duration::from_secs(2_592_000);
        let cases: [Case; 18] = [
            (&[("retry-after", "2")], Some(ms(2000))),
            (&[("retry-after", " 1.5 ")], Some(ms(1500))),
            (
                &[("retry-after-ms", "250"), ("retry-after", "9")],
                Some(ms(250)),
            ),
            (&[("x-amz-retry-after", "70")], Some(ms(70))),
            (
                &[
                    ("retry-after", "Sun, 06 Nov 1994 08:49:47 GMT"),
                    ("date", date),
                ],
                Some(ms(10_000)),
            ),
            (
                &[
                    ("retry-after", "Sunday, 06-Nov-94 08:49:47 GMT"),
                    ("date", date),
                ],
                Some(ms(10_000)),
            ),
            (
                &[("retry-after", "Sun Nov  6 08:49:47 1994"), ("date", date)],
                Some(ms(10_000)),
            ),
            (
                &[
                    ("retry-after", date),
                    ("date", "Sun, 06 Nov 1994 09:00:00 GMT"),
                ],
                Some(Duration::ZERO),
            ),
            (&[("retry-after", date)], Some(month)),
            (&[("retry-after", "-5")], Some(Duration::ZERO)),
            (&[("retry-after", "0")], Some(Duration::ZERO)),
            (&[("retry-after", "1e400")], Some(month)),
            (&[("retry-after", "inf")], None),
            (&[("retry-after", "NaN")], None),
            (&[("retry-after", "+inf")], None),
            (&[("retry-after", "-nan")], None),
            (&[("retry-after", "soon")], None),
            (&[], None),
        ];
        for (headers, wait) in cases {
            assert_eq!(read(headers), wait, "{headers:?}");
        }
    }

    // F52
    #[test]
    fn durations_are_formatted_in_words() {
        let cases = [
            ("6m0s", Some(360.0)),
            ("1s", Some(1.0)),
            ("20ms", Some(0.02)),
            ("2m59.56s", Some(179.56)),
            ("1h2m3s", Some(3723.0)),
            ("10804.695681810379", Some(10_804.695_681_81)),
            ("37s", Some(37.0)),
            ("1d", Some(86_400.0)),
            ("500us", Some(0.0005)),
            ("500µs", Some(0.0005)),
            ("250000ns", Some(0.000_25)),
            ("-5", Some(0.0)),
            ("1e400", Some(2_592_000.0)),
            ("", None),
            ("s", None),
            ("3x", None),
            ("5m3", None),
        ];
        for (text, wanted) in cases {
            let got = parse_duration(text).map(|d| d.as_secs_f64());
            assert!(
                match (got, wanted) {
                    (Some(got), Some(wanted)) => (got - wanted).abs() < 1e-6,
                    (got, wanted) => got.is_none() && wanted.is_none(),
                },
                "{text}: {got:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_text_is_parsed_as_more_than_the_maximum(text in "\\PC{0,40}") {
            prop_assert!(parse_duration(&text).unwrap_or_default() <= MAX_WAIT);
        }
    }
}
