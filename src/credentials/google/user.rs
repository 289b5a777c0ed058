//! Users who logged in with `gcloud`.

use super::{check_host, member, secret_member, sending, token_or_error, universe};
use crate::{
    Error,
    credentials::{
        Fetcher, Token,
        errors::config,
        form::Form,
        wire::{self, SecretJson},
    },
};
use http::header::AUTHORIZATION;

const LOGIN: &str = "gcloud auth application-default login";
const TOKEN_URL: &str = "https://oauth2.googleapis.com/token";

/// `authorized_user`
pub(super) async fn fetch(io: &Fetcher, path: &str, json: &SecretJson) -> Result<Token, Error> {
    if universe(json) != super::DEFAULT_UNIVERSE {
        return Err(config(format!(
            "{path} is of a person in {}: only service accounts are in other universes than {}",
            universe(json),
            super::DEFAULT_UNIVERSE
        )));
    }
    let url = json.text("token_uri").unwrap_or(TOKEN_URL);
    check_host(url, universe(json), "token_uri")?;
    let form = Form::new()
        .field("grant_type", "refresh_token")
        .field("client_id", member(json, path, "client_id")?)
        .field(
            "client_secret",
            secret_member(io, json, path, "client_secret")?.expose(),
        )
        .field(
            "refresh_token",
            secret_member(io, json, path, "refresh_token")?.expose(),
        );
    let request = wire::post_form(url, form)?;
    let host = wire::host_of(&request);
    let response = io.send_with(request, sending()).await?;
    token_or_error(&host, &response, Some(LOGIN))
}

/// `external_account_authorized_user`: a login with a company's identity provider.
pub(super) async fn fetch_external(
    io: &Fetcher,
    path: &str,
    json: &SecretJson,
) -> Result<Token, Error> {
    let url = member(json, path, "token_url")?;
    check_host(url, universe(json), "token_url")?;
    let form = Form::new().field("grant_type", "refresh_token").field(
        "refresh_token",
        secret_member(io, json, path, "refresh_token")?.expose(),
    );
    let mut request = wire::post_form(url, form)?;
    let secret = secret_member(io, json, path, "client_secret")?;
    let basic = wire::basic(member(json, path, "client_id")?, secret.expose());
    wire::secret_header(&mut request, AUTHORIZATION, &basic)?;
    let host = wire::host_of(&request);
    let response = io.send_with(request, sending()).await?;
    token_or_error(&host, &response, Some(LOGIN))
}
