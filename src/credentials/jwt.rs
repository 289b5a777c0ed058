//! JSON Web Tokens that are signed with an RSA key (RS256).

use super::{Fetcher, Supply, errors::config, wire::SecretJson};
use crate::{Error, Secret};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use bytes::Bytes;
use serde_json::Value;
use std::{
    io,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
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

/// The expiry in the claims of a token, which is not verified: its receiver does that.
pub(super) fn expiry(token: &str) -> Option<SystemTime> {
    let claims = token.split('.').nth(1)?;
    let claims = URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).ok()?;
    let end = SecretJson::parse(&claims)?.number("exp")?;
    UNIX_EPOCH.checked_add(Duration::from_secs(end))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_expiry_is_in_the_claims() {
        let token = |claims: &str| ["e30.", &URL_SAFE_NO_PAD.encode(claims), ".c2ln"].concat();
        let end = UNIX_EPOCH + Duration::from_secs(1_795_957_200);
        assert_eq!(expiry(&token("{\"exp\":1795957200}")), Some(end));
        for text in [&*token("{}"), &*token("[]"), "", "a.b", "a.%.c", "e30"] {
            assert_eq!(expiry(text), None, "{text}");
        }
        assert_eq!(expiry(&token("{\"exp\":18446744073709551615}")), None);
    }

    #[test]
    fn a_key_in_pem_is_read_with_line_ends_of_both_kinds() {
        let pem = "-----BEGIN PRIVATE KEY-----\nYWJj\nZGVm\n-----END PRIVATE KEY-----\n";
        assert_eq!(&**der(pem).unwrap(), b"abcdef");
        assert_eq!(&**der(&pem.replace('\n', "\\n")).unwrap(), b"abcdef");
        assert!(der(&pem.replace("PRIVATE", "RSA PRIVATE")).is_none());
        assert!(der(&pem.replace("YWJj", "YW?j")).is_none());
    }
}
