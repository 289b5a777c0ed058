//! Token endpoints of OAuth 2 that exchange a fixed secret for tokens: client credentials, and API keys of IBM Cloud.

use super::{
    Credentials, Fetcher, Token,
    errors::config,
    fetcher::Sending,
    form::Form,
    wire::{self, OAuthError},
};
use crate::{Error, Secret};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, header::AUTHORIZATION};
use std::sync::Arc;

/// A token endpoint of OAuth 2, and the secret that it exchanges for tokens that expire.
///
/// ```
/// use unifiedai::{Secret, credentials::TokenEndpoint, provider::{Auth, OpenAiChat}};
///
/// // A service principal of Databricks.
/// let url = "https://example.cloud.databricks.com/oidc/v1/token";
/// let credentials = TokenEndpoint::client_credentials(url, "client id", Secret::new("client-secret")?)
///     .scope("all-apis")
///     .credentials();
/// let base = "https://example.cloud.databricks.com/serving-endpoints";
/// let databricks = OpenAiChat::custom(base).auth(Auth::Bearer(credentials.into())).build()?;
/// # Ok::<(), unifiedai::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct TokenEndpoint {
    name: &'static str,
    url: String,
    grant: Grant,
    scope: Option<String>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

#[derive(Clone, Debug)]
enum Grant {
    Client {
        id: String,
        secret: Secret,
        is_in_body: bool,
    },
    IbmApiKey(Secret),
}

impl TokenEndpoint {
    /// Creates the grant of client credentials (RFC 6749, 4.4), as Databricks and SAP AI Core use it. The id and the
    /// secret are sent as `authorization: Basic`.
    #[must_use]
    pub fn client_credentials(
        url: impl Into<String>,
        client_id: impl Into<String>,
        client_secret: Secret,
    ) -> Self {
        let grant = Grant::Client {
            id: client_id.into(),
            secret: client_secret,
            is_in_body: false,
        };
        TokenEndpoint::new("oauth client credentials", url.into(), grant)
    }

    /// Creates the exchange of an API key of IBM Cloud, for watsonx.
    #[must_use]
    pub fn ibm_cloud(api_key: Secret) -> Self {
        let url = "https://iam.cloud.ibm.com/identity/token".to_owned();
        TokenEndpoint::new("ibm cloud", url, Grant::IbmApiKey(api_key))
    }

    fn new(name: &'static str, url: String, grant: Grant) -> Self {
        TokenEndpoint {
            name,
            url,
            grant,
            scope: None,
            headers: Vec::new(),
        }
    }

    /// Sets another URL of the token endpoint.
    #[must_use]
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.url = url.into();
        self
    }

    /// Sets the scopes, separated by spaces.
    #[must_use]
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scope = Some(scope.into());
        self
    }

    /// Sends the client id and secret as fields of the body (RFC 6749, 2.3.1).
    #[must_use]
    pub fn secret_in_body(mut self) -> Self {
        if let Grant::Client { is_in_body, .. } = &mut self.grant {
            *is_in_body = true;
        }
        self
    }

    /// Adds a header to each request that a token authenticates, such as `AI-Resource-Group` of SAP AI Core, unless
    /// the request has it already.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Returns the source of tokens.
    #[must_use]
    pub fn credentials(self) -> Credentials {
        let endpoint = Arc::new(self);
        Credentials::from_async(endpoint.name, move |io| {
            let endpoint = endpoint.clone();
            async move { endpoint.fetch(&io).await }
        })
    }

    async fn fetch(&self, io: &Fetcher) -> Result<Token, Error> {
        let request = self.request(io)?;
        let host = wire::host_of(&request);
        let sending = Sending {
            is_transient: wire::is_transient_oauth,
            ..Sending::default()
        };
        let response = io.send_with(request, sending).await?;
        if response.status().is_success() {
            let token = wire::oauth_token(&host, &response)?;
            let headers = self.headers.iter().cloned();
            return Ok(headers.fold(token, |token, (name, value)| token.header(name, value)));
        }
        let error = OAuthError::of(&response);
        Err(match &*error.error {
            "invalid_scope" | "unsupported_grant_type" => config(error.message(&host)),
            _ => error.into_error(&host),
        })
    }

    fn request(&self, io: &Fetcher) -> Result<Request<Bytes>, Error> {
        let scope = self.scope.as_deref();
        match &self.grant {
            Grant::Client {
                id,
                secret,
                is_in_body,
            } => {
                io.hide(secret.expose());
                let form = Form::new()
                    .field("grant_type", "client_credentials")
                    .optional("scope", scope);
                if *is_in_body {
                    let form = form
                        .field("client_id", id)
                        .field("client_secret", secret.expose());
                    return wire::post_form(&self.url, form);
                }
                let mut request = wire::post_form(&self.url, form)?;
                let basic = wire::basic(id, secret.expose());
                wire::secret_header(&mut request, AUTHORIZATION, &basic)?;
                Ok(request)
            }
            Grant::IbmApiKey(key) => {
                io.hide(key.expose());
                let form = Form::new()
                    .field("grant_type", "urn:ibm:params:oauth:grant-type:apikey")
                    .field("apikey", key.expose())
                    .optional("scope", scope);
                wire::post_form(&self.url, form)
            }
        }
    }
}
