//! Batches of Vertex AI: batch prediction jobs. Requests and results are files in Cloud Storage.
//!
//! Sources: Google's SDK for jobs, a recorded file of results, and the reference of the JSON API of Cloud Storage.

use super::{
    Gemini,
    batches::{read_line, state, status},
    decode,
};
use crate::{
    ChatRequest, Error, ErrorKind, Json,
    codec::percent::encode_segment,
    json::ObjectWriter,
    provider::{
        BaseUrl, BatchApi, BatchLimits, ChatDecoder, DecodedCall, EncodedCall, Framing, Provider,
        ProviderCore, Submission,
        batch_api::{
            bad_id, multipart,
            reading::{self, Count, Moment, count, parse, require_id, seconds},
            unsupported_call,
        },
        kit::{core::JSON, object_uri::ObjectUri, vertex::Vertex},
    },
    provider_batch::{
        BatchAnswer, BatchCall, BatchCounts, BatchInput, BatchItem, NewBatch, ProviderBatch,
        ResultSource, RetrieveStep, StoredFile,
    },
};
use bytes::Bytes;
use http::{HeaderValue, Method, header, response};
use serde::Deserialize;
use serde_json::{json, value::RawValue};
use std::borrow::Cow;
use unifiedai_transport::RequestBody;

/// Google states no limits that sources agree on: these are bounds of this library.
const LIMITS: BatchLimits = BatchLimits::new(50_000, 200_000_000, Submission::File);

/// Jobs may take this long. Source: the specification of OpenRouter, which passes batches on to Vertex AI.
const MAX_SECONDS: u64 = 96 * 3600;

/// The folder for the files of batches, and the URL of Cloud Storage.
#[derive(Clone, Debug)]
pub(super) struct Storage {
    folder: ObjectUri,
    url: BaseUrl,
}

impl Storage {
    pub(super) fn new(core: &ProviderCore, folder: &str, url: Option<&str>) -> Result<Self, Error> {
        let url = url.unwrap_or("https://storage.googleapis.com");
        Ok(Storage {
            folder: parse_uri(folder)?.folder(),
            url: core.other_url(url)?,
        })
    }
}

fn parse_uri(text: &str) -> Result<ObjectUri, Error> {
    ObjectUri::parse("gs", text)
}

/// The batch API of Gemini on Vertex AI, and files in Cloud Storage.
pub(super) struct Batches<'a> {
    pub(super) gemini: &'a Gemini,
    pub(super) vertex: &'a Vertex,
}

impl Batches<'_> {
    fn name(&self) -> &str {
        self.gemini.name()
    }

    fn storage(&self) -> Result<&Storage, Error> {
        self.gemini.storage.as_ref().ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidRequest,
                format!(
                    "`{}` has no folder for batches: set one with `batch_folder` of the builder",
                    self.name()
                ),
            )
        })
    }

    fn jobs_path(&self) -> String {
        self.vertex.resources() + "/batchPredictionJobs"
    }

    /// The path of a job, by its number or its name (`projects/../batchPredictionJobs/NUMBER`).
    fn job_path(&self, id: &str, behind: &str) -> Result<String, Error> {
        let number = id.rsplit('/').next().and_then(encode_segment);
        let number = number.ok_or_else(|| bad_id("batch", id))?;
        Ok([&self.jobs_path(), "/", &number, behind].concat())
    }

    fn get(&self, path: &str) -> Result<EncodedCall, Error> {
        Ok(EncodedCall::new(self.gemini.core.get(path)?))
    }

    fn post(&self, path: &str, body: Vec<u8>) -> Result<EncodedCall, Error> {
        let core = &self.gemini.core;
        let request = core.request(Method::POST, core.url(path)?, body.into(), JSON);
        Ok(EncodedCall::new(request))
    }

    /// A call of Cloud Storage: `behind` follows the name of the bucket.
    fn storage_call(
        &self,
        method: Method,
        version: &str,
        uri: &ObjectUri,
        behind: &str,
        body: RequestBody,
    ) -> Result<EncodedCall, Error> {
        let core = &self.gemini.core;
        let path = [version, "/b/", &uri.bucket, "/o", behind].concat();
        let url = self.storage()?.url.join(&path)?;
        let request = core.request(method, url, Bytes::new(), JSON);
        Ok(EncodedCall::new(request.map(|_| body)))
    }

    fn object(&self, method: Method, id: &str, query: &str) -> Result<EncodedCall, Error> {
        let uri = parse_uri(id)?;
        uri.check_object()?;
        let key = encode_segment(&uri.key).ok_or_else(|| bad_id("file", id))?;
        let behind = ["/", &key, query].concat();
        self.storage_call(method, "/storage/v1", &uri, &behind, RequestBody::default())
    }

    fn list_objects(&self, folder: &ObjectUri, page: Option<&str>) -> Result<EncodedCall, Error> {
        let pairs = [("prefix", Some(&*folder.key)), ("pageToken", page)];
        let query = query("?maxResults=1000", &pairs);
        self.storage_call(
            Method::GET,
            "/storage/v1",
            folder,
            &query,
            RequestBody::default(),
        )
    }

    fn upload(&self, file: &crate::provider_batch::NewFile) -> Result<EncodedCall, Error> {
        let uri = self.storage()?.folder.join("in/").join(&file.name);
        uri.check_object()?;
        let behind = query("?uploadType=media", &[("name", Some(&uri.key))]);
        let content = file.content.clone();
        let version = "/upload/storage/v1";
        let mut call = self.storage_call(Method::POST, version, &uri, &behind, content)?;
        let media_type = HeaderValue::from_str(multipart::media_type(file)?).map_err(|_| {
            let what = "the media type of the file is not a header value";
            Error::new(ErrorKind::InvalidRequest, what)
        })?;
        let headers = call.request.headers_mut();
        headers.insert(header::CONTENT_TYPE, media_type);
        Ok(call)
    }

    fn create(&self, batch: &NewBatch) -> Result<EncodedCall, Error> {
        let BatchInput::File(file) = &batch.input else {
            let call = BatchCall::Create(batch.clone());
            return Err(unsupported_call(self.name(), &call));
        };
        // Without the leading path of the project.
        let path = self.vertex.model_path("google", &batch.model)?;
        let model = path.strip_prefix(&self.vertex.resources());
        let output = self.storage()?.folder.join("out/").to_string();
        let mut out = ObjectWriter::with_capacity(512);
        out.text("displayName", &batch.tag);
        out.text("model", model.unwrap_or(&path).trim_start_matches('/'));
        let input = json!({"instancesFormat": "jsonl", "gcsSource": {"uris": [file]}});
        out.member("inputConfig", &input)?;
        let destination = json!({"outputUriPrefix": output});
        let output = json!({"predictionsFormat": "jsonl", "gcsDestination": destination});
        out.member("outputConfig", &output)?;
        self.post(&self.jobs_path(), out.finish())
    }

    /// A job. Its results are listed if it is over and has a folder of results.
    fn on_description(&self, body: &[u8]) -> Result<DecodedCall, Error> {
        let (batch, folder) = read_job(self.name(), body)?;
        Ok(match folder.filter(|_| batch.state.is_final()) {
            None => DecodedCall::Answer(BatchAnswer::Batch(Box::new(batch))),
            Some(folder) => DecodedCall::Then(BatchCall::ContinueRetrieve(RetrieveStep {
                batch: Box::new(batch),
                folder: parse_uri(&folder)?.folder().to_string(),
                page: None,
            })),
        })
    }

    fn on_results_listed(&self, step: &RetrieveStep, body: &[u8]) -> Result<DecodedCall, Error> {
        let (files, next) = read_objects(self.name(), body)?;
        let mut batch = step.batch.clone();
        let files = files.into_iter().map(|file| file.id);
        let files = files.filter(|id| id.ends_with(".jsonl"));
        batch.results.extend(files.map(ResultSource::File));
        Ok(match next {
            Some(page) => DecodedCall::Then(BatchCall::ContinueRetrieve(RetrieveStep {
                batch,
                folder: step.folder.clone(),
                page: Some(page),
            })),
            None => DecodedCall::Answer(BatchAnswer::Batch(batch)),
        })
    }
}

/// `begin` and the parameters that have a value.
fn query(begin: &str, pairs: &[(&str, Option<&str>)]) -> String {
    let mut query = begin.to_owned();
    for (name, value) in pairs {
        if let Some(value) = value.and_then(encode_segment) {
            query.push_str(&["&", name, "=", &value].concat());
        }
    }
    query
}

impl BatchApi for Batches<'_> {
    fn limits(&self) -> BatchLimits {
        LIMITS
    }

    fn encode_line(&self, id: &str, request: &ChatRequest) -> Result<Vec<u8>, Error> {
        let mut request = request.clone();
        request.stream = false;
        let encoded = self.gemini.encode_chat(&request)?;
        let body = encoded.request.body();
        let mut out = ObjectWriter::with_capacity(body.len().saturating_add(64));
        // Members other than `request` are repeated in the results.
        out.text("custom_id", id);
        let body: &RawValue = parse(self.name(), "a request", body)?;
        out.member("request", body)?;
        Ok(out.finish())
    }

    fn encode_call(&self, call: &BatchCall) -> Result<EncodedCall, Error> {
        match call {
            BatchCall::UploadFile(file) => self.upload(file),
            BatchCall::RetrieveFile(id) => self.object(Method::GET, id, ""),
            BatchCall::DeleteFile(id) => {
                Ok(self.object(Method::DELETE, id, "")?.framing(Framing::Raw))
            }
            BatchCall::ListFiles(page) => {
                let folder = self.storage()?.folder.join("in/");
                self.list_objects(&folder, page.as_deref())
            }
            BatchCall::DownloadFile(id) => {
                let call = self.object(Method::GET, id, "?alt=media")?;
                Ok(call.framing(Framing::Raw))
            }
            BatchCall::Create(batch) => self.create(batch),
            BatchCall::Retrieve(id) => self.get(&self.job_path(id, "")?),
            BatchCall::ContinueRetrieve(step) => {
                self.list_objects(&parse_uri(&step.folder)?, step.page.as_deref())
            }
            BatchCall::Cancel(id) => {
                let call = self.post(&self.job_path(id, ":cancel")?, b"{}".to_vec())?;
                Ok(call.framing(Framing::Raw))
            }
            BatchCall::List(page) | BatchCall::Find { page, .. } => {
                let query = query("?pageSize=100", &[("pageToken", page.as_deref())]);
                self.get(&[&self.jobs_path(), &*query].concat())
            }
            BatchCall::Results(ResultSource::File(id)) => {
                let call = self.object(Method::GET, id, "?alt=media")?;
                Ok(call.framing(Framing::Ndjson))
            }
            other => Err(unsupported_call(self.name(), other)),
        }
    }

    fn decode_call(
        &self,
        call: &BatchCall,
        _: &response::Parts,
        body: &Bytes,
    ) -> Result<DecodedCall, Error> {
        let name = self.name();
        let answer = match call {
            BatchCall::UploadFile(_) | BatchCall::RetrieveFile(_) => {
                let object: Object<'_> = parse(name, "an object of Cloud Storage", body)?;
                BatchAnswer::File(object.read(name, body)?)
            }
            BatchCall::ListFiles(_) => {
                let (files, next) = read_objects(name, body)?;
                BatchAnswer::Files(files, next)
            }
            BatchCall::DownloadFile(_) => BatchAnswer::Content(body.clone()),
            BatchCall::Create(_) => BatchAnswer::Batch(Box::new(read_job(name, body)?.0)),
            BatchCall::Retrieve(_) => return self.on_description(body),
            BatchCall::ContinueRetrieve(step) => return self.on_results_listed(step, body),
            BatchCall::List(_) | BatchCall::Find { .. } => {
                let list: Jobs<'_> = parse(name, "a list of batch prediction jobs", body)?;
                let jobs = list.batch_prediction_jobs.iter();
                let read = |raw: &&RawValue| Ok(read_job(name, raw.get().as_bytes())?.0);
                let jobs: Result<_, Error> = jobs.map(read).collect();
                BatchAnswer::Batches(jobs?, present(list.next_page_token))
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

fn present(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Jobs<'a> {
    #[serde(borrow)]
    batch_prediction_jobs: Vec<&'a RawValue>,
    next_page_token: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Job<'a> {
    name: Option<String>,
    display_name: Option<String>,
    state: Option<String>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    create_time: Option<Moment<'a>>,
    input_config: InputConfig,
    output_info: OutputInfo,
    completion_stats: Option<Stats>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct InputConfig {
    gcs_source: Source,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Source {
    uris: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct OutputInfo {
    gcs_output_directory: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Stats {
    successful_count: Option<Count>,
    failed_count: Option<Count>,
    incomplete_count: Option<Count>,
}

/// A job, and the folder of its results.
fn read_job(name: &str, body: &[u8]) -> Result<(ProviderBatch, Option<String>), Error> {
    const WHAT: &str = "a batch prediction job";
    let job: Job<'_> = parse(name, WHAT, body)?;
    let created_at = seconds(&job.create_time);
    let counts = job.completion_stats.map(|stats| {
        let [succeeded, failed, pending] = [
            count(&stats.successful_count),
            count(&stats.failed_count),
            count(&stats.incomplete_count),
        ];
        let all = [succeeded, failed, pending].into_iter().flatten();
        BatchCounts {
            total: Some(all.fold(0, u64::saturating_add)),
            pending,
            succeeded,
            failed,
            ..BatchCounts::default()
        }
    });
    let native_state = job.state.unwrap_or_default();
    let batch = ProviderBatch {
        id: require_id(name, WHAT, job.name, body)?,
        state: state(&native_state),
        native_state,
        counts,
        input_file: job.input_config.gcs_source.uris.into_iter().next(),
        tag: job.display_name,
        created_at,
        expires_at: created_at.map(|at| at.saturating_add(MAX_SECONDS)),
        message: job.error.map(|error| status(error).message().to_owned()),
        ..ProviderBatch::default()
    };
    Ok((batch, present(job.output_info.gcs_output_directory)))
}

/// An object of Cloud Storage.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Object<'a> {
    bucket: String,
    name: Option<String>,
    size: Option<Count>,
    content_type: Option<String>,
    #[serde(borrow)]
    time_created: Option<Moment<'a>>,
}

impl Object<'_> {
    fn read(self, provider: &str, body: &[u8]) -> Result<StoredFile, Error> {
        let key = require_id(provider, "an object of Cloud Storage", self.name, body)?;
        Ok(StoredFile {
            name: key.rsplit('/').next().map(str::to_owned),
            id: ["gs://", &self.bucket, "/", &key].concat(),
            bytes: count(&self.size),
            media_type: self.content_type,
            created_at: seconds(&self.time_created),
            ..StoredFile::default()
        })
    }
}

/// A page of objects, and the token of the next page.
fn read_objects(name: &str, body: &[u8]) -> Result<(Vec<StoredFile>, Option<String>), Error> {
    #[derive(Default, Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct Objects<'a> {
        #[serde(borrow)]
        kind: Option<Cow<'a, str>>,
        #[serde(borrow)]
        items: Vec<Object<'a>>,
        next_page_token: Option<String>,
    }
    const WHAT: &str = "a list of objects of Cloud Storage";
    let list: Objects<'_> = parse(name, WHAT, body)?;
    // An empty list has no items; it still says what it is.
    if list.items.is_empty() && list.kind.as_deref() != Some("storage#objects") {
        return Err(reading::missing(name, WHAT, "items", body));
    }
    let files = list.items.into_iter().map(|object| object.read(name, body));
    let files: Result<_, Error> = files.collect();
    Ok((files?, present(list.next_page_token)))
}
