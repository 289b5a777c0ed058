//! Amazon Bedrock's Converse API: one API for the models of many vendors.
//!
//! A request is JSON, signed with AWS credentials or sent with a Bedrock API key. A stream consists of AWS
//! event-stream frames. Sources: the service model of the AWS SDKs (`bedrock-runtime` 2023-09-30) and recorded
//! traffic.

mod batches;
mod content;
mod decode;
mod decode_fields;
mod encode;
pub(crate) mod endpoint;
mod errors;
mod hosted;
mod messages;
mod models;
mod s3;
mod storage;
mod types;

use super::{
    Address, ApiRequest, Auth, BaseUrl, BatchApi, BuildProvider, ChatDecoder, DecodedEmbeddings,
    EncodedEmbedRequest, EncodedRequest, Framing, IdFormat, MediaKind, MediaLimit, ModelPage,
    Provider, ProviderBuilder, ProviderCore, ProviderDefaults,
    kit::{
        call_ids::{self, Links},
        media, model,
        token_count::{only, prompt},
    },
};
use crate::{
    ChatRequest, EmbedRequest, Error, ErrorKind, Json, Model,
    auth::sigv4::{AwsCredentialSource, Signer},
    cache::{CacheMarks, CacheRules},
    chat::Warning,
    codec::percent::encode_segment,
    json::ObjectWriter,
    schema::{self, Dialects},
    tokens::TokenCount,
};
use bytes::Bytes;
use endpoint::{ApiPlane, Variant};
use http::{Request, response};

pub use content::{
    CacheTtl, cache_point, cited_document, guard_content_image, guard_content_text, json_result,
    search_result, system_tool, tool_cache_point,
};
pub use encode::{ConverseOptions, Guardrail};
pub use storage::BatchStorage;

/// The provider name of this API's provider blocks, whatever the provider's name is.
const BLOCK_PROVIDER: &str = "bedrock";

/// The pattern of `ToolUseId` in the service model.
const CALL_ID: IdFormat = IdFormat::new(1, 64).only("_.:-");

/// A document has at most 4.5 MB, except in formats that some models accept in any size. The limit for images depends on
/// the model. Source: "API restrictions" in the user guide.
const MEDIA_LIMITS: &[MediaLimit] =
    &[
        MediaLimit::of_file(&[MediaKind::Document], 9 << 19).except(&[
            "application/pdf",
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        ]),
    ];

/// The signing name of both services.
const SIGNING_NAME: &str = "bedrock";

/// The limit for a model's id in the service model, in bytes.
const MAX_MODEL_ID_CHARS: usize = 2048;

/// Amazon Bedrock in one region.
///
/// ```
/// use unifiedai::provider::{AwsCredentials, Bedrock};
/// let keys = AwsCredentials::new("AKIDEXAMPLE", "secret", None)?;
/// let bedrock = Bedrock::builder().region("us-east-1").credentials(keys).build()?;
/// assert_eq!(bedrock.base_url().as_str(), "https://bedrock-runtime.us-east-1.amazonaws.com");
/// # Ok::<(), unifiedai::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Bedrock {
    core: ProviderCore,
    control: BaseUrl,
    profiles: bool,
    storage: Option<storage::Storage>,
}

/// The options that only Bedrock's builder has.
#[derive(Clone, Debug, Default)]
pub struct BedrockOptions {
    region: Option<String>,
    credentials: Option<AwsCredentialSource>,
    variant: Variant,
    runtime: Option<String>,
    control: Option<String>,
    profiles: bool,
    storage: Option<BatchStorage>,
}

impl BedrockOptions {
    fn region(&self) -> Result<&str, Error> {
        let region = self.region.as_deref().ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidRequest,
                "`bedrock` needs a region: set one with `region`, or set the environment variable AWS_REGION and use `from_env`",
            )
        })?;
        endpoint::check_region(region)?;
        Ok(region)
    }
}

impl Bedrock {
    /// Creates a provider for a region such as `us-east-1`, with a Bedrock API key (`AWS_BEARER_TOKEN_BEDROCK`).
    ///
    /// ```
    /// # use unifiedai::provider::Bedrock;
    /// let provider = Bedrock::new("us-east-1", "my-bedrock-api-key")?;
    /// # Ok::<(), unifiedai::Error>(())
    /// ```
    ///
    /// # Errors
    /// `invalid_request` if the region or the key is invalid.
    pub fn new(region: impl Into<String>, key: impl Into<String>) -> Result<Self, Error> {
        Self::builder().region(region).api_key(key)?.build()
    }

    /// Creates a builder, for AWS credentials and other options. A [`region`](ProviderBuilder::region) is required.
    ///
    /// A [`base_url`](ProviderBuilder::base_url) applies to chats, lists of models and batches, not to S3; the region still applies to
    /// signatures. A key or another [`auth`](ProviderBuilder::auth) has precedence over credentials.
    ///
    /// ```
    /// # use unifiedai::provider::{AwsCredentials, Bedrock};
    /// let keys = AwsCredentials::new("AKIDEXAMPLE", "secret", None)?;
    /// let provider = Bedrock::builder().region("eu-west-1").credentials(keys).fips(true).build()?;
    /// # Ok::<(), unifiedai::Error>(())
    /// ```
    #[must_use]
    pub fn builder() -> ProviderBuilder<Self> {
        ProviderBuilder::new()
    }

    /// The base URL of chats.
    #[must_use]
    pub fn base_url(&self) -> &BaseUrl {
        self.core.base_url()
    }

    /// The base URL of lists of models and of batches.
    #[must_use]
    pub fn control_plane_endpoint_url(&self) -> &BaseUrl {
        &self.control
    }
}

impl ProviderBuilder<Bedrock> {
    /// Sets the region, such as `us-east-1`.
    #[must_use]
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.options.region = Some(region.into());
        self
    }

    /// Sets AWS credentials, or a callback that is called before each attempt. A Bedrock API key has precedence.
    #[must_use]
    pub fn credentials(mut self, credentials: impl Into<AwsCredentialSource>) -> Self {
        self.options.credentials = Some(credentials.into());
        self
    }

    /// Whether to use the hosts with validated cryptography (FIPS 140).
    #[must_use]
    pub fn fips(mut self, fips: bool) -> Self {
        self.options.variant.fips = fips;
        self
    }

    /// Whether to use the hosts that have IPv6 addresses too.
    #[must_use]
    pub fn dual_stack(mut self, dual_stack: bool) -> Self {
        self.options.variant.dual_stack = dual_stack;
        self
    }

    /// Sets another URL for chats only, such as a VPC endpoint. It has precedence over
    /// [`base_url`](ProviderBuilder::base_url).
    #[must_use]
    pub fn endpoint_url(mut self, url: impl Into<String>) -> Self {
        self.options.runtime = Some(url.into());
        self
    }

    /// Sets another URL for lists of models and for batches only. It has precedence over [`base_url`](ProviderBuilder::base_url).
    #[must_use]
    pub fn control_plane_endpoint_url(mut self, url: impl Into<String>) -> Self {
        self.options.control = Some(url.into());
        self
    }

    /// Sets the folder in S3 and the role for batches. Batches need both.
    #[must_use]
    pub fn batch_storage(mut self, storage: BatchStorage) -> Self {
        self.options.storage = Some(storage);
        self
    }

    /// Whether a list of models includes the region's inference profiles, which are the only access to many models.
    /// The credentials must be allowed to list them. Default no.
    #[must_use]
    pub fn list_profiles(mut self, profiles: bool) -> Self {
        self.options.profiles = profiles;
        self
    }

    pub(crate) fn has_region(&self) -> bool {
        self.options.region.is_some()
    }

    pub(crate) fn region_name(&self) -> Option<&str> {
        self.options.region.as_deref()
    }

    pub(crate) fn has_batch_storage(&self) -> bool {
        self.options.storage.is_some()
    }

    pub(crate) fn has_credentials(&self) -> bool {
        self.options.credentials.is_some()
    }
}

impl BuildProvider for Bedrock {
    type Options = BedrockOptions;

    fn defaults(_: &BedrockOptions) -> ProviderDefaults {
        let mut defaults = ProviderDefaults::new(BLOCK_PROVIDER, "", "AWS_BEARER_TOKEN_BEDROCK");
        defaults.credential = (
            "credentials",
            "pass an AWS access key with `credentials` or a Bedrock API key with `api_key`",
        );
        defaults
    }

    fn address(options: &BedrockOptions, given: Option<&str>) -> Result<Address, Error> {
        let region = options.region()?;
        match options.runtime.as_deref().or(given) {
            Some(url) => Ok(Address::Other(url.to_owned())),
            None => {
                let url = endpoint::url(ApiPlane::Runtime, region, options.variant)?;
                Ok(Address::Own(url.as_str().to_owned()))
            }
        }
    }

    fn own_auth(options: &BedrockOptions) -> Result<Auth, Error> {
        let region = options.region()?;
        Ok(match &options.credentials {
            Some(keys) => Auth::SigV4(Signer::new(keys.clone(), region, SIGNING_NAME)?),
            None => Auth::None,
        })
    }

    fn from_core(core: ProviderCore, options: BedrockOptions) -> Result<Self, Error> {
        let control = match options.control.as_deref().or(core.given_url()) {
            Some(url) => core.other_url(url)?,
            None => endpoint::url(ApiPlane::Control, options.region()?, options.variant)?,
        };
        let storage = match &options.storage {
            Some(settings) => Some(storage::Storage::new(
                settings.clone(),
                &core,
                options.region()?,
                options.variant,
            )?),
            None => None,
        };
        Ok(Bedrock {
            control,
            core,
            profiles: options.profiles,
            storage,
        })
    }
}

impl Provider for Bedrock {
    fn owns_model(&self, model: &str) -> bool {
        model.starts_with("arn:") || model::has_vendor_prefix(model, model::BEDROCK_VENDORS)
    }

    fn name(&self) -> &str {
        self.core.name()
    }

    fn auth(&self) -> &Auth {
        self.core.auth()
    }

    fn encode_chat(&self, request: &ChatRequest) -> Result<EncodedRequest, Error> {
        let model = model_segment(&request.model)?;
        let (operation, framing) = match request.stream {
            true => ("/converse-stream", Framing::AwsEventStream),
            false => ("/converse", Framing::SingleBody),
        };
        media::check(self.name(), &request.messages, MEDIA_LIMITS)?;
        let request = &*call_ids::fit(request, Links::new(CALL_ID))?;
        let (request, altered) = schema::fit(request, self.name(), Dialects::BEDROCK)?;
        let request = &*request;
        let (body, mut warnings) = encode::body(request)?;
        let body = request.mark_cached(CacheMarks::CachePoint, body)?;
        warnings.extend(altered);
        let uri = self.core.url(&["/model/", &model, operation].concat())?;
        Ok(self.core.post_chat(uri, body, framing, warnings))
    }

    /// The endpoint takes the id of a model, not that of an inference profile, which is the model's with a region before it.
    fn count_tokens(&self, request: &ChatRequest) -> Result<ApiRequest<TokenCount>, Error> {
        let (body, mut warnings) = prompt(self, request)?;
        let base = model::without_region(&request.model);
        if base.len() != request.model.len() {
            warnings.push(Warning::new(
                "counted_base_model",
                format!("the tokens were counted for `{base}`, because Bedrock counts for no inference profile"),
            ));
        }
        let mut input = ObjectWriter::with_capacity(body.len().saturating_add(64));
        let converse = only(&body, &COUNTED)?.finish();
        let converse = String::from_utf8(converse).unwrap_or_default();
        input.member(
            "input",
            &Input {
                converse: Json::part(&converse),
            },
        )?;
        let path = ["/model/", &model_segment(base)?, "/count-tokens"].concat();
        let uri = self.core.url(&path)?;
        let post = self.core.post(uri, input.finish(), Framing::SingleBody);
        let api = ApiRequest::new(post, |_, body| models::decode_token_count(body));
        Ok(api.repeatable().with_warnings(warnings))
    }

    fn cache_rules(&self) -> CacheRules {
        CacheRules::CONVERSE
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
        let body = models::embed_body(self.name(), request, first)?;
        Ok(self.core.post_embed(self.core.url(&path)?, body))
    }

    fn decode_embed(&self, body: &Bytes) -> Result<DecodedEmbeddings, Error> {
        models::decode_embed(body)
    }

    fn encode_models(&self, page: Option<&str>) -> Result<Request<Bytes>, Error> {
        match page {
            None => self.core.get_at(&self.control, "/foundation-models"),
            Some(token) => {
                let next = encode_segment(token)
                    .map_or_else(String::new, |token| ["&nextToken=", &token].concat());
                self.core.get_at(
                    &self.control,
                    &["/inference-profiles?maxResults=1000", &next].concat(),
                )
            }
        }
    }

    fn decode_models(&self, body: &Bytes) -> Result<ModelPage, Error> {
        models::decode_list(self.name(), body, self.profiles)
    }

    fn encode_model(&self, id: &str) -> Result<Request<Bytes>, Error> {
        self.core.get_at(
            &self.control,
            &["/foundation-models/", &model_segment(id)?].concat(),
        )
    }

    fn decode_model(&self, body: &Bytes) -> Result<Model, Error> {
        models::decode_one(self.name(), body)
    }

    fn batch_api(&self) -> Option<Box<dyn BatchApi + '_>> {
        Some(Box::new(batches::Batches(self)))
    }
}

/// The fields of a Converse request that CountTokens takes. Source: `ConverseTokensRequest` in the service model.
const COUNTED: [&str; 4] = [
    "messages",
    "system",
    "toolConfig",
    "additionalModelRequestFields",
];

#[derive(serde::Serialize)]
struct Input {
    converse: Json,
}

/// The id of a model as one path segment: ids contain colons, ARNs slashes.
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
