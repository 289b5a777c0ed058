//! Google Cloud: application default credentials in every kind of file, and the metadata server.

mod cli;
mod external_account;
mod metadata;
mod service_account;
mod user;

use super::{
    Credentials, Environment, Fetcher, Token,
    errors::{config, missing, refused, unreachable},
    fetcher::Sending,
    wire::{self, OAuthError, SecretJson},
};
use crate::{Error, Secret, codec::rfc3339::rfc3339};
use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use serde_json::{Value, json};
use std::path::Path;
use zeroize::Zeroizing;

/// The scope for Vertex AI and the Gemini API.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// The scope for a token that only impersonates a service account.
const IAM_SCOPE: &str = "https://www.googleapis.com/auth/iam";
const FILE: &str = "GOOGLE_APPLICATION_CREDENTIALS";
const DEFAULT_UNIVERSE: &str = "googleapis.com";

/// How the key of a service account is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KeyUse {
    /// It signs a request for a token, which all Google APIs accept.
    Grant,
    /// It signs the token itself, without a request; Vertex AI accepts this.
    SelfSigned,
}

/// # Google Cloud
impl Environment {
    /// Returns application default credentials: the file in `GOOGLE_APPLICATION_CREDENTIALS`; the file that `gcloud
    /// auth application-default login` writes; the metadata server. The file may be of a service account (which needs
    /// the feature `rs256`), an authorized user, an external account with or without impersonation (workload identity
    /// federation), or an impersonated service account.
    #[must_use]
    pub fn google(&self) -> Credentials {
        self.google_source(KeyUse::Grant)
    }

    /// Like [`google`](Self::google), but only for Vertex AI: the key of a service account signs tokens itself,
    /// without a request.
    #[must_use]
    pub fn google_for_vertex(&self) -> Credentials {
        self.google_source(KeyUse::SelfSigned)
    }

    /// Returns tokens of the service account of the machine on which the process runs, by its metadata server.
    #[must_use]
    pub fn google_metadata(&self) -> Credentials {
        let environment = self.clone();
        Credentials::from_async("google metadata server", move |io| {
            let environment = environment.clone();
            async move { metadata::fetch(&io, &environment).await }
        })
    }

    /// Returns ID tokens of the service account of the machine on which the process runs, by its metadata server:
    /// JWTs that name the account, for a [`Federation`](super::Federation) with another provider. `audience` is the
    /// URL for which that provider accepts them, such as `https://api.openai.com/v1`.
    #[must_use]
    pub fn google_identity_token(&self, audience: impl Into<String>) -> Credentials {
        let (environment, audience) = (self.clone(), audience.into());
        Credentials::from_async("google identity token", move |io| {
            let (environment, audience) = (environment.clone(), audience.clone());
            async move { metadata::identity_token(&io, &environment, &audience).await }
        })
    }

    /// Returns tokens of the user who logged in with `gcloud auth login`, by running `gcloud`.
    #[must_use]
    pub fn google_cli(&self) -> Credentials {
        let environment = self.clone();
        Credentials::from_async("gcloud", move |io| {
            let environment = environment.clone();
            async move { cli::fetch(&io, &environment).await }
        })
    }

    fn google_source(&self, key_use: KeyUse) -> Credentials {
        let environment = self.clone();
        Credentials::from_async("google", move |io| {
            let environment = environment.clone();
            async move { chain(&io, &environment, key_use).await }
        })
    }

    /// Whether something names Google credentials, as far as is known without a request. `file` returns `None` for a
    /// file that does not exist.
    pub(crate) fn has_google(&self, file: &dyn Fn(&str) -> Option<String>) -> bool {
        self.get(FILE).is_some()
            || well_known(self).is_some_and(|path| file(&path).is_some())
            || metadata::is_near(self, file)
    }

    /// The project that a file of credentials names.
    pub(crate) fn google_project(&self, file: &dyn Fn(&str) -> Option<String>) -> Option<String> {
        for name in ["GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT"] {
            if let Some(project) = self.get(name) {
                return Some(project.to_owned());
            }
        }
        let path = self
            .get(FILE)
            .map(str::to_owned)
            .or_else(|| well_known(self))?;
        let text = Zeroizing::new(file(&path)?);
        let json = SecretJson::parse(text.as_bytes())?;
        let project = json
            .text("project_id")
            .or_else(|| json.text("quota_project_id"))?;
        Some(project.to_owned())
    }
}

fn well_known(environment: &Environment) -> Option<String> {
    const NAME: &str = "application_default_credentials.json";
    let folder = match (
        environment.get("CLOUDSDK_CONFIG"),
        environment.get("APPDATA"),
    ) {
        (Some(folder), _) => folder.to_owned(),
        (None, Some(data)) => format!("{data}\\gcloud"),
        (None, None) => format!("{}/.config/gcloud", environment.home()?),
    };
    Some(format!("{folder}/{NAME}"))
}

async fn chain(io: &Fetcher, environment: &Environment, key_use: KeyUse) -> Result<Token, Error> {
    if let Some(path) = environment.get(FILE) {
        let content = io.read_file(path).await.map_err(|error| {
            Error::new(error.kind(), format!("{FILE}: {}", error.message()))
                .with_code(error.code().unwrap_or("credentials_config"))
                .with_retryable(false)
        })?;
        return from_file(io, environment, path, &content, key_use).await;
    }
    if let Some(path) = well_known(environment) {
        // The file is read at each fetch, because a user may log in again while a process runs.
        if let Some(content) = io.try_read_file(Path::new(&path)).await? {
            return from_file(io, environment, &path, &content, key_use).await;
        }
    }
    if environment.is_true("NO_GCE_CHECK") {
        return Err(missing(format!(
            "{FILE} is not set, there is no login of `gcloud auth application-default login`, and NO_GCE_CHECK forbids to ask the metadata server"
        )));
    }
    metadata::fetch(io, environment).await.map_err(|error| {
        let message = format!(
            "{FILE} is not set, there is no login of `gcloud auth application-default login`, and of the metadata server: {}",
            error.message()
        );
        match error.code() {
            Some("credentials_missing" | "credentials_unreachable") => missing(message),
            _ => error,
        }
    })
}

async fn from_file(
    io: &Fetcher,
    environment: &Environment,
    path: &str,
    content: &Bytes,
    key_use: KeyUse,
) -> Result<Token, Error> {
    let json =
        SecretJson::parse(content).ok_or_else(|| config(format!("{path} is not a JSON object")))?;
    let token = match json.text("type") {
        Some("impersonated_service_account") => {
            let source = json.get("source_credentials").cloned();
            let source = SecretJson::of(
                source.ok_or_else(|| config(format!("{path} has no `source_credentials`")))?,
            );
            let base = base_token(io, environment, path, &source, KeyUse::Grant, IAM_SCOPE).await?;
            impersonate(io, &json, &base, universe(&json)).await?
        }
        _ => base_token(io, environment, path, &json, key_use, SCOPE).await?,
    };
    let quota = environment
        .get("GOOGLE_CLOUD_QUOTA_PROJECT")
        .or_else(|| json.text("quota_project_id"));
    match quota {
        None => Ok(token),
        Some(project) => {
            let value = HeaderValue::from_str(project)
                .map_err(|_| config("the quota project cannot be sent in a header"))?;
            Ok(token.header(HeaderName::from_static("x-goog-user-project"), value))
        }
    }
}

/// The token of a file, except of an impersonated account.
async fn base_token(
    io: &Fetcher,
    environment: &Environment,
    path: &str,
    json: &SecretJson,
    key_use: KeyUse,
    scope: &str,
) -> Result<Token, Error> {
    match json.text("type") {
        Some("service_account") => service_account::fetch(io, path, json, key_use, scope).await,
        Some("authorized_user") => user::fetch(io, path, json).await,
        Some("external_account") => {
            external_account::fetch(io, environment, path, json, scope).await
        }
        Some("external_account_authorized_user") => user::fetch_external(io, path, json).await,
        Some(other) => Err(config(format!(
            "{path} is of the type `{}`, which is not supported",
            super::errors::excerpt(other)
        ))),
        None => Err(config(format!("{path} has no `type`"))),
    }
}

/// Exchanges a token for one of a service account that its owner may impersonate.
async fn impersonate(
    io: &Fetcher,
    json: &SecretJson,
    base: &Token,
    universe: &str,
) -> Result<Token, Error> {
    let url = json
        .text("service_account_impersonation_url")
        .ok_or_else(|| config("there is no `service_account_impersonation_url`"))?;
    check_host(url, universe, "service_account_impersonation_url")?;
    let lifetime = json
        .get("service_account_impersonation")
        .and_then(|options| options.get("token_lifetime_seconds"))
        .and_then(Value::as_u64)
        .unwrap_or(3600);
    let body = json!({
        "delegates": json.get("delegates").cloned().unwrap_or_else(|| json!([])),
        "scope": [SCOPE],
        "lifetime": format!("{lifetime}s"),
    });
    let mut request = wire::post_json(url, Bytes::from(body.to_string()))?;
    let bearer = base
        .as_bearer()
        .ok_or_else(|| config("impersonation needs a bearer token"))?;
    wire::bearer_header(&mut request, bearer)?;
    let host = wire::host_of(&request);
    let response = io.send_with(request, sending()).await?;
    if !response.status().is_success() {
        return Err(api_error(&host, &response));
    }
    let answer = wire::json_of(&host, &response)?;
    let incomplete = || unreachable(format!("{host} answered without a token"));
    let token = answer.text("accessToken").ok_or_else(incomplete)?;
    let end = answer
        .text("expireTime")
        .and_then(rfc3339)
        .ok_or_else(incomplete)?;
    Ok(Token::bearer(wire::secret(&host, token)?).expires_at(end))
}

/// An error in the format of Google's APIs: `{"error": {"status", "message"}}`.
fn api_error(host: &str, response: &http::Response<Bytes>) -> Error {
    let status = response.status().as_u16();
    let json = SecretJson::parse(response.body());
    let member = |name: &str| {
        let text = json.as_ref()?.get("error")?.get(name)?.as_str()?;
        Some(super::errors::excerpt(text))
    };
    let message = format!(
        "{host} answered with status {status}: {}: {}",
        member("status").unwrap_or_default(),
        member("message").unwrap_or_default()
    );
    match status {
        408 | 425 | 429 | 500.. => unreachable(message),
        _ => refused(message),
    }
}

fn sending() -> Sending {
    Sending {
        is_transient: wire::is_transient_oauth,
        ..Sending::default()
    }
}

/// The token in a token endpoint's response; `login` is the action that a user may have to take.
fn token_or_error(
    host: &str,
    response: &http::Response<Bytes>,
    login: Option<&str>,
) -> Result<Token, Error> {
    if response.status().is_success() {
        return wire::oauth_token(host, response);
    }
    let error = OAuthError::of(response);
    match (&*error.error, login) {
        ("invalid_grant", Some(command)) => Err(super::errors::login(format!(
            "{}: run `{command}`",
            error.message(host)
        ))),
        ("invalid_client" | "invalid_scope", _) => Err(config(error.message(host))),
        _ => Err(error.into_error(host)),
    }
}

fn universe(json: &SecretJson) -> &str {
    json.text("universe_domain").unwrap_or(DEFAULT_UNIVERSE)
}

/// A credentials file names URLs to which secrets are sent. They must be Google's, or this machine for tests.
fn check_host(url: &str, universe: &str, name: &str) -> Result<(), Error> {
    let uri: http::Uri = url
        .parse()
        .map_err(|_| config(format!("`{name}` is not an address")))?;
    let host = uri.host().unwrap_or_default();
    let is_google = host
        .strip_suffix(universe)
        .is_some_and(|rest| rest.ends_with('.') || rest.is_empty());
    match is_google || unifiedai_transport::is_loopback(host) {
        true => Ok(()),
        false => Err(config(format!(
            "`{name}` is at {host}, which is not below {universe}"
        ))),
    }
}

/// A required field.
fn member<'a>(json: &'a SecretJson, path: &str, name: &str) -> Result<&'a str, Error> {
    json.text(name)
        .ok_or_else(|| config(format!("{path} has no `{name}`")))
}

/// A secret field, which no error shows.
fn secret_member(io: &Fetcher, json: &SecretJson, path: &str, name: &str) -> Result<Secret, Error> {
    let text = member(json, path, name)?;
    io.hide(text);
    Secret::new(text).map_err(|error| config(format!("`{name}` in {path}: {}", error.message())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_files_are_googles() {
        for url in [
            "https://sts.googleapis.com/v1/token",
            "https://googleapis.com/x",
            "http://127.0.0.1:1/token",
        ] {
            assert!(check_host(url, DEFAULT_UNIVERSE, "x").is_ok(), "{url}");
        }
        for url in [
            "https://evil.example/v1/token",
            "https://evilgoogleapis.com/",
            "https://sts.googleapis.com.evil.example/",
            "/relative",
        ] {
            assert!(check_host(url, DEFAULT_UNIVERSE, "x").is_err(), "{url}");
        }
    }
}
