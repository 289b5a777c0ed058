//! AWS Signature Version 4, as in the [signing guide][guide], for services that are not S3.
//!
//! [guide]: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html

mod canonical;
mod credentials;
mod signature;
mod signer;
#[cfg(test)]
mod testing;
mod timestamp;
#[cfg(test)]
mod vectors;

pub use self::{
    credentials::{AwsCredentialSource, AwsCredentials},
    signer::Signer,
};

fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}
