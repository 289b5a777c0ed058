//! AWS Signature Version 4, as in the [signing guide][guide].
//!
//! S3 differs from the other services: its path is not encoded a second time, and it requires the hash of the body in a header.
//! A request for S3 has [`SignedForS3`] in its extensions.
//!
//! [guide]: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html

mod canonical;
mod credentials;
mod signature;
mod signer;
mod timestamp;
#[cfg(test)]
mod vectors;

pub use self::{
    credentials::{AwsCredentialSource, AwsCredentials},
    signer::Signer,
};

/// The mark of a request for S3, in the request's extensions. Such a request is signed with the signing name and in the canonical
/// form of S3, by the credentials and for the region of the signer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SignedForS3;

/// The mark of a request for S3 whose body the signature does not cover, because it is streamed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UnsignedBody;

/// The signing name of S3.
const S3: &str = "s3";

fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

/// Helpers for the tests of SigV4.
#[cfg(test)]
mod testing {
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
}
