//! Keys of a container: ECS, EKS Pod Identity, Greengrass.

use super::keys;
use crate::{
    Error,
    credentials::{
        Environment, Fetcher, Token,
        errors::{config, excerpt, missing, refused, unreachable},
        fetcher::Sending,
        wire::{self, SecretJson},
    },
};
use http::header::AUTHORIZATION;
use std::time::Duration;
use zeroize::Zeroizing;

const RELATIVE: &str = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
const FULL: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
const TOKEN_FILE: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";
const TOKEN: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN";
const ECS: &str = "http://169.254.170.2";

pub(super) fn is_configured(environment: &Environment) -> bool {
    environment.get(RELATIVE).is_some() || environment.get(FULL).is_some()
}

pub(super) async fn fetch(io: &Fetcher, environment: &Environment) -> Result<Token, Error> {
    let url = match (environment.get(RELATIVE), environment.get(FULL)) {
        (Some(path), _) if path.starts_with('/') => [ECS, path].concat(),
        (Some(_), _) => return Err(config(format!("{RELATIVE} must begin with `/`"))),
        (None, Some(url)) => url.to_owned(),
        (None, None) => {
            return Err(missing(format!(
                "neither {RELATIVE} nor {FULL} is set: this is no container of ECS or EKS"
            )));
        }
    };
    let mut request = wire::get(&url)?;
    let authorization = match (environment.get(TOKEN_FILE), environment.get(TOKEN)) {
        (Some(path), _) => Some(io.read_token(path.as_ref()).await?),
        (None, Some(token)) => Some(Zeroizing::new(token.to_owned())),
        (None, None) => None,
    };
    if let Some(value) = authorization {
        wire::secret_header(&mut request, AUTHORIZATION, &value)?;
    }
    let host = wire::host_of(&request);
    let sending = Sending {
        connect: Duration::from_secs(2),
        limit: Duration::from_secs(5),
        is_transient: |response| {
            response.status().is_success() && SecretJson::parse(response.body()).is_none()
        },
        ..Sending::default()
    };
    let response = io.send_with(request, sending).await?;
    let json = SecretJson::parse(response.body());
    let status = response.status();
    if !status.is_success() {
        let text = |name: &str| json.as_ref().and_then(|json| json.text_ignoring_case(name));
        let said = [text("code"), text("message")];
        let said: Vec<&str> = said.into_iter().flatten().collect();
        let message = format!(
            "{host} answered with status {}: {}",
            status.as_u16(),
            excerpt(&said.join(": "))
        );
        return Err(match status.as_u16() {
            408 | 425 | 429 | 500.. => unreachable(message),
            _ => refused(message),
        });
    }
    let json = json.ok_or_else(|| unreachable(format!("{host} answered, but not with JSON")))?;
    keys::temporary_from_json(&json, &host)
}
