//! Tokens of a user who logged in with `gcloud`.

use crate::{
    Error,
    credentials::{Environment, Fetcher, Token, errors::config, program::Program, wire},
};
use std::time::Duration;

const GCLOUD: Program = Program {
    name: "gcloud",
    windows_name: "gcloud.cmd",
    login: "gcloud auth login",
    logged_out: &["gcloud auth login", "invalid_grant"],
    environment: &[("CLOUDSDK_CORE_DISABLE_PROMPTS", "1")],
};

/// `gcloud` does not print the expiry. It renews a token that is valid for less than five minutes before it prints it.
const LIFETIME: Duration = Duration::from_secs(300);

/// `gcloud auth print-access-token`
pub(super) async fn fetch(io: &Fetcher, environment: &Environment) -> Result<Token, Error> {
    let output = GCLOUD
        .run(io, environment, &["auth", "print-access-token"])
        .await?;
    let text = std::str::from_utf8(&output)
        .map(str::trim)
        .ok()
        .filter(|text| !text.is_empty())
        .ok_or_else(|| config("`gcloud` printed no token"))?;
    Ok(Token::bearer(wire::secret("gcloud", text)?).expires_in(LIFETIME))
}
