//! The batch and file APIs of providers: the trait that each implements, and what they share.
//!
//! `openai/` has the API of OpenAI and of the servers that copy it, `fireworks.rs` that of Fireworks. The APIs of Anthropic, Gemini,
//! Vertex AI and Bedrock are next to their chats.

pub(super) mod fireworks;
pub(crate) mod multipart;
pub(super) mod openai;
pub(crate) mod reading;

use super::{ChatDecoder, Framing};
use crate::{
    ChatRequest, Error, ErrorKind, Json,
    provider_batch::{BatchAnswer, BatchCall, BatchItem, ResultSource},
};
use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header, response};
use unifiedai_transport::RequestBody;

pub use openai::{BatchDialect, BatchProfile};

/// A provider's batch and file API: pure encoding and decoding, as [`Provider`](super::Provider) is for chats.
pub trait BatchApi {
    /// The limits of one batch.
    fn limits(&self) -> BatchLimits;

    /// Encodes a request as a line of a batch: the body of a call without streaming, in the provider's envelope, without a line
    /// feed.
    ///
    /// # Errors
    /// `invalid_request` that names the unsupported parameter or the invalid id.
    fn encode_line(&self, id: &str, request: &ChatRequest) -> Result<Vec<u8>, Error>;

    /// Encodes a call.
    ///
    /// # Errors
    /// `invalid_request` if the provider does not support the call.
    fn encode_call(&self, call: &BatchCall) -> Result<EncodedCall, Error>;

    /// Decodes the complete body of a response.
    ///
    /// # Errors
    /// `truncated` if the JSON ends too early, `protocol` if it has another shape, or the error that the body states.
    fn decode_call(
        &self,
        call: &BatchCall,
        head: &response::Parts,
        body: &Bytes,
    ) -> Result<DecodedCall, Error>;

    /// Decodes a line of results. A line that cannot be decoded is a failed item; the lines after it are still read.
    fn decode_line(&self, line: &str) -> BatchItem<Json>;

    /// A decoder for the response of one request. xAI answers requests of one API with responses of another, so the body decides.
    /// `request` is the request, if it is available; the warnings depend on it.
    fn answer_decoder(&self, body: &[u8], request: Option<&ChatRequest>) -> Box<dyn ChatDecoder>;
}

/// The limits of one batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BatchLimits {
    /// The smallest number of requests.
    pub min_requests: u64,
    /// The largest number of requests.
    pub max_requests: u64,
    /// The largest size of all lines together, in bytes.
    pub max_bytes: u64,
    /// The largest size of one line, in bytes.
    pub max_line_bytes: u64,
    /// How the requests are sent to the provider.
    pub submission: Submission,
    /// Whether all requests of a batch must have the same model.
    pub one_model: bool,
}

/// How the requests of a batch are sent to the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Submission {
    /// In a file that is uploaded before the batch is created.
    File,
    /// In the call that creates the batch.
    Inline,
    /// In calls after the batch is created.
    Added,
}

impl BatchLimits {
    pub(crate) const fn new(max_requests: u64, max_bytes: u64, submission: Submission) -> Self {
        BatchLimits {
            min_requests: 1,
            max_requests,
            max_bytes,
            max_line_bytes: max_bytes,
            submission,
            one_model: true,
        }
    }
}

/// The HTTP request of a call, and how its response is read.
#[derive(Debug)]
#[non_exhaustive]
pub struct EncodedCall {
    /// The request without authentication.
    pub request: Request<RequestBody>,
    /// The framing of the response.
    pub framing: Framing,
    /// Whether the request is authenticated like a chat. False for URLs from the server that carry their own permission: their
    /// host may belong to another company, which must not receive the key.
    pub authenticated: bool,
    /// Statuses other than 2xx that are not errors of this call.
    pub accepted: &'static [u16],
}

impl EncodedCall {
    /// A call whose response is one JSON value.
    #[must_use]
    pub fn new(request: Request<impl Into<RequestBody>>) -> Self {
        EncodedCall {
            request: request.map(Into::into),
            framing: Framing::SingleBody,
            authenticated: true,
            accepted: &[],
        }
    }

    /// Sets another framing.
    #[must_use]
    pub fn framing(mut self, framing: Framing) -> Self {
        self.framing = framing;
        if framing != Framing::SingleBody {
            let any = HeaderValue::from_static("*/*");
            self.request.headers_mut().insert(header::ACCEPT, any);
        }
        self
    }
}

/// The meaning of a response.
#[derive(Debug)]
#[non_exhaustive]
pub enum DecodedCall {
    /// The result of the call.
    Answer(BatchAnswer),
    /// The call needs another request.
    Then(BatchCall),
    /// Results, and the call for the next results if there are more.
    Items(Vec<BatchItem<Json>>, Option<BatchCall>),
}

/// Whether a call reads results from the description of a batch.
pub(crate) fn is_inline(call: &BatchCall) -> bool {
    matches!(call, BatchCall::Results(ResultSource::Inline(_)))
}

/// The encoded lines, without their line feeds.
pub(crate) fn item_list(lines: &[u8]) -> impl Iterator<Item = &[u8]> {
    lines.split(|b| *b == b'\n').filter(|line| !line.is_empty())
}

/// The error of one request that has a status of its own.
pub(crate) fn item_error(
    decode: impl FnOnce(&response::Parts, &Bytes) -> Error,
    status: u16,
    body: &str,
) -> Error {
    let mut head = http::Response::new(()).into_parts().0;
    head.status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = Bytes::copy_from_slice(body.as_bytes());
    decode(&head, &body).with_status(status).with_body(body)
}

pub(crate) fn unsupported_call(name: &str, call: &BatchCall) -> Error {
    let what = match call {
        BatchCall::UploadFile(_) | BatchCall::ContinueUpload(_) => "accept files",
        BatchCall::RetrieveFile(_) => "describe files",
        BatchCall::DeleteFile(_) => "delete files",
        BatchCall::ListFiles(_) => "list files",
        BatchCall::DownloadFile(_) => "return files",
        BatchCall::Create(_) => "create a batch from this input",
        BatchCall::Add { .. } => "add requests to a batch",
        BatchCall::Retrieve(_) | BatchCall::ContinueRetrieve(_) => "describe batches",
        BatchCall::Cancel(_) => "cancel batches",
        BatchCall::List(_) | BatchCall::Find { .. } => "list batches",
        BatchCall::Results(_) | BatchCall::ContinueResults(_) => "return results from this source",
    };
    super::unsupported(name, what)
}

pub(crate) fn bad_id(what: &str, id: &str) -> Error {
    Error::new(
        ErrorKind::InvalidRequest,
        format!("`{}` is not the id of a {what}", id.escape_debug()),
    )
}
