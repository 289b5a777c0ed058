//! Tokens of a user who logged in with `az` or `azd`.

use super::{TENANT, resource, since_1970};
use crate::{
    Error,
    codec::rfc3339::rfc3339,
    credentials::{
        Environment, Fetcher, Token,
        errors::config,
        program::Program,
        wire::{self, SecretJson},
    },
};
use std::time::Duration;

const AZ: Program = Program {
    name: "az",
    windows_name: "az.cmd",
    login: "az login",
    logged_out: &["az login", "AADSTS"],
    environment: &[("AZURE_CORE_NO_COLOR", "true")],
};

const AZD: Program = Program {
    name: "azd",
    windows_name: "azd.exe",
    login: "azd auth login",
    logged_out: &["azd auth login", "not logged in", "AADSTS"],
    environment: &[("NO_COLOR", "1")],
};

/// `az account get-access-token`
pub(super) async fn az(
    io: &Fetcher,
    environment: &Environment,
    scope: &str,
) -> Result<Token, Error> {
    let mut arguments = vec!["account", "get-access-token", "--output", "json"];
    arguments.extend(["--resource", resource(scope)]);
    if let Some(tenant) = environment.get(TENANT) {
        arguments.extend(["--tenant", tenant]);
    }
    let output = AZ.run(io, environment, &arguments).await?;
    let json = printed("az", &output)?;
    let token = json
        .text("accessToken")
        .ok_or_else(|| config("`az` printed no `accessToken`"))?;
    let token = Token::bearer(wire::secret("az", token)?);
    // `expiresOn`, the only field of old versions, is in local time. Five minutes are safe.
    Ok(match json.number("expires_on").and_then(since_1970) {
        Some(end) => token.expires_at(end),
        None => token.expires_in(Duration::from_secs(300)),
    })
}

/// `azd auth token`
pub(super) async fn azd(
    io: &Fetcher,
    environment: &Environment,
    scope: &str,
) -> Result<Token, Error> {
    let mut arguments = vec!["auth", "token", "--output", "json", "--no-prompt"];
    arguments.extend(["--scope", scope]);
    if let Some(tenant) = environment.get(TENANT) {
        arguments.extend(["--tenant-id", tenant]);
    }
    let output = AZD.run(io, environment, &arguments).await?;
    let json = printed("azd", &output)?;
    let token = json
        .text("token")
        .ok_or_else(|| config("`azd` printed no `token`"))?;
    let end = json
        .text("expiresOn")
        .and_then(rfc3339)
        .ok_or_else(|| config("`azd` printed no `expiresOn` that is a date"))?;
    Ok(Token::bearer(wire::secret("azd", token)?).expires_at(end))
}

fn printed(name: &str, output: &[u8]) -> Result<SecretJson, Error> {
    SecretJson::parse(output).ok_or_else(|| {
        config(format!(
            "`{name}` printed something else than a JSON object"
        ))
    })
}
