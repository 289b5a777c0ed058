//! Message batches and files. Files are a beta feature, with a header of its own.

use super::{Anthropic, BETA, Hosting, decode, encode, errors};
use crate::{
    ChatRequest, Error, ErrorKind, Json,
    codec::percent::encode_segment,
    json::ObjectWriter,
    provider::{
        BatchApi, BatchLimits, ChatDecoder, DecodedCall, EncodedCall, Framing, IdFormat, Provider,
        Submission,
        batch_api::{
            bad_id, item_list, multipart,
            reading::{self, Count, Moment, count, parse, require_id, seconds},
            unsupported_call,
        },
        kit::core::JSON,
    },
    provider_batch::{
        BatchAnswer, BatchCall, BatchCounts, BatchInput, BatchItem, BatchState, ItemOutcome,
        ProviderBatch, ResultSource,
    },
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, header, response};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// `^[a-zA-Z0-9_-]{1,64}$`. Source: Anthropic's SDK.
const LINE_ID: IdFormat = IdFormat::new(1, 64).only("_-");

/// Source: Anthropic's documentation. Models may be mixed.
const LIMITS: BatchLimits = BatchLimits {
    one_model: false,
    ..BatchLimits::new(100_000, 256_000_000, Submission::Inline)
};

/// The beta of stored files. A message with the id of a file needs it too.
const FILES_BETA: &str = "files-api-2025-04-14";

/// The beginning of a source that is a stored file, as the encoder writes it. In a text its quotes are escaped.
const FILE_SOURCE: &[u8] = br#""source":{"type":"file","#;

/// The batch and file API of Anthropic.
pub(super) struct Batches<'a>(pub(super) &'a Anthropic);

impl Batches<'_> {
    fn request(&self, method: Method, path: &str, body: Bytes) -> Result<Request<Bytes>, Error> {
        let uri = self.0.core.url(path)?;
        Ok(self.0.core.request(method, uri, body, JSON))
    }

    fn get(&self, path: &str) -> Result<EncodedCall, Error> {
        Ok(EncodedCall::new(self.request(
            Method::GET,
            path,
            Bytes::new(),
        )?))
    }

    fn post(&self, path: &str, body: Vec<u8>) -> Result<EncodedCall, Error> {
        let request = self.request(Method::POST, path, body.into())?;
        Ok(EncodedCall::new(request))
    }

    fn file_call(&self, call: &BatchCall) -> Result<EncodedCall, Error> {
        let encoded = match call {
            BatchCall::UploadFile(file) => {
                let (media_type, body) = multipart::form(&[], Some(file))?;
                let request = self.request(Method::POST, "/files", Bytes::new())?;
                let mut request = request.map(|_| body);
                request
                    .headers_mut()
                    .insert(header::CONTENT_TYPE, media_type);
                EncodedCall::new(request)
            }
            BatchCall::RetrieveFile(id) => self.get(&path("files", id, "")?)?,
            BatchCall::DeleteFile(id) => {
                let path = path("files", id, "")?;
                EncodedCall::new(self.request(Method::DELETE, &path, Bytes::new())?)
            }
            BatchCall::ListFiles(page) => self.get(&list_path("/files", page.as_deref()))?,
            BatchCall::DownloadFile(id) => self
                .get(&path("files", id, "/content")?)?
                .framing(Framing::Raw),
            other => return Err(unsupported_call(self.0.name(), other)),
        };
        with_files(encoded)
    }

    fn read_batch(&self, body: &[u8]) -> Result<ProviderBatch, Error> {
        read(self.0.name(), body)
    }
}

fn with_files(mut call: EncodedCall) -> Result<EncodedCall, Error> {
    add_files_beta(call.request.headers_mut())?;
    Ok(call)
}

/// Adds the beta of files to those of the caller.
pub(super) fn add_files_beta(headers: &mut HeaderMap) -> Result<(), Error> {
    let betas = match headers.get(&BETA).and_then(|betas| betas.to_str().ok()) {
        Some(betas) if betas.split(',').any(|beta| beta.trim() == FILES_BETA) => return Ok(()),
        Some(betas) => [betas, ",", FILES_BETA].concat(),
        None => FILES_BETA.to_owned(),
    };
    let betas = HeaderValue::from_str(&betas).map_err(|_| {
        Error::new(
            ErrorKind::InvalidRequest,
            "the name of a beta is not a header value",
        )
    })?;
    headers.insert(BETA, betas);
    Ok(())
}

fn path(folder: &str, id: &str, behind: &str) -> Result<String, Error> {
    let what = if folder == "files" { "file" } else { "batch" };
    let id = encode_segment(id).ok_or_else(|| bad_id(what, id))?;
    Ok(["/", folder, "/", &id, behind].concat())
}

fn batch_path(id: &str, behind: &str) -> Result<String, Error> {
    path("messages/batches", id, behind)
}

fn list_path(folder: &str, page: Option<&str>) -> String {
    match page.and_then(encode_segment) {
        Some(last) => [folder, "?limit=1000&after_id=", &last].concat(),
        None => [folder, "?limit=1000"].concat(),
    }
}

impl BatchApi for Batches<'_> {
    fn limits(&self) -> BatchLimits {
        LIMITS
    }

    fn encode_line(&self, id: &str, request: &ChatRequest) -> Result<Vec<u8>, Error> {
        if !LINE_ID.fits(id) {
            return Err(Error::new(
                ErrorKind::InvalidRequest,
                format!(
                    "`{}` cannot be the id of a request of a batch: `{}` accepts {}",
                    id.escape_debug(),
                    self.0.name(),
                    LINE_ID.description()
                ),
            ));
        }
        let mut request = request.clone();
        request.stream = false;
        let encoded = self.0.encode_chat(&request)?;
        let mut out = ObjectWriter::with_capacity(encoded.request.body().len().saturating_add(96));
        out.text("custom_id", id);
        let params: &RawValue = parse(self.0.name(), "a request", encoded.request.body())?;
        out.member("params", params)?;
        Ok(out.finish())
    }

    fn encode_call(&self, call: &BatchCall) -> Result<EncodedCall, Error> {
        if matches!(self.0.hosting, Hosting::Vertex(_)) {
            return Err(unsupported_call(self.0.name(), call));
        }
        match call {
            BatchCall::Create(batch) => {
                let BatchInput::Lines(lines) = &batch.input else {
                    return Err(unsupported_call(self.0.name(), call));
                };
                let mut out = ObjectWriter::with_capacity(lines.len().saturating_add(32));
                out.encoded_list("requests", item_list(lines));
                let call = self.post("/messages/batches", out.finish())?;
                match memchr::memmem::find(lines, FILE_SOURCE) {
                    Some(_) => with_files(call),
                    None => Ok(call),
                }
            }
            BatchCall::Retrieve(id) => self.get(&batch_path(id, "")?),
            BatchCall::Cancel(id) => self.post(&batch_path(id, "/cancel")?, b"{}".to_vec()),
            BatchCall::List(page) | BatchCall::Find { page, .. } => {
                self.get(&list_path("/messages/batches", page.as_deref()))
            }
            // Not the URL in the description: its host may be another one, which must not receive the key.
            BatchCall::Results(ResultSource::Lines(id)) => Ok(self
                .get(&batch_path(id, "/results")?)?
                .framing(Framing::Ndjson)),
            files => self.file_call(files),
        }
    }

    fn decode_call(
        &self,
        call: &BatchCall,
        head: &response::Parts,
        body: &Bytes,
    ) -> Result<DecodedCall, Error> {
        let name = self.0.name();
        let answer = match call {
            BatchCall::Create(_) | BatchCall::Retrieve(_) | BatchCall::Cancel(_) => {
                let mut batch = self.read_batch(body)?;
                batch.poll_after = reading::poll_after(&head.headers);
                BatchAnswer::Batch(Box::new(batch))
            }
            BatchCall::List(_) | BatchCall::Find { .. } => {
                let list: List<'_, &RawValue> = parse(name, "a list of batches", body)?;
                let read = |raw: &&RawValue| self.read_batch(raw.get().as_bytes());
                let batches = list.data.iter().map(read).collect::<Result<_, _>>()?;
                BatchAnswer::Batches(batches, list.next())
            }
            BatchCall::UploadFile(_) | BatchCall::RetrieveFile(_) => {
                BatchAnswer::File(reading::read_file(name, body)?)
            }
            BatchCall::ListFiles(_) => {
                let list: List<'_, &RawValue> = parse(name, "a list of files", body)?;
                let read = |raw: &&RawValue| reading::read_file(name, raw.get().as_bytes());
                let files = list.data.iter().map(read).collect::<Result<_, _>>()?;
                BatchAnswer::Files(files, list.next())
            }
            BatchCall::DownloadFile(_) => BatchAnswer::Content(body.clone()),
            _ => BatchAnswer::Done,
        };
        Ok(DecodedCall::Answer(answer))
    }

    fn decode_line(&self, line: &str) -> BatchItem<Json> {
        match serde_json::from_str::<Line<'_>>(line) {
            Ok(line) => BatchItem::new(line.custom_id.unwrap_or_default(), line.result.outcome()),
            Err(error) => reading::unreadable_line(line, &error, &["custom_id"]),
        }
    }

    fn answer_decoder(&self, _: &[u8], request: Option<&ChatRequest>) -> Box<dyn ChatDecoder> {
        let limit =
            request.and_then(|request| encode::chosen_limit(request, self.0.default_max_tokens));
        Box::new(decode::MessageDecoder::new(limit, &self.0.server))
    }
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de>"))]
struct List<'a, T> {
    data: Vec<T>,
    #[serde(default)]
    has_more: bool,
    #[serde(default, borrow)]
    last_id: Option<Cow<'a, str>>,
}

impl<T> List<'_, T> {
    fn next(&self) -> Option<String> {
        let last = self.last_id.as_ref().filter(|_| self.has_more)?;
        Some(last.clone().into_owned())
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Object<'a> {
    id: Option<String>,
    processing_status: Option<String>,
    request_counts: Option<Counts>,
    #[serde(borrow)]
    created_at: Option<Moment<'a>>,
    #[serde(borrow)]
    expires_at: Option<Moment<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Counts {
    processing: Option<Count>,
    succeeded: Option<Count>,
    errored: Option<Count>,
    canceled: Option<Count>,
    expired: Option<Count>,
}

fn read(name: &str, body: &[u8]) -> Result<ProviderBatch, Error> {
    const WHAT: &str = "a batch";
    let object: Object<'_> = parse(name, WHAT, body)?;
    let id = require_id(name, WHAT, object.id, body)?;
    let native_state = object.processing_status.unwrap_or_default();
    let state = match native_state.as_str() {
        "canceling" => BatchState::Cancelling,
        "ended" => BatchState::Completed,
        _ => BatchState::Running,
    };
    let counts = object.request_counts.map(|counts| {
        let parts = [
            count(&counts.processing),
            count(&counts.succeeded),
            count(&counts.errored),
            count(&counts.canceled),
            count(&counts.expired),
        ];
        let [pending, succeeded, failed, cancelled, expired] = parts;
        BatchCounts {
            total: Some(parts.into_iter().flatten().fold(0, u64::saturating_add)),
            pending,
            succeeded,
            failed,
            expired,
            cancelled,
        }
    });
    Ok(ProviderBatch {
        results: match state.is_final() {
            true => vec![ResultSource::Lines(id.clone())],
            false => Vec::new(),
        },
        id,
        state,
        native_state,
        counts,
        created_at: seconds(&object.created_at),
        expires_at: seconds(&object.expires_at),
        ..ProviderBatch::default()
    })
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Line<'a> {
    #[serde(borrow)]
    custom_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    result: LineResult<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct LineResult<'a> {
    #[serde(borrow)]
    r#type: Option<Cow<'a, str>>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

impl LineResult<'_> {
    fn outcome(&self) -> ItemOutcome<Json> {
        match (self.r#type.as_deref(), self.message, self.error) {
            (Some("canceled"), ..) => ItemOutcome::Cancelled,
            (Some("expired"), ..) => ItemOutcome::Expired,
            (Some("succeeded") | None, Some(message), _) => {
                ItemOutcome::Succeeded(Box::new(Json::part(message.get())))
            }
            (_, _, Some(error)) => ItemOutcome::Failed(errors::from_event("", error.get())),
            (other, ..) => ItemOutcome::Failed(Error::new(
                ErrorKind::Protocol,
                format!(
                    "this result is of the type `{}` and has neither a message nor an error",
                    other.unwrap_or_default().escape_debug()
                ),
            )),
        }
    }
}
