//! JSON Web Tokens that are signed with an RSA key (RS256).

use super::errors::config;
use crate::{Error, Secret};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;

/// A token with its claims in the order of their addition.
pub(super) struct Jwt {
    header: String,
    claims: String,
}

impl Jwt {
    pub(super) fn new(key_id: Option<&str>) -> Jwt {
        let key_id = key_id.map(|id| [",\"kid\":", &quoted(id)].concat());
        Jwt {
            header: format!(
                "{{\"alg\":\"RS256\",\"typ\":\"JWT\"{}}}",
                key_id.unwrap_or_default()
            ),
            claims: String::new(),
        }
    }

    pub(super) fn text(self, name: &str, value: &str) -> Jwt {
        self.claim(name, &quoted(value))
    }

    pub(super) fn number(self, name: &str, value: u64) -> Jwt {
        self.claim(name, &value.to_string())
    }

    fn claim(mut self, name: &str, value: &str) -> Jwt {
        if !self.claims.is_empty() {
            self.claims.push(',');
        }
        self.claims.push_str(&quoted(name));
        self.claims.push(':');
        self.claims.push_str(value);
        self
    }

    /// `pem` is a key in PKCS#8, which is in `path`.
    pub(super) fn sign(self, pem: &str, path: &str) -> Result<Secret, Error> {
        let claims = ["{", &self.claims, "}"].concat();
        let mut token = URL_SAFE_NO_PAD.encode(self.header);
        token.push('.');
        token.push_str(&URL_SAFE_NO_PAD.encode(claims));
        let signature = signature(pem, token.as_bytes())
            .map_err(|what| config(format!("the `private_key` in {path} {what}")))?;
        token.push('.');
        token.push_str(&URL_SAFE_NO_PAD.encode(signature));
        Secret::new(token)
    }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(not(feature = "rs256"))]
fn signature(_: &str, _: &[u8]) -> Result<Vec<u8>, &'static str> {
    Err(
        "is for RS256, which is in the feature `rs256` of the crate `unifiedai`: add it to `features` in Cargo.toml",
    )
}

/// The signature is deterministic (PKCS#1 v1.5). ring uses random numbers only against timing attacks on the key.
#[cfg(feature = "rs256")]
fn signature(pem: &str, message: &[u8]) -> Result<Vec<u8>, &'static str> {
    use ring::{
        rand::SystemRandom,
        signature::{RSA_PKCS1_SHA256, RsaKeyPair},
    };
    let der = der(pem).ok_or("is no PEM of a PKCS#8 key (`BEGIN PRIVATE KEY`)")?;
    let key = RsaKeyPair::from_pkcs8(&der).map_err(|_| "is no RSA key of 2048 to 4096 bits")?;
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(
        &RSA_PKCS1_SHA256,
        &SystemRandom::new(),
        message,
        &mut signature,
    )
    .map_err(|_| "could not sign")?;
    Ok(signature)
}

#[cfg(feature = "rs256")]
fn der(pem: &str) -> Option<zeroize::Zeroizing<Vec<u8>>> {
    use base64::engine::general_purpose::STANDARD;
    // Copies in environment variables often have `\n` in two characters.
    let pem = zeroize::Zeroizing::new(pem.replace("\\n", "\n"));
    let (_, rest) = pem.split_once("-----BEGIN PRIVATE KEY-----")?;
    let (body, _) = rest.split_once("-----END PRIVATE KEY-----")?;
    let body: zeroize::Zeroizing<String> =
        zeroize::Zeroizing::new(body.chars().filter(|c| !c.is_whitespace()).collect());
    STANDARD
        .decode(body.as_bytes())
        .ok()
        .map(zeroize::Zeroizing::new)
}
