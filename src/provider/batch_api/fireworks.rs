//! Batches of Fireworks AI: batch inference jobs of an account. Requests and results are data sets.
//!
//! Sources: Fireworks' SDK and documentation, and published notes on captured calls for what these leave open: `exampleCount`, the
//! lines of results, and the names of the files in a data set.

use super::{
    BatchApi, BatchLimits, DecodedCall, EncodedCall, bad_id, multipart, openai,
    reading::{Count, Moment, count, parse, require_id, seconds},
    unsupported_call,
};
use crate::{
    ChatRequest, Error, ErrorKind, Json,
    codec::percent::encode_segment,
    json::ObjectWriter,
    provider::{
        BaseUrl, ChatDecoder, Framing, Provider, ProviderCore,
        kit::core::{JSON, foreign_request},
    },
    provider_batch::{
        BatchAnswer, BatchCall, BatchCounts, BatchInput, BatchItem, BatchState, NewBatch, NewFile,
        ProviderBatch, ResultSource, ResultsStep, RetrieveStep, StoredFile, UploadStage,
        UploadStep,
    },
};
use bytes::Bytes;
use http::{Method, Uri, header, response, uri::Scheme};
use serde::Deserialize;
use serde_json::{json, value::RawValue};
use std::collections::BTreeMap;

/// The batch API of an account.
pub(in crate::provider) struct FireworksBatches<'a> {
    pub(in crate::provider) limits: BatchLimits,
    pub(in crate::provider) provider: &'a dyn Provider,
    pub(in crate::provider) core: &'a ProviderCore,
    pub(in crate::provider) account: Option<&'a str>,
}

/// Between a data set and the name of one of its files, in the id of a source of results.
const FILE_MARK: &str = "#";

impl FireworksBatches<'_> {
    fn name(&self) -> &str {
        self.provider.name()
    }

    /// The URL of the account. Chats are below `/inference/v1` of the host, accounts below `/v1`.
    fn account_url(&self) -> Result<(BaseUrl, &str), Error> {
        let account = self.account.ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidRequest,
                format!(
                    "batches of `{}` belong to an account: set it with `url_param(\"account\", ..)`",
                    self.name()
                ),
            )
        })?;
        let chats = self.core.base_url().as_str();
        let root = match chats.strip_suffix("/inference/v1") {
            Some(host) => [host, "/v1"].concat(),
            None => chats.to_owned(),
        };
        let url = self
            .core
            .other_url(&[&root, "/accounts/", account].concat())?;
        Ok((url, account))
    }

    fn call(
        &self,
        method: Method,
        path: &str,
        body: impl Into<Bytes>,
    ) -> Result<EncodedCall, Error> {
        let uri = self.account_url()?.0.join(path)?;
        let request = self.core.request(method, uri, body.into(), JSON);
        Ok(EncodedCall::new(request))
    }

    fn get(&self, path: &str) -> Result<EncodedCall, Error> {
        self.call(Method::GET, path, Bytes::new())
    }

    /// Creates the data set of an upload. 409 means that an earlier attempt created it.
    fn create_dataset(&self, file: &NewFile) -> Result<EncodedCall, Error> {
        let id = dataset_of(&file.name)?;
        // Fireworks requires a count and does not check it. The lines of a streamed file are not known here.
        let lines = match file.content.as_bytes() {
            Some(content) => content.iter().filter(|b| **b == b'\n').count(),
            None => 1,
        };
        let dataset = json!({"userUploaded": {}, "exampleCount": lines.to_string()});
        let body = json!({"datasetId": id, "dataset": dataset}).to_string();
        let mut call = self
            .call(Method::POST, "/datasets", body)?
            .framing(Framing::Raw);
        call.accepted = &[409];
        Ok(call)
    }

    fn upload(&self, id: &str, file: &NewFile) -> Result<EncodedCall, Error> {
        let (media_type, body) = multipart::form(&[], Some(file))?;
        let mut call = self.call(Method::POST, &dataset_path(id, ":upload")?, Bytes::new())?;
        call.request = call.request.map(|_| body);
        let headers = call.request.headers_mut();
        headers.insert(header::CONTENT_TYPE, media_type);
        Ok(call.framing(Framing::Raw))
    }

    fn create(&self, batch: &NewBatch) -> Result<EncodedCall, Error> {
        let BatchInput::File(dataset) = &batch.input else {
            let call = BatchCall::Create(batch.clone());
            return Err(unsupported_call(self.name(), &call));
        };
        let id = encode_segment(&batch.tag).ok_or_else(|| bad_id("batch", &batch.tag))?;
        let mut out = ObjectWriter::with_capacity(256);
        out.text("displayName", &batch.tag);
        out.text("model", &batch.model);
        out.text("inputDatasetId", dataset);
        let path = ["/batchInferenceJobs?batchInferenceJobId=", &id].concat();
        self.call(Method::POST, &path, out.finish())
    }

    /// The signed URLs of the files of a data set. A job that ended before it wrote results has no data set.
    fn download_urls(&self, dataset: &str) -> Result<EncodedCall, Error> {
        let call = self.get(&dataset_path(dataset, ":getDownloadEndpoint")?)?;
        Ok(call.framing(Framing::Raw))
    }

    /// A job. The files of its results are listed if it is over.
    fn on_description(&self, body: &[u8]) -> Result<DecodedCall, Error> {
        let (batch, dataset) = read_job(self.name(), body)?;
        let has_results = batch.state.is_final() && batch.state != BatchState::Failed;
        Ok(match dataset.filter(|_| has_results) {
            None => DecodedCall::Answer(BatchAnswer::Batch(Box::new(batch))),
            Some(folder) => DecodedCall::Then(BatchCall::ContinueRetrieve(RetrieveStep {
                batch: Box::new(batch),
                folder,
                page: None,
            })),
        })
    }

    fn on_files_listed(
        &self,
        step: &RetrieveStep,
        head: &response::Parts,
        body: &[u8],
    ) -> Result<BatchAnswer, Error> {
        let mut batch = step.batch.clone();
        if head.status.as_u16() != 404 {
            let urls = read_urls(self.name(), body)?;
            let source = |name: &String| [&step.folder, FILE_MARK, name].concat();
            batch.results = urls
                .keys()
                .map(|name| ResultSource::File(source(name)))
                .collect();
        }
        Ok(BatchAnswer::Batch(batch))
    }

    /// The signed URL of a file of results.
    fn on_urls(&self, id: &str, body: &[u8]) -> Result<DecodedCall, Error> {
        let (_, name) = split_source(id)?;
        let urls = read_urls(self.name(), body)?;
        let url = urls.get(name).and_then(|url| url.parse::<Uri>().ok());
        // Without TLS results are read only from the origin of the base URL, which the caller chose without TLS.
        let is_allowed =
            |url: &Uri| url.scheme() == Some(&Scheme::HTTPS) || self.core.is_own_origin(url);
        match url.filter(is_allowed) {
            Some(from) => Ok(DecodedCall::Then(BatchCall::ContinueResults(ResultsStep {
                from,
            }))),
            None => Err(Error::new(
                ErrorKind::Protocol,
                format!(
                    "the data set has no `https://` URL for its file `{}`",
                    name.escape_debug()
                ),
            )),
        }
    }
}

/// The id of the data set for a file: its name without the extension.
fn dataset_of(name: &str) -> Result<&str, Error> {
    let id = name.strip_suffix(".jsonl").unwrap_or(name);
    let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    match (1..=63).contains(&id.len()) && id.bytes().all(is_plain) {
        true => Ok(id),
        false => Err(Error::new(
            ErrorKind::InvalidRequest,
            format!(
                "`{}` cannot be the name of a data set: use 1 to 63 lower-case letters, digits and hyphens",
                name.escape_debug()
            ),
        )),
    }
}

/// The last segment of `accounts/ACCOUNT/datasets/ID`, or an id.
fn short(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

fn dataset_path(id: &str, behind: &str) -> Result<String, Error> {
    let id = encode_segment(short(id)).ok_or_else(|| bad_id("data set", id))?;
    Ok(["/datasets/", &id, behind].concat())
}

fn job_path(id: &str) -> Result<String, Error> {
    let id = encode_segment(short(id)).ok_or_else(|| bad_id("batch", id))?;
    Ok(["/batchInferenceJobs/", &id].concat())
}

fn list_path(folder: &str, page: Option<&str>) -> String {
    match page.and_then(encode_segment) {
        Some(token) => [folder, "?pageSize=200&pageToken=", &token].concat(),
        None => [folder, "?pageSize=200"].concat(),
    }
}

/// The data set and the file of a source of results.
fn split_source(id: &str) -> Result<(&str, &str), Error> {
    id.split_once(FILE_MARK)
        .ok_or_else(|| bad_id("file of results", id))
}

impl BatchApi for FireworksBatches<'_> {
    fn limits(&self) -> BatchLimits {
        self.limits
    }

    fn encode_line(&self, id: &str, request: &ChatRequest) -> Result<Vec<u8>, Error> {
        let mut request = request.clone();
        request.stream = false;
        let encoded = self.provider.encode_chat(&request)?;
        openai::line_without_model(id, encoded.request.body())
    }

    fn encode_call(&self, call: &BatchCall) -> Result<EncodedCall, Error> {
        match call {
            BatchCall::UploadFile(file) => self.create_dataset(file),
            BatchCall::ContinueUpload(UploadStep {
                stage: UploadStage::Finish { id },
                file,
            }) => self.upload(id, file),
            BatchCall::RetrieveFile(id) => self.get(&dataset_path(id, "")?),
            BatchCall::DeleteFile(id) => {
                let path = dataset_path(id, "")?;
                Ok(self
                    .call(Method::DELETE, &path, Bytes::new())?
                    .framing(Framing::Raw))
            }
            BatchCall::ListFiles(page) => self.get(&list_path("/datasets", page.as_deref())),
            BatchCall::Create(batch) => self.create(batch),
            BatchCall::Retrieve(id) => self.get(&job_path(id)?),
            BatchCall::ContinueRetrieve(step) => {
                let mut call = self.download_urls(&step.folder)?;
                call.accepted = &[404];
                Ok(call)
            }
            BatchCall::List(page) | BatchCall::Find { page, .. } => {
                self.get(&list_path("/batchInferenceJobs", page.as_deref()))
            }
            BatchCall::Results(ResultSource::File(id)) => self.download_urls(split_source(id)?.0),
            BatchCall::ContinueResults(step) => {
                let request =
                    foreign_request(Method::GET, step.from.clone()).map(|()| Bytes::new());
                let mut call = EncodedCall::new(request).framing(Framing::Ndjson);
                call.authenticated = false;
                Ok(call)
            }
            // A deletion ends a job, but its results are deleted as well.
            other => Err(unsupported_call(self.name(), other)),
        }
    }

    fn decode_call(
        &self,
        call: &BatchCall,
        head: &response::Parts,
        body: &Bytes,
    ) -> Result<DecodedCall, Error> {
        let name = self.name();
        let answer = match call {
            BatchCall::UploadFile(file) => {
                let stage = UploadStage::Finish {
                    id: dataset_of(&file.name)?.to_owned(),
                };
                let file = file.clone();
                let step = UploadStep { stage, file };
                return Ok(DecodedCall::Then(BatchCall::ContinueUpload(step)));
            }
            BatchCall::ContinueUpload(step) => BatchAnswer::File(self.uploaded(step)?),
            BatchCall::RetrieveFile(_) => BatchAnswer::File(read_dataset(name, body)?),
            BatchCall::ListFiles(_) => {
                let list: Datasets<'_> = parse(name, "a list of data sets", body)?;
                let read = |raw: &&RawValue| read_dataset(name, raw.get().as_bytes());
                let files: Result<_, Error> = list.datasets.iter().map(read).collect();
                BatchAnswer::Files(files?, present(list.next_page_token))
            }
            BatchCall::Create(_) => BatchAnswer::Batch(Box::new(read_job(name, body)?.0)),
            BatchCall::Retrieve(_) => return self.on_description(body),
            BatchCall::ContinueRetrieve(step) => self.on_files_listed(step, head, body)?,
            BatchCall::List(_) | BatchCall::Find { .. } => {
                let list: Jobs<'_> = parse(name, "a list of batch inference jobs", body)?;
                let read = |raw: &&RawValue| Ok(read_job(name, raw.get().as_bytes())?.0);
                let jobs: Result<_, Error> = list.batch_inference_jobs.iter().map(read).collect();
                BatchAnswer::Batches(jobs?, present(list.next_page_token))
            }
            BatchCall::Results(ResultSource::File(id)) => return self.on_urls(id, body),
            _ => BatchAnswer::Done,
        };
        Ok(DecodedCall::Answer(answer))
    }

    fn decode_line(&self, line: &str) -> BatchItem<Json> {
        openai::read_line(self.provider, line)
    }

    fn answer_decoder(&self, _: &[u8], request: Option<&ChatRequest>) -> Box<dyn ChatDecoder> {
        match request {
            Some(request) => self.provider.chat_decoder(request),
            None => self.provider.chat_decoder(&ChatRequest::new("")),
        }
    }
}

impl FireworksBatches<'_> {
    /// The file of an upload. The response to it has no description.
    fn uploaded(&self, step: &UploadStep) -> Result<StoredFile, Error> {
        let (_, account) = self.account_url()?;
        let id = dataset_of(&step.file.name)?;
        Ok(StoredFile {
            id: ["accounts/", account, "/datasets/", id].concat(),
            name: Some(step.file.name.clone()),
            bytes: Some(step.file.content.len()),
            media_type: Some(step.file.media_type.clone()),
            ..StoredFile::default()
        })
    }
}

fn present(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

/// The signed URLs of a data set, by the names of its files.
fn read_urls(name: &str, body: &[u8]) -> Result<BTreeMap<String, String>, Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Urls {
        filename_to_signed_urls: BTreeMap<String, String>,
    }
    let urls: Urls = parse(name, "a list of signed URLs", body)?;
    Ok(urls.filename_to_signed_urls)
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Datasets<'a> {
    #[serde(borrow)]
    datasets: Vec<&'a RawValue>,
    next_page_token: Option<String>,
}

fn read_dataset(name: &str, body: &[u8]) -> Result<StoredFile, Error> {
    #[derive(Default, Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct Dataset<'a> {
        name: Option<String>,
        display_name: Option<String>,
        #[serde(borrow)]
        create_time: Option<Moment<'a>>,
    }
    const WHAT: &str = "a data set";
    let dataset: Dataset<'_> = parse(name, WHAT, body)?;
    Ok(StoredFile {
        id: require_id(name, WHAT, dataset.name, body)?,
        name: present(dataset.display_name),
        created_at: seconds(&dataset.create_time),
        ..StoredFile::default()
    })
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Jobs<'a> {
    #[serde(borrow)]
    batch_inference_jobs: Vec<&'a RawValue>,
    next_page_token: Option<String>,
}

/// A job. Its member `createdBy` is the address of a person, and is not read.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Job<'a> {
    name: Option<String>,
    state: Option<String>,
    status: Status,
    input_dataset_id: Option<String>,
    output_dataset_id: Option<String>,
    job_progress: Option<Progress>,
    #[serde(borrow)]
    create_time: Option<Moment<'a>>,
    #[serde(borrow)]
    expire_time: Option<Moment<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    message: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Progress {
    total_input_requests: Option<Count>,
    total_processed_requests: Option<Count>,
    successfully_processed_requests: Option<Count>,
    failed_requests: Option<Count>,
}

/// A job, and the data set of its results.
fn read_job(name: &str, body: &[u8]) -> Result<(ProviderBatch, Option<String>), Error> {
    const WHAT: &str = "a batch inference job";
    let job: Job<'_> = parse(name, WHAT, body)?;
    let id = require_id(name, WHAT, job.name, body)?;
    let native_state = job.state.unwrap_or_default();
    let created_at = seconds(&job.create_time);
    let day_later = created_at.map(|at| at.saturating_add(24 * 3600));
    // The number of inputs is the one that the data set was created with; the number of processed requests can be higher.
    let counts = job.job_progress.map(|progress| BatchCounts {
        total: count(&progress.total_input_requests).max(count(&progress.total_processed_requests)),
        succeeded: count(&progress.successfully_processed_requests),
        failed: count(&progress.failed_requests),
        ..BatchCounts::default()
    });
    let batch = ProviderBatch {
        state: state(&native_state),
        native_state,
        counts,
        input_file: present(job.input_dataset_id),
        // The creation names the job by its tag.
        tag: Some(short(&id).to_owned()),
        id,
        created_at,
        expires_at: seconds(&job.expire_time).or(day_later),
        message: present(job.status.message),
        ..ProviderBatch::default()
    };
    Ok((batch, present(job.output_dataset_id)))
}

fn state(native: &str) -> BatchState {
    match native.strip_prefix("JOB_STATE_").unwrap_or(native) {
        "UNSPECIFIED" | "VALIDATING" => BatchState::Validating,
        "CREATING" | "CREATING_INPUT_DATASET" | "PENDING" => BatchState::Queued,
        "WRITING_RESULTS" => BatchState::Finalizing,
        "CANCELLING" => BatchState::Cancelling,
        "COMPLETED" => BatchState::Completed,
        "FAILED" => BatchState::Failed,
        "EXPIRED" | "EARLY_STOPPED" => BatchState::Expired,
        "CANCELLED" | "DELETING" | "DELETING_CLEANING_UP" | "DELETED" | "ARCHIVED" => {
            BatchState::Cancelled
        }
        // `RUNNING`, `RE_QUEUEING`, `IDLE`, `PAUSED`, and unknown states: the expiry limits them.
        _ => BatchState::Running,
    }
}
