//! What a provider says of batches and files.

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

/// A provider's batch and file API: pure encoding and decoding, as [`Provider`](super::Provider) has it for chats.
pub trait BatchApi {
    /// What a batch may have.
    fn limits(&self) -> BatchLimits;

    /// The line of a request of a batch: the body of a call that asks for a whole answer, in the provider's wrapping, without a
    /// line feed.
    ///
    /// # Errors
    /// `invalid_request` that names what this wire cannot say, and for an id that the provider does not take.
    fn encode_line(&self, id: &str, request: &ChatRequest) -> Result<Vec<u8>, Error>;

    /// The request of a call.
    ///
    /// # Errors
    /// `invalid_request` if the provider has no such call.
    fn encode_call(&self, call: &BatchCall) -> Result<EncodedCall, Error>;

    /// Reads the answer of a call, which came whole.
    ///
    /// # Errors
    /// `truncated` if the JSON ends too early, `protocol` if it has another shape, or the error that it stands for.
    fn decode_call(
        &self,
        call: &BatchCall,
        head: &response::Parts,
        body: &Bytes,
    ) -> Result<DecodedCall, Error>;

    /// Reads a line of results. A line that cannot be read is an item that failed: it does not end the file.
    fn decode_line(&self, line: &str) -> BatchItem<Json>;

    /// A decoder for the answer of one request, which may be in another shape than the one that was asked for. `request` is the
    /// request, if it is at hand: it changes what the decoder warns of.
    fn answer_decoder(&self, body: &[u8], request: Option<&ChatRequest>) -> Box<dyn ChatDecoder>;
}

/// What a batch may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BatchLimits {
    /// Requests, at least.
    pub min_requests: u64,
    /// Requests, at most.
    pub max_requests: u64,
    /// Bytes of all lines, at most.
    pub max_bytes: u64,
    /// Bytes of one line, at most.
    pub max_line_bytes: u64,
    /// How requests reach the provider.
    pub submission: Submission,
    /// Whether all requests of a batch have to be for one model.
    pub one_model: bool,
}

/// How the requests of a batch reach the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Submission {
    /// In a file that is uploaded before.
    File,
    /// In the call that makes the batch.
    Inline,
    /// In calls after the one that makes the batch.
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

/// A call as HTTP, and how its answer is read.
#[derive(Debug)]
#[non_exhaustive]
pub struct EncodedCall {
    /// The request without authentication.
    pub request: Request<RequestBody>,
    /// How the answer is cut.
    pub framing: Framing,
    /// Whether the request is authenticated as calls are. A signed address is not: it may lead to another company.
    pub authenticated: bool,
    /// Statuses beside those of success that are an answer and no failure.
    pub accepted: &'static [u16],
}

impl EncodedCall {
    /// A call whose answer is one JSON value.
    #[must_use]
    pub fn new(request: Request<impl Into<RequestBody>>) -> Self {
        EncodedCall {
            request: request.map(Into::into),
            framing: Framing::SingleBody,
            authenticated: true,
            accepted: &[],
        }
    }

    /// With another framing.
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

/// What the answer of a call means.
#[derive(Debug)]
#[non_exhaustive]
pub enum DecodedCall {
    /// It is the answer.
    Answer(BatchAnswer),
    /// Another request is needed.
    Then(BatchCall),
    /// It has results, and maybe there are more.
    Items(Vec<BatchItem<Json>>, Option<BatchCall>),
}

/// A description of a batch that has results in it: `Inline` results are read from it.
pub(crate) fn is_inline(call: &BatchCall) -> bool {
    matches!(call, BatchCall::Results(ResultSource::Inline(_)))
}

/// The lines of requests that were encoded before, without their line feeds.
pub(crate) fn item_list(lines: &[u8]) -> impl Iterator<Item = &[u8]> {
    lines.split(|b| *b == b'\n').filter(|line| !line.is_empty())
}

/// The error of one request that had a status of its own.
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
        BatchCall::UploadFile(_) | BatchCall::ContinueUpload(_) => "take files",
        BatchCall::RetrieveFile(_) => "describe files",
        BatchCall::DeleteFile(_) => "delete files",
        BatchCall::ListFiles(_) => "list files",
        BatchCall::DownloadFile(_) => "give files back",
        BatchCall::Create(_) => "make a batch of this input",
        BatchCall::Add { .. } => "add requests to a batch",
        BatchCall::Retrieve(_) | BatchCall::ContinueRetrieve(_) => "describe batches",
        BatchCall::Cancel(_) => "cancel batches",
        BatchCall::List(_) | BatchCall::Find { .. } => "list batches",
        BatchCall::Results(_) => "give results of this source",
    };
    super::unsupported(name, what)
}

pub(crate) fn bad_id(what: &str, id: &str) -> Error {
    Error::new(
        ErrorKind::InvalidRequest,
        format!("`{}` is not the id of a {what}", id.escape_debug()),
    )
}
