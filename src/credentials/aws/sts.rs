//! AWS STS: the two actions that issue the keys of a role.

use super::partition;
use crate::{
    Error,
    codec::rfc3339::rfc3339,
    credentials::{
        Environment, Fetcher, Token,
        errors::{config, excerpt, login, refused, unreachable},
        fetcher::Sending,
        form::Form,
        wire,
    },
    provider::{AwsCredentials, Signer},
    sans_io::{clock_skew, shifted},
};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, header::CONTENT_TYPE};
use std::time::{SystemTime, UNIX_EPOCH};

const VERSION: &str = "2011-06-15";

/// A role to assume.
#[derive(Clone, Debug, Default)]
pub(super) struct Role {
    pub(super) arn: String,
    pub(super) session_name: Option<String>,
    pub(super) external_id: Option<String>,
    pub(super) duration_seconds: Option<String>,
}

/// The keys of a role for a token of an identity provider. The request is not signed.
pub(super) async fn web_identity(
    io: &Fetcher,
    environment: &Environment,
    region: &str,
    role: &Role,
    token_file: &str,
) -> Result<Token, Error> {
    let endpoint = partition::sts(environment, region)?;
    let mut is_second = false;
    loop {
        let token = io.read_token(token_file.as_ref()).await?;
        let form = role.form("AssumeRoleWithWebIdentity", io.wall_clock())?;
        // In the body, because queries are often logged.
        let form = form.field("WebIdentityToken", &token);
        let request = wire::post_form(&endpoint.url, role.rest(form))?;
        let host = wire::host_of(&request);
        let response = io.send_with(request, sending()).await?;
        if response.status().is_success() {
            return keys(&host, &response);
        }
        let error = StsError::of(&response);
        // The file may have been replaced since it was read.
        if error.code != "ExpiredTokenException" || std::mem::replace(&mut is_second, true) {
            return Err(error.into_error(&host, response.status().as_u16()));
        }
    }
}

/// The keys of a role for other keys.
pub(super) async fn assume_role(
    io: &Fetcher,
    environment: &Environment,
    region: &str,
    role: &Role,
    keys_before: &AwsCredentials,
) -> Result<Token, Error> {
    let form = role.rest(role.form("AssumeRole", io.wall_clock())?);
    let (host, response) = ask(io, environment, region, keys_before, form).await?;
    keys(&host, &response)
}

/// A token that names the identity of these keys, for another provider.
pub(super) async fn identity_token(
    io: &Fetcher,
    environment: &Environment,
    region: &str,
    audience: &str,
    keys: &AwsCredentials,
) -> Result<Token, Error> {
    let form = Form::new()
        .field("Action", "GetWebIdentityToken")
        .field("Version", VERSION)
        .field("Audience.member.1", audience)
        .field("SigningAlgorithm", "RS256");
    let (host, response) = ask(io, environment, region, keys, form).await?;
    let incomplete = || unreachable(format!("{host} answered without a token"));
    let xml = std::str::from_utf8(response.body()).map_err(|_| incomplete())?;
    let text = |name: &str| element(xml, name).map(unescaped).ok_or_else(incomplete);
    let token = zeroize::Zeroizing::new(text("WebIdentityToken")?);
    let end = rfc3339(&text("Expiration")?).ok_or_else(incomplete)?;
    Ok(Token::bearer(wire::secret(&host, &token)?).expires_at(end))
}

/// The host and the success of a signed request.
async fn ask(
    io: &Fetcher,
    environment: &Environment,
    region: &str,
    keys: &AwsCredentials,
    form: Form,
) -> Result<(String, Response<Bytes>), Error> {
    let endpoint = partition::sts(environment, region)?;
    let signer = Signer::new(keys.clone(), endpoint.region, "sts")?;
    let mut unsigned = wire::post_form(&endpoint.url, form)?;
    unsigned.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/x-www-form-urlencoded; charset=utf-8"),
    );
    let host = wire::host_of(&unsigned);
    let response = send_signed(io, &signer, unsigned).await?;
    match response.status().is_success() {
        true => Ok((host, response)),
        false => Err(StsError::of(&response).into_error(&host, response.status().as_u16())),
    }
}

/// Signs and sends a request; again with the server's time if the signature was refused and the local clock is wrong.
pub(crate) async fn send_signed(
    io: &Fetcher,
    signer: &Signer,
    unsigned: Request<Bytes>,
) -> Result<Response<Bytes>, Error> {
    let mut skew = 0_i64;
    loop {
        let mut request = unsigned.clone();
        let hidden = signer.apply(&mut request, shifted(io.wall_clock(), skew))?;
        io.hide(hidden.expose());
        let response = io.send_with(request, sending()).await?;
        if skew == 0 && response.status().as_u16() == 403 {
            let code = StsError::of(&response).code;
            let learned = clock_skew(response.headers(), io.wall_clock());
            if let ("SignatureDoesNotMatch" | "RequestExpired", Some(learned)) = (&*code, learned) {
                skew = learned;
                continue;
            }
        }
        return Ok(response);
    }
}

fn sending() -> Sending {
    Sending {
        is_transient: |response| {
            let status = response.status();
            !status.is_success() && StsError::of(response).is_transient()
        },
        ..Sending::default()
    }
}

impl Role {
    fn form(&self, action: &str, wall: SystemTime) -> Result<Form, Error> {
        let seconds = wall
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        let own = format!("unifiedai-{seconds}");
        let name = self.session_name.as_deref().unwrap_or(&own);
        let is_name = (2..=64).contains(&name.len())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte));
        if !is_name {
            return Err(config(format!(
                "the session name `{}` must have 2 to 64 letters, digits or `_+=,.@-`",
                excerpt(name)
            )));
        }
        Ok(Form::new()
            .field("Action", action)
            .field("Version", VERSION)
            .field("RoleArn", &self.arn)
            .field("RoleSessionName", name))
    }

    fn rest(&self, form: Form) -> Form {
        form.optional("DurationSeconds", self.duration_seconds.as_deref())
            .optional("ExternalId", self.external_id.as_deref())
    }
}

/// The keys in a success.
fn keys(host: &str, response: &Response<Bytes>) -> Result<Token, Error> {
    let incomplete = || unreachable(format!("{host} answered without keys"));
    let xml = std::str::from_utf8(response.body()).map_err(|_| incomplete())?;
    let xml = zeroize::Zeroizing::new(
        element(xml, "Credentials")
            .ok_or_else(incomplete)?
            .to_owned(),
    );
    let text = |name: &str| element(&xml, name).map(unescaped).ok_or_else(incomplete);
    let (key, secret) = (text("AccessKeyId")?, text("SecretAccessKey")?);
    let keys = AwsCredentials::new(key, secret, Some(text("SessionToken")?))
        .map_err(|error| refused(format!("{host}: {}", error.message())))?;
    let end = rfc3339(&text("Expiration")?).ok_or_else(incomplete)?;
    Ok(Token::aws(keys).expires_at(end))
}

struct StsError {
    code: String,
    message: String,
}

impl StsError {
    fn of(response: &Response<Bytes>) -> StsError {
        let xml = std::str::from_utf8(response.body()).unwrap_or_default();
        let text = |name: &str| element(xml, name).map(|text| excerpt(&unescaped(text)));
        StsError {
            code: text("Code").unwrap_or_default(),
            message: text("Message").unwrap_or_default(),
        }
    }

    fn is_transient(&self) -> bool {
        const TRANSIENT: [&str; 6] = [
            "IDPCommunicationError",
            "Throttling",
            "ThrottlingException",
            "RequestLimitExceeded",
            "RequestThrottled",
            "ServiceUnavailable",
        ];
        TRANSIENT.contains(&&*self.code)
            || (self.code == "InvalidIdentityToken"
                && self.message.contains("retrieve verification key"))
    }

    fn into_error(self, host: &str, status: u16) -> Error {
        let message = format!(
            "{host} answered with status {status}: {}: {}",
            self.code, self.message
        );
        match &*self.code {
            _ if self.is_transient() || matches!(status, 408 | 425 | 429 | 500..) => {
                unreachable(message)
            }
            "MalformedPolicyDocument" | "PackedPolicyTooLarge" | "ValidationError" => {
                config(message)
            }
            "OutboundWebIdentityFederationDisabled"
            | "OutboundWebIdentityFederationDisabledException" => config(format!(
                "{message} (outbound web identity federation is not enabled for the account)"
            )),
            "RegionDisabledException" => {
                config(format!("{message} (STS is switched off in this region)"))
            }
            "ExpiredToken" => login(format!(
                "{message} (log in again, for example with `aws sso login`)"
            )),
            _ => refused(message),
        }
    }
}

/// The text of the first element with this name. Elements in STS responses have no attributes, and are not nested in
/// one of the same name.
fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&*format!("<{name}>"))?;
    let (text, _) = rest.split_once(&*format!("</{name}>"))?;
    Some(text.trim())
}

fn unescaped(text: &str) -> String {
    if !text.contains('&') {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let decoded = after.split_once(';').and_then(|(name, rest)| {
            let number = match name.strip_prefix("#x") {
                Some(hex) => u32::from_str_radix(hex, 16).ok(),
                None => name
                    .strip_prefix('#')
                    .and_then(|number| number.parse().ok()),
            };
            let character = match name {
                "amp" => '&',
                "lt" => '<',
                "gt" => '>',
                "quot" => '"',
                "apos" => '\'',
                _ => char::from_u32(number?)?,
            };
            Some((character, rest))
        });
        rest = match decoded {
            Some((character, rest)) => {
                out.push(character);
                rest
            }
            None => {
                out.push('&');
                after
            }
        };
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_request_is_that_of_botocore() {
        let wall = UNIX_EPOCH + Duration::from_secs(1_795_953_600);
        let role = Role {
            arn: "arn:aws:iam::111122223333:role/llm".to_owned(),
            session_name: None,
            external_id: Some("tenant-42".to_owned()),
            duration_seconds: Some("3600".to_owned()),
        };
        let body = role
            .rest(role.form("AssumeRole", wall).unwrap())
            .into_bytes();
        assert_eq!(
            body,
            "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A111122223333%3Arole%2Fllm&RoleSessionName=unifiedai-1795953600&DurationSeconds=3600&ExternalId=tenant-42"
        );
        for (token, signature) in [
            (
                None,
                "e391ca97f0d389ae34f278680651071f8968486e34134b8a1ee4305aa3f82b81",
            ),
            (
                Some("exampleSessionToken/abc+def=="),
                "7a15eebafc088779dbb1da89855764b366bc696f948168800ff4af7c51054107",
            ),
        ] {
            let id = match token {
                Some(_) => "ASIAEXAMPLEEXAMPLE00",
                None => "AKIAEXAMPLEEXAMPLE00",
            };
            let secret = "exampleSecretExampleSecretExampleSecret0";
            let keys = AwsCredentials::new(id, secret, token.map(str::to_owned)).unwrap();
            let signer = Signer::new(keys, "eu-west-1", "sts").unwrap();
            let mut request = Request::post("https://sts.eu-west-1.amazonaws.com/")
                .header(
                    CONTENT_TYPE,
                    "application/x-www-form-urlencoded; charset=utf-8",
                )
                .body(body.clone())
                .unwrap();
            signer.apply(&mut request, wall).unwrap();
            let authorization = request.headers()["authorization"].to_str().unwrap();
            assert!(authorization.ends_with(signature), "{authorization}");
        }
    }

    #[test]
    fn entities_are_decoded() {
        for (xml, text) in [
            ("a&amp;b&lt;&gt;&quot;&apos;&#43;&#x2f;", "a&b<>\"'+/"),
            ("a & b &nothing; &", "a & b &nothing; &"),
            ("&#xffffffff;", "&#xffffffff;"),
        ] {
            assert_eq!(unescaped(xml), text);
        }
        assert_eq!(element("<a><b> x </b></a>", "b"), Some("x"));
        assert_eq!(element("<a><b>", "b"), None);
    }
}
