//! The metadata server of Google's machines, Cloud Run, GKE and App Engine.

use super::SCOPE;
use crate::{
    Error,
    credentials::{
        Environment, Fetcher, Token,
        errors::{missing, refused, unreachable},
        fetcher::Sending,
        form::encoded,
        jwt, wire,
    },
};
use bytes::Bytes;
use http::Response;
use std::time::Duration;

const HOST: &str = "GCE_METADATA_HOST";
const FLAVOR: &str = "metadata-flavor";
/// The server returns the same token until about this long before its expiry.
const RENEW_AHEAD: Duration = Duration::from_secs(225);

/// Whether this is one of Google's machines, as far as is known without a request.
pub(super) fn is_near(environment: &Environment, file: &dyn Fn(&str) -> Option<String>) -> bool {
    let is_set = |name: &&str| environment.get(name).is_some();
    if environment.is_true("NO_GCE_CHECK") {
        return false;
    }
    [
        HOST,
        "GCE_METADATA_ROOT",
        "K_SERVICE",
        "CLOUD_RUN_JOB",
        "FUNCTION_TARGET",
        "GAE_ENV",
    ]
    .iter()
    .any(is_set)
        || file("/sys/class/dmi/id/product_name")
            .is_some_and(|name| name.trim_start().starts_with("Google"))
}

/// A token for Google's APIs.
pub(super) async fn fetch(io: &Fetcher, environment: &Environment) -> Result<Token, Error> {
    let query = format!("token?scopes={}", encoded(SCOPE));
    let (host, response) = ask(io, environment, &query).await?;
    Ok(wire::oauth_token(&host, &response)?.renew_ahead(RENEW_AHEAD))
}

/// A token that names the service account, for another provider.
pub(super) async fn identity_token(
    io: &Fetcher,
    environment: &Environment,
    audience: &str,
) -> Result<Token, Error> {
    let query = format!("identity?audience={}&format=full", encoded(audience));
    let (host, response) = ask(io, environment, &query).await?;
    let text = std::str::from_utf8(response.body()).map(str::trim);
    let no_token = || unreachable(format!("{host} answered, but not with a JSON Web Token"));
    let text = text.map_err(|_| no_token())?;
    let end = jwt::expiry(text).ok_or_else(no_token)?;
    let token = Token::bearer(wire::secret(&host, text)?).expires_at(end);
    Ok(token.renew_ahead(RENEW_AHEAD))
}

/// The host and its success.
async fn ask(
    io: &Fetcher,
    environment: &Environment,
    query: &str,
) -> Result<(String, Response<Bytes>), Error> {
    let host = environment
        .get(HOST)
        .or_else(|| environment.get("GCE_METADATA_ROOT"))
        .unwrap_or("metadata.google.internal");
    let url = format!("http://{host}/computeMetadata/v1/instance/service-accounts/default/{query}");
    let mut request = wire::get(&url)?;
    wire::text_header(&mut request, FLAVOR, "Google");
    let response = io.send_with(request, sending(environment)?).await?;
    let is_google = response
        .headers()
        .get(FLAVOR)
        .is_some_and(|flavor| flavor.as_bytes() == b"Google");
    let status = response.status().as_u16();
    match status {
        _ if !is_google => Err(missing(format!(
            "{host} answered, but not as Google's metadata server: this is no machine of Google's"
        ))),
        200 => Ok((host.to_owned(), response)),
        404 => Err(missing(format!(
            "{host} says that this machine has no service account"
        ))),
        408 | 425 | 429 | 500.. => {
            Err(unreachable(format!("{host} answered with status {status}")))
        }
        _ => Err(refused(format!("{host} answered with status {status}"))),
    }
}

/// The limits of a request, which two variables change.
fn sending(environment: &Environment) -> Result<Sending, Error> {
    let mut sending = Sending {
        connect: Duration::from_secs(2),
        limit: Duration::from_secs(5),
        tries: 5,
        retries_timeouts: false,
        ..Sending::default()
    };
    if let Some(seconds) = environment.number("GCE_METADATA_TIMEOUT", 1..=30)? {
        sending.limit = Duration::from_secs(seconds.into());
        sending.connect = sending.limit;
    }
    if let Some(tries) = environment.number("GCE_METADATA_DETECT_RETRIES", 1..=10)? {
        sending.tries = tries;
    }
    Ok(sending)
}
