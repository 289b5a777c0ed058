//! Batches and files of the developer API. Requests go into the call that makes the batch; files are uploaded in two steps.

use super::{Gemini, decode, own_path};
use crate::{
    ChatRequest, Error, ErrorKind, Json,
    codec::percent::encode_segment,
    json::ObjectWriter,
    provider::{
        BatchApi, BatchLimits, ChatDecoder, DecodedCall, EncodedCall, Framing, Provider,
        Submission,
        batch_api::{
            bad_id, is_inline, item_list, multipart,
            reading::{self, Count, Moment, count, missing, parse, require_id, seconds},
            unsupported_call,
        },
        kit::core::{JSON, foreign_request},
    },
    provider_batch::{
        BatchAnswer, BatchCall, BatchCounts, BatchInput, BatchItem, BatchState, ItemOutcome,
        NewBatch, NewFile, ProviderBatch, ResultSource, StoredFile, UploadStage, UploadStep,
    },
};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Uri, header, response};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::{borrow::Cow, collections::BTreeMap};

/// An inline batch has at most 20 MB; one is left for the envelope. Google states no number of requests: 50,000 is a bound of this
/// library. Source of the size: Google's documentation.
const LIMITS: BatchLimits = BatchLimits::new(50_000, 19_000_000, Submission::Inline);

const COMMAND: HeaderName = HeaderName::from_static("x-goog-upload-command");
const PROTOCOL: HeaderName = HeaderName::from_static("x-goog-upload-protocol");
const OFFSET: HeaderName = HeaderName::from_static("x-goog-upload-offset");
const LENGTH: HeaderName = HeaderName::from_static("x-goog-upload-header-content-length");
const TYPE: HeaderName = HeaderName::from_static("x-goog-upload-header-content-type");

/// The batch and file API of the developer API.
pub(super) struct Batches<'a>(pub(super) &'a Gemini);

impl Batches<'_> {
    fn get(&self, path: &str) -> Result<EncodedCall, Error> {
        let uri = self.0.core.url(path)?;
        let request = self.0.core.request(Method::GET, uri, Bytes::new(), JSON);
        Ok(EncodedCall::new(request))
    }

    fn delete(&self, path: &str) -> Result<EncodedCall, Error> {
        let uri = self.0.core.url(path)?;
        let request = self.0.core.request(Method::DELETE, uri, Bytes::new(), JSON);
        Ok(EncodedCall::new(request).framing(Framing::Raw))
    }

    fn post(&self, uri: Uri, body: Vec<u8>) -> EncodedCall {
        EncodedCall::new(self.0.core.request(Method::POST, uri, body.into(), JSON))
    }

    fn create(&self, batch: &NewBatch) -> Result<EncodedCall, Error> {
        let mut input = ObjectWriter::with_capacity(64);
        match &batch.input {
            BatchInput::File(id) => input.text("fileName", &["files/", short(id)].concat()),
            BatchInput::Lines(lines) => {
                let mut requests = ObjectWriter::with_capacity(lines.len().saturating_add(32));
                requests.encoded_list("requests", item_list(lines));
                let requests = requests.finish();
                let requests: &RawValue = parse(self.0.name(), "a request", &requests)?;
                // On the wire `requests` contains `requests`.
                input.member("requests", requests)?;
            }
            BatchInput::Later => {
                let call = BatchCall::Create(batch.clone());
                return Err(unsupported_call(self.0.name(), &call));
            }
        }
        let input = input.finish();
        let mut inner = ObjectWriter::with_capacity(input.len().saturating_add(128));
        inner.text("displayName", &batch.tag);
        let input: &RawValue = parse(self.0.name(), "a request", &input)?;
        inner.member("inputConfig", input)?;
        let inner = inner.finish();
        let mut out = ObjectWriter::with_capacity(inner.len().saturating_add(16));
        let inner: &RawValue = parse(self.0.name(), "a request", &inner)?;
        out.member("batch", inner)?;
        let path = own_path(&batch.model)? + ":batchGenerateContent";
        Ok(self.post(self.0.core.url(&path)?, out.finish()))
    }

    /// The first request of an upload. Its response has the URL for the bytes.
    fn begin_upload(&self, file: &NewFile) -> Result<EncodedCall, Error> {
        let text = self.0.base_url().as_str();
        let place = text.find("://").map_or(0, |at| at.saturating_add(3));
        let path = text.get(place..).and_then(|rest| rest.find('/'));
        let at = path.map_or(text.len(), |at| at.saturating_add(place));
        let (host, version) = text.split_at_checked(at).unwrap_or((text, ""));
        let root = self
            .0
            .core
            .other_url(&[host, "/upload", version].concat())?;
        let display = BTreeMap::from([("display_name", file.name.as_str())]);
        let mut out = ObjectWriter::with_capacity(64);
        out.member("file", &display)?;
        let mut call = self
            .post(self.0.core.url_at(&root, "/files")?, out.finish())
            .framing(Framing::Raw);
        let media_type = HeaderValue::from_str(multipart::media_type(file)?).map_err(|_| {
            Error::new(
                ErrorKind::InvalidRequest,
                "the media type is no header value",
            )
        })?;
        let headers = call.request.headers_mut();
        headers.insert(PROTOCOL, HeaderValue::from_static("resumable"));
        headers.insert(COMMAND, HeaderValue::from_static("start"));
        headers.insert(LENGTH, HeaderValue::from(file.content.len()));
        headers.insert(TYPE, media_type);
        Ok(call)
    }

    fn send_file(&self, to: &Uri, file: &NewFile) -> EncodedCall {
        // Only the API's own host receives the key and the caller's headers.
        let is_own = self.0.core.is_own_origin(to);
        let content = file.content.clone();
        let request = match is_own {
            true => {
                let core = &self.0.core;
                core.request(Method::POST, to.clone(), Bytes::new(), JSON)
                    .map(drop)
            }
            false => foreign_request(Method::POST, to.clone()),
        };
        let mut request = request.map(|()| content);
        let headers = request.headers_mut();
        headers.remove(header::CONTENT_TYPE);
        headers.insert(COMMAND, HeaderValue::from_static("upload, finalize"));
        headers.insert(OFFSET, HeaderValue::from_static("0"));
        let mut call = EncodedCall::new(request);
        call.authenticated = is_own;
        call
    }

    /// The second request of an upload.
    fn next_upload(&self, file: &NewFile, place: &HeaderValue) -> Result<DecodedCall, Error> {
        let to = place
            .to_str()
            .ok()
            .and_then(|place| place.parse::<Uri>().ok());
        let is_secure = |to: &Uri| to.scheme() == Some(&http::uri::Scheme::HTTPS);
        let Some(to) = to.filter(|to| is_secure(to) || self.0.core.is_own_origin(to)) else {
            return Err(Error::new(
                ErrorKind::Protocol,
                "the header `x-goog-upload-url` is not an `https://` URL: the file was not sent",
            ));
        };
        let stage = UploadStage::Send {
            to,
            id: String::new(),
        };
        let step = UploadStep {
            stage,
            file: file.clone(),
        };
        Ok(DecodedCall::Then(BatchCall::ContinueUpload(step)))
    }
}

/// An id without its folder.
fn short(id: &str) -> &str {
    id.rsplit('/').next().unwrap_or(id)
}

fn path(folder: &str, id: &str, behind: &str) -> Result<String, Error> {
    let what = if folder == "files" { "file" } else { "batch" };
    let segment = encode_segment(short(id)).ok_or_else(|| bad_id(what, id))?;
    Ok(["/", folder, "/", &segment, behind].concat())
}

fn list_path(folder: &str, page: Option<&str>) -> String {
    match page.and_then(encode_segment) {
        Some(token) => [folder, "?pageSize=100&pageToken=", &token].concat(),
        None => [folder, "?pageSize=100"].concat(),
    }
}

impl BatchApi for Batches<'_> {
    fn limits(&self) -> BatchLimits {
        LIMITS
    }

    fn encode_line(&self, id: &str, request: &ChatRequest) -> Result<Vec<u8>, Error> {
        let mut request = request.clone();
        request.stream = false;
        let encoded = self.0.encode_chat(&request)?;
        let mut out = ObjectWriter::with_capacity(encoded.request.body().len().saturating_add(96));
        let body: &RawValue = parse(self.0.name(), "a request", encoded.request.body())?;
        out.member("request", body)?;
        out.member("metadata", &BTreeMap::from([("custom_id", id)]))?;
        Ok(out.finish())
    }

    fn encode_call(&self, call: &BatchCall) -> Result<EncodedCall, Error> {
        match call {
            BatchCall::UploadFile(file) => self.begin_upload(file),
            BatchCall::ContinueUpload(UploadStep {
                stage: UploadStage::Send { to, .. },
                file,
            }) => Ok(self.send_file(to, file)),
            BatchCall::RetrieveFile(id) => self.get(&path("files", id, "")?),
            BatchCall::DeleteFile(id) => self.delete(&path("files", id, "")?),
            BatchCall::ListFiles(page) => self.get(&list_path("/files", page.as_deref())),
            BatchCall::DownloadFile(id) => {
                let path = path("files", id, ":download?alt=media")?;
                Ok(self.get(&path)?.framing(Framing::Raw))
            }
            BatchCall::Create(batch) => self.create(batch),
            BatchCall::Retrieve(id) | BatchCall::Results(ResultSource::Inline(id)) => {
                self.get(&path("batches", id, "")?)
            }
            BatchCall::Cancel(id) => {
                let uri = self.0.core.url(&path("batches", id, ":cancel")?)?;
                Ok(self.post(uri, b"{}".to_vec()).framing(Framing::Raw))
            }
            BatchCall::List(page) | BatchCall::Find { page, .. } => {
                self.get(&list_path("/batches", page.as_deref()))
            }
            BatchCall::Results(ResultSource::File(id)) => {
                let path = path("files", id, ":download?alt=media")?;
                Ok(self.get(&path)?.framing(Framing::Ndjson))
            }
            other => Err(unsupported_call(self.0.name(), other)),
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
            BatchCall::UploadFile(file) => match head.headers.get("x-goog-upload-url") {
                Some(place) => return self.next_upload(file, place),
                None => BatchAnswer::File(read_file(name, body)?),
            },
            BatchCall::ContinueUpload(_) | BatchCall::RetrieveFile(_) => {
                BatchAnswer::File(read_file(name, body)?)
            }
            BatchCall::ListFiles(_) => {
                let list: Files<'_> = parse(name, "a list of files", body)?;
                let read = |raw: &&RawValue| read_file(name, raw.get().as_bytes());
                let files = list.files.iter().map(read).collect::<Result<_, _>>()?;
                BatchAnswer::Files(files, present(list.next_page_token))
            }
            BatchCall::DownloadFile(_) => BatchAnswer::Content(body.clone()),
            BatchCall::Create(_) | BatchCall::Retrieve(_) => {
                BatchAnswer::Batch(Box::new(read_batch(name, body)?))
            }
            BatchCall::List(_) | BatchCall::Find { .. } => {
                let list: Operations<'_> = parse(name, "a list of batches", body)?;
                let read = |raw: &&RawValue| read_batch(name, raw.get().as_bytes());
                let batches = list.operations.iter().map(read).collect::<Result<_, _>>()?;
                BatchAnswer::Batches(batches, present(list.next_page_token))
            }
            call if is_inline(call) => {
                let operation: Operation<'_> = parse(name, BATCH, body)?;
                let lines = operation
                    .inlined()
                    .ok_or_else(|| missing(name, "a batch with results", "results", body))?;
                let items = lines.iter().map(|raw| self.decode_line(raw.get()));
                return Ok(DecodedCall::Items(items.collect(), None));
            }
            _ => BatchAnswer::Done,
        };
        Ok(DecodedCall::Answer(answer))
    }

    fn decode_line(&self, line: &str) -> BatchItem<Json> {
        read_line(line)
    }

    fn answer_decoder(&self, _: &[u8], _: Option<&ChatRequest>) -> Box<dyn ChatDecoder> {
        Box::new(decode::ContentDecoder::default())
    }
}

/// A line of results, of the developer API or of Vertex AI.
pub(super) fn read_line(line: &str) -> BatchItem<Json> {
    match serde_json::from_str::<Line<'_>>(line) {
        Ok(line) => line.item(),
        Err(error) => reading::unreadable_line(line, &error, &["key", "custom_id"]),
    }
}

fn present(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Files<'a> {
    #[serde(borrow)]
    files: Vec<&'a RawValue>,
    next_page_token: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Operations<'a> {
    #[serde(borrow)]
    operations: Vec<&'a RawValue>,
    next_page_token: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct FileObject<'a> {
    name: Option<String>,
    display_name: Option<String>,
    size_bytes: Option<Count>,
    mime_type: Option<String>,
    uri: Option<String>,
    #[serde(borrow)]
    create_time: Option<Moment<'a>>,
    #[serde(borrow)]
    expiration_time: Option<Moment<'a>>,
    /// After an upload the file is a member of another object.
    #[serde(borrow)]
    file: Option<&'a RawValue>,
}

fn read_file(name: &str, body: &[u8]) -> Result<StoredFile, Error> {
    const WHAT: &str = "a file";
    let mut object: FileObject<'_> = parse(name, WHAT, body)?;
    if let Some(inner) = object.file {
        object = parse(name, WHAT, inner.get().as_bytes())?;
    }
    Ok(StoredFile {
        id: require_id(name, WHAT, object.name, body)?,
        name: object.display_name,
        bytes: count(&object.size_bytes),
        media_type: object.mime_type,
        purpose: None,
        uri: object.uri,
        created_at: seconds(&object.create_time),
        expires_at: seconds(&object.expiration_time),
    })
}

const BATCH: &str = "a batch";

#[derive(Default, Deserialize)]
#[serde(default)]
struct Operation<'a> {
    name: Option<String>,
    #[serde(borrow)]
    metadata: Metadata<'a>,
    #[serde(borrow)]
    response: Output<'a>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Metadata<'a> {
    display_name: Option<String>,
    state: Option<String>,
    batch_stats: Option<Stats>,
    #[serde(borrow)]
    input_config: InputConfig<'a>,
    #[serde(borrow)]
    output: Output<'a>,
    #[serde(borrow)]
    create_time: Option<Moment<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct InputConfig<'a> {
    #[serde(borrow)]
    file_name: Option<Cow<'a, str>>,
}

/// The results. A description has them twice: in `response`, which is read, and in `metadata`, which is read if the first is missing.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Output<'a> {
    responses_file: Option<String>,
    #[serde(borrow)]
    inlined_responses: Option<Inlined<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Inlined<'a> {
    #[serde(borrow)]
    inlined_responses: Vec<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Stats {
    request_count: Option<Count>,
    pending_request_count: Option<Count>,
    successful_request_count: Option<Count>,
    failed_request_count: Option<Count>,
}

impl<'a> Operation<'a> {
    fn inlined(self) -> Option<Vec<&'a RawValue>> {
        let found = self
            .response
            .inlined_responses
            .or(self.metadata.output.inlined_responses);
        Some(found?.inlined_responses)
    }
}

fn read_batch(provider: &str, body: &[u8]) -> Result<ProviderBatch, Error> {
    let operation: Operation<'_> = parse(provider, BATCH, body)?;
    let id = match &operation.name {
        // A failed batch has a name and an `error`.
        Some(id) if !id.is_empty() => id.clone(),
        _ => require_id(provider, BATCH, None, body)?,
    };
    let metadata = &operation.metadata;
    let native_state = metadata.state.clone().unwrap_or_default();
    let outputs = [&operation.response, &metadata.output];
    let file = outputs
        .iter()
        .find_map(|output| output.responses_file.clone());
    let is_inlined = outputs
        .iter()
        .any(|output| output.inlined_responses.is_some());
    let mut results: Vec<ResultSource> =
        present(file).map(ResultSource::File).into_iter().collect();
    if is_inlined {
        results.push(ResultSource::Inline(id.clone()));
    }
    let state = match state(&native_state) {
        // The results follow a little later.
        BatchState::Completed if results.is_empty() => BatchState::Finalizing,
        state => state,
    };
    let counts = metadata.batch_stats.as_ref().map(|stats| {
        // Counts of zero are omitted.
        let number = |number: &Option<Count>| Some(count(number).unwrap_or(0));
        BatchCounts {
            total: number(&stats.request_count),
            pending: number(&stats.pending_request_count),
            succeeded: number(&stats.successful_request_count),
            failed: number(&stats.failed_request_count),
            ..BatchCounts::default()
        }
    });
    Ok(ProviderBatch {
        id,
        state,
        native_state,
        counts,
        input_file: metadata.input_config.file_name.clone().map(Cow::into_owned),
        tag: metadata.display_name.clone(),
        created_at: seconds(&metadata.create_time),
        // 48 hours. Source: Google's documentation.
        expires_at: seconds(&metadata.create_time).map(|at| at.saturating_add(48 * 3600)),
        message: operation
            .error
            .map(|error| status(error).message().to_owned()),
        results: if state.is_final() {
            results
        } else {
            Vec::new()
        },
        poll_after: None,
    })
}

/// The states of the developer API (`BATCH_STATE_..`) and of Vertex AI (`JOB_STATE_..`).
pub(super) fn state(native: &str) -> BatchState {
    match native.rsplit("STATE_").next().unwrap_or_default() {
        "PENDING" | "UNSPECIFIED" | "QUEUED" => BatchState::Queued,
        "SUCCEEDED" => BatchState::Completed,
        "PARTIALLY_SUCCEEDED" => BatchState::PartlyCompleted,
        "CANCELLING" => BatchState::Cancelling,
        "FAILED" => BatchState::Failed,
        "CANCELLED" => BatchState::Cancelled,
        "EXPIRED" => BatchState::Expired,
        // `RUNNING`, and words of later versions: the expiry limits them.
        _ => BatchState::Running,
    }
}

/// A line of results, or a result in a description. Vertex AI repeats the members next to the request, and has a `status` that is
/// empty after a success.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Line<'a> {
    #[serde(borrow)]
    key: Option<Cow<'a, str>>,
    #[serde(borrow)]
    custom_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    metadata: Option<Ids<'a>>,
    #[serde(borrow)]
    response: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    status: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Ids<'a> {
    #[serde(borrow)]
    custom_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    key: Option<Cow<'a, str>>,
}

impl Line<'_> {
    fn item(self) -> BatchItem<Json> {
        let ids = self.metadata.unwrap_or_default();
        let id = [self.key, self.custom_id, ids.custom_id, ids.key];
        let id = id.into_iter().flatten().next().unwrap_or_default();
        let stated = self
            .error
            .or(self.status.filter(|status| status.get() != "\"\""));
        let outcome = match (stated, self.response) {
            (Some(error), _) => failure(error),
            (None, Some(response)) if response.get() != "{}" => {
                ItemOutcome::Succeeded(Box::new(Json::part(response.get())))
            }
            _ => ItemOutcome::Failed(Error::new(
                ErrorKind::Protocol,
                "this result has neither a response nor an error",
            )),
        };
        BatchItem::new(id, outcome)
    }
}

fn failure(error: &RawValue) -> ItemOutcome<Json> {
    let error = status(error);
    match error.status() {
        Some(499) => ItemOutcome::Cancelled,
        _ => ItemOutcome::Failed(error),
    }
}

/// The error of a `google.rpc.Status`, or of a text in its place. The code is a code of gRPC or an HTTP status.
pub(super) fn status(error: &RawValue) -> Error {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Status<'a> {
        code: Option<Count>,
        #[serde(borrow)]
        message: Option<Cow<'a, str>>,
    }
    if let Ok(text) = serde_json::from_str::<Cow<'_, str>>(error.get()) {
        return Error::new(ErrorKind::InternalServer, text).with_status(500);
    }
    let read: Status<'_> = serde_json::from_str(error.get()).unwrap_or_default();
    let code = count(&read.code)
        .and_then(|code| u16::try_from(code).ok())
        .unwrap_or(2);
    // Source: google/rpc/code.proto.
    let (status, word) = match code {
        1 => (499, "CANCELLED"),
        3 => (400, "INVALID_ARGUMENT"),
        4 => (504, "DEADLINE_EXCEEDED"),
        5 => (404, "NOT_FOUND"),
        6 | 10 => (409, "ABORTED"),
        7 => (403, "PERMISSION_DENIED"),
        8 => (429, "RESOURCE_EXHAUSTED"),
        9 => (400, "FAILED_PRECONDITION"),
        11 => (400, "OUT_OF_RANGE"),
        12 => (501, "UNIMPLEMENTED"),
        14 => (503, "UNAVAILABLE"),
        16 => (401, "UNAUTHENTICATED"),
        http @ 300..=599 => (http, ""),
        _ => (500, "INTERNAL"),
    };
    let message = read
        .message
        .unwrap_or_else(|| "the provider gave no reason".into());
    let body = serde_json::json!({"error": {"code": status, "message": message, "status": word}});
    crate::provider::batch_api::item_error(decode::error_from_http, status, &body.to_string())
}
