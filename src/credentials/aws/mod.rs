//! AWS: keys from the environment, profiles, roles, logins, containers and instances, and short-term Bedrock keys
//! made from them.

mod bedrock_key;
mod container;
mod imds;
pub(crate) mod ini;
mod keys;
mod login;
mod partition;
mod process;
mod profile;
mod settings;
mod sha1;
mod sso;
pub(crate) mod sts;

use super::{
    Credentials, Environment, Fetcher, Token,
    errors::{config, missing},
    form::encoded,
};
use crate::{
    Error, ErrorKind,
    provider::{AwsCredentials, Signer},
};
use bytes::Bytes;
use http::{HeaderValue, Request};
use ini::Profiles;
use serde_json::json;
use std::time::SystemTime;
use sts::Role;

/// # AWS
impl Environment {
    /// Returns keys from the same sources as other AWS programs: `AWS_ACCESS_KEY_ID` and related variables; the role
    /// in `AWS_WEB_IDENTITY_TOKEN_FILE`, unless `AWS_PROFILE` names a profile; the profile, with all its kinds of
    /// sources; a container of ECS or EKS; an EC2 instance.
    ///
    /// The configuration determines the source. If a configured source fails, that is an error: a request is never
    /// signed by an identity that its environment does not name. Only the instance is detected by a request, which
    /// `AWS_EC2_METADATA_DISABLED` disables.
    #[must_use]
    pub fn aws(&self) -> Credentials {
        self.aws_source("aws", |io, environment| async move {
            chain(&io, &environment).await
        })
    }

    /// Returns keys of a profile in `~/.aws/config` and `~/.aws/credentials`.
    #[must_use]
    pub fn aws_profile(&self, name: impl Into<String>) -> Credentials {
        let name = name.into();
        let shown = format!("aws profile {}", name.escape_debug());
        self.aws_source(shown, move |io, environment| {
            let name = name.clone();
            async move { profile::fetch(&io, &environment, &name).await }
        })
    }

    /// Returns keys of a role for the token in a file, such as that of a Kubernetes service account or of a CI job.
    /// The region is `AWS_REGION`.
    #[must_use]
    pub fn aws_web_identity(
        &self,
        role_arn: impl Into<String>,
        token_file: impl Into<String>,
    ) -> Credentials {
        let (arn, file) = (role_arn.into(), token_file.into());
        self.aws_source("aws web identity", move |io, environment| {
            let (role, file) = (
                Role {
                    arn: arn.clone(),
                    ..Role::default()
                },
                file.clone(),
            );
            async move {
                sts::web_identity(&io, &environment, region(&environment)?, &role, &file).await
            }
        })
    }

    /// Returns keys of a role that is assumed with other keys. The region is `AWS_REGION`.
    #[must_use]
    pub fn aws_assume_role(&self, keys: &Credentials, role_arn: impl Into<String>) -> Credentials {
        let (keys, arn) = (keys.clone(), role_arn.into());
        self.aws_source("aws assume role", move |io, environment| {
            let role = Role {
                arn: arn.clone(),
                ..Role::default()
            };
            let keys = keys.clone();
            async move {
                let token = keys.fetch_for(&io).await?;
                let keys = token
                    .as_aws()
                    .ok_or_else(|| config("a role needs AWS keys to assume it with"))?;
                sts::assume_role(&io, &environment, region(&environment)?, &role, keys).await
            }
        })
    }

    /// Returns keys of the ECS or EKS container (Pod Identity) in which the process runs.
    #[must_use]
    pub fn aws_container(&self) -> Credentials {
        self.aws_source("aws container", |io, environment| async move {
            container::fetch(&io, &environment).await
        })
    }

    /// Returns keys of the role of the EC2 instance on which the process runs, by IMDSv2.
    #[must_use]
    pub fn aws_instance(&self) -> Credentials {
        self.aws_source("aws instance metadata", |io, environment| async move {
            imds::fetch(&io, &environment).await
        })
    }

    /// Returns a short-term Bedrock API key, made from other keys without a request: a bearer token for Bedrock's
    /// OpenAI-compatible endpoints in one region.
    #[must_use]
    pub fn aws_bedrock_key(&self, keys: &Credentials, region: impl Into<String>) -> Credentials {
        let (keys, region) = (keys.clone(), region.into());
        self.aws_source("aws bedrock short-term key", move |io, _| {
            let (keys, region) = (keys.clone(), region.clone());
            async move {
                let token = keys.fetch_for(&io).await?;
                bedrock_key::token(&token, &region, io.wall_clock())
            }
        })
    }

    /// Returns JWTs that name the identity of AWS keys, issued by STS: for a [`Federation`](super::Federation) with
    /// another provider. `audience` is the name for which that provider accepts them. The region is `AWS_REGION`. The
    /// account must have outbound web identity federation enabled.
    #[must_use]
    pub fn aws_identity_token(
        &self,
        keys: &Credentials,
        audience: impl Into<String>,
    ) -> Credentials {
        let (keys, audience) = (keys.clone(), audience.into());
        self.aws_source("aws identity token", move |io, environment| {
            let (keys, audience) = (keys.clone(), audience.clone());
            async move {
                let token = keys.fetch_for(&io).await?;
                let keys = token
                    .as_aws()
                    .ok_or_else(|| config("a token for an identity of AWS needs AWS keys"))?;
                sts::identity_token(&io, &environment, region(&environment)?, &audience, keys).await
            }
        })
    }

    fn aws_source<F>(
        &self,
        name: impl Into<String>,
        source: impl Fn(Fetcher, Environment) -> F + Send + Sync + 'static,
    ) -> Credentials
    where
        F: Future<Output = Result<Token, Error>> + Send + 'static,
    {
        let environment = self.clone();
        // A renewed login changes its refresh token, so two renewals must not overlap.
        Credentials::from_async(name, move |io| source(io, environment.clone())).exclusive()
    }
}

pub(super) async fn chain(io: &Fetcher, environment: &Environment) -> Result<Token, Error> {
    if let Some(token) = keys_of_environment(environment)? {
        return Ok(token);
    }
    let (name, is_named) = profile::name_of(environment);
    let profiles = profile::load(io, environment).await?;
    let environment = &settings::with_profile(environment, &profiles, &name);
    let (file, arn) = (
        environment.get("AWS_WEB_IDENTITY_TOKEN_FILE"),
        environment.get("AWS_ROLE_ARN"),
    );
    if let (Some(file), false) = (file, is_named) {
        let role = Role {
            arn: arn
                .ok_or_else(|| {
                    config("AWS_WEB_IDENTITY_TOKEN_FILE is set, but AWS_ROLE_ARN is not")
                })?
                .to_owned(),
            session_name: environment.get("AWS_ROLE_SESSION_NAME").map(str::to_owned),
            ..Role::default()
        };
        return sts::web_identity(io, environment, region(environment)?, &role, file).await;
    }
    match profile::fetch_of(io, environment, &profiles, &name).await {
        // A missing default profile, or one with only a region, counts as none.
        Err(error) if !is_named && error.code() == Some("credentials_missing") => {}
        result => return result,
    }
    if container::is_configured(environment) {
        return container::fetch(io, environment).await;
    }
    imds::fetch(io, environment).await.map_err(|error| {
        let looked_at =
            "no keys in the environment, no profile, no container, and of the instance: ";
        missing_or(error, looked_at)
    })
}

fn missing_or(error: Error, before: &str) -> Error {
    let message = [before, error.message()].concat();
    match error.code() {
        Some("credentials_missing" | "credentials_unreachable") => missing(message),
        _ => error,
    }
}

fn keys_of_environment(environment: &Environment) -> Result<Option<Token>, Error> {
    const ID: &str = "AWS_ACCESS_KEY_ID";
    const SECRET: &str = "AWS_SECRET_ACCESS_KEY";
    match (environment.get(ID), environment.get(SECRET)) {
        (None, None) => Ok(None),
        (Some(id), Some(secret)) => {
            let token = environment.get("AWS_SESSION_TOKEN").map(str::to_owned);
            let keys =
                AwsCredentials::new(id, secret, token).map_err(|error| config(error.message()))?;
            Ok(Some(Token::aws(keys).never_expires()))
        }
        (Some(_), None) => Err(config(format!("{ID} is set, but {SECRET} is not"))),
        (None, Some(_)) => Err(config(format!("{SECRET} is set, but {ID} is not"))),
    }
}

fn region(environment: &Environment) -> Result<&str, Error> {
    environment
        .get("AWS_REGION")
        .or_else(|| environment.get("AWS_DEFAULT_REGION"))
        .ok_or_else(|| config("a role needs a region: set AWS_REGION"))
}

/// The region of the instance on which the process runs.
pub(super) async fn instance_region(
    io: &Fetcher,
    environment: &Environment,
) -> Result<String, Error> {
    imds::region(io, environment).await
}

/// A signed request for the identity of these keys, as the JSON that Google's token service accepts instead of a
/// token.
pub(super) fn caller_identity(
    keys: &AwsCredentials,
    region: &str,
    url: &str,
    audience: &str,
    wall: SystemTime,
) -> Result<String, Error> {
    let wrong = || config("`regional_cred_verification_url` is not an address");
    let mut request = Request::post(url).body(Bytes::new()).map_err(|_| wrong())?;
    let host = request.uri().host().ok_or_else(wrong)?.to_owned();
    let target = HeaderValue::from_str(audience).map_err(|_| wrong())?;
    request
        .headers_mut()
        .insert("x-goog-cloud-target-resource", target);
    Signer::new(keys.clone(), region, "sts")?.apply(&mut request, wall)?;
    let text = |name: &str| request.headers().get(name)?.to_str().ok();
    let header = |(name, value): (&str, &str)| json!({ "key": name, "value": value });
    let names = [
        "x-amz-date",
        "x-amz-security-token",
        "x-goog-cloud-target-resource",
    ];
    let mut headers = vec![
        header(("Authorization", text("authorization").unwrap_or_default())),
        header(("host", &host)),
    ];
    headers.extend(
        names
            .into_iter()
            .filter_map(|name| Some(header((name, text(name)?)))),
    );
    // Google's own library writes the fields in this order.
    let text = json!({ "headers": headers, "method": "POST", "url": url }).to_string();
    Ok(encoded(&text))
}

/// The AWS settings that are known without a request.
pub(crate) struct AwsSettings {
    profiles: Profiles,
    pub(crate) profile: String,
    /// Whether a source other than the profile names keys.
    is_named: bool,
    variables: Environment,
    /// The variables with the settings of the profile.
    environment: Environment,
}

impl AwsSettings {
    /// `file` returns `None` for a file that does not exist.
    pub(crate) fn read(
        environment: &Environment,
        file: impl Fn(&str) -> Option<String>,
    ) -> Result<AwsSettings, Error> {
        let profiles = profile::read(environment, &file)?;
        let (name, is_chosen) = profile::name_of(environment);
        let variables = environment.clone();
        let environment = settings::with_profile(&variables, &profiles, &name);
        let is_named = environment.get("AWS_ACCESS_KEY_ID").is_some()
            || environment.get("AWS_SECRET_ACCESS_KEY").is_some()
            || (environment.get("AWS_WEB_IDENTITY_TOKEN_FILE").is_some() && !is_chosen)
            || container::is_configured(&environment)
            || (imds::Service::of(&environment)?.is_some() && is_instance(&environment, &file));
        Ok(AwsSettings {
            profiles,
            profile: name,
            is_named,
            variables,
            environment,
        })
    }

    /// The value of a variable, or of the setting of the profile that it corresponds to, and where that is.
    pub(crate) fn place_of(&self, name: &'static str) -> Option<(&str, String)> {
        let value = self.environment.get(name)?;
        let place = match self.variables.get(name) {
            Some(_) => name.to_owned(),
            None => format!(
                "{name}, which the profile `{}` sets",
                self.profile.escape_debug()
            ),
        };
        Some((value, place))
    }

    pub(crate) fn is_true(&self, name: &str) -> bool {
        self.environment.is_true(name)
    }

    /// Whether the environment or the files name a source of keys.
    pub(crate) fn source(&self) -> Result<bool, Error> {
        if self.is_named {
            return Ok(true);
        }
        match profile::Plan::of(&self.profiles, &self.profile) {
            Ok(_) => Ok(true),
            Err(error) if error.code() == Some("credentials_missing") => Ok(false),
            Err(error) => Err(Error::new(ErrorKind::InvalidRequest, error.message())),
        }
    }

    pub(crate) fn region(&self) -> Option<&str> {
        let region = self.profiles.profile(&self.profile)?.get("region")?;
        (!region.is_empty()).then_some(region)
    }
}

/// Whether this is an EC2 instance, as far as is known without a request to its metadata service: on other machines
/// that would only time out.
fn is_instance(environment: &Environment, file: &dyn Fn(&str) -> Option<String>) -> bool {
    if environment
        .get("AWS_EC2_METADATA_SERVICE_ENDPOINT")
        .is_some()
        || environment
            .get("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE")
            .is_some()
    {
        return true;
    }
    [
        "/sys/class/dmi/id/sys_vendor",
        "/sys/class/dmi/id/board_vendor",
    ]
    .iter()
    .filter_map(|path| file(path))
    .any(|text| text.trim_start().starts_with("Amazon EC2"))
        || file("/sys/hypervisor/uuid").is_some_and(|text| {
            text.get(..3)
                .is_some_and(|start| start.eq_ignore_ascii_case("ec2"))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn an_identity_is_signed_as_googles_library_signs_it() {
        let keys = AwsCredentials::new(
            "ASIAEXAMPLEEXAMPLE00",
            "exampleSecretExampleSecretExampleSecret0",
            Some("exampleSessionToken/abc+def==".to_owned()),
        )
        .unwrap();
        let audience = "//iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/aws-pool/providers/aws-1";
        let url = "https://sts.eu-west-1.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15";
        let wall = UNIX_EPOCH + Duration::from_secs(1_795_953_600);
        let text = caller_identity(&keys, "eu-west-1", url, audience, wall).unwrap();
        for part in [
            "e6cbc816b60168aec78b8425751c37392e1f2ff8bac25063b030a12eb6a1f4f1",
            "%7B%22headers%22%3A%5B%7B%22key%22%3A%22Authorization%22%2C%22value%22%3A%22AWS4-HMAC-SHA256%20",
            "SignedHeaders%3Dhost%3Bx-amz-date%3Bx-amz-security-token%3Bx-goog-cloud-target-resource",
            "%22method%22%3A%22POST%22%2C%22url%22%3A%22https%3A%2F%2Fsts.eu-west-1.amazonaws.com%3FAction%3D",
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
    }
}
