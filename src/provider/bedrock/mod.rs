//! Amazon Bedrock, by its Converse API: one wire for the models of many makers.
//!
//! A request is JSON, signed with AWS credentials or sent with a Bedrock API key; a stream is in AWS event-stream frames.
//! The sources are the service model of the AWS SDKs (`bedrock-runtime` 2023-09-30) and recorded traffic.

mod block;
mod content_blocks;
mod decode;
mod embed;
mod encode;
mod endpoint;
mod errors;
mod media;
mod messages;
mod models;
mod options;
mod streamed_blocks;
mod tools;
mod types;
mod whole_response;

use super::{
    BaseUrl, ChatDecoder, DecodedEmbeddings, EncodedEmbedRequest, EncodedRequest, Framing,
    IdFormat, ModelPage, Provider,
    call_ids::{self, Links},
    model_ids, requests,
};
use crate::{
    ChatRequest, EmbedRequest, Error, ErrorKind, Model, Secret,
    auth::sigv4::{AwsCredentialSource, Signer},
    codec::percent::encode_segment,
    provider::{Auth, Credential},
    schema::{self, Dialects},
};
use bytes::Bytes;
use endpoint::{ApiPlane, Variant};
use http::{HeaderValue, Method, Request, header, response};

pub use content_blocks::{
    CacheTtl, cache_point, cited_document, guard_content_image, guard_content_text, json_result,
    search_result, system_tool, tool_cache_point,
};
pub use options::{ConverseOptions, Guardrail};

/// What opaque blocks of this wire are marked with, whatever the provider is called.
const BLOCK_PROVIDER: &str = "bedrock";

/// The service model's pattern of `ToolUseId`.
const CALL_ID: IdFormat = IdFormat::new(1, 64).only("_.:-");

/// The name that requests are signed for, on both planes.
const SIGNING_NAME: &str = "bedrock";

const EVENT_STREAM: HeaderValue = HeaderValue::from_static("application/vnd.amazon.eventstream");

/// The service model's limit for the id of a model, in bytes.
const MAX_MODEL_ID_CHARS: usize = 2048;

/// Amazon Bedrock in one region.
///
/// ```
/// use unifiedai::provider::{AwsCredentials, Bedrock};
/// let keys = AwsCredentials::new("AKIDEXAMPLE", "secret", None)?;
/// let bedrock = Bedrock::builder("us-east-1").credentials(keys).build()?;
/// assert_eq!(bedrock.base_url().as_str(), "https://bedrock-runtime.us-east-1.amazonaws.com");
/// # Ok::<(), unifiedai::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Bedrock {
    name: String,
    auth: Auth,
    runtime: BaseUrl,
    control: BaseUrl,
    profiles: bool,
}

impl Bedrock {
    /// Bedrock in a region such as `us-east-1`, to be given credentials.
    #[must_use]
    pub fn builder(region: impl Into<String>) -> BedrockBuilder {
        BedrockBuilder {
            region: region.into(),
            credentials: None,
            auth: Auth::None,
            variant: Variant::default(),
            runtime: None,
            control: None,
            profiles: false,
            name: None,
            insecure_http: false,
        }
    }

    /// Where chats are sent.
    #[must_use]
    pub fn base_url(&self) -> &BaseUrl {
        &self.runtime
    }

    /// Where lists of models are asked for.
    #[must_use]
    pub fn control_plane_endpoint_url(&self) -> &BaseUrl {
        &self.control
    }

    fn get(&self, path: &str) -> Result<Request<Bytes>, Error> {
        let mut request = Request::new(Bytes::new());
        *request.uri_mut() = self.control.join(path)?;
        let headers = request.headers_mut();
        headers.insert(header::ACCEPT, super::JSON);
        headers.insert(header::ACCEPT_ENCODING, super::IDENTITY);
        headers.insert(header::USER_AGENT, super::USER_AGENT);
        Ok(request)
    }
}

/// Makes a [`Bedrock`].
#[derive(Clone, Debug)]
pub struct BedrockBuilder {
    region: String,
    credentials: Option<AwsCredentialSource>,
    auth: Auth,
    variant: Variant,
    runtime: Option<String>,
    control: Option<String>,
    profiles: bool,
    name: Option<String>,
    insecure_http: bool,
}

impl BedrockBuilder {
    /// AWS credentials, or a closure that is asked for them before each attempt. A Bedrock API key counts before them.
    #[must_use]
    pub fn credentials(mut self, credentials: impl Into<AwsCredentialSource>) -> Self {
        self.credentials = Some(credentials.into());
        self
    }

    /// A Bedrock API key, as in `AWS_BEARER_TOKEN_BEDROCK`.
    ///
    /// # Errors
    /// `invalid_request` if it cannot be one: empty, with line breaks or spaces.
    pub fn api_key(self, key: impl Into<String>) -> Result<Self, Error> {
        Ok(self.bearer(Secret::new(key)?))
    }

    /// The same, also as a closure that is asked for it before each attempt.
    #[must_use]
    pub fn bearer(mut self, credential: impl Into<Credential>) -> Self {
        self.auth = Auth::Bearer(credential.into());
        self
    }

    /// Whether to use the hosts with validated cryptography (FIPS 140).
    #[must_use]
    pub fn fips(mut self, fips: bool) -> Self {
        self.variant.fips = fips;
        self
    }

    /// Whether to use the hosts that have IPv6 addresses too.
    #[must_use]
    pub fn dual_stack(mut self, dual_stack: bool) -> Self {
        self.variant.dual_stack = dual_stack;
        self
    }

    /// Another address than the region's, for chats and for lists of models. The region still counts for signatures.
    #[must_use]
    pub fn base_url(self, url: impl Into<String>) -> Self {
        let url = url.into();
        self.endpoint_url(url.clone())
            .control_plane_endpoint_url(url)
    }

    /// Another address for chats alone, such as a VPC endpoint.
    #[must_use]
    pub fn endpoint_url(mut self, url: impl Into<String>) -> Self {
        self.runtime = Some(url.into());
        self
    }

    /// Another address for lists of models alone.
    #[must_use]
    pub fn control_plane_endpoint_url(mut self, url: impl Into<String>) -> Self {
        self.control = Some(url.into());
        self
    }

    /// Whether a list of models has the region's inference profiles too, by which many models can only be reached. The
    /// credentials must be allowed to list them. Default no.
    #[must_use]
    pub fn list_profiles(mut self, profiles: bool) -> Self {
        self.profiles = profiles;
        self
    }

    /// Lets a key, or a signed request, travel over `http://` to another machine, unencrypted: for servers in a network that you
    /// trust, such as `http://gateway:8000`.
    #[must_use]
    pub fn allow_insecure_http(mut self) -> Self {
        self.insecure_http = true;
        self
    }

    /// Another name than `bedrock`, by which errors and responses call it.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The provider.
    ///
    /// # Errors
    /// `invalid_request` if the region is not one or has no such host, if an address is not one, if there are no
    /// credentials although requests would go to AWS, or if they would travel unencrypted.
    pub fn build(self) -> Result<Bedrock, Error> {
        endpoint::check_region(&self.region)?;
        let own_place = self.runtime.is_none();
        let place = |plane, url: Option<String>| match url {
            Some(url) => BaseUrl::parse(&url),
            None => endpoint::url(plane, &self.region, self.variant),
        };
        let runtime = place(ApiPlane::Runtime, self.runtime)?;
        let control = place(ApiPlane::Control, self.control)?;
        let auth = match (self.auth, self.credentials) {
            (Auth::None, Some(credentials)) => {
                Auth::SigV4(Signer::new(credentials, &self.region, SIGNING_NAME)?)
            }
            (auth, _) => auth,
        };
        if own_place && !auth.is_required() {
            return Err(Error::new(
                ErrorKind::InvalidRequest,
                "Bedrock needs credentials: pass an AWS access key or a Bedrock API key",
            ));
        }
        if !self.insecure_http {
            runtime.check_secrecy(&auth)?;
            control.check_secrecy(&auth)?;
        }
        Ok(Bedrock {
            name: self.name.unwrap_or_else(|| BLOCK_PROVIDER.to_owned()),
            auth,
            runtime,
            control,
            profiles: self.profiles,
        })
    }
}

impl Provider for Bedrock {
    fn owns_model(&self, model: &str) -> bool {
        model.starts_with("arn:") || model_ids::has_vendor_prefix(model, model_ids::BEDROCK_VENDORS)
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn auth(&self) -> &Auth {
        &self.auth
    }

    fn encode_chat(&self, request: &ChatRequest) -> Result<EncodedRequest, Error> {
        let model = model_segment(&request.model)?;
        let (operation, accept, framing) = match request.stream {
            true => ("/converse-stream", EVENT_STREAM, Framing::AwsEventStream),
            false => ("/converse", super::JSON, Framing::SingleBody),
        };
        let request = &*call_ids::fit(request, Links::new(CALL_ID))?;
        let (request, altered) = schema::fit(request, self.name(), Dialects::BEDROCK)?;
        let request = &*request;
        let (body, mut warnings) = encode::body(request)?;
        warnings.extend(altered);
        let mut http = Request::new(body.into());
        *http.method_mut() = Method::POST;
        *http.uri_mut() = self
            .runtime
            .join(&["/model/", &model, operation].concat())?;
        let headers = http.headers_mut();
        headers.reserve(8);
        headers.insert(header::CONTENT_TYPE, super::JSON);
        headers.insert(header::ACCEPT, accept);
        headers.insert(header::ACCEPT_ENCODING, super::IDENTITY);
        headers.insert(header::USER_AGENT, super::USER_AGENT);
        let mut encoded = EncodedRequest::new(http, framing);
        encoded.warnings = warnings;
        Ok(encoded)
    }

    fn chat_decoder(&self, _request: &ChatRequest) -> Box<dyn ChatDecoder> {
        Box::<decode::ConverseDecoder>::default()
    }

    fn decode_error(&self, head: &response::Parts, body: &Bytes) -> Error {
        errors::from_http(head, body)
    }

    fn encode_embed(
        &self,
        request: &EmbedRequest,
        first: usize,
    ) -> Result<EncodedEmbedRequest, Error> {
        let path = ["/model/", &model_segment(&request.model)?, "/invoke"].concat();
        let body = embed::body(&self.name, request, first)?;
        Ok(requests::post_embed(self.runtime.join(&path)?, body))
    }

    fn decode_embed(&self, body: &Bytes) -> Result<DecodedEmbeddings, Error> {
        embed::decode(body)
    }

    fn encode_models(&self, page: Option<&str>) -> Result<Request<Bytes>, Error> {
        match page {
            None => self.get("/foundation-models"),
            Some(token) => {
                let next = encode_segment(token)
                    .map_or_else(String::new, |token| ["&nextToken=", &token].concat());
                self.get(&["/inference-profiles?maxResults=1000", &next].concat())
            }
        }
    }

    fn decode_models(&self, body: &Bytes) -> Result<ModelPage, Error> {
        models::decode_list(&self.name, body, self.profiles)
    }

    fn encode_model(&self, id: &str) -> Result<Request<Bytes>, Error> {
        self.get(&["/foundation-models/", &model_segment(id)?].concat())
    }

    fn decode_model(&self, body: &Bytes) -> Result<Model, Error> {
        models::decode_one(&self.name, body)
    }
}

/// The id of a model as one segment of a path: ids have colons, ARNs slashes (F95).
fn model_segment(id: &str) -> Result<String, Error> {
    encode_segment(id)
        .filter(|_| id.len() <= MAX_MODEL_ID_CHARS)
        .ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidRequest,
                format!(
                    "`{:.64}` is not the id of a model, of an inference profile, or an ARN",
                    id.escape_debug()
                ),
            )
        })
}
