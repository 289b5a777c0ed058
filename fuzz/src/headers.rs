use http::{HeaderMap, HeaderName, HeaderValue};
use std::time::{Duration, SystemTime};
use unifiedai::{
    chat::ProviderMetadata,
    policy::{parse_duration, retry_after},
    provider::headers,
};

const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);

/// Response headers, one per line.
pub fn headers(data: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n') {
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(0);
        let (name, value) = (
            &line[..colon],
            line[colon..].strip_prefix(b":").unwrap_or_default(),
        );
        let header = (
            HeaderName::from_bytes(name),
            HeaderValue::from_bytes(value.trim_ascii()),
        );
        if let (Ok(name), Ok(value), true) = (&header.0, &header.1, headers.len() < 1000) {
            if let Some(wait) = value.to_str().ok().and_then(parse_duration) {
                assert!(wait <= MONTH, "{value:?} is a wait of {wait:?}");
            }
            headers.append(name.clone(), value.clone());
        }
    }
    let wait = retry_after(&headers, SystemTime::UNIX_EPOCH).unwrap_or_default();
    assert!(wait <= MONTH, "a wait of {wait:?}");
    let mut metadata = ProviderMetadata::default();
    headers::read_metadata(&headers, &mut metadata);
    assert!(metadata.rate_limits.len() <= 32);
    assert!(
        metadata
            .request_id
            .is_none_or(|id| !id.is_empty() && id.len() <= 256)
    );
}
