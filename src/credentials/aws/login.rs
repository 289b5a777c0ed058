//! Keys of a user who logged in with `aws login`.

use crate::{
    Error,
    codec::rfc3339::rfc3339,
    credentials::{
        Environment, Fetcher, Token,
        errors::{config, login},
        wire::SecretJson,
    },
    provider::AwsCredentials,
};
use sha2::{Digest, Sha256};
use std::{fmt::Write, path::PathBuf};

const DIRECTORY: &str = "AWS_LOGIN_CACHE_DIRECTORY";

/// The keys in the cache of the AWS CLI, which renews them. `session` is the ARN of the user.
pub(super) async fn fetch(
    io: &Fetcher,
    environment: &Environment,
    session: &str,
    profile: &str,
) -> Result<Token, Error> {
    let path = cache_file(environment, session)?;
    let command = format!("aws login --profile {}", profile.escape_debug());
    let content = io
        .try_read_file(&path)
        .await?
        .ok_or_else(|| login(format!("there is no login: run `{command}`")))?;
    let wrong = |what: &str| config(format!("{} {what}", path.display()));
    let json = SecretJson::parse(&content).ok_or_else(|| wrong("is not a JSON object"))?;
    let access = json.get("accessToken").cloned();
    let access = SecretJson::of(access.ok_or_else(|| wrong("has no `accessToken`"))?);
    let end = access
        .text_ignoring_case("expiresAt")
        .and_then(rfc3339)
        .ok_or_else(|| wrong("has no `expiresAt` that is a date"))?;
    if end <= io.wall_clock() {
        return Err(login(format!(
            "the keys of the login have expired: run a command of the AWS CLI with this profile, which renews them, or `{command}`"
        )));
    }
    let text = |name: &str| {
        let found = access.text_ignoring_case(name).map(str::to_owned);
        found.ok_or_else(|| wrong(&format!("has no `{name}`")))
    };
    let keys = AwsCredentials::new(
        text("accessKeyId")?,
        text("secretAccessKey")?,
        Some(text("sessionToken")?),
    )
    .map_err(|error| {
        wrong(&format!(
            "has keys that cannot be used: {}",
            error.message()
        ))
    })?;
    Ok(Token::aws(keys).expires_at(end))
}

fn cache_file(environment: &Environment, session: &str) -> Result<PathBuf, Error> {
    let directory = match environment.get(DIRECTORY) {
        Some(directory) => environment.expanded(directory),
        None => format!(
            "{}/.aws/login/cache",
            environment.home().ok_or_else(|| config(
                "HOME is not set, so the cache of `aws login` is not found"
            ))?
        ),
    };
    let mut name = String::new();
    for byte in Sha256::digest(session.trim()) {
        // Writing to a `String` does not fail.
        let _ = write!(name, "{byte:02x}");
    }
    Ok(PathBuf::from(directory).join(name + ".json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_where_the_aws_cli_writes_it() {
        let environment = |directory: Option<&'static str>| {
            Environment::new(move |name| match name {
                "HOME" => Some("/home/me".to_owned()),
                DIRECTORY => directory.map(str::to_owned),
                _ => None,
            })
        };
        let file = |directory| {
            let arn = " arn:aws:iam::111122223333:user/dev\n";
            let path = cache_file(&environment(directory), arn).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let path = file(None);
        assert!(
            path.starts_with("/home/me/.aws/login/cache/11fc4cc919a5a20d"),
            "{path}"
        );
        assert!(path.ends_with("9027.json"), "{path}");
        assert!(file(Some("~/x")).starts_with("/home/me/x/11fc"));
        assert!(file(Some("/x")).starts_with("/x/11fc"));
    }
}
