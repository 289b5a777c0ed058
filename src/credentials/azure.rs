//! Azure: Entra ID with a client secret, a workload's token, a managed identity, or the programs `az` and `azd`.

mod cli;
mod managed;

use super::{
    Credentials, Environment, Fetcher, Token,
    errors::{config, excerpt, missing, refused},
    fetcher::Sending,
    form::Form,
    wire::{self, OAuthError, SecretJson},
};
use crate::Error;
use std::{
    path::Path,
    time::{Duration, UNIX_EPOCH},
};

const TENANT: &str = "AZURE_TENANT_ID";
const CLIENT: &str = "AZURE_CLIENT_ID";
const SECRET: &str = "AZURE_CLIENT_SECRET";
const TOKEN_FILE: &str = "AZURE_FEDERATED_TOKEN_FILE";
const AUTHORITY: &str = "AZURE_AUTHORITY_HOST";
const NARROWED: &str = "AZURE_TOKEN_CREDENTIALS";
const CERTIFICATE: &str = "AZURE_CLIENT_CERTIFICATE_PATH";

/// # Azure
impl Environment {
    /// Returns tokens from the same sources as other programs on Azure: the client secret in `AZURE_CLIENT_SECRET`;
    /// the workload identity in `AZURE_FEDERATED_TOKEN_FILE`; the managed identity of App Service, Functions,
    /// Container Apps, Arc, Azure ML, Cloud Shell or a virtual machine. `AZURE_TOKEN_CREDENTIALS` selects one of
    /// them, or with `dev` the program `az`, or `azd` if `az` is not installed.
    ///
    /// `scope` is the scope of the token; [`azure_scope`](Self::azure_scope) returns that of a host.
    #[must_use]
    pub fn azure(&self, scope: impl Into<String>) -> Credentials {
        self.azure_source("azure", scope.into(), Kind::Chain)
    }

    /// Returns tokens of the managed identity of the machine or service in which the process runs. `AZURE_CLIENT_ID`
    /// selects a user-assigned one.
    #[must_use]
    pub fn azure_managed_identity(&self, scope: impl Into<String>) -> Credentials {
        self.azure_source("azure managed identity", scope.into(), Kind::Managed)
    }

    /// Returns tokens of the user who logged in with `az login`, by running `az`.
    #[must_use]
    pub fn azure_cli(&self, scope: impl Into<String>) -> Credentials {
        self.azure_source("azure cli", scope.into(), Kind::Cli)
    }

    /// Returns tokens of the user who logged in with `azd auth login`, by running `azd`.
    #[must_use]
    pub fn azure_developer_cli(&self, scope: impl Into<String>) -> Credentials {
        self.azure_source("azure developer cli", scope.into(), Kind::DeveloperCli)
    }

    /// Returns the scope for a host of Azure OpenAI or Azure AI Foundry, in the cloud that its name indicates.
    #[must_use]
    pub fn azure_scope(host: &str) -> String {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let service = match host.contains("services.ai.") {
            true => "ai",
            false => "cognitiveservices",
        };
        let cloud = match host.rsplit_once('.') {
            Some((rest, end @ ("us" | "cn"))) if rest.ends_with(".azure") => end,
            _ => "com",
        };
        format!("https://{service}.azure.{cloud}/.default")
    }

    fn azure_source(&self, name: &str, scope: String, kind: Kind) -> Credentials {
        let environment = self.clone();
        Credentials::from_async(name, move |io| {
            let (environment, scope) = (environment.clone(), scope.clone());
            async move { fetch(&io, &environment, &scope, kind).await }
        })
    }

    /// Whether the environment or a file names an Azure source.
    pub(crate) fn has_azure(&self, file: &dyn Fn(&str) -> Option<String>) -> bool {
        let is_set = |name: &&str| self.get(name).is_some();
        [SECRET, TOKEN_FILE, NARROWED, "IDENTITY_ENDPOINT", "MSI_ENDPOINT"].iter().any(is_set)
            // Azure sets this in the firmware of its machines.
            || file("/sys/class/dmi/id/chassis_asset_tag")
                .is_some_and(|tag| tag.trim() == "7783-7084-3265-9085-8269-3286-77")
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Chain,
    Secret,
    Workload,
    Managed,
    Cli,
    DeveloperCli,
    /// `az`, or `azd` if that is not installed.
    EitherCli,
}

/// The source that the environment selects.
fn chosen(environment: &Environment) -> Result<Kind, Error> {
    let is_set = |name: &str| environment.get(name).is_some();
    if let Some(name) = environment.get(NARROWED) {
        return match &*name.to_ascii_lowercase() {
            "dev" => Ok(Kind::EitherCli),
            "azureclicredential" => Ok(Kind::Cli),
            "azuredeveloperclicredential" => Ok(Kind::DeveloperCli),
            "prod" => Ok(by_variables(environment)),
            "environmentcredential" => Ok(Kind::Secret),
            "workloadidentitycredential" => Ok(Kind::Workload),
            "managedidentitycredential" => Ok(Kind::Managed),
            _ => Err(config(format!(
                "{NARROWED} is `{}`: it must be dev, prod, EnvironmentCredential, WorkloadIdentityCredential, ManagedIdentityCredential, AzureCliCredential or AzureDeveloperCliCredential",
                excerpt(name)
            ))),
        };
    }
    if is_set(CERTIFICATE) && !is_set(SECRET) {
        return Err(config(format!(
            "{CERTIFICATE} is set, and certificates are not supported: use {SECRET} or a workload identity"
        )));
    }
    Ok(by_variables(environment))
}

fn by_variables(environment: &Environment) -> Kind {
    let is_set = |name: &str| environment.get(name).is_some();
    match (is_set(SECRET), is_set(TOKEN_FILE)) {
        (true, _) => Kind::Secret,
        (_, true) => Kind::Workload,
        _ => Kind::Managed,
    }
}

async fn fetch(
    io: &Fetcher,
    environment: &Environment,
    scope: &str,
    kind: Kind,
) -> Result<Token, Error> {
    let kind = match kind {
        Kind::Chain => chosen(environment)?,
        kind => kind,
    };
    match kind {
        Kind::Secret => {
            let secret = needed(environment, SECRET)?;
            io.hide(secret);
            let form = Form::new()
                .field("grant_type", "client_credentials")
                .field("client_id", needed(environment, CLIENT)?)
                .field("client_secret", secret)
                .field("scope", scope);
            let (token, _) = ask(io, environment, form).await?;
            token
        }
        Kind::Workload => workload(io, environment, scope).await,
        Kind::Managed | Kind::Chain => managed::fetch(io, environment, scope).await,
        Kind::Cli => cli::az(io, environment, scope).await,
        Kind::DeveloperCli => cli::azd(io, environment, scope).await,
        Kind::EitherCli => match cli::az(io, environment, scope).await {
            Err(error) if error.code() == Some("credentials_missing") => {
                cli::azd(io, environment, scope)
                    .await
                    .map_err(|other| match other.code() {
                        Some("credentials_missing") => {
                            missing("neither the program `az` nor `azd` is installed")
                        }
                        _ => other,
                    })
            }
            result => result,
        },
    }
}

async fn workload(io: &Fetcher, environment: &Environment, scope: &str) -> Result<Token, Error> {
    if environment.get("AZURE_KUBERNETES_TOKEN_PROXY").is_some() {
        return Err(config(
            "AZURE_KUBERNETES_TOKEN_PROXY is set: identity bindings of AKS have a certificate authority of their own, and are not supported",
        ));
    }
    let mut is_second = false;
    loop {
        let assertion = io
            .read_token(Path::new(needed(environment, TOKEN_FILE)?))
            .await?;
        let form = Form::new()
            .field("grant_type", "client_credentials")
            .field("client_id", needed(environment, CLIENT)?)
            .field(
                "client_assertion_type",
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            )
            .field("client_assertion", &assertion)
            .field("scope", scope);
        let (token, is_stale) = ask(io, environment, form).await?;
        // The file may have been replaced since it was read.
        if !is_stale || std::mem::replace(&mut is_second, true) {
            return token;
        }
    }
}

/// The response of the authority, and whether it reports an assertion outside its validity.
async fn ask(
    io: &Fetcher,
    environment: &Environment,
    form: Form,
) -> Result<(Result<Token, Error>, bool), Error> {
    let request = wire::post_form(&token_url(environment)?, form)?;
    let host = wire::host_of(&request);
    let sending = Sending {
        is_transient: |response| {
            !response.status().is_success() && {
                let error = OAuthError::of(response);
                error.is_transient() || error.description.contains("AADSTS50196")
            }
        },
        ..Sending::default()
    };
    let response = io.send_with(request, sending).await?;
    if response.status().is_success() {
        let json = wire::json_of(&host, &response)?;
        let token = wire::token_of(&host, &json)?;
        return Ok((Ok(renewed_as_asked(token, &json)), false));
    }
    let error = OAuthError::of(&response);
    let says = |code: &str| error.description.contains(code);
    let is_stale = says("AADSTS700024");
    let is_config = ["AADSTS700016", "AADSTS90002", "AADSTS500011", "AADSTS65001"]
        .iter()
        .any(|code| says(code));
    let is_late = ["AADSTS70021", "AADSTS700211", "AADSTS700213"]
        .iter()
        .any(|code| says(code));
    let message = error.message(&host);
    let error = match (is_config, is_late) {
        (true, _) => config(message),
        (_, true) => refused(format!(
            "{message} (a new federated identity counts after some minutes)"
        )),
        _ => error.into_error(&host),
    };
    Ok((Err(error), is_stale))
}

/// A token that is renewed after `refresh_in`, if the response has that.
fn renewed_as_asked(token: Token, json: &SecretJson) -> Token {
    match json.number("refresh_in").zip(json.number("expires_in")) {
        Some((renew, end)) => token.renew_ahead(Duration::from_secs(end.saturating_sub(renew))),
        None => token,
    }
}

fn token_url(environment: &Environment) -> Result<String, Error> {
    let tenant = needed(environment, TENANT)?;
    let is_tenant = tenant
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.');
    if !is_tenant {
        return Err(config(format!(
            "{TENANT} must have letters, digits, `-` and `.` alone"
        )));
    }
    let authority = environment
        .get(AUTHORITY)
        .unwrap_or("https://login.microsoftonline.com");
    let authority = authority.trim_end_matches('/');
    let scheme = match authority.contains("://") {
        true => "",
        false => "https://",
    };
    Ok(format!("{scheme}{authority}/{tenant}/oauth2/v2.0/token"))
}

fn needed<'a>(environment: &'a Environment, name: &str) -> Result<&'a str, Error> {
    environment
        .get(name)
        .ok_or_else(|| config(format!("{name} is not set")))
}

fn resource(scope: &str) -> &str {
    scope.strip_suffix("/.default").unwrap_or(scope)
}

fn since_1970(seconds: u64) -> Option<std::time::SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_the_scope_of_its_service_and_cloud() {
        for (host, scope) in [
            (
                "x.openai.azure.com",
                "https://cognitiveservices.azure.com/.default",
            ),
            (
                "x.cognitiveservices.azure.com",
                "https://cognitiveservices.azure.com/.default",
            ),
            ("x.services.ai.azure.com", "https://ai.azure.com/.default"),
            (
                "x.openai.azure.us",
                "https://cognitiveservices.azure.us/.default",
            ),
            ("X.Services.AI.Azure.US.", "https://ai.azure.us/.default"),
            (
                "x.openai.azure.cn",
                "https://cognitiveservices.azure.cn/.default",
            ),
            ("127.0.0.1", "https://cognitiveservices.azure.com/.default"),
        ] {
            assert_eq!(Environment::azure_scope(host), scope, "{host}");
        }
    }

    #[test]
    fn the_environment_names_the_source() {
        let of = |variables: &[(&str, &str)]| {
            chosen(&Environment::new(|name| {
                let found = variables.iter().find(|(other, _)| *other == name);
                found.map(|(_, value)| (*value).to_owned())
            }))
        };
        assert_eq!(of(&[]).unwrap(), Kind::Managed);
        assert_eq!(
            of(&[(SECRET, "s"), (TOKEN_FILE, "f")]).unwrap(),
            Kind::Secret
        );
        assert_eq!(of(&[(TOKEN_FILE, "f")]).unwrap(), Kind::Workload);
        assert_eq!(
            of(&[(TOKEN_FILE, "f"), (NARROWED, "Dev")]).unwrap(),
            Kind::EitherCli
        );
        assert_eq!(
            of(&[(NARROWED, "AzureDeveloperCliCredential")]).unwrap(),
            Kind::DeveloperCli
        );
        assert_eq!(
            of(&[(SECRET, "s"), (NARROWED, "ManagedIdentityCredential")]).unwrap(),
            Kind::Managed
        );
        assert!(of(&[(NARROWED, "moon")]).is_err());
        assert!(
            of(&[(CERTIFICATE, "c")])
                .unwrap_err()
                .message()
                .contains(CERTIFICATE)
        );
    }

    #[test]
    fn the_authority_is_that_of_the_cloud() {
        let of = |variables: &[(&str, &str)]| {
            token_url(&Environment::new(|name| {
                let found = variables.iter().find(|(other, _)| *other == name);
                found.map(|(_, value)| (*value).to_owned())
            }))
        };
        assert_eq!(
            of(&[(TENANT, "t")]).unwrap(),
            "https://login.microsoftonline.com/t/oauth2/v2.0/token"
        );
        assert_eq!(
            of(&[(TENANT, "t"), (AUTHORITY, "login.microsoftonline.us/")]).unwrap(),
            "https://login.microsoftonline.us/t/oauth2/v2.0/token"
        );
        assert!(of(&[(TENANT, "t/../x")]).is_err());
        assert!(of(&[]).is_err());
    }
}
