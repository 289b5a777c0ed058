//! Keys of an EC2 instance's role, by the second version of its metadata service.

use super::keys;
use crate::{
    Error,
    credentials::{
        Environment, Fetcher, Token,
        errors::{config, excerpt, missing, refused, unreachable},
        fetcher::Sending,
        form::encoded,
        wire::{self, SecretJson},
    },
};
use bytes::Bytes;
use http::{HeaderName, Method, Request, Response};
use std::time::Duration;

const TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";
const TOKEN: HeaderName = HeaderName::from_static("x-aws-ec2-metadata-token");
const IPV4: &str = "http://169.254.169.254";
const IPV6: &str = "http://[fd00:ec2::254]";
const ROLES: &str = "/latest/meta-data/iam/security-credentials/";

/// The metadata service.
#[derive(Debug)]
pub(super) struct Service {
    base: String,
    sending: Sending,
}

impl Service {
    /// `None` if the environment disables it.
    pub(super) fn of(environment: &Environment) -> Result<Option<Service>, Error> {
        if environment.is_true("AWS_EC2_METADATA_DISABLED") {
            return Ok(None);
        }
        const MODE: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE";
        let url = environment.get("AWS_EC2_METADATA_SERVICE_ENDPOINT");
        let base = match (url, environment.get(MODE)) {
            (Some(url), _) => url.trim_end_matches('/'),
            (None, None) => IPV4,
            (None, Some(mode)) if mode.eq_ignore_ascii_case("ipv4") => IPV4,
            (None, Some(mode)) if mode.eq_ignore_ascii_case("ipv6") => IPV6,
            (None, Some(_)) => return Err(config(format!("{MODE} must be IPv4 or IPv6"))),
        };
        let mut sending = Sending {
            connect: Duration::from_secs(1),
            limit: Duration::from_secs(2),
            tries: 4,
            is_transient: |response| response.status().is_success() && response.body().is_empty(),
            retries_timeouts: false,
        };
        if let Some(seconds) = environment.number("AWS_METADATA_SERVICE_TIMEOUT", 1..=30)? {
            sending.limit = Duration::from_secs(seconds.into());
            sending.connect = sending.limit;
        }
        if let Some(tries) = environment.number("AWS_METADATA_SERVICE_NUM_ATTEMPTS", 1..=10)? {
            sending.tries = tries;
        }
        Ok(Some(Service {
            base: base.to_owned(),
            sending,
        }))
    }

    /// A token for the requests that follow. It is used for one fetch.
    async fn session(&self, io: &Fetcher) -> Result<String, Error> {
        let base = &self.base;
        let mut request = wire::get(&[base, "/latest/api/token"].concat())?;
        *request.method_mut() = Method::PUT;
        wire::text_header(&mut request, TTL, "21600");
        let answer = io.send_with(request, self.sending).await;
        let answer = answer.map_err(|error| match error.code() {
            Some("credentials_unreachable") => unreachable(format!(
                "{} (in a container on EC2 the instance's HttpPutResponseHopLimit must be 2 or more)",
                error.message()
            )),
            _ => error,
        })?;
        match answer.status().as_u16() {
            403..=405 => Err(config(format!(
                "{base} answered with status {}: version 2 of the metadata service is not offered, and version 1 is not used",
                answer.status().as_u16()
            ))),
            _ => Ok(text(base, &answer)?.trim().to_owned()),
        }
    }

    async fn get(&self, io: &Fetcher, path: &str, session: &str) -> Result<Response<Bytes>, Error> {
        let mut request: Request<Bytes> = wire::get(&[&self.base, path].concat())?;
        wire::secret_header(&mut request, TOKEN, session)?;
        io.send_with(request, self.sending).await
    }
}

pub(super) async fn fetch(io: &Fetcher, environment: &Environment) -> Result<Token, Error> {
    let service = Service::of(environment)?.ok_or_else(|| {
        missing("AWS_EC2_METADATA_DISABLED is set: instance metadata is not asked")
    })?;
    let base = &service.base;
    let mut session = service.session(io).await?;
    let mut renewals = 0_u8;
    loop {
        let roles = service.get(io, ROLES, &session).await?;
        if roles.status().as_u16() == 401 && renewals == 0 {
            renewals = 1;
            session = service.session(io).await?;
            continue;
        }
        if roles.status().as_u16() == 404 {
            return Err(missing(format!(
                "{base} says that this instance has no role"
            )));
        }
        let role = text(base, &roles)?;
        let role = role.lines().next().unwrap_or_default().trim();
        if role.is_empty() {
            return Err(unreachable(format!("{base} named no role")));
        }
        let path = [ROLES, &encoded(role)].concat();
        let answer = service.get(io, &path, &session).await?;
        match answer.status().as_u16() {
            // The role was changed, or the session ended, between the two requests.
            404 | 401 if renewals < 2 => {
                renewals = 2;
                session = service.session(io).await?;
                continue;
            }
            _ => {}
        }
        text(base, &answer)?;
        return keys_of(base, &answer);
    }
}

/// The region, from the instance's zone.
pub(super) async fn region(io: &Fetcher, environment: &Environment) -> Result<String, Error> {
    let service = Service::of(environment)?.ok_or_else(|| {
        missing("AWS_EC2_METADATA_DISABLED is set, and neither AWS_REGION nor AWS_DEFAULT_REGION")
    })?;
    let session = service.session(io).await?;
    let path = "/latest/meta-data/placement/region";
    let region = service.get(io, path, &session).await?;
    Ok(text(&service.base, &region)?.trim().to_owned())
}

fn keys_of(base: &str, answer: &Response<Bytes>) -> Result<Token, Error> {
    let json = SecretJson::parse(answer.body())
        .ok_or_else(|| unreachable(format!("{base} answered, but not with JSON")))?;
    let code = json.text("Code").unwrap_or("Success");
    if code != "Success" {
        let message = json.text("Message").unwrap_or_default();
        return Err(refused(format!(
            "{base} said {}: {}",
            excerpt(code),
            excerpt(message)
        )));
    }
    Ok(keys::temporary_from_json(&json, base)?.stable())
}

fn text(base: &str, answer: &Response<Bytes>) -> Result<String, Error> {
    let status = answer.status();
    let wrong = || format!("{base} answered with status {}", status.as_u16());
    match status.as_u16() {
        200 => std::str::from_utf8(answer.body())
            .map(str::to_owned)
            .map_err(|_| unreachable(format!("{base} answered with what is not text"))),
        400 => Err(config(wrong())),
        408 | 425 | 429 | 500.. => Err(unreachable(wrong())),
        _ => Err(refused(wrong())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_says_where_the_service_is() {
        let with = |variables: &'static [(&'static str, &'static str)]| {
            let service = Service::of(&Environment::new(|name| {
                let found = variables.iter().find(|(other, _)| *other == name);
                found.map(|(_, value)| (*value).to_owned())
            }));
            service.map(|service| service.map(|service| service.base))
        };
        assert_eq!(with(&[]).unwrap().unwrap(), "http://169.254.169.254");
        let mode = "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE";
        assert_eq!(
            with(&[("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "ipV6")])
                .unwrap()
                .unwrap(),
            "http://[fd00:ec2::254]"
        );
        assert!(
            with(&[("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "x")])
                .unwrap_err()
                .message()
                .contains(mode)
        );
        assert_eq!(
            with(&[("AWS_EC2_METADATA_DISABLED", "TRUE")]).unwrap(),
            None
        );
        let own = with(&[("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1/")]);
        assert_eq!(own.unwrap().unwrap(), "http://127.0.0.1:1");
    }

    #[test]
    fn the_environment_sets_the_limits() {
        let with = |name: &'static str, value: &'static str| {
            Service::of(&Environment::new(move |other| {
                (other == name).then(|| value.to_owned())
            }))
        };
        let (time, tries) = (
            "AWS_METADATA_SERVICE_TIMEOUT",
            "AWS_METADATA_SERVICE_NUM_ATTEMPTS",
        );
        let sending = with(time, "5").unwrap().unwrap().sending;
        assert_eq!(sending.limit, Duration::from_secs(5));
        assert_eq!(with(tries, "1").unwrap().unwrap().sending.tries, 1);
        for (name, value) in [(time, "0"), (time, "x"), (tries, "99")] {
            let error = with(name, value).unwrap_err();
            assert!(error.message().contains(name), "{error}");
        }
    }
}
