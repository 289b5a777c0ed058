//! Anthropic's profiles: the login or federation that the files of its own programs name.

use super::{
    Credentials, Environment, Federation, Fetcher, FileAccess, SubjectToken, Token,
    errors::{config, excerpt, login, missing},
    federation::{BETA, OAUTH_BETA},
    wire::SecretJson,
};
use crate::{Error, Secret};
use http::{HeaderName, HeaderValue};
use std::{
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

const PROFILE: &str = "ANTHROPIC_PROFILE";
const DIRECTORY: &str = "ANTHROPIC_CONFIG_DIR";
const DEFAULT: &str = "default";
/// The types of a profile.
const FEDERATION: &str = "oidc_federation";
const LOGIN: &str = "user_oauth";
const WORKSPACE: HeaderName = HeaderName::from_static("anthropic-workspace-id");
/// How long a token without an expiry is used. Its file is then read again.
const UNKNOWN_LIFETIME: Duration = Duration::from_secs(60);

/// # Profiles of Anthropic
impl Environment {
    /// Returns tokens of a profile of Anthropic's own programs: `configs/<name>.json` in `ANTHROPIC_CONFIG_DIR`, else
    /// in `~/.config/anthropic` (on Windows `%APPDATA%\Anthropic`). A profile of the type `oidc_federation` exchanges a
    /// token as [`Federation::anthropic`] does. For the type `user_oauth` the token is read from
    /// `credentials/<name>.json` while it is valid; the program that wrote it renews it.
    ///
    /// # Errors
    /// `credentials` if the name cannot be that of a file.
    pub fn anthropic_profile(&self, name: impl Into<String>) -> Result<Credentials, Error> {
        let name = name.into();
        check_name(&name, "the name of a profile")?;
        let environment = self.clone();
        let shown = format!("anthropic profile {}", name.escape_debug());
        Ok(Credentials::from_async(shown, move |io| {
            let (environment, name) = (environment.clone(), name.clone());
            async move { fetch(&io, &environment, &name).await }
        }))
    }

    /// The credentials that the environment or a file names, and the base URL that a profile sets. `file` returns
    /// `None` for a file that does not exist.
    pub(crate) fn anthropic(
        &self,
        file: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Option<(Credentials, Option<String>)>, Error> {
        if let Some(name) = self.get(PROFILE) {
            return self.profile_of(name, PROFILE, file).map(Some);
        }
        if let Some(federation) = self.anthropic_federation()? {
            return Ok(Some((federation, None)));
        }
        let Some(directory) = self.anthropic_directory() else {
            return Ok(None);
        };
        let pointer = file(&format!("{directory}/active_config"));
        let chosen = pointer.as_deref().map(str::trim);
        let name = chosen.filter(|name| !name.is_empty()).unwrap_or(DEFAULT);
        let found = self.profile_of(name, "the name in `active_config`", file);
        match found {
            Ok(found) => Ok(Some(found)),
            Err(error) if pointer.is_some() || self.get(DIRECTORY).is_some() => Err(error),
            // A profile that nothing names counts only if it can be used.
            Err(_) => Ok(None),
        }
    }

    fn profile_of(
        &self,
        name: &str,
        place: &str,
        file: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(Credentials, Option<String>), Error> {
        check_name(name, place)?;
        let path = self.anthropic_config(name)?;
        let text = file(&path).ok_or_else(|| no_profile(&path))?;
        let profile = Profile::parse(&path, text.as_bytes())?;
        let base_url = profile.json.text("base_url").map(str::to_owned);
        Ok((self.anthropic_profile(name)?, base_url))
    }

    fn anthropic_directory(&self) -> Option<String> {
        match (self.get(DIRECTORY), self.get("APPDATA")) {
            (Some(directory), _) => Some(directory.to_owned()),
            (None, Some(data)) if cfg!(windows) => Some(format!("{data}/Anthropic")),
            _ => Some(format!("{}/.config/anthropic", self.home()?)),
        }
    }

    fn anthropic_config(&self, name: &str) -> Result<String, Error> {
        let directory = self.anthropic_directory().ok_or_else(|| {
            config(format!(
                "neither {DIRECTORY} nor HOME is set, so the profile `{name}` is not found"
            ))
        })?;
        Ok(format!("{directory}/configs/{name}.json"))
    }
}

fn no_profile(path: &str) -> Error {
    missing(format!(
        "the profile {path} does not exist: {PROFILE} names another profile, {DIRECTORY} another directory"
    ))
}

/// The name becomes part of a path.
fn check_name(name: &str, place: &str) -> Result<(), Error> {
    let is_name = !name.is_empty()
        && name == name.trim()
        && !name.starts_with('.')
        && !name.contains(['/', '\\', '\0', ':']);
    match is_name {
        true => Ok(()),
        false => Err(config(format!(
            "{place} is `{}`: it must not be empty, begin with a dot, or contain a slash, a backslash, a colon or white space at its ends",
            excerpt(name)
        ))),
    }
}

/// The file of a profile, which has no secret.
struct Profile {
    path: String,
    json: SecretJson,
    authentication: SecretJson,
}

impl Profile {
    fn parse(path: &str, content: &[u8]) -> Result<Profile, Error> {
        let json = SecretJson::parse(content)
            .ok_or_else(|| config(format!("{path} is not a JSON object")))?;
        let authentication = json.get("authentication").cloned().unwrap_or_default();
        let profile = Profile {
            path: path.to_owned(),
            json,
            authentication: SecretJson::of(authentication),
        };
        match profile.authentication.text("type") {
            Some(FEDERATION | LOGIN) => Ok(profile),
            Some(other) => Err(config(format!(
                "`authentication.type` in {path} is `{}`: it must be {FEDERATION} or {LOGIN}",
                excerpt(other)
            ))),
            None => Err(config(format!("{path} has no `authentication.type`"))),
        }
    }

    /// A field, or the variable that stands in for it.
    fn needed<'a>(
        &'a self,
        value: Option<&'a str>,
        name: &str,
        environment: &'a Environment,
        variable: &str,
    ) -> Result<&'a str, Error> {
        value.or_else(|| environment.get(variable)).ok_or_else(|| {
            config(format!(
                "{} has no `{name}`, and {variable} is not set",
                self.path
            ))
        })
    }

    fn workspace<'a>(&'a self, environment: &'a Environment) -> Option<&'a str> {
        let own = self.json.text("workspace_id");
        own.or_else(|| environment.get("ANTHROPIC_WORKSPACE_ID"))
    }

    /// The exchange that the profile describes. The environment fills what the file leaves out.
    fn federation(&self, environment: &Environment) -> Result<Federation, Error> {
        let rule = self.needed(
            self.authentication.text("federation_rule_id"),
            "authentication.federation_rule_id",
            environment,
            "ANTHROPIC_FEDERATION_RULE_ID",
        )?;
        let organization = self.needed(
            self.json.text("organization_id"),
            "organization_id",
            environment,
            "ANTHROPIC_ORGANIZATION_ID",
        )?;
        let mut federation = Federation::anthropic(rule, organization, self.subject(environment)?);
        let account = self.authentication.text("service_account_id");
        let account = account.or_else(|| environment.get("ANTHROPIC_SERVICE_ACCOUNT_ID"));
        if let Some(account) = account {
            federation = federation.service_account(account);
        }
        if let Some(workspace) = self.workspace(environment) {
            federation = federation.workspace(workspace);
        }
        let base = self.json.text("base_url");
        if let Some(base) = base.or_else(|| environment.get("ANTHROPIC_BASE_URL")) {
            federation = federation.at_base_url(base);
        }
        Ok(federation)
    }

    fn subject(&self, environment: &Environment) -> Result<SubjectToken, Error> {
        let place = "authentication.identity_token";
        let path = &self.path;
        let Some(own) = self.authentication.get("identity_token").cloned() else {
            return environment.anthropic_subject()?.ok_or_else(|| {
                config(format!(
                    "{path} has no `{place}`, and ANTHROPIC_IDENTITY_TOKEN_FILE is not set"
                ))
            });
        };
        let own = SecretJson::of(own);
        match (own.text("source"), own.text("path")) {
            (Some("file"), Some(file)) => Ok(SubjectToken::File(environment.expanded(file).into())),
            _ => Err(config(format!(
                "`{place}` in {path} must have the `source` `file`, and a `path`"
            ))),
        }
    }
}

async fn fetch(io: &Fetcher, environment: &Environment, name: &str) -> Result<Token, Error> {
    let path = environment.anthropic_config(name)?;
    // The file names the host to which a token is sent.
    let content = io
        .try_read_guarded(Path::new(&path), FileAccess::Read)
        .await?
        .ok_or_else(|| no_profile(&path))?;
    let profile = Profile::parse(&path, &content)?;
    match profile.authentication.text("type") {
        Some(FEDERATION) => profile.federation(environment)?.fetch(io).await,
        _ => stored(io, environment, &profile, name).await,
    }
}

/// The token that another program stored, and renews.
async fn stored(
    io: &Fetcher,
    environment: &Environment,
    profile: &Profile,
    name: &str,
) -> Result<Token, Error> {
    let path = match profile.authentication.text("credentials_path") {
        Some(path) => environment.expanded(path),
        None => {
            let directory = environment.anthropic_directory().unwrap_or_default();
            format!("{directory}/credentials/{name}.json")
        }
    };
    let again = "log in again with the program that wrote it";
    let content = io
        .try_read_guarded(&PathBuf::from(&path), FileAccess::None)
        .await?
        .ok_or_else(|| login(format!("there is no login in {path}: {again}")))?;
    let json = SecretJson::parse(&content)
        .ok_or_else(|| config(format!("{path} is not a JSON object")))?;
    let text = json
        .text("access_token")
        .ok_or_else(|| config(format!("{path} has no `access_token`")))?;
    io.hide(text);
    let secret = Secret::new(text)
        .map_err(|error| config(format!("`access_token` in {path}: {}", error.message())))?;
    let token = Token::bearer(secret).list_header(BETA, HeaderValue::from_static(OAUTH_BETA));
    let token = match json.number("expires_at") {
        None => token.expires_in(UNKNOWN_LIFETIME),
        Some(end) => {
            let end = UNIX_EPOCH.checked_add(Duration::from_secs(end));
            let end = end.ok_or_else(|| config(format!("`expires_at` in {path} is no time")))?;
            if end <= io.wall_clock() {
                return Err(login(format!("the login in {path} has expired: {again}")));
            }
            token.expires_at(end)
        }
    };
    let Some(workspace) = profile.workspace(environment) else {
        return Ok(token);
    };
    let value = HeaderValue::from_str(workspace).map_err(|_| {
        config(format!(
            "the workspace of the profile {} cannot be sent in a header",
            profile.path
        ))
    })?;
    Ok(token.header(WORKSPACE, value))
}
