//! Workload identity federation: exchanges a token of another identity provider for one of Google.

use super::{IAM_SCOPE, check_host, impersonate, member, sending, token_or_error, universe};
use crate::{
    Error,
    credentials::{
        Environment, Fetcher, ProcessCommand, Supply, Token,
        errors::{config, excerpt, refused, unreachable},
        form::Form,
        wire::{self, SecretJson},
    },
};
use http::{HeaderName, header::AUTHORIZATION};
use serde_json::Value;
use std::{
    path::Path,
    time::{Duration, UNIX_EPOCH},
};
use zeroize::Zeroizing;

const ALLOW_EXECUTABLES: &str = "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES";
const MAX_OUTPUT_BYTES: usize = 64 * 1024;

pub(super) async fn fetch(
    io: &Fetcher,
    environment: &Environment,
    path: &str,
    json: &SecretJson,
    scope: &str,
) -> Result<Token, Error> {
    let universe = universe(json);
    let own = format!("https://sts.{universe}/v1/token");
    let url = json.text("token_url").unwrap_or(&own);
    check_host(url, universe, "token_url")?;
    let kind = member(json, path, "subject_token_type")?;
    let subject = subject_token(io, environment, path, json).await?;
    io.hide(&subject);
    let audience = member(json, path, "audience")?;
    let impersonates = json.text("service_account_impersonation_url").is_some();
    let scope = if impersonates { IAM_SCOPE } else { scope };
    let form = Form::new()
        .field(
            "grant_type",
            "urn:ietf:params:oauth:grant-type:token-exchange",
        )
        .field("audience", audience)
        .field("scope", scope)
        .field(
            "requested_token_type",
            "urn:ietf:params:oauth:token-type:access_token",
        )
        .field("subject_token", &subject)
        .field("subject_token_type", kind);
    let client = json.text("client_id");
    let options = match (json.text("workforce_pool_user_project"), client) {
        (Some(project), None) => Some(serde_json::json!({ "userProject": project }).to_string()),
        _ => None,
    };
    let mut request = wire::post_form(url, form.optional("options", options.as_deref()))?;
    if let Some(client) = client {
        let secret = json.text("client_secret").unwrap_or_default();
        io.hide(secret);
        wire::secret_header(&mut request, AUTHORIZATION, &wire::basic(client, secret))?;
    }
    let host = wire::host_of(&request);
    let response = io.send_with(request, sending()).await?;
    let token = token_or_error(&host, &response, None)?;
    match impersonates {
        true => impersonate(io, json, &token, universe).await,
        false => Ok(token),
    }
}

async fn subject_token(
    io: &Fetcher,
    environment: &Environment,
    path: &str,
    json: &SecretJson,
) -> Result<Zeroizing<String>, Error> {
    let source = json
        .get("credential_source")
        .cloned()
        .ok_or_else(|| config(format!("{path} has no `credential_source`")))?;
    let source = SecretJson::of(source);
    let kinds = ["file", "url", "executable", "environment_id", "certificate"];
    let has = |name: &str| source.get(name).is_some();
    // A source for AWS has a `url` too.
    let kind = match has("environment_id") {
        true => "environment_id",
        false => {
            let mut found = kinds.into_iter().filter(|name| has(name));
            match (found.next(), found.next()) {
                (Some(kind), None) => kind,
                _ => {
                    return Err(config(format!(
                        "the `credential_source` in {path} must have exactly one of `file`, `url`, `executable`, `environment_id`"
                    )));
                }
            }
        }
    };
    match kind {
        "file" => {
            let file = member(&source, path, "file")?;
            let content = io.read_file(file).await?;
            formatted(&source, &content, file)
        }
        "url" => {
            let url = member(&source, path, "url")?;
            let mut request = wire::get(url)?;
            let headers = source.get("headers").and_then(Value::as_object);
            for (name, value) in headers.into_iter().flatten() {
                let name: HeaderName = name.parse().map_err(|_| {
                    config(format!("a header of the `url` in {path} has no good name"))
                })?;
                let value = value.as_str().unwrap_or_default();
                wire::secret_header(&mut request, name, value)?;
            }
            let host = wire::host_of(&request);
            let response = io.send(request).await?;
            match response.status().as_u16() {
                200 => formatted(&source, response.body(), &host),
                status @ (408 | 425 | 429 | 500..) => {
                    Err(unreachable(format!("{host} answered with status {status}")))
                }
                status => Err(refused(format!("{host} answered with status {status}"))),
            }
        }
        "executable" => executable(io, environment, path, json, &source).await,
        "environment_id" => aws(io, environment, path, json, &source).await,
        _ => Err(config(format!(
            "the `credential_source` in {path} is a certificate, which is not supported"
        ))),
    }
}

/// The token in a text, or in a field of a JSON object.
fn formatted(source: &SecretJson, content: &[u8], place: &str) -> Result<Zeroizing<String>, Error> {
    let format = source.get("format");
    let text = |name: &str| {
        format
            .and_then(|format| format.get(name))
            .and_then(Value::as_str)
    };
    let token = match text("type") {
        Some("json") => {
            let name = text("subject_token_field_name")
                .ok_or_else(|| config("`format` has no `subject_token_field_name`"))?;
            let json = SecretJson::parse(content)
                .ok_or_else(|| config(format!("{place} is not a JSON object")))?;
            json.text(name).map(str::to_owned)
        }
        None | Some("text") => std::str::from_utf8(content).ok().map(str::to_owned),
        Some(other) => return Err(config(format!("`format` is `{}`", excerpt(other)))),
    };
    match token
        .as_deref()
        .map(str::trim)
        .filter(|token| !token.is_empty())
    {
        Some(token) => Ok(Zeroizing::new(token.to_owned())),
        None => Err(config(format!("there is no token in {place}"))),
    }
}

async fn executable(
    io: &Fetcher,
    environment: &Environment,
    path: &str,
    json: &SecretJson,
    source: &SecretJson,
) -> Result<Zeroizing<String>, Error> {
    if environment.get(ALLOW_EXECUTABLES) != Some("1") {
        return Err(config(format!(
            "{path} wants to run a program, which is done only with {ALLOW_EXECUTABLES}=1"
        )));
    }
    let options = source.get("executable").cloned().unwrap_or(Value::Null);
    let options = SecretJson::of(options);
    let line = member(&options, path, "command")?;
    io.hide(line);
    let limit = options.number("timeout_millis").unwrap_or(30_000);
    if !(5000..=120_000).contains(&limit) {
        return Err(config(format!(
            "`timeout_millis` in {path} must be 5000 to 120000"
        )));
    }
    if let Some(file) = options.text("output_file") {
        if let Some(content) = io.try_read_file(Path::new(file)).await? {
            let now = io
                .wall_clock()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default();
            let cached = SecretJson::parse(&content);
            let end = cached
                .as_ref()
                .and_then(|cached| cached.number("expiration_time"));
            if let (Some(cached), true) = (&cached, end.is_some_and(|end| end > now.as_secs())) {
                return printed_token(cached);
            }
        }
    }
    let variable = |name: &str, value: &str| {
        (
            ["GOOGLE_EXTERNAL_ACCOUNT_", name].concat(),
            value.to_owned(),
        )
    };
    let mut variables = vec![
        variable("AUDIENCE", member(json, path, "audience")?),
        variable("TOKEN_TYPE", member(json, path, "subject_token_type")?),
        variable("INTERACTIVE", "0"),
    ];
    let email = json
        .text("service_account_impersonation_url")
        .and_then(|url| url.rsplit('/').next()?.split(':').next());
    variables.extend(email.map(|email| variable("IMPERSONATED_EMAIL", email)));
    variables.extend(
        options
            .text("output_file")
            .map(|file| variable("OUTPUT_FILE", file)),
    );
    let supply = Supply::RunProcess {
        command: ProcessCommand::Shell(line.to_owned()),
        environment: variables,
        directory: None,
        max_bytes: MAX_OUTPUT_BYTES,
    };
    let output = io.supply(supply, Duration::from_millis(limit)).await?;
    let output = output.map_err(|error| {
        refused(format!(
            "the program failed: {}",
            excerpt(&error.to_string())
        ))
    })?;
    let printed = SecretJson::parse(&output)
        .ok_or_else(|| config("the program printed something else than a JSON object"))?;
    printed_token(&printed)
}

fn printed_token(printed: &SecretJson) -> Result<Zeroizing<String>, Error> {
    let is_success = printed.get("success").and_then(Value::as_bool) == Some(true);
    if !is_success {
        return Err(refused(format!(
            "the program said {}: {}",
            excerpt(printed.text("code").unwrap_or("no code")),
            excerpt(printed.text("message").unwrap_or_default())
        )));
    }
    let token = printed
        .text("id_token")
        .or_else(|| printed.text("saml_response"));
    let token = token.ok_or_else(|| config("the program printed no token"))?;
    Ok(Zeroizing::new(token.to_owned()))
}

#[cfg(not(feature = "bedrock"))]
async fn aws(
    _: &Fetcher,
    _: &Environment,
    path: &str,
    _: &SecretJson,
    _: &SecretJson,
) -> Result<Zeroizing<String>, Error> {
    Err(config(format!(
        "{path} is for AWS, which is in the feature `bedrock` of the crate `unifiedai`: add it to `features` in Cargo.toml"
    )))
}

/// A signed request that Google sends to AWS to identify the caller. Its keys come from the sources of other AWS
/// programs.
#[cfg(feature = "bedrock")]
async fn aws(
    io: &Fetcher,
    environment: &Environment,
    path: &str,
    json: &SecretJson,
    source: &SecretJson,
) -> Result<Zeroizing<String>, Error> {
    use crate::credentials::aws;
    if source.text("environment_id") != Some("aws1") {
        return Err(config(format!("`environment_id` in {path} must be `aws1`")));
    }
    let keys = aws::chain(io, environment).await?;
    let keys = keys.as_aws().ok_or_else(|| config("AWS gave no keys"))?;
    let region = match environment
        .get("AWS_REGION")
        .or_else(|| environment.get("AWS_DEFAULT_REGION"))
    {
        Some(region) => region.to_owned(),
        None => aws::instance_region(io, environment).await?,
    };
    let url = member(source, path, "regional_cred_verification_url")?.replace("{region}", &region);
    aws::caller_identity(
        keys,
        &region,
        &url,
        member(json, path, "audience")?,
        io.wall_clock(),
    )
    .map(Zeroizing::new)
}
