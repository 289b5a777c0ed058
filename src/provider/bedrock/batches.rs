//! Batches: model invocation jobs of the control plane, in the format of Converse. Requests and results are files in S3.
//!
//! Source: the service model of the AWS SDKs (`bedrock` 2023-04-20) and the user guide.

use super::{
    Bedrock, decode, errors, model_segment,
    s3::{invalid, parse_uri, read_list, set_media_type},
    storage::Storage,
};
use crate::{
    ChatRequest, Error, ErrorKind, Json,
    codec::percent::encode_segment,
    json::ObjectWriter,
    provider::{
        BatchApi, BatchLimits, ChatDecoder, DecodedCall, EncodedCall, Framing, Provider,
        Submission,
        batch_api::{
            bad_id, item_error,
            reading::{self, Count, Moment, count, parse, require_id, seconds},
            unsupported_call,
        },
        kit::{core::JSON, object_uri::ObjectUri},
    },
    provider_batch::{
        BatchAnswer, BatchCall, BatchCounts, BatchInput, BatchItem, BatchState, ItemOutcome,
        NewBatch, ProviderBatch, ResultSource, RetrieveStep, StoredFile,
    },
};
use bytes::Bytes;
use http::{Method, response};
use serde::Deserialize;
use serde_json::{json, value::RawValue};
use std::borrow::Cow;
use unifiedai_transport::RequestBody;

/// The default quotas of an account. They differ by model and region. Source: the service quotas of Bedrock.
pub(super) const LIMITS: BatchLimits = BatchLimits {
    min_requests: 100,
    ..BatchLimits::new(50_000, 1_000_000_000, Submission::File)
};

/// The batch API of Bedrock, and files in S3.
pub(super) struct Batches<'a>(pub(super) &'a Bedrock);

impl Batches<'_> {
    fn storage(&self) -> Result<&Storage, Error> {
        self.0.storage.as_ref().ok_or_else(|| {
            invalid(format!(
                "`{}` has no bucket and no role for batches: set both with `batch_storage` of the builder",
                self.0.name()
            ))
        })
    }

    fn get(&self, path: &str) -> Result<EncodedCall, Error> {
        Ok(EncodedCall::new(self.0.core.get_at(&self.0.control, path)?))
    }

    fn post(&self, path: &str, body: Vec<u8>) -> Result<EncodedCall, Error> {
        let uri = self.0.core.url_at(&self.0.control, path)?;
        let request = self.0.core.request(Method::POST, uri, body.into(), JSON);
        Ok(EncodedCall::new(request))
    }

    fn object(&self, method: Method, id: &str, body: RequestBody) -> Result<EncodedCall, Error> {
        let uri = parse_uri(id)?;
        self.storage()?.s3.object(&self.0.core, method, &uri, body)
    }

    fn list_objects(&self, folder: &ObjectUri, page: Option<&str>) -> Result<EncodedCall, Error> {
        self.storage()?.s3.list(&self.0.core, folder, page)
    }

    fn create(&self, batch: &NewBatch) -> Result<EncodedCall, Error> {
        let BatchInput::File(file) = &batch.input else {
            let call = BatchCall::Create(batch.clone());
            return Err(unsupported_call(self.0.name(), &call));
        };
        let is_name = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        if batch.tag.len() > 63 || !batch.tag.bytes().all(is_name) {
            return Err(invalid(format!(
                "`{}` is not the name of a job: at most 63 letters, digits and hyphens",
                batch.tag.escape_debug()
            )));
        }
        model_segment(&batch.model)?;
        let storage = self.storage()?;
        let mut input = json!({"s3Uri": file, "s3InputFormat": "JSONL"});
        let mut output = json!({"s3Uri": storage.output().to_string()});
        if let Some(owner) = &storage.settings.bucket_owner {
            for place in [&mut input, &mut output] {
                if let Some(place) = place.as_object_mut() {
                    place.insert("s3BucketOwner".to_owned(), owner.as_str().into());
                }
            }
        }
        let mut out = ObjectWriter::with_capacity(512);
        out.text("jobName", &batch.tag);
        // With the same token a repeated creation is answered with the job of the first one.
        out.text("clientRequestToken", &batch.tag);
        out.text("roleArn", &storage.settings.role_arn);
        out.text("modelId", &batch.model);
        out.text("modelInvocationType", "Converse");
        out.member("inputDataConfig", &json!({"s3InputDataConfig": input}))?;
        out.member("outputDataConfig", &json!({"s3OutputDataConfig": output}))?;
        if let Some(hours) = storage.settings.timeout_hours {
            out.member("timeoutDurationInHours", &hours)?;
        }
        self.post("/model-invocation-job", out.finish())
    }

    /// The job of a creation. The answer has its ARN only.
    fn read_created(&self, batch: &NewBatch, body: &[u8]) -> Result<ProviderBatch, Error> {
        #[derive(Default, Deserialize)]
        #[serde(default, rename_all = "camelCase")]
        struct Created {
            job_arn: Option<String>,
        }
        let created: Created = parse(self.0.name(), WHAT, body)?;
        let file = match &batch.input {
            BatchInput::File(file) => Some(file.clone()),
            _ => None,
        };
        Ok(ProviderBatch {
            id: require_id(self.0.name(), WHAT, created.job_arn, body)?,
            state: BatchState::Validating,
            native_state: "Submitted".to_owned(),
            input_file: file,
            tag: Some(batch.tag.clone()),
            ..ProviderBatch::default()
        })
    }

    /// A job. Its results are listed if it is over.
    fn on_description(&self, body: &[u8]) -> Result<DecodedCall, Error> {
        let (batch, output) = read_job(self.0.name(), body)?;
        if !batch.state.is_final() || output.is_empty() {
            return Ok(DecodedCall::Answer(BatchAnswer::Batch(Box::new(batch))));
        }
        let job = batch.id.rsplit('/').next().unwrap_or_default();
        let folder = parse_uri(&output)?.folder().join(&[job, "/"].concat());
        Ok(DecodedCall::Then(BatchCall::ContinueRetrieve(
            RetrieveStep {
                batch: Box::new(batch),
                folder: folder.to_string(),
                page: None,
            },
        )))
    }

    /// The results of a job: one file for each file of its input. `manifest.json.out` has counts only.
    fn on_results_listed(&self, step: &RetrieveStep, body: &[u8]) -> Result<DecodedCall, Error> {
        let folder = parse_uri(&step.folder)?;
        let (objects, next) = read_list(&folder, body)?;
        let mut batch = step.batch.clone();
        let files = objects.into_iter().map(|object| object.id);
        let files = files.filter(|id| id.ends_with(".jsonl.out"));
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

    /// The object with exactly this key, of a list of the objects whose keys begin with it.
    fn read_object(&self, id: &str, body: &[u8]) -> Result<StoredFile, Error> {
        let uri = parse_uri(id)?;
        let (objects, _) = read_list(&uri, body)?;
        let found = objects.into_iter().find(|object| object.id == id);
        found.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, format!("S3 has no object `{uri}`")).with_status(404)
        })
    }
}

const WHAT: &str = "a model invocation job";

fn job_path(id: &str, behind: &str) -> Result<String, Error> {
    let id = encode_segment(id).ok_or_else(|| bad_id("batch", id))?;
    Ok(["/model-invocation-job/", &id, behind].concat())
}

/// The newest jobs first.
fn list_path(name: Option<&str>, page: Option<&str>) -> String {
    let order = "/model-invocation-jobs?maxResults=1000&sortBy=CreationTime&sortOrder=Descending";
    let mut path = order.to_owned();
    for (parameter, value) in [("&nameContains=", name), ("&nextToken=", page)] {
        if let Some(value) = value.and_then(encode_segment) {
            path.push_str(parameter);
            path.push_str(&value);
        }
    }
    path
}

impl BatchApi for Batches<'_> {
    fn limits(&self) -> BatchLimits {
        let settings = self.0.storage.as_ref().map(|storage| &storage.settings);
        BatchLimits {
            min_requests: settings
                .and_then(|settings| settings.min_records)
                .unwrap_or(LIMITS.min_requests),
            ..LIMITS
        }
    }

    fn encode_line(&self, id: &str, request: &ChatRequest) -> Result<Vec<u8>, Error> {
        let mut request = request.clone();
        request.stream = false;
        let encoded = self.0.encode_chat(&request)?;
        let body = encoded.request.body();
        let mut out = ObjectWriter::with_capacity(body.len().saturating_add(64));
        out.text("recordId", id);
        let body: &RawValue = parse(self.0.name(), "a request", body)?;
        out.member("modelInput", body)?;
        Ok(out.finish())
    }

    fn encode_call(&self, call: &BatchCall) -> Result<EncodedCall, Error> {
        match call {
            BatchCall::UploadFile(file) => {
                let uri = self.storage()?.input().join(&file.name);
                let content = file.content.clone();
                let mut call = self.object(Method::PUT, &uri.to_string(), content)?;
                set_media_type(&mut call, &file.media_type)?;
                Ok(call)
            }
            BatchCall::RetrieveFile(id) => self.list_objects(&parse_uri(id)?, None),
            BatchCall::DeleteFile(id) => self.object(Method::DELETE, id, RequestBody::default()),
            BatchCall::ListFiles(page) => {
                self.list_objects(&self.storage()?.input(), page.as_deref())
            }
            BatchCall::DownloadFile(id) => self.object(Method::GET, id, RequestBody::default()),
            BatchCall::Create(batch) => self.create(batch),
            BatchCall::Retrieve(id) => self.get(&job_path(id, "")?),
            BatchCall::ContinueRetrieve(step) => {
                self.list_objects(&parse_uri(&step.folder)?, step.page.as_deref())
            }
            BatchCall::Cancel(id) => {
                let call = self.post(&job_path(id, "/stop")?, Vec::new())?;
                Ok(call.framing(Framing::Raw))
            }
            BatchCall::List(page) => self.get(&list_path(None, page.as_deref())),
            BatchCall::Find { tag, page } => self.get(&list_path(Some(tag), page.as_deref())),
            BatchCall::Results(ResultSource::File(id)) => {
                let call = self.object(Method::GET, id, RequestBody::default())?;
                Ok(call.framing(Framing::Ndjson))
            }
            other => Err(unsupported_call(self.0.name(), other)),
        }
    }

    fn decode_call(
        &self,
        call: &BatchCall,
        _: &response::Parts,
        body: &Bytes,
    ) -> Result<DecodedCall, Error> {
        let answer = match call {
            BatchCall::UploadFile(file) => BatchAnswer::File(StoredFile {
                id: self.storage()?.input().join(&file.name).to_string(),
                name: Some(file.name.clone()),
                bytes: Some(file.content.len()),
                media_type: Some(file.media_type.clone()),
                ..StoredFile::default()
            }),
            BatchCall::RetrieveFile(id) => BatchAnswer::File(self.read_object(id, body)?),
            BatchCall::ListFiles(_) => {
                let (files, next) = read_list(&self.storage()?.input(), body)?;
                BatchAnswer::Files(files, next)
            }
            BatchCall::DownloadFile(_) => BatchAnswer::Content(body.clone()),
            BatchCall::Create(batch) => {
                BatchAnswer::Batch(Box::new(self.read_created(batch, body)?))
            }
            BatchCall::Retrieve(_) => return self.on_description(body),
            BatchCall::ContinueRetrieve(step) => return self.on_results_listed(step, body),
            BatchCall::List(_) | BatchCall::Find { .. } => read_jobs(self.0.name(), body)?,
            _ => BatchAnswer::Done,
        };
        Ok(DecodedCall::Answer(answer))
    }

    fn decode_line(&self, line: &str) -> BatchItem<Json> {
        match serde_json::from_str::<Record<'_>>(line) {
            Ok(record) => record.item(),
            Err(error) => reading::unreadable_line(line, &error, &["recordId"]),
        }
    }

    fn answer_decoder(&self, _: &[u8], _: Option<&ChatRequest>) -> Box<dyn ChatDecoder> {
        Box::<decode::ConverseDecoder>::default()
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Job<'a> {
    job_arn: Option<String>,
    job_name: Option<String>,
    status: Option<String>,
    message: Option<String>,
    #[serde(borrow)]
    submit_time: Option<Moment<'a>>,
    #[serde(borrow)]
    job_expiration_time: Option<Moment<'a>>,
    input_data_config: InputConfig,
    output_data_config: OutputConfig,
    total_record_count: Option<Count>,
    success_record_count: Option<Count>,
    error_record_count: Option<Count>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct InputConfig {
    s3_input_data_config: Place,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct OutputConfig {
    s3_output_data_config: Place,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Place {
    s3_uri: Option<String>,
}

/// A job, and the folder of its output.
fn read_job(name: &str, body: &[u8]) -> Result<(ProviderBatch, String), Error> {
    let job: Job<'_> = parse(name, WHAT, body)?;
    let id = require_id(name, WHAT, job.job_arn, body)?;
    let native_state = job.status.unwrap_or_default();
    let state = match native_state.as_str() {
        "Submitted" | "Validating" => BatchState::Validating,
        "Scheduled" => BatchState::Queued,
        "Stopping" => BatchState::Cancelling,
        "Stopped" => BatchState::Cancelled,
        "Completed" => BatchState::Completed,
        "PartiallyCompleted" => BatchState::PartlyCompleted,
        "Failed" => BatchState::Failed,
        "Expired" => BatchState::Expired,
        // `InProgress`, and words of later versions: the expiry of the job limits them.
        _ => BatchState::Running,
    };
    // Before the records are counted the counts are zero.
    let total = count(&job.total_record_count).filter(|total| *total > 0);
    let counts = total.map(|total| BatchCounts {
        total: Some(total),
        succeeded: count(&job.success_record_count),
        failed: count(&job.error_record_count),
        ..BatchCounts::default()
    });
    let output = job.output_data_config.s3_output_data_config.s3_uri;
    let batch = ProviderBatch {
        id,
        state,
        native_state,
        counts,
        input_file: job.input_data_config.s3_input_data_config.s3_uri,
        tag: job.job_name,
        created_at: seconds(&job.submit_time),
        expires_at: seconds(&job.job_expiration_time),
        message: job.message.filter(|message| !message.is_empty()),
        ..ProviderBatch::default()
    };
    Ok((batch, output.unwrap_or_default()))
}

/// A list of jobs. Only the description of one job has its results.
fn read_jobs(name: &str, body: &[u8]) -> Result<BatchAnswer, Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Jobs<'a> {
        #[serde(borrow)]
        invocation_job_summaries: Vec<&'a RawValue>,
        #[serde(default)]
        next_token: Option<String>,
    }
    let jobs: Jobs<'_> = parse(name, "a list of model invocation jobs", body)?;
    let read = |raw: &&RawValue| Ok(read_job(name, raw.get().as_bytes())?.0);
    let batches: Result<_, Error> = jobs.invocation_job_summaries.iter().map(read).collect();
    let next = jobs.next_token.filter(|token| !token.is_empty());
    Ok(BatchAnswer::Batches(batches?, next))
}

/// A line of results. The request is repeated in it, and is skipped.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Record<'a> {
    #[serde(borrow)]
    record_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    model_output: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<Failure<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Failure<'a> {
    error_code: Option<Count>,
    #[serde(borrow)]
    error_message: Option<Cow<'a, str>>,
}

impl Record<'_> {
    fn item(self) -> BatchItem<Json> {
        let outcome = match (self.error, self.model_output) {
            (Some(error), _) => ItemOutcome::Failed(error.read()),
            (None, Some(output)) => ItemOutcome::Succeeded(Box::new(Json::part(output.get()))),
            (None, None) => ItemOutcome::Failed(Error::new(
                ErrorKind::Protocol,
                "this record of the results has neither `modelOutput` nor `error`",
            )),
        };
        BatchItem::new(self.record_id.unwrap_or_default(), outcome)
    }
}

impl Failure<'_> {
    /// The code is an HTTP status.
    fn read(&self) -> Error {
        let status = count(&self.error_code).and_then(|code| u16::try_from(code).ok());
        let status = status
            .filter(|code| (400..600).contains(code))
            .unwrap_or(500);
        let message = self.error_message.as_deref();
        let message = message.unwrap_or("Bedrock gave no reason");
        let body = json!({ "message": message }).to_string();
        item_error(errors::from_http, status, &body)
    }
}
