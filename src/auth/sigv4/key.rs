//! The signing key.

use super::hex;
use crate::auth::Secret;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

/// Signs all requests of one day, region and service.
pub(super) struct SigningKey(Zeroizing<[u8; 32]>);

impl SigningKey {
    pub(super) fn derive(secret_key: &Secret, day: &str, region: &str, service: &str) -> Self {
        let secret = Zeroizing::new(["AWS4", secret_key.expose()].concat());
        let mut key = hmac(secret.as_bytes(), day.as_bytes());
        for part in [region, service, "aws4_request"] {
            key = hmac(&*key, part.as_bytes());
        }
        SigningKey(key)
    }

    pub(super) fn sign(&self, text: &str) -> String {
        hex(&*hmac(&*self.0, text.as_bytes()))
    }
}

fn hmac(key: &[u8], message: &[u8]) -> Zeroizing<[u8; 32]> {
    // HMAC accepts a key of any length, so this default is unreachable.
    let mac = Hmac::<Sha256>::new_from_slice(key).map(|mac| mac.chain_update(message).finalize());
    Zeroizing::new(mac.map(|mac| mac.into_bytes().into()).unwrap_or_default())
}
