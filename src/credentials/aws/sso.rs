//! Keys for a user who logged in with `aws sso login`.

use super::{partition, sha1};
use crate::{
    Error,
    codec::rfc3339::{rfc3339, rfc3339_text},
    credentials::{
        Environment, Fetcher, Supply, Token,
        errors::{config, excerpt, login, refused, unreachable},
        fetcher::Sending,
        form::{encoded, wiped},
        wire::{self, OAuthError, SecretJson},
    },
    provider::AwsCredentials,
};
use http::HeaderName;
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use zeroize::Zeroizing;

const REFRESH_AHEAD: Duration = Duration::from_secs(5 * 60);
const BEARER: HeaderName = HeaderName::from_static("x-amz-sso_bearer_token");

#[derive(Clone, Debug)]
pub(super) struct Sso {
    /// The session's name. A login without one has only the start URL and cannot be renewed.
    pub(super) session: Option<String>,
    pub(super) start_url: String,
    pub(super) region: String,
    pub(super) account: String,
    pub(super) role: String,
}

pub(super) async fn fetch(
    io: &Fetcher,
    environment: &Environment,
    sso: &Sso,
) -> Result<Token, Error> {
    let path = sso.cache_file(environment)?;
    let token = sso.access_token(io, environment, &path).await?;
    let url = format!(
        "{}federation/credentials?account_id={}&role_name={}",
        partition::sso_portal(environment, &sso.region)?,
        encoded(&sso.account),
        encoded(&sso.role),
    );
    let mut request = wire::get(&url)?;
    wire::secret_header(&mut request, BEARER, &token)?;
    let host = wire::host_of(&request);
    let response = io.send(request).await?;
    let status = response.status().as_u16();
    let json = SecretJson::parse(response.body());
    if status != 200 {
        let said = json
            .as_ref()
            .and_then(|json| json.text_ignoring_case("message"));
        let message = format!(
            "{host} answered with status {status}: {}",
            excerpt(said.unwrap_or_default())
        );
        return Err(match status {
            401 => login(format!("{message}: run `{}`", sso.command())),
            400 | 404 => config(message),
            408 | 425 | 429 | 500.. => unreachable(message),
            _ => refused(format!(
                "{message} (account {}, role {})",
                sso.account, sso.role
            )),
        });
    }
    let incomplete = || unreachable(format!("{host} answered without keys"));
    let json = json.ok_or_else(incomplete)?;
    let keys = SecretJson::of(json.get("roleCredentials").ok_or_else(incomplete)?.clone());
    let text = |name: &str| keys.text(name).map(str::to_owned).ok_or_else(incomplete);
    let credentials = AwsCredentials::new(
        text("accessKeyId")?,
        text("secretAccessKey")?,
        Some(text("sessionToken")?),
    )
    .map_err(|error| refused(format!("{host}: {}", error.message())))?;
    let end = Duration::from_millis(keys.number("expiration").ok_or_else(incomplete)?);
    let end = UNIX_EPOCH.checked_add(end).ok_or_else(incomplete)?;
    Ok(Token::aws(credentials).expires_at(end))
}

impl Sso {
    fn cache_file(&self, environment: &Environment) -> Result<PathBuf, Error> {
        let home = environment.home().ok_or_else(|| {
            config("HOME is not set, so the cache of `aws sso login` is not found")
        })?;
        let key = self.session.as_deref().unwrap_or(&self.start_url);
        let name = [&*sha1::hex_digest(key.as_bytes()), ".json"].concat();
        Ok(Path::new(&home).join(".aws/sso/cache").join(name))
    }

    fn command(&self) -> String {
        match &self.session {
            Some(session) => format!("aws sso login --sso-session {session}"),
            None => "aws sso login".to_owned(),
        }
    }

    /// The token of the user's login, renewed if it is about to expire.
    async fn access_token(
        &self,
        io: &Fetcher,
        environment: &Environment,
        path: &Path,
    ) -> Result<Zeroizing<String>, Error> {
        let logged_out = |why: &str| login(format!("{why}: run `{}`", self.command()));
        let cached = Cached::read(io, path)
            .await?
            .ok_or_else(|| logged_out("there is no login"))?;
        let left = cached.expires.duration_since(io.wall_clock());
        let left = left.unwrap_or_default();
        if left > REFRESH_AHEAD || (self.session.is_none() && !left.is_zero()) {
            return Ok(cached.token);
        }
        let error = match self.refreshed(io, environment, path, &cached).await {
            Ok(Some(token)) => return Ok(token),
            Ok(None) => logged_out("the login has expired"),
            Err(error) => error,
        };
        if !left.is_zero() {
            return Ok(cached.token);
        }
        // Another program may have renewed the login meanwhile; then the old refresh token is invalid.
        match Cached::read(io, path).await? {
            Some(other) if *other.token != *cached.token && io.wall_clock() < other.expires => {
                Ok(other.token)
            }
            _ => Err(error),
        }
    }

    /// `None` if the login cannot be renewed.
    async fn refreshed(
        &self,
        io: &Fetcher,
        environment: &Environment,
        path: &Path,
        cached: &Cached,
    ) -> Result<Option<Zeroizing<String>>, Error> {
        let text = |name: &str| cached.json.text_ignoring_case(name);
        let (Some(_), Some(id), Some(secret), Some(refresh)) = (
            &self.session,
            text("clientId"),
            text("clientSecret"),
            text("refreshToken"),
        ) else {
            return Ok(None);
        };
        let registered = text("registrationExpiresAt").and_then(end_of);
        if registered.is_none_or(|end| end <= io.wall_clock()) {
            return Ok(None);
        }
        for secret in [secret, refresh] {
            io.hide(secret);
        }
        let body = json!({
            "clientId": id,
            "clientSecret": secret,
            "grantType": "refresh_token",
            "refreshToken": refresh,
        });
        let body = SecretJson::of(body);
        let url = [&*partition::sso_oidc(environment, &self.region)?, "token"].concat();
        let request = wire::post_json(&url, json_bytes(body.value()))?;
        let host = wire::host_of(&request);
        let sending = Sending {
            is_transient: |response| OAuthError::of(response).error == "slow_down",
            ..Sending::default()
        };
        let sent = io.wall_clock();
        let response = io.send_with(request, sending).await?;
        if !response.status().is_success() {
            let error = OAuthError::of(&response);
            return Err(match error.is_transient() || error.error == "slow_down" {
                true => unreachable(error.message(&host)),
                false => login(format!(
                    "{}: run `{}`",
                    error.message(&host),
                    self.command()
                )),
            });
        }
        let answer = wire::json_of(&host, &response)?;
        let (Some(token), Some(lifetime)) =
            (answer.text("accessToken"), answer.number("expiresIn"))
        else {
            return Err(unreachable(format!("{host} answered without a token")));
        };
        let end = sent
            .checked_add(Duration::from_secs(lifetime))
            .ok_or_else(|| unreachable(format!("{host} gave a token of no sensible lifetime")))?;
        let content = cached.renewed(token, end, answer.text("refreshToken"));
        let supply = Supply::WriteFile {
            path: path.to_owned(),
            content: json_bytes(content.value()),
        };
        // The token is valid even if it cannot be stored. Then the next process must log in.
        let _ = io.supply(supply, Duration::from_secs(5)).await?;
        Ok(Some(Zeroizing::new(token.to_owned())))
    }
}

/// The file of `aws sso login`.
struct Cached {
    json: SecretJson,
    token: Zeroizing<String>,
    expires: SystemTime,
}

impl Cached {
    /// `None` if there is no login.
    async fn read(io: &Fetcher, path: &Path) -> Result<Option<Cached>, Error> {
        let Some(content) = io.try_read_file(path).await? else {
            return Ok(None);
        };
        let json = SecretJson::parse(&content)
            .ok_or_else(|| config(format!("{} is not a JSON object", path.display())))?;
        let token = json.text_ignoring_case("accessToken");
        let expires = json.text_ignoring_case("expiresAt").and_then(end_of);
        let (Some(token), Some(expires)) = (token, expires) else {
            return Ok(None);
        };
        io.hide(token);
        let token = Zeroizing::new(token.to_owned());
        Ok(Some(Cached {
            json,
            token,
            expires,
        }))
    }

    fn renewed(&self, token: &str, end: SystemTime, refresh: Option<&str>) -> SecretJson {
        let mut value = self.json.value().clone();
        let mut set = |name: &str, text: String| {
            if let Some(members) = value.as_object_mut() {
                let found = members.keys().find(|key| key.eq_ignore_ascii_case(name));
                let name = found.cloned().unwrap_or_else(|| name.to_owned());
                members.insert(name, Value::String(text));
            }
        };
        set("accessToken", token.to_owned());
        set("expiresAt", rfc3339_text(end));
        if let Some(refresh) = refresh {
            set("refreshToken", refresh.to_owned());
        }
        SecretJson::of(value)
    }
}

fn json_bytes(value: &Value) -> bytes::Bytes {
    wiped(Zeroizing::new(value.to_string().into_bytes()))
}

/// Also in the format of old versions of the AWS CLI.
fn end_of(text: &str) -> Option<SystemTime> {
    rfc3339(text).or_else(|| rfc3339(&[text.strip_suffix("UTC")?, "Z"].concat()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_where_the_aws_cli_writes_it() {
        let environment = Environment::new(|name| (name == "HOME").then(|| "/home/me".to_owned()));
        let mut sso = Sso {
            session: Some("corp".to_owned()),
            start_url: "https://corp.awsapps.com/start".to_owned(),
            region: "eu-central-1".to_owned(),
            account: "1".to_owned(),
            role: "r".to_owned(),
        };
        assert_eq!(
            sso.cache_file(&environment).unwrap().to_str().unwrap(),
            "/home/me/.aws/sso/cache/ee0bfd2552fbd840c02cc48b6e823320543c450f.json"
        );
        sso.session = None;
        assert!(
            sso.cache_file(&environment)
                .unwrap()
                .ends_with("a51746d4aa793ae07b25e90c3a5db96fc7832bd7.json")
        );
    }

    #[test]
    fn dates_of_old_versions_are_read() {
        assert_eq!(
            end_of("2026-11-29T13:00:00UTC"),
            rfc3339("2026-11-29T13:00:00Z")
        );
        assert!(end_of("2026-11-29").is_none());
    }
}
