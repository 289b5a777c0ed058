//! Exchanges a token of another identity provider for one of OpenAI, Anthropic or OpenRouter.

use super::{
    Credentials, Environment, Fetcher, Token,
    errors::{config, refused, unreachable},
    form::{Form, wiped},
    wire::{self, SecretJson},
};
use crate::{Error, Secret};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request};
use serde_json::{Map, Value};
use std::{path::PathBuf, sync::Arc, time::Duration};
use zeroize::Zeroizing;

pub(super) const BETA: HeaderName = HeaderName::from_static("anthropic-beta");
pub(super) const OAUTH_BETA: &str = "oauth-2025-04-20";
/// Anthropic's own limit.
const MAX_SUBJECT_BYTES: usize = 16 * 1024;

/// The token that is exchanged.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SubjectToken {
    /// In a file, which is read for each exchange, such as a Kubernetes service account's.
    File(PathBuf),
    /// A fixed token.
    Text(Secret),
    /// A bearer token of another source.
    From(Credentials),
}

/// A token exchange with a provider that accepts workload identities instead of keys.
///
/// ```
/// use unifiedai::{credentials::{Federation, SubjectToken}, provider::{Auth, OpenAiChat}};
///
/// let subject = SubjectToken::File("/var/run/secrets/kubernetes.io/serviceaccount/token".into());
/// let credentials = Federation::openai("idp_example", "svc_example", subject).credentials();
/// # let _ = credentials;
/// ```
#[derive(Clone, Debug)]
pub struct Federation {
    name: &'static str,
    url: String,
    is_form: bool,
    subject_field: &'static str,
    subject: SubjectToken,
    fields: Vec<(&'static str, String)>,
    /// The beta header of the exchange.
    beta: Option<&'static str>,
    /// The beta header of requests with the token.
    token_beta: Option<&'static str>,
}

impl Federation {
    /// Creates OpenAI's workload identity federation. The subject is a JWT that the identity provider accepts.
    #[must_use]
    pub fn openai(
        identity_provider_id: impl Into<String>,
        service_account_id: impl Into<String>,
        subject: SubjectToken,
    ) -> Self {
        Federation {
            name: "openai workload identity",
            url: "https://auth.openai.com/oauth/token".to_owned(),
            is_form: false,
            subject_field: "subject_token",
            subject,
            fields: vec![
                (GRANT, TOKEN_EXCHANGE.to_owned()),
                (SUBJECT_TYPE, JWT.to_owned()),
                ("identity_provider_id", identity_provider_id.into()),
                ("service_account_id", service_account_id.into()),
            ],
            beta: None,
            token_beta: None,
        }
    }

    /// Creates Anthropic's workload identity federation.
    #[must_use]
    pub fn anthropic(
        federation_rule_id: impl Into<String>,
        organization_id: impl Into<String>,
        subject: SubjectToken,
    ) -> Self {
        Federation {
            name: "anthropic workload identity",
            url: "https://api.anthropic.com/v1/oauth/token".to_owned(),
            is_form: false,
            subject_field: "assertion",
            subject,
            fields: vec![
                (
                    GRANT,
                    "urn:ietf:params:oauth:grant-type:jwt-bearer".to_owned(),
                ),
                ("federation_rule_id", federation_rule_id.into()),
                ("organization_id", organization_id.into()),
            ],
            beta: Some("oauth-2025-04-20,oidc-federation-2026-04-01"),
            token_beta: Some(OAUTH_BETA),
        }
    }

    /// Creates OpenRouter's federation.
    #[must_use]
    pub fn openrouter(federation_policy_id: impl Into<String>, subject: SubjectToken) -> Self {
        Federation {
            name: "openrouter federation",
            url: "https://openrouter.ai/api/v1/oauth/token".to_owned(),
            is_form: true,
            subject_field: "subject_token",
            subject,
            fields: vec![
                (GRANT, TOKEN_EXCHANGE.to_owned()),
                (SUBJECT_TYPE, JWT.to_owned()),
                ("federation_policy_id", federation_policy_id.into()),
            ],
            beta: None,
            token_beta: None,
        }
    }

    /// Sets the service account of the token; Anthropic requires it if the rule allows several.
    #[must_use]
    pub fn service_account(mut self, id: impl Into<String>) -> Self {
        self.fields.push(("service_account_id", id.into()));
        self
    }

    /// Sets the workspace of the token; Anthropic requires it if the rule allows several.
    #[must_use]
    pub fn workspace(mut self, id: impl Into<String>) -> Self {
        self.fields.push(("workspace_id", id.into()));
        self
    }

    /// Sets another URL of the token endpoint.
    #[must_use]
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.url = url.into();
        self
    }

    /// The endpoint of Anthropic at another base URL.
    pub(super) fn at_base_url(self, base: &str) -> Self {
        self.url(format!("{}/v1/oauth/token", base.trim_end_matches('/')))
    }

    /// Returns the source of tokens.
    #[must_use]
    pub fn credentials(self) -> Credentials {
        let exchange = Arc::new(self);
        Credentials::from_async(exchange.name, move |io| {
            let exchange = exchange.clone();
            async move { exchange.fetch(&io).await }
        })
    }

    pub(super) async fn fetch(&self, io: &Fetcher) -> Result<Token, Error> {
        let mut subject = self.subject.read(io).await?;
        let mut is_read_again = false;
        loop {
            let request = self.request(&subject)?;
            let host = wire::host_of(&request);
            let response = io.send(request).await?;
            if response.status().is_success() {
                return self.token(&host, &response);
            }
            let error = wire::OAuthError::of(&response);
            let status = response.status().as_u16();
            let message = error.message(&host);
            // The file may have been replaced since it was read.
            let is_file = matches!(self.subject, SubjectToken::File(_));
            if is_file && matches!(status, 400 | 401) && !is_read_again {
                is_read_again = true;
                let newer = self.subject.read(io).await?;
                if *newer != *subject {
                    subject = newer;
                    continue;
                }
            }
            return Err(match status {
                408 | 425 | 429 | 500.. => unreachable(message),
                401 if self.token_beta.is_some() => refused(format!(
                    "{message} (does the rule in the Console under \"Workload identity\" match the token's issuer, audience, subject and workspace?)"
                )),
                _ => refused(message),
            });
        }
    }

    fn request(&self, subject: &str) -> Result<Request<Bytes>, Error> {
        let mut request = if self.is_form {
            let form = self
                .fields
                .iter()
                .fold(Form::new(), |form, (name, value)| form.field(name, value));
            wire::post_form(&self.url, form.field(self.subject_field, subject))?
        } else {
            let mut body: Map<String, Value> = self
                .fields
                .iter()
                .map(|(name, value)| ((*name).to_owned(), Value::from(value.as_str())))
                .collect();
            body.insert(self.subject_field.to_owned(), Value::from(subject));
            let body = SecretJson::of(Value::Object(body));
            let bytes = Zeroizing::new(body.value().to_string().into_bytes());
            wire::post_json(&self.url, wiped(bytes))?
        };
        if let Some(beta) = self.beta {
            wire::text_header(&mut request, "anthropic-beta", beta);
        }
        Ok(request)
    }

    fn token(&self, host: &str, response: &http::Response<Bytes>) -> Result<Token, Error> {
        let json = wire::json_of(host, response)?;
        if json.number("expires_in").is_none() {
            return Err(unreachable(format!("{host} answered without `expires_in`")));
        }
        let token = wire::token_of(host, &json)?;
        Ok(match self.token_beta {
            Some(beta) => token
                .list_header(BETA, HeaderValue::from_static(beta))
                .renew_ahead(Duration::from_secs(120)),
            None => token,
        })
    }
}

const GRANT: &str = "grant_type";
const SUBJECT_TYPE: &str = "subject_token_type";
const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

impl SubjectToken {
    async fn read(&self, io: &Fetcher) -> Result<Zeroizing<String>, Error> {
        let token = match self {
            SubjectToken::File(path) => io.read_token(path).await?,
            SubjectToken::Text(secret) => Zeroizing::new(secret.expose().to_owned()),
            SubjectToken::From(credentials) => {
                let token = credentials.fetch_for(io).await?;
                let secret = token.as_bearer().ok_or_else(|| {
                    config(format!(
                        "{} gives no bearer token to exchange",
                        credentials.name()
                    ))
                })?;
                Zeroizing::new(secret.expose().to_owned())
            }
        };
        io.hide(&token);
        match token.len() {
            0..=MAX_SUBJECT_BYTES => Ok(token),
            _ => Err(config("the token to exchange is longer than 16 KiB")),
        }
    }
}

/// # First-party federation
impl Environment {
    /// Returns Anthropic's federation, configured by `ANTHROPIC_FEDERATION_RULE_ID`, `ANTHROPIC_ORGANIZATION_ID` and
    /// `ANTHROPIC_IDENTITY_TOKEN_FILE`, else `ANTHROPIC_IDENTITY_TOKEN`; optionally with
    /// `ANTHROPIC_SERVICE_ACCOUNT_ID`, `ANTHROPIC_WORKSPACE_ID` and `ANTHROPIC_BASE_URL`. Returns `None` if the first
    /// is not set.
    ///
    /// # Errors
    /// `credentials` that names the missing or wrong variable.
    pub fn anthropic_federation(&self) -> Result<Option<Credentials>, Error> {
        const RULE: &str = "ANTHROPIC_FEDERATION_RULE_ID";
        let Some(rule) = self.get(RULE) else {
            return Ok(None);
        };
        let needs = |name: &str| config(format!("{RULE} is set, but {name} is not"));
        let organization = self
            .get("ANTHROPIC_ORGANIZATION_ID")
            .ok_or_else(|| needs("ANTHROPIC_ORGANIZATION_ID"))?;
        let subject = self
            .anthropic_subject()?
            .ok_or_else(|| needs("ANTHROPIC_IDENTITY_TOKEN_FILE"))?;
        let mut federation = Federation::anthropic(rule, organization, subject);
        if let Some(account) = self.get("ANTHROPIC_SERVICE_ACCOUNT_ID") {
            federation = federation.service_account(account);
        }
        if let Some(workspace) = self.get("ANTHROPIC_WORKSPACE_ID") {
            federation = federation.workspace(workspace);
        }
        if let Some(base) = self.get("ANTHROPIC_BASE_URL") {
            federation = federation.at_base_url(base);
        }
        Ok(Some(federation.credentials()))
    }

    /// The token that the variables name.
    pub(super) fn anthropic_subject(&self) -> Result<Option<SubjectToken>, Error> {
        const TEXT: &str = "ANTHROPIC_IDENTITY_TOKEN";
        match (self.get("ANTHROPIC_IDENTITY_TOKEN_FILE"), self.get(TEXT)) {
            (Some(file), _) => Ok(Some(SubjectToken::File(file.into()))),
            (None, Some(text)) => match Secret::new(text) {
                Ok(secret) => Ok(Some(SubjectToken::Text(secret))),
                Err(error) => Err(config(format!("{TEXT}: {}", error.message()))),
            },
            (None, None) => Ok(None),
        }
    }
}
