//! Google's Gemini: `generateContent`, at Google's developer API and on Google Cloud's Vertex AI.
//!
//! What belongs to this wire alone travels as [`ContentPart::ProviderBlock`](crate::ContentPart::ProviderBlock) of the provider `gemini`:
//! code and its results, pictures that the model made, signatures of text. An opaque block that is no part of its own,
//! such as `{"thoughtSignature": ".."}`, adds its members to the part before it.

mod builder;
mod config;
mod decode;
mod decode_candidate;
mod embed;
mod encode;
mod encode_contents;
mod encode_part;
mod errors;
mod finish;
mod models;
mod partial_args;
mod tool_rounds;
mod types;
mod usage;

use super::{
    BaseUrl, ChatDecoder, DecodedEmbeddings, EncodedEmbedRequest, EncodedRequest, Framing,
    IdFormat, ModelPage, Provider,
    call_ids::{self, Links},
    requests, tool_names,
    vertex::{Vertex, model_segments},
};
use crate::{
    ChatRequest, EmbedRequest, Error, Model,
    codec::percent::encode_segment,
    provider::Auth,
    schema::{self, Dialects},
};
use bytes::Bytes;
use http::{Method, Request, Uri, header, response};
use std::borrow::Cow;

pub use builder::GeminiBuilder;
pub(super) use encode_contents::Generation;

/// The provider of this wire's opaque blocks.
pub(crate) const BLOCK_PROVIDER: &str = "gemini";

/// A server that speaks Gemini's `generateContent`.
#[derive(Clone, Debug)]
pub struct Gemini {
    name: Cow<'static, str>,
    auth: Auth,
    base_url: BaseUrl,
    hosting: Hosting,
}

/// Where the models are, as far as it changes the request.
#[derive(Clone, Debug)]
enum Hosting {
    Own,
    Vertex(Vertex),
}

impl Gemini {
    /// Google's developer API, with a key.
    ///
    /// # Errors
    /// `invalid_request` if the key cannot be one.
    pub fn new(key: impl Into<String>) -> Result<Self, Error> {
        Self::builder().api_key(key)?.build()
    }

    /// The address that the paths of its operations are put behind.
    #[must_use]
    pub fn base_url(&self) -> &BaseUrl {
        &self.base_url
    }

    fn http(&self, method: Method, uri: Uri, body: Bytes) -> Request<Bytes> {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.reserve(5);
        headers.insert(header::ACCEPT, super::JSON);
        headers.insert(header::ACCEPT_ENCODING, super::IDENTITY);
        headers.insert(header::USER_AGENT, super::USER_AGENT);
        request
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
            return Err(super::unsupported(&self.name, "list its models"));
        }
        Ok(self.http(Method::GET, self.base_url.join(path)?, Bytes::new()))
    }
}

/// The path of a model, whose name may be a path itself (`tunedModels/x`).
fn own_path(model: &str) -> Result<String, Error> {
    let folder = if model.contains('/') { "/" } else { "/models/" };
    Ok([folder, &model_segments(model)?].concat())
}

/// Source: the reference of `FunctionDeclaration`.
const TOOL_NAME: IdFormat = IdFormat::new(1, 128).only("_.:-");

impl Provider for Gemini {
    fn name(&self) -> &str {
        &self.name
    }

    fn auth(&self) -> &Auth {
        &self.auth
    }

    fn encode_chat(&self, request: &ChatRequest) -> Result<EncodedRequest, Error> {
        tool_names::check(&self.name, &request.tools, TOOL_NAME)?;
        let links = Links::new(IdFormat::ANY).with_results(&self.name, true);
        let request = &*call_ids::fit(request, links)?;
        let (request, altered) = schema::fit(request, &self.name, Dialects::GEMINI)?;
        let request = &*request;
        let (body, mut warnings) = encode::body(self, request)?;
        warnings.extend(altered);
        let uri = self.base_url.join(&self.chat_path(request)?)?;
        let mut http = self.http(Method::POST, uri, body.into());
        let headers = http.headers_mut();
        headers.insert(header::CONTENT_TYPE, super::JSON);
        let framing = if request.stream {
            headers.insert(header::ACCEPT, super::EVENT_STREAM);
            Framing::Sse
        } else {
            Framing::SingleBody
        };
        let mut encoded = EncodedRequest::new(http, framing);
        encoded.warnings = warnings;
        Ok(encoded)
    }

    fn chat_decoder(&self, _request: &ChatRequest) -> Box<dyn ChatDecoder> {
        Box::new(decode::ContentDecoder::default())
    }

    fn decode_error(&self, head: &response::Parts, body: &Bytes) -> Error {
        errors::from_http(head, body)
    }

    fn encode_embed(
        &self,
        request: &EmbedRequest,
        first: usize,
    ) -> Result<EncodedEmbedRequest, Error> {
        if !matches!(self.hosting, Hosting::Own) {
            return Err(super::unsupported(&self.name, "embed texts"));
        }
        let path = own_path(&request.model)? + ":batchEmbedContents";
        let body = embed::body(&self.name, request, first)?;
        Ok(requests::post_embed(self.base_url.join(&path)?, body))
    }

    fn decode_embed(&self, body: &Bytes) -> Result<DecodedEmbeddings, Error> {
        embed::decode(body)
    }

    fn encode_models(&self, page: Option<&str>) -> Result<Request<Bytes>, Error> {
        match page {
            None => self.models("/models?pageSize=1000"),
            Some(token) => {
                let token = encode_segment(token).unwrap_or_default();
                self.models(&["/models?pageSize=1000&pageToken=", &token].concat())
            }
        }
    }

    fn decode_models(&self, body: &Bytes) -> Result<ModelPage, Error> {
        models::decode_list(&self.name, body)
    }

    fn encode_model(&self, id: &str) -> Result<Request<Bytes>, Error> {
        self.models(&own_path(id)?)
    }

    fn decode_model(&self, body: &Bytes) -> Result<Model, Error> {
        models::decode_one(&self.name, body)
    }
}
