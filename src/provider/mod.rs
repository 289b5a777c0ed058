//! Providers: how requests are encoded and responses decoded for each API.
//!
//! A provider encodes a request as HTTP and names the framing of the response. Its decoder turns frames or a single
//! body into calls of a [`ResponseBuilder`]. A provider does no I/O, and the state machine knows none of its quirks.

pub mod anthropic;
pub(crate) mod batch_api;
#[cfg(feature = "bedrock")]
pub mod bedrock;
pub mod cohere;
pub mod gemini;
pub mod gemini_interactions;
pub(crate) mod kit;
pub mod ollama;
pub mod openai_chat;
pub mod openai_responses;

use crate::{
    ChatRequest, EmbedRequest, Error, ErrorKind, Model, UnifiedChatResponse,
    cache::{CacheRules, CachedContentApi},
    chat::{CompactedConversation, Continuation, ProviderMetadata, Warning},
    tokens::TokenCount,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, response};
use std::fmt;

#[cfg(feature = "bedrock")]
pub use crate::auth::sigv4::{AwsCredentialSource, AwsCredentials, Signer};
pub use crate::auth::{Auth, Credential};
pub use crate::client::ProviderRegistry;
pub use crate::client::from_env;
pub use crate::event::{ResponseBuilder, ResponseLimits};
pub use anthropic::Anthropic;
pub use batch_api::{
    BatchApi, BatchDialect, BatchLimits, BatchProfile, DecodedCall, EncodedCall, Submission,
};
#[cfg(feature = "bedrock")]
pub use bedrock::{BatchStorage, Bedrock};
pub use cohere::Cohere;
pub use gemini::Gemini;
pub use gemini_interactions::GeminiInteractions;
pub use kit::{
    api_request::{ApiAnswer, ApiRequest, ApiResponse},
    base_url::BaseUrl,
    builder::{Address, AuthStyle, BuildProvider, ProviderBuilder, ProviderDefaults},
    core::ProviderCore,
    embed::{DecodedEmbeddings, EncodedEmbedRequest},
    errors, headers,
    hosted::{HostedToolMapping, HostedToolPlace},
    id_format::IdFormat,
    media::{MediaKind, MediaLimit},
    token_count::TokenCounter,
};
pub use ollama::Ollama;
pub use openai_chat::OpenAiChat;
pub use openai_responses::OpenAiResponses;

/// A provider's API: encodes requests, decodes responses. Object safe; implement it for providers that are not built
/// in.
pub trait Provider: fmt::Debug + Send + Sync {
    /// A short name, such as `cerebras`.
    fn name(&self) -> &str;

    /// Whether a name has the form of this provider's own models: `openai.gpt-oss-120b-1:0` at Bedrock. A client
    /// checks this before it takes the beginning of a name as another provider.
    fn owns_model(&self, model: &str) -> bool {
        let _ = model;
        false
    }

    /// Whether the server's operator chooses the names of models, so that a name with a vendor's prefix, such as
    /// `anthropic.claude`, may be one of them although [`owns_model`](Self::owns_model) returns false. A client
    /// refuses such a name as ambiguous.
    fn names_freely(&self) -> bool {
        false
    }

    /// How requests are authenticated.
    fn auth(&self) -> &Auth;

    /// Encodes a chat as an HTTP request without authentication. It is called again for each further attempt, and
    /// must give the same request.
    ///
    /// # Errors
    /// `invalid_request` that names the unsupported parameter.
    fn encode_chat(&self, request: &ChatRequest) -> Result<EncodedRequest, Error>;

    /// Creates a decoder for one response to `request`.
    fn chat_decoder(&self, request: &ChatRequest) -> Box<dyn ChatDecoder>;

    /// Decodes the error of an HTTP status of 300 or above. The machine adds attempts, timing and other fields.
    fn decode_error(&self, head: &response::Parts, body: &Bytes) -> Error {
        kit::errors::from_http(head, body)
    }

    /// Reads the request id and rate limits from a response's headers.
    fn read_headers(&self, headers: &HeaderMap, metadata: &mut ProviderMetadata) {
        kit::headers::read_metadata(headers, metadata);
    }

    /// Encodes a request for the rest of a response that the provider keeps: with `stream` for the events after
    /// [`cursor`](Continuation::cursor), or for all events if there is none; without it for the response as it is now. The
    /// decoder of the response before it decodes this one too, so it must ignore events that it had.
    ///
    /// # Errors
    /// `invalid_request` if the provider keeps no responses, or if the position is not one of this provider's.
    fn encode_resume(
        &self,
        continuation: &Continuation,
        stream: bool,
    ) -> Result<EncodedRequest, Error> {
        let _ = (continuation, stream);
        Err(unsupported(self.name(), "resume a response"))
    }

    /// Encodes a request that ends a response that the provider still generates. The answer is the response.
    ///
    /// # Errors
    /// `invalid_request` if the provider cannot do that.
    fn encode_cancel(&self, continuation: &Continuation) -> Result<EncodedRequest, Error> {
        let _ = continuation;
        Err(unsupported(self.name(), "cancel a response"))
    }

    /// Encodes a request that removes a response that the provider keeps. Any success is enough; its body is not read.
    ///
    /// # Errors
    /// `invalid_request` if the provider keeps no responses.
    fn encode_delete(&self, continuation: &Continuation) -> Result<Request<Bytes>, Error> {
        let _ = continuation;
        Err(unsupported(self.name(), "delete a response"))
    }

    /// The request that continues a turn that the provider paused: `request` with the turn so far. `None` if the turn is over.
    fn next_turn(&self, request: &ChatRequest, turn: &UnifiedChatResponse) -> Option<ChatRequest> {
        let _ = (request, turn);
        None
    }

    /// Encodes a request for the vectors of the texts from `first` on, as many as one request may have.
    ///
    /// # Errors
    /// `invalid_request` that names the unsupported parameter, or if the provider has no embeddings.
    fn encode_embed(
        &self,
        request: &EmbedRequest,
        first: usize,
    ) -> Result<EncodedEmbedRequest, Error> {
        let _ = (request, first);
        Err(unsupported(self.name(), "embed texts"))
    }

    /// Decodes vectors.
    ///
    /// # Errors
    /// `protocol` with the path where the body has another shape.
    fn decode_embed(&self, body: &Bytes) -> Result<DecodedEmbeddings, Error> {
        let _ = body;
        Err(unsupported(self.name(), "embed texts"))
    }

    /// Encodes a request for the list of models, or for its next page.
    ///
    /// # Errors
    /// `invalid_request` if the provider has no such list.
    fn encode_models(&self, page: Option<&str>) -> Result<Request<Bytes>, Error> {
        let _ = page;
        Err(unsupported(self.name(), "list its models"))
    }

    /// Decodes a page of the list of models.
    ///
    /// # Errors
    /// `protocol` if the body has another shape.
    fn decode_models(&self, body: &Bytes) -> Result<ModelPage, Error> {
        let _ = body;
        Err(unsupported(self.name(), "list its models"))
    }

    /// Encodes the cheapest request that shows whether the provider responds.
    ///
    /// # Errors
    /// `invalid_request` if the provider has none.
    fn encode_check(&self) -> Result<Request<Bytes>, Error> {
        self.encode_models(None)
    }

    /// Encodes a request for one model.
    ///
    /// # Errors
    /// `invalid_request` if the provider has no such request.
    fn encode_model(&self, id: &str) -> Result<Request<Bytes>, Error> {
        let _ = id;
        Err(unsupported(self.name(), "describe one model"))
    }

    /// Decodes one model.
    ///
    /// # Errors
    /// `protocol` if the body has another shape.
    fn decode_model(&self, body: &Bytes) -> Result<Model, Error> {
        let _ = body;
        Err(unsupported(self.name(), "describe one model"))
    }

    /// Describes the call that counts the tokens of a request, with the same encoder as [`encode_chat`](Self::encode_chat).
    ///
    /// # Errors
    /// `invalid_request` if the provider has no endpoint for that, or cannot express the request.
    fn count_tokens(&self, request: &ChatRequest) -> Result<ApiRequest<TokenCount>, Error> {
        let _ = request;
        Err(kit::token_count::unsupported(self.name()))
    }

    /// Describes the call that makes a conversation shorter. It is paid for like a chat.
    ///
    /// # Errors
    /// `invalid_request` if the provider has no endpoint for that, or cannot express the request.
    fn compact(&self, request: &ChatRequest) -> Result<ApiRequest<CompactedConversation>, Error> {
        let _ = request;
        Err(unsupported(self.name(), "compact a conversation"))
    }

    /// How it caches the beginning of a prompt, for [`explain_cache`](crate::cache::explain_cache).
    fn cache_rules(&self) -> CacheRules {
        CacheRules::CHAT
    }

    /// Its cached contents; `None` if it has none. Caches that are only marked in a request are not meant.
    fn cached_contents(&self) -> Option<Box<dyn CachedContentApi + '_>> {
        None
    }

    /// Its batches and files; `None` if it has none.
    fn batch_api(&self) -> Option<Box<dyn BatchApi + '_>> {
        None
    }
}

/// An HTTP request, and the framing of its response.
#[derive(Debug)]
#[non_exhaustive]
pub struct EncodedRequest {
    /// The request without authentication.
    pub request: Request<Bytes>,
    /// The framing of the response.
    pub framing: Framing,
    /// Warnings about dropped parameters.
    pub warnings: Vec<Warning>,
}

impl EncodedRequest {
    /// Creates a request whose response has this framing.
    #[must_use]
    pub fn new(request: Request<Bytes>, framing: Framing) -> Self {
        EncodedRequest {
            request,
            framing,
            warnings: Vec::new(),
        }
    }
}

/// The framing of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Framing {
    /// None: one JSON value.
    SingleBody,
    /// Server-sent events.
    Sse,
    /// One JSON value per line.
    Ndjson,
    /// None: any bytes, or an empty body.
    Raw,
    /// The binary AWS event stream.
    #[cfg(feature = "bedrock")]
    AwsEventStream,
}

impl Framing {
    /// The media type for the `accept` header.
    #[must_use]
    pub fn media_type(self) -> HeaderValue {
        match self {
            Framing::SingleBody => kit::core::JSON,
            Framing::Raw => HeaderValue::from_static("*/*"),
            Framing::Sse => HeaderValue::from_static("text/event-stream"),
            Framing::Ndjson => HeaderValue::from_static("application/x-ndjson"),
            #[cfg(feature = "bedrock")]
            Framing::AwsEventStream => {
                HeaderValue::from_static("application/vnd.amazon.eventstream")
            }
        }
    }
}

/// One frame of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Frame<'a> {
    /// Whether it is part of the response or an error.
    pub kind: FrameKind,
    /// The event's name; empty if the framing has none.
    pub name: &'a str,
    /// The payload.
    pub data: &'a str,
}

impl<'a> Frame<'a> {
    /// Creates a part of a response.
    #[must_use]
    pub fn event(name: &'a str, data: &'a str) -> Self {
        Frame {
            kind: FrameKind::Event,
            name,
            data,
        }
    }

    /// An error that the framing marks as such.
    #[must_use]
    pub fn exception(name: &'a str, data: &'a str) -> Self {
        Frame {
            kind: FrameKind::Exception,
            name,
            data,
        }
    }
}

/// The kind of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameKind {
    /// A part of the response.
    Event,
    /// An error.
    Exception,
}

/// Decodes one response. The machine creates a new decoder for each attempt.
pub trait ChatDecoder: Send {
    /// Decodes a frame of a stream.
    ///
    /// # Errors
    /// The error that the frame contains, or `protocol` if the frame is invalid.
    fn decode_frame(
        &mut self,
        frame: Frame<'_>,
        out: &mut ResponseBuilder,
    ) -> Result<FrameOutcome, Error>;

    /// Decodes a single body. Before it returns `Ok`, or in [`finish`](Self::finish), the end of the response has to be
    /// stated: by [`ResponseBuilder::finish`] for each choice, or by [`ResponseBuilder::end_marker`] if the API may omit the
    /// reason. Otherwise the call fails with `truncated`.
    ///
    /// # Errors
    /// `truncated` if the JSON ends early, `protocol` if it is invalid, or the error that it contains.
    fn decode_body(&mut self, body: &Bytes, out: &mut ResponseBuilder) -> Result<(), Error>;

    /// Checks that the response may end here, before anything is reported of its end. Called once after a complete stream or
    /// single body, before [`finish`](Self::finish).
    ///
    /// # Errors
    /// `truncated` if the response gave a finish reason, but ended inside later content.
    fn check_end(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Adds buffered content to the response. Called once after a complete stream or single body, so content that
    /// [`decode_body`](Self::decode_body) has added must not be added again here.
    ///
    /// # Errors
    /// `too_large` if a limit is exceeded.
    fn finish(&mut self, out: &mut ResponseBuilder) -> Result<(), Error> {
        let _ = out;
        Ok(())
    }
}

/// Whether a response continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameOutcome {
    /// Keep-alive only: it counts as bytes, not as progress.
    KeepAlive,
    /// A part of the response, or an event that the decoder does not know.
    Continue,
    /// The provider's last frame; later frames are ignored. It also sets the [end marker](ResponseBuilder::end_marker): the
    /// response is complete even without a finish reason. Before any choice has begun, the call fails with `truncated`.
    Complete,
}

/// A page of a list of models.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ModelPage {
    /// The models.
    pub models: Vec<Model>,
    /// The token of the next page; `None` on the last page.
    pub next_page: Option<String>,
}

impl ModelPage {
    /// Creates a page with the token of the next one.
    #[must_use]
    pub fn new(models: Vec<Model>, next: Option<String>) -> Self {
        ModelPage {
            models,
            next_page: next,
        }
    }
}

fn unsupported(name: &str, what: &str) -> Error {
    Error::new(ErrorKind::InvalidRequest, format!("`{name}` cannot {what}"))
}
