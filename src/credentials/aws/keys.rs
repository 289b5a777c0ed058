//! Keys in JSON, as containers, instances and processes return them.

use crate::{
    Error,
    codec::rfc3339::rfc3339,
    credentials::{
        Token,
        errors::{config, unreachable},
        wire::SecretJson,
    },
    provider::AwsCredentials,
};

/// The fields have the same names everywhere, except the session token.
pub(super) fn from_json(json: &SecretJson, token_name: &str, source: &str) -> Result<Token, Error> {
    let text = |name: &str| {
        json.text_ignoring_case(name)
            .map(str::to_owned)
            .ok_or_else(|| unreachable(format!("{source} gave keys without `{name}`")))
    };
    let token = json.text_ignoring_case(token_name).map(str::to_owned);
    let keys = AwsCredentials::new(text("AccessKeyId")?, text("SecretAccessKey")?, token)
        .map_err(|error| config(format!("{source}: {}", error.message())))?;
    let token = Token::aws(keys);
    match json.text_ignoring_case("Expiration") {
        None => Ok(token.never_expires()),
        Some(end) => {
            let end = rfc3339(end).ok_or_else(|| {
                unreachable(format!("{source} gave keys whose `Expiration` is no date"))
            })?;
            Ok(token.expires_at(end))
        }
    }
}

/// For services that return all four fields.
pub(super) fn temporary_from_json(json: &SecretJson, source: &str) -> Result<Token, Error> {
    for name in ["Token", "Expiration"] {
        if json.text_ignoring_case(name).is_none() {
            return Err(unreachable(format!("{source} gave keys without `{name}`")));
        }
    }
    from_json(json, "Token", source)
}
