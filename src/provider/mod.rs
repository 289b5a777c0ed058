//! Providers: how each one wants to be asked, and how it answers.
//!
//! A provider turns a request into HTTP and names the framing of the answer; its decoder turns frames or a whole body
//! into calls of an [`ResponseBuilder`]. It does no I/O, and the machine knows none of its quirks.

pub mod anthropic;
pub(crate) mod batch_api;
#[cfg(feature = "bedrock")]
pub mod bedrock;
pub mod cohere;
pub mod gemini;
pub(crate) mod kit;
pub mod ollama;
pub mod openai_chat;
pub mod openai_responses;

use crate::{
    ChatRequest, EmbedRequest, Error, ErrorKind, Model,
    chat::{ProviderMetadata, Warning},
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
pub use bedrock::Bedrock;
pub use cohere::Cohere;
pub use gemini::Gemini;
pub use kit::{
    base_url::BaseUrl,
    builder::{Address, AuthStyle, BuildProvider, ProviderBuilder, ProviderDefaults},
    core::ProviderCore,
    embed::{DecodedEmbeddings, EncodedEmbedRequest},
    errors, headers,
    id_format::IdFormat,
    media::{MediaKind, MediaLimit},
};
pub use ollama::Ollama;
pub use openai_chat::OpenAiChat;
pub use openai_responses::OpenAiResponses;

/// A provider's wire. Object safe, so that programs can add their own.
pub trait Provider: fmt::Debug + Send + Sync {
    /// A short name, such as `cerebras`.
    fn name(&self) -> &str;

    /// Whether a name is that of one of this provider's own models, as far as its form tells: `openai.gpt-oss-120b-1:0` at
    /// Bedrock. A client asks this before it takes the beginning of a name for another provider.
    fn owns_model(&self, model: &str) -> bool {
        let _ = model;
        false
    }

    /// Whether its operator names its models, so that a name that begins with a maker's, such as `anthropic.claude`, may be one of
    /// them although [`owns_model`](Self::owns_model) says no. A client does not take such a name for another provider, but asks
    /// which is meant.
    fn names_freely(&self) -> bool {
        false
    }

    /// How requests are authenticated.
    fn auth(&self) -> &Auth;

    /// The HTTP request for a chat, without authentication. It is asked for again for another attempt, which is to be the same.
    ///
    /// # Errors
    /// `invalid_request` that names what this wire cannot say.
    fn encode_chat(&self, request: &ChatRequest) -> Result<EncodedRequest, Error>;

    /// A decoder for one answer to `request`.
    fn chat_decoder(&self, request: &ChatRequest) -> Box<dyn ChatDecoder>;

    /// The error that an HTTP status of 300 or above stands for. The machine adds attempts, timing and the rest.
    fn decode_error(&self, head: &response::Parts, body: &Bytes) -> Error {
        kit::errors::from_http(head, body)
    }

    /// Reads request id and rate limits from an answer's headers.
    fn read_headers(&self, headers: &HeaderMap, metadata: &mut ProviderMetadata) {
        kit::headers::read_metadata(headers, metadata);
    }

    /// The request for the vectors of a request's texts from `first` on, as many as the provider takes at once.
    ///
    /// # Errors
    /// `invalid_request` that names what this wire cannot say, or if the provider has no such operation.
    fn encode_embed(
        &self,
        request: &EmbedRequest,
        first: usize,
    ) -> Result<EncodedEmbedRequest, Error> {
        let _ = (request, first);
        Err(unsupported(self.name(), "embed texts"))
    }

    /// Reads vectors.
    ///
    /// # Errors
    /// `protocol` that names the place where the body has another shape.
    fn decode_embed(&self, body: &Bytes) -> Result<DecodedEmbeddings, Error> {
        let _ = body;
        Err(unsupported(self.name(), "embed texts"))
    }

    /// The request for the list of models, or for its next page.
    ///
    /// # Errors
    /// `invalid_request` if the provider has no such list.
    fn encode_models(&self, page: Option<&str>) -> Result<Request<Bytes>, Error> {
        let _ = page;
        Err(unsupported(self.name(), "list its models"))
    }

    /// Reads a page of the list of models.
    ///
    /// # Errors
    /// `protocol` if the body has another shape.
    fn decode_models(&self, body: &Bytes) -> Result<ModelPage, Error> {
        let _ = body;
        Err(unsupported(self.name(), "list its models"))
    }

    /// The cheapest request that shows whether the provider answers.
    ///
    /// # Errors
    /// `invalid_request` if the provider has none.
    fn encode_check(&self) -> Result<Request<Bytes>, Error> {
        self.encode_models(None)
    }

    /// The request for one model.
    ///
    /// # Errors
    /// `invalid_request` if the provider has no such operation.
    fn encode_model(&self, id: &str) -> Result<Request<Bytes>, Error> {
        let _ = id;
        Err(unsupported(self.name(), "describe one model"))
    }

    /// Reads one model.
    ///
    /// # Errors
    /// `protocol` if the body has another shape.
    fn decode_model(&self, body: &Bytes) -> Result<Model, Error> {
        let _ = body;
        Err(unsupported(self.name(), "describe one model"))
    }

    /// Its batches and files; `None` if it has none.
    fn batch_api(&self) -> Option<Box<dyn BatchApi + '_>> {
        None
    }
}

/// A request as HTTP, and what its answer will look like.
#[derive(Debug)]
#[non_exhaustive]
pub struct EncodedRequest {
    /// The request without authentication.
    pub request: Request<Bytes>,
    /// How the answer is cut into frames.
    pub framing: Framing,
    /// What was dropped from the request.
    pub warnings: Vec<Warning>,
}

impl EncodedRequest {
    /// A request whose answer has this framing.
    #[must_use]
    pub fn new(request: Request<Bytes>, framing: Framing) -> Self {
        EncodedRequest {
            request,
            framing,
            warnings: Vec::new(),
        }
    }
}

/// How an answer is cut into frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Framing {
    /// Not at all: one JSON value.
    SingleBody,
    /// Server-sent events.
    Sse,
    /// One JSON value a line.
    Ndjson,
    /// Not at all: any bytes, or none.
    Raw,
    /// AWS binary event stream.
    #[cfg(feature = "bedrock")]
    AwsEventStream,
}

impl Framing {
    /// The media type that is asked for with `accept`.
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
    /// Whether it is part of the answer or an error.
    pub kind: FrameKind,
    /// The event's name, empty if the framing has none.
    pub name: &'a str,
    /// The payload.
    pub data: &'a str,
}

impl<'a> Frame<'a> {
    /// A part of an answer.
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

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameKind {
    /// A part of the answer.
    Event,
    /// An error.
    Exception,
}

/// Reads one answer. A new one is made for each attempt.
pub trait ChatDecoder: Send {
    /// Reads a frame of a stream.
    ///
    /// # Errors
    /// The mapped error that the frame stands for, or `protocol` if it makes no sense.
    fn decode_frame(
        &mut self,
        frame: Frame<'_>,
        out: &mut ResponseBuilder,
    ) -> Result<FrameOutcome, Error>;

    /// Reads a body that came whole.
    ///
    /// # Errors
    /// `truncated` if the JSON ends too early, `protocol` if it makes no sense, or the error that it stands for.
    fn decode_body(&mut self, body: &Bytes, out: &mut ResponseBuilder) -> Result<(), Error>;

    /// Checks that the answer may end here, before anything is reported of its end. Called once, before [`finish`](Self::finish).
    ///
    /// # Errors
    /// `truncated` if the stream gave a finish reason, but ended inside of what followed it.
    fn check_end(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Hands over what was kept back. Called once a stream is complete.
    ///
    /// # Errors
    /// `too_large` past the limits.
    fn finish(&mut self, out: &mut ResponseBuilder) -> Result<(), Error> {
        let _ = out;
        Ok(())
    }
}

/// Whether an answer goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameOutcome {
    /// Nothing but a sign of life: pings count as bytes, not as progress.
    KeepAlive,
    /// There may be more.
    Continue,
    /// The provider's last frame; nothing after it counts.
    Complete,
}

/// A page of a list of models.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ModelPage {
    /// The models.
    pub models: Vec<Model>,
    /// What asks for the next page; `None` on the last.
    pub next_page: Option<String>,
}

impl ModelPage {
    /// A page, and what asks for the next one.
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
