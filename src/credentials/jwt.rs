//! JSON Web Tokens that are signed with an RSA key (RS256).

use super::{Fetcher, Supply, errors::config};
use crate::{Error, Secret};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use bytes::Bytes;
use serde_json::Value;
use std::{io, time::Duration};
use zeroize::Zeroizing;

/// The time limit for a signature.
const LIMIT: Duration = Duration::from_secs(10);

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

    /// Signs the token with a key in PKCS#8 PEM, which is in the file `path`. The driver makes the signature.
    pub(super) async fn sign(self, io: &Fetcher, pem: &str, path: &str) -> Result<Secret, Error> {
        let wrong = |what: String| config(format!("the `private_key` in {path} {what}"));
        let key = der(pem)
            .ok_or_else(|| wrong("is no PEM of a PKCS#8 key (`BEGIN PRIVATE KEY`)".to_owned()))?;
        let claims = ["{", &self.claims, "}"].concat();
        let mut token = URL_SAFE_NO_PAD.encode(self.header);
        token.push('.');
        token.push_str(&URL_SAFE_NO_PAD.encode(claims));
        let supply = Supply::SignRs256 {
            key: Bytes::from_owner(key),
            message: Bytes::copy_from_slice(token.as_bytes()),
        };
        let signature = io.supply(supply, LIMIT).await?.map_err(|error| {
            wrong(match error.kind() {
                io::ErrorKind::Unsupported => "is for RS256, which the driver of this call does not sign with: \
                    for the drivers of the crate `unifiedai` add `rs256` to its `features` in Cargo.toml"
                    .to_owned(),
                _ => error.to_string(),
            })
        })?;
        token.push('.');
        token.push_str(&URL_SAFE_NO_PAD.encode(signature));
        Secret::new(token)
    }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn der(pem: &str) -> Option<Zeroizing<Vec<u8>>> {
    // Copies in environment variables often have `\n` in two characters.
    let pem = Zeroizing::new(pem.replace("\\n", "\n"));
    let (_, rest) = pem.split_once("-----BEGIN PRIVATE KEY-----")?;
    let (body, _) = rest.split_once("-----END PRIVATE KEY-----")?;
    let body: Zeroizing<String> =
        Zeroizing::new(body.chars().filter(|c| !c.is_whitespace()).collect());
    STANDARD.decode(body.as_bytes()).ok().map(Zeroizing::new)
}
