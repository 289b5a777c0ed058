//! The key of a service account.

use super::{DEFAULT_UNIVERSE, KeyUse, check_host, member, sending, token_or_error, universe};
use crate::{
    Error,
    credentials::{
        Fetcher, Token,
        form::Form,
        jwt::Jwt,
        wire::{self, OAuthError, SecretJson},
    },
    sans_io::clock_skew,
};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const LIFETIME_SECONDS: u64 = 3600;
const TOKEN_URL: &str = "https://oauth2.googleapis.com/token";

pub(super) async fn fetch(
    io: &Fetcher,
    path: &str,
    json: &SecretJson,
    key_use: KeyUse,
    scope: &str,
) -> Result<Token, Error> {
    let email = member(json, path, "client_email")?;
    let key = member(json, path, "private_key")?;
    let key_id = json.text("private_key_id");
    // Other universes have no endpoint for the grant.
    if key_use == KeyUse::SelfSigned || universe(json) != DEFAULT_UNIVERSE {
        let (begin, end) = lifetime(io.wall_clock(), 0);
        let jwt = Jwt::new(key_id)
            .text("iss", email)
            .text("sub", email)
            .text("scope", scope)
            .number("iat", begin)
            .number("exp", end)
            .sign(io, key, path)
            .await?;
        let lifetime = Duration::from_secs(LIFETIME_SECONDS);
        return Ok(Token::bearer(jwt).expires_in(lifetime));
    }
    let url = json.text("token_uri").unwrap_or(TOKEN_URL);
    check_host(url, universe(json), "token_uri")?;
    let mut skew = 0;
    loop {
        let (begin, end) = lifetime(io.wall_clock(), skew);
        let jwt = Jwt::new(key_id)
            .text("iss", email)
            .text("scope", scope)
            .text("aud", TOKEN_URL)
            .number("iat", begin)
            .number("exp", end)
            .sign(io, key, path)
            .await?;
        io.hide(jwt.expose());
        let form = Form::new()
            .field("assertion", jwt.expose())
            .field("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer");
        let request = wire::post_form(url, form)?;
        let host = wire::host_of(&request);
        let response = io.send_with(request, sending()).await?;
        // The local clock is wrong: again with the server's time.
        let learned = clock_skew(response.headers(), io.wall_clock());
        if let (400, 0, Some(learned)) = (response.status().as_u16(), skew, learned) {
            if OAuthError::of(&response).error == "invalid_grant" {
                skew = learned;
                continue;
            }
        }
        return token_or_error(&host, &response, None);
    }
}

/// The start and end of a JWT's validity, in seconds since 1970.
fn lifetime(wall: SystemTime, skew: i64) -> (u64, u64) {
    let now = wall
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let begin = now.saturating_add_signed(skew);
    (begin, begin.saturating_add(LIFETIME_SECONDS))
}
