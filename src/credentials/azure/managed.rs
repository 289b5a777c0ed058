//! Managed identities of machines and services. Environment variables identify the kind.

use super::{CLIENT, renewed_as_asked, resource, since_1970};
use crate::{
    Error,
    credentials::{
        Environment, Fetcher, Token,
        errors::{config, excerpt, missing, refused, unreachable},
        fetcher::Sending,
        form::{Form, encoded},
        wire::{self, SecretJson},
    },
};
use bytes::Bytes;
use http::{
    HeaderName, Request, Response,
    header::{AUTHORIZATION, WWW_AUTHENTICATE},
};
use std::{path::Path, time::Duration};

const ENDPOINT: &str = "IDENTITY_ENDPOINT";
const HEADER: &str = "IDENTITY_HEADER";
const OLD_ENDPOINT: &str = "MSI_ENDPOINT";
const IDENTITY_HEADER: HeaderName = HeaderName::from_static("x-identity-header");
const SECRET_HEADER: HeaderName = HeaderName::from_static("secret");
/// The only directory from which an Arc key is sent, on Unix.
const ARC_KEYS: &str = "/var/opt/azcmagent/tokens/";
/// Its end on Windows, below the directory `ProgramData`.
const ARC_KEYS_ON_WINDOWS: &str = "\\AzureConnectedMachineAgent\\Tokens\\";
const MAX_ARC_KEY_BYTES: usize = 4096;

pub(super) async fn fetch(
    io: &Fetcher,
    environment: &Environment,
    scope: &str,
) -> Result<Token, Error> {
    let resource = encoded(resource(scope));
    let client = environment.get(CLIENT).map(encoded);
    let selector = |name: &str| match &client {
        Some(id) => format!("&{name}={id}"),
        None => String::new(),
    };
    if let Some(endpoint) = environment.get(ENDPOINT) {
        if let Some(header) = environment.get(HEADER) {
            if environment.get("IDENTITY_SERVER_THUMBPRINT").is_some() {
                return Err(config(
                    "IDENTITY_SERVER_THUMBPRINT is set: Service Fabric has certificates of its own, and is not supported",
                ));
            }
            let query = format!(
                "?api-version=2019-08-01&resource={resource}{}",
                selector("client_id")
            );
            let mut request = wire::get(&[endpoint, &query].concat())?;
            wire::secret_header(&mut request, IDENTITY_HEADER, header)?;
            return ask(io, request, Sending::default()).await;
        }
        if environment.get("IMDS_ENDPOINT").is_some() {
            return arc(io, environment, endpoint, &resource).await;
        }
    }
    if let Some(endpoint) = environment.get(OLD_ENDPOINT) {
        return match environment.get("MSI_SECRET") {
            Some(secret) => {
                let query = format!(
                    "?api-version=2017-09-01&resource={resource}{}",
                    selector("clientid")
                );
                let mut request = wire::get(&[endpoint, &query].concat())?;
                wire::secret_header(&mut request, SECRET_HEADER, secret)?;
                ask(io, request, Sending::default()).await
            }
            None => {
                let form = Form::new().field("resource", super::resource(scope));
                let mut request = wire::post_form(endpoint, form)?;
                wire::text_header(&mut request, "metadata", "true");
                ask(io, request, Sending::default()).await
            }
        };
    }
    let base = environment
        .get("AZURE_POD_IDENTITY_AUTHORITY_HOST")
        .unwrap_or("http://169.254.169.254");
    let url = format!(
        "{}/metadata/identity/oauth2/token?api-version=2018-02-01&resource={resource}{}",
        base.trim_end_matches('/'),
        selector("client_id")
    );
    let mut request = wire::get(&url)?;
    wire::text_header(&mut request, "metadata", "true");
    let sending = Sending {
        connect: Duration::from_secs(1),
        limit: Duration::from_secs(10),
        tries: 5,
        is_transient: |response| matches!(response.status().as_u16(), 404 | 410),
        retries_timeouts: false,
    };
    ask(io, request, sending).await
}

/// The first response names a file that only an administrator can read; its content proves access.
async fn arc(
    io: &Fetcher,
    environment: &Environment,
    endpoint: &str,
    resource: &str,
) -> Result<Token, Error> {
    let url = format!("{endpoint}?api-version=2020-06-01&resource={resource}");
    let mut request = wire::get(&url)?;
    wire::text_header(&mut request, "metadata", "true");
    let host = wire::host_of(&request);
    let challenge = io.send(request.clone()).await?;
    if challenge.status().as_u16() != 401 {
        return Err(refused(format!(
            "{host} answered with status {} where Arc answers with 401",
            challenge.status().as_u16()
        )));
    }
    let path = challenge
        .headers()
        .get(WWW_AUTHENTICATE)
        .and_then(|value| value.to_str().ok()?.trim().strip_prefix("Basic realm="))
        .map(|path| path.trim_matches('"'))
        .unwrap_or_default();
    let keys = match environment.get("PROGRAMDATA") {
        Some(data) if cfg!(windows) => [data, ARC_KEYS_ON_WINDOWS].concat(),
        _ => ARC_KEYS.to_owned(),
    };
    if !is_arc_key(path, &keys) {
        return Err(refused(format!(
            "{host} asked for a file that is no key of Arc in {keys}"
        )));
    }
    let key = io.read_token(Path::new(path)).await?;
    if key.len() > MAX_ARC_KEY_BYTES {
        return Err(refused(format!("{path} is too long for a key of Arc")));
    }
    let basic = zeroize::Zeroizing::new(["Basic ", &key].concat());
    wire::secret_header(&mut request, AUTHORIZATION, &basic)?;
    ask(io, request, Sending::default()).await
}

/// Whether the path is that of a key right in this directory.
fn is_arc_key(path: &str, directory: &str) -> bool {
    let name = path.strip_prefix(directory).unwrap_or_default();
    name.len() > ".key".len() && name.ends_with(".key") && !name.contains(['/', '\\'])
}

async fn ask(io: &Fetcher, request: Request<Bytes>, sending: Sending) -> Result<Token, Error> {
    let host = wire::host_of(&request);
    let response = io.send_with(request, sending).await?;
    if response.status().is_success() {
        return token(&host, &response);
    }
    Err(error(&host, &response))
}

fn token(host: &str, response: &Response<Bytes>) -> Result<Token, Error> {
    let json = wire::json_of(host, response)?;
    let text = json
        .text("access_token")
        .ok_or_else(|| unreachable(format!("{host} answered without an `access_token`")))?;
    let token = Token::bearer(wire::secret(host, text)?);
    let token = match (json.number("expires_on"), json.number("expires_in")) {
        (_, Some(seconds)) => token.expires_in(Duration::from_secs(seconds)),
        (Some(end), None) => match since_1970(end) {
            Some(end) => token.expires_at(end),
            None => token,
        },
        // Old versions of Azure ML write the date in the American format; the usual 15 minutes are safe.
        (None, None) => token,
    };
    Ok(renewed_as_asked(token, &json))
}

fn error(host: &str, response: &Response<Bytes>) -> Error {
    let status = response.status().as_u16();
    let Some(json) = SecretJson::parse(response.body()) else {
        return match status {
            408 | 410 | 425 | 429 | 500.. => {
                unreachable(format!("{host} answered with status {status}"))
            }
            _ => missing(format!(
                "{host} answered with status {status} and no JSON: there is no managed identity here"
            )),
        };
    };
    let said: Vec<&str> = ["error", "error_description", "message"]
        .iter()
        .filter_map(|name| json.text(name))
        .collect();
    let said = excerpt(&said.join(": "));
    let message = format!("{host} answered with status {status}: {said}");
    match status {
        408 | 410 | 425 | 429 | 500.. => unreachable(message),
        400 if said.contains("Identity not found") => missing(message),
        403 if said.contains("unreachable") => missing(message),
        _ => refused(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_arc_is_right_in_its_directory() {
        let windows = ["C:\\ProgramData", ARC_KEYS_ON_WINDOWS].concat();
        for (name, is_key) in [
            ("ab12.key", true),
            (".key", false),
            ("ab12", false),
            ("../x.key", false),
            ("a/x.key", false),
            ("a\\x.key", false),
        ] {
            for directory in [ARC_KEYS, &windows] {
                let path = [directory, name].concat();
                assert_eq!(is_arc_key(&path, directory), is_key, "{path}");
            }
        }
        assert!(!is_arc_key("/etc/x.key", ARC_KEYS));
    }
}
