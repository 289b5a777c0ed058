//! What the headers say in Cohere's own words.

use crate::{
    chat::{ProviderMetadata, RateLimit},
    provider::kit::headers,
};
use http::HeaderMap;

/// Allowances of trial keys: `x-{what}-call-{limit,remaining}`. Source: recorded answers, as for the request's id.
const ALLOWANCES: [&str; 2] = ["endpoint-monthly", "trial-endpoint"];

pub(super) fn read(headers: &HeaderMap, metadata: &mut ProviderMetadata) {
    headers::read_metadata(headers, metadata);
    if metadata.request_id.is_none() {
        metadata.request_id = text(headers, "x-debug-trace-id")
            .filter(|id| !id.is_empty() && id.len() <= 256)
            .map(str::to_owned);
    }
    for what in ALLOWANCES {
        let count = |field| {
            let name = ["x-", what, "-call-", field].concat();
            text(headers, &name)?.trim().parse().ok()
        };
        let allowance = RateLimit {
            name: what.into(),
            limit: count("limit"),
            remaining: count("remaining"),
            ..RateLimit::default()
        };
        if allowance.limit.or(allowance.remaining).is_some() {
            metadata.rate_limits.push(allowance);
        }
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trial_key_rate_limits_are_read() {
        let told = [
            ("x-debug-trace-id", "6ce2557b"),
            ("x-endpoint-monthly-call-limit", "1000"),
            ("x-trial-endpoint-call-limit", "20"),
            ("x-trial-endpoint-call-remaining", "19"),
        ];
        let headers: HeaderMap = told
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()))
            .collect();
        let mut metadata = ProviderMetadata::default();
        read(&headers, &mut metadata);
        assert_eq!(metadata.request_id.as_deref(), Some("6ce2557b"));
        let brief: Vec<_> = metadata
            .rate_limits
            .iter()
            .map(|limit| (&*limit.name, limit.limit, limit.remaining))
            .collect();
        assert_eq!(
            brief,
            [
                ("endpoint-monthly", Some(1000), None),
                ("trial-endpoint", Some(20), Some(19))
            ]
        );
    }
}
