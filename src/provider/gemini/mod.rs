//! Google's Gemini: `generateContent`, at Google's developer API and on Google Cloud's Vertex AI.
//!
//! Content that only this API has is a [`ContentPart::ProviderBlock`](crate::ContentPart::ProviderBlock) of the
//! provider `gemini`: code and its results, generated images, signatures of text. A provider block that is not a
//! separate part, such as `{"thoughtSignature": ".."}`, adds its fields to the part before it.

mod batches;
mod caches;
mod contents;
mod decode;
mod encode;
mod encoded_part;
mod hosted;
mod models;
mod partial_args;
mod types;
mod vertex_batches;

use super::{
    Address, ApiRequest, Auth, AuthStyle, BaseUrl, BatchApi, BuildProvider, ChatDecoder,
    DecodedEmbeddings, EncodedEmbedRequest, EncodedRequest, Framing, IdFormat, ModelPage, Provider,
    ProviderBuilder, ProviderCore, ProviderDefaults,
    kit::{
        call_ids::{self, Links},
        id_format,
        vertex::{self, Vertex, model_segments},
    },
};
use crate::{
    ChatRequest, EmbedRequest, Error, Model,
    cache::{CacheRules, CachedContentApi},
    codec::percent::encode_segment,
    schema::{self, Dialects},
    tokens::TokenCount,
};
use bytes::Bytes;
use http::{Request, response};

pub(super) use contents::Generation;
pub(super) use decode::{error_from_event, error_from_http};
pub(super) use models::{decode_list as decode_models, decode_one as decode_model};

/// The provider name of this API's provider blocks.
pub(crate) const BLOCK_PROVIDER: &str = "gemini";

/// A server with Gemini's `generateContent`.
#[derive(Clone, Debug)]
pub struct Gemini {
    core: ProviderCore,
    hosting: Hosting,
    storage: Option<vertex_batches::Storage>,
}

/// The hosting of the models, as far as it changes the request.
#[derive(Clone, Debug, Default)]
enum Hosting {
    #[default]
    Own,
    Vertex(Vertex),
}

/// The options that only Gemini's builder has.
#[derive(Clone, Debug, Default)]
pub struct GeminiOptions {
    hosting: Hosting,
    batch_folder: Option<String>,
    storage_url: Option<String>,
}

impl Gemini {
    /// Creates a provider for Google's developer API, with a key.
    ///
    /// ```
    /// # use unifiedai::provider::Gemini;
    /// let provider = Gemini::new("my-key")?;
    /// # Ok::<(), unifiedai::Error>(())
    /// ```
    ///
    /// # Errors
    /// `invalid_request` if the key is not a valid header value.
    pub fn new(key: impl Into<String>) -> Result<Self, Error> {
        Self::builder().api_key(key)?.build()
    }

    /// Creates a builder for Google's developer API or Vertex AI.
    ///
    /// ```
    /// # use unifiedai::{Secret, provider::{Auth, Gemini}};
    /// let token = Auth::Bearer(Secret::new("my-token")?.into());
    /// let provider = Gemini::builder().vertex("my-project", "global")?.auth(token).build()?;
    /// # Ok::<(), unifiedai::Error>(())
    /// ```
    #[must_use]
    pub fn builder() -> ProviderBuilder<Self> {
        ProviderBuilder::new()
    }

    /// The base URL of the operations.
    #[must_use]
    pub fn base_url(&self) -> &BaseUrl {
        self.core.base_url()
    }

    fn chat_path(&self, request: &ChatRequest) -> Result<String, Error> {
        let model = match &self.hosting {
            Hosting::Own => own_path(&request.model)?,
            Hosting::Vertex(vertex) => vertex.model_path("google", &request.model)?,
        };
        let method = if request.stream {
            ":streamGenerateContent?alt=sse"
        } else {
            ":generateContent"
        };
        Ok(model + method)
    }

    fn models(&self, path: &str) -> Result<Request<Bytes>, Error> {
        if !matches!(self.hosting, Hosting::Own) {
            return Err(super::unsupported(self.name(), "list its models"));
        }
        self.core.get(path)
    }
}

impl ProviderBuilder<Gemini> {
    /// Selects Gemini on Google Cloud's Vertex AI, by a project and a location such as `us-central1` or `global`; set
    /// a token with [`auth`](ProviderBuilder::auth).
    ///
    /// # Errors
    /// `invalid_request` if project or location are invalid.
    pub fn vertex(mut self, project: &str, location: &str) -> Result<Self, Error> {
        self.options.hosting = Hosting::Vertex(Vertex::new(project, location)?);
        Ok(self)
    }

    /// Sets the folder in Cloud Storage for batches on Vertex AI, such as `gs://my-bucket/batches/`. A run writes its requests to
    /// `in/` of the folder, and Vertex AI writes the results to `out/`. The token must be valid for Cloud Storage too.
    #[must_use]
    pub fn batch_folder(mut self, uri: impl Into<String>) -> Self {
        self.options.batch_folder = Some(uri.into());
        self
    }

    /// Sets another URL for Cloud Storage, which otherwise is `https://storage.googleapis.com`.
    #[must_use]
    pub fn storage_url(mut self, url: impl Into<String>) -> Self {
        self.options.storage_url = Some(url.into());
        self
    }
}

impl BuildProvider for Gemini {
    type Options = GeminiOptions;

    fn defaults(options: &GeminiOptions) -> ProviderDefaults {
        let mut defaults = match options.hosting {
            Hosting::Own => ProviderDefaults::new(
                BLOCK_PROVIDER,
                "https://generativelanguage.googleapis.com/v1beta",
                "GEMINI_API_KEY",
            ),
            Hosting::Vertex(_) => vertex::defaults("vertex"),
        };
        defaults.auth_style = AuthStyle::Header("x-goog-api-key");
        defaults
    }

    fn address(options: &GeminiOptions, given: Option<&str>) -> Result<Address, Error> {
        Ok(match (given, &options.hosting) {
            (Some(url), Hosting::Own) => Address::Other(BaseUrl::with_version(url, "v1beta")),
            (Some(url), Hosting::Vertex(_)) => Address::Other(BaseUrl::with_version(url, "v1")),
            (None, Hosting::Own) => Address::Own(Self::defaults(options).base_url.to_owned()),
            (None, Hosting::Vertex(vertex)) => Address::Own(vertex.base_url()),
        })
    }

    fn from_core(core: ProviderCore, options: GeminiOptions) -> Result<Self, Error> {
        let storage = match &options.batch_folder {
            Some(folder) => {
                let url = options.storage_url.as_deref();
                Some(vertex_batches::Storage::new(&core, folder, url)?)
            }
            None => None,
        };
        Ok(Gemini {
            core,
            hosting: options.hosting,
            storage,
        })
    }
}

/// The path of a model, whose name may be a path itself (`tunedModels/x`).
pub(super) fn own_path(model: &str) -> Result<String, Error> {
    let folder = if model.contains('/') { "/" } else { "/models/" };
    Ok([folder, &model_segments(model)?].concat())
}

/// The path of the list of models, or of its next page.
pub(super) fn models_path(page: Option<&str>) -> String {
    match page {
        None => "/models?pageSize=1000".to_owned(),
        Some(token) => {
            let token = encode_segment(token).unwrap_or_default();
            ["/models?pageSize=1000&pageToken=", &token].concat()
        }
    }
}

/// Source: the reference of `FunctionDeclaration`.
pub(super) const TOOL_NAME: IdFormat = IdFormat::new(1, 128).only("_.:-");

impl Provider for Gemini {
    fn name(&self) -> &str {
        self.core.name()
    }

    fn auth(&self) -> &Auth {
        self.core.auth()
    }

    fn encode_chat(&self, request: &ChatRequest) -> Result<EncodedRequest, Error> {
        id_format::check(self.name(), &request.tools, TOOL_NAME)?;
        let links = Links::new(IdFormat::ANY).with_results(self.name(), true);
        let request = &*call_ids::fit(request, links)?;
        let (request, altered) = schema::fit(request, self.name(), Dialects::GEMINI)?;
        let request = &*request;
        let (body, mut warnings) = encode::body(self, request)?;
        warnings.extend(altered);
        let uri = self.core.url(&self.chat_path(request)?)?;
        let framing = match request.stream {
            true => Framing::Sse,
            false => Framing::SingleBody,
        };
        Ok(self.core.post_chat(uri, body, framing, warnings))
    }

    fn chat_decoder(&self, _request: &ChatRequest) -> Box<dyn ChatDecoder> {
        Box::new(decode::ContentDecoder::default())
    }

    fn decode_error(&self, head: &response::Parts, body: &Bytes) -> Error {
        decode::error_from_http(head, body)
    }

    fn encode_embed(
        &self,
        request: &EmbedRequest,
        first: usize,
    ) -> Result<EncodedEmbedRequest, Error> {
        if !matches!(self.hosting, Hosting::Own) {
            return Err(super::unsupported(self.name(), "embed texts"));
        }
        let path = own_path(&request.model)? + ":batchEmbedContents";
        let body = models::embed_body(self.name(), request, first)?;
        Ok(self.core.post_embed(self.core.url(&path)?, body))
    }

    fn decode_embed(&self, body: &Bytes) -> Result<DecodedEmbeddings, Error> {
        models::decode_embed(body)
    }

    fn encode_models(&self, page: Option<&str>) -> Result<Request<Bytes>, Error> {
        self.models(&models_path(page))
    }

    fn decode_models(&self, body: &Bytes) -> Result<ModelPage, Error> {
        models::decode_list(self.name(), body)
    }

    fn encode_model(&self, id: &str) -> Result<Request<Bytes>, Error> {
        self.models(&own_path(id)?)
    }

    fn decode_model(&self, body: &Bytes) -> Result<Model, Error> {
        models::decode_one(self.name(), body)
    }

    fn cache_rules(&self) -> CacheRules {
        CacheRules::GEMINI
    }

    fn count_tokens(&self, request: &ChatRequest) -> Result<ApiRequest<TokenCount>, Error> {
        caches::count_tokens(self, request)
    }

    fn cached_contents(&self) -> Option<Box<dyn CachedContentApi + '_>> {
        Some(Box::new(caches::Caches(self)))
    }

    fn batch_api(&self) -> Option<Box<dyn BatchApi + '_>> {
        Some(match &self.hosting {
            Hosting::Own => Box::new(batches::Batches(self)),
            Hosting::Vertex(vertex) => Box::new(vertex_batches::Batches {
                gemini: self,
                vertex,
            }),
        })
    }
}
