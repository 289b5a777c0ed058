//! Helpers for the tests of SigV4.

use super::AwsCredentials;
use bytes::Bytes;
use http::{HeaderValue, Request, header::CONTENT_TYPE};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const EXAMPLE_SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
/// 2015-08-30T12:36:00Z, the time of the published examples.
pub(super) const EXAMPLE_SECONDS: u64 = 1_440_938_160;

pub(super) fn example_credentials() -> AwsCredentials {
    AwsCredentials::new("AKIDEXAMPLE", EXAMPLE_SECRET, None).unwrap()
}

pub(super) fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

pub(super) fn request(url: &str) -> Request<Bytes> {
    let mut request = Request::post(url).body(Bytes::from_static(b"{}")).unwrap();
    request
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    request
}
