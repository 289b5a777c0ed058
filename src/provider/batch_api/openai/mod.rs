//! The batch and file API of OpenAI, and its dialects at the servers that copy it.
//!
//! | server | input | batch | results |
//! |---|---|---|---|
//! | OpenAI, Azure, Groq | file | `/batches` | output file and error file |
//! | Together | file, in three steps | `/batches`, in `job` | output file and error file |
//! | Cerebras | file | `/batches`, `DELETE` cancels | `/batches/{id}/results` |
//! | OpenRouter | in the call | `/batches` | in the description |
//! | Mistral | in the call | `/batch/jobs` | in the description, or files |
//! | xAI | added in calls | `/batches`, `:cancel` | pages |

mod files;
mod lines;
mod object;
mod profile;
mod xai;

use super::{
    BatchApi, BatchLimits, DecodedCall, EncodedCall, bad_id, is_inline, item_list, reading,
    unsupported_call,
};
use crate::{
    ChatRequest, Error, Json,
    codec::percent::encode_segment,
    json::ObjectWriter,
    provider::{
        ChatDecoder, Framing, Provider, ProviderCore, kit::core::JSON, openai_chat,
        openai_responses,
    },
    provider_batch::{
        BatchAnswer, BatchCall, BatchInput, BatchItem, NewBatch, ProviderBatch, ResultSource,
    },
};
use bytes::Bytes;
use http::{Method, Request, Uri, response};
use serde::Deserialize;
use serde_json::value::RawValue;

pub(super) use lines::{decode as read_line, without_model as line_without_model};
pub use profile::{BatchDialect, BatchProfile};

/// The key of a batch's tag in its metadata.
const TAG: &str = "unifiedai_run";

/// The batch and file API of a server.
pub(in crate::provider) struct OpenAiBatches<'a> {
    pub(in crate::provider) profile: &'a BatchProfile,
    pub(in crate::provider) provider: &'a dyn Provider,
    pub(in crate::provider) core: &'a ProviderCore,
    pub(in crate::provider) endpoint: Endpoint,
}

/// The API of the requests of a batch: one of OpenAI's two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::provider) enum Endpoint {
    Chat,
    Responses,
}

impl OpenAiBatches<'_> {
    fn name(&self) -> &str {
        self.provider.name()
    }

    fn endpoint(&self) -> &'static str {
        match self.endpoint {
            Endpoint::Chat => self.profile.chat_endpoint,
            Endpoint::Responses => "/v1/responses",
        }
    }

    /// The base URL of batches and files, and the deployment in the provider's base URL (Azure). Batches do not belong to a
    /// deployment.
    fn split_url(&self) -> (&str, Option<&str>) {
        let base = self.core.base_url().as_str();
        match base.split_once("/deployments/") {
            Some((root, deployment)) => (root, Some(deployment)),
            None => (base, None),
        }
    }

    fn uri(&self, path: &str, query: &str) -> Result<Uri, Error> {
        let path = match query {
            "" => path.to_owned(),
            query => [path, "?", query].concat(),
        };
        match self.split_url() {
            (_, None) => self.core.url(&path),
            (root, Some(_)) => self.core.url_at(&self.core.other_url(root)?, &path),
        }
    }

    fn http(&self, method: Method, uri: Uri, body: Bytes) -> Request<Bytes> {
        self.core.request(method, uri, body, JSON)
    }

    fn get(&self, path: &str, query: &str) -> Result<EncodedCall, Error> {
        let uri = self.uri(path, query)?;
        Ok(EncodedCall::new(self.http(Method::GET, uri, Bytes::new())))
    }

    fn post(&self, path: &str, body: Vec<u8>) -> Result<EncodedCall, Error> {
        let uri = self.uri(path, "")?;
        let request = self.http(Method::POST, uri, body.into());
        Ok(EncodedCall::new(request))
    }

    fn batches_path(&self) -> &'static str {
        match self.profile.dialect {
            BatchDialect::Mistral => "/batch/jobs",
            _ => "/batches",
        }
    }

    /// The path of a batch, followed by `behind`.
    fn batch_path(&self, id: &str, behind: &str) -> Result<String, Error> {
        let id = encode_segment(id).ok_or_else(|| bad_id("batch", id))?;
        Ok([self.batches_path(), "/", &id, behind].concat())
    }

    fn create(&self, batch: &NewBatch) -> Result<Vec<u8>, Error> {
        let mut out = ObjectWriter::with_capacity(256);
        let tag = std::collections::BTreeMap::from([(TAG, &batch.tag)]);
        match (self.profile.dialect, &batch.input) {
            (BatchDialect::Xai, BatchInput::Later) => out.text("name", &batch.tag),
            (BatchDialect::Mistral, input) => {
                out.text("endpoint", self.endpoint());
                out.text("model", &batch.model);
                out.member("metadata", &tag)?;
                match input {
                    BatchInput::File(id) => out.member("input_files", &[id])?,
                    BatchInput::Lines(requests) => {
                        out.encoded_list("requests", item_list(requests))
                    }
                    BatchInput::Later => return Err(self.unsupported(batch)),
                }
            }
            (BatchDialect::OpenRouter, BatchInput::Lines(requests)) => {
                out.text("endpoint", self.endpoint());
                out.text("model", &batch.model);
                out.text("completion_window", "24h");
                // They must be the last member.
                out.encoded_list("requests", item_list(requests));
            }
            (BatchDialect::Together, BatchInput::File(id)) => {
                out.text("input_file_id", id);
                out.text("endpoint", self.endpoint());
                out.text("completion_window", "24h");
            }
            (BatchDialect::OpenAi | BatchDialect::Cerebras, BatchInput::File(id)) => {
                out.text("input_file_id", id);
                out.text("endpoint", self.endpoint());
                out.text("completion_window", "24h");
                out.member("metadata", &tag)?;
            }
            _ => return Err(self.unsupported(batch)),
        }
        Ok(out.finish())
    }

    fn unsupported(&self, batch: &NewBatch) -> Error {
        unsupported_call(self.name(), &BatchCall::Create(batch.clone()))
    }

    fn cancel(&self, id: &str) -> Result<EncodedCall, Error> {
        match self.profile.dialect {
            BatchDialect::Cerebras => {
                let uri = self.uri(&self.batch_path(id, "")?, "")?;
                let request = self.http(Method::DELETE, uri, Bytes::new());
                Ok(EncodedCall::new(request))
            }
            BatchDialect::Xai => self.post(&self.batch_path(id, ":cancel")?, b"{}".to_vec()),
            BatchDialect::OpenRouter => {
                Err(unsupported_call(self.name(), &BatchCall::Cancel(id.into())))
            }
            _ => self.post(&self.batch_path(id, "/cancel")?, b"{}".to_vec()),
        }
    }

    fn list(&self, page: Option<&str>) -> Result<EncodedCall, Error> {
        let (limit, name) = match self.profile.dialect {
            BatchDialect::Mistral => ("page_size=100&order_by=-created", "page"),
            BatchDialect::Xai => ("limit=100", "pagination_token"),
            BatchDialect::Together => ("", ""),
            _ => ("limit=100", "after"),
        };
        let query = match page.and_then(encode_segment) {
            Some(page) => [limit, "&", name, "=", &page].concat(),
            None => limit.to_owned(),
        };
        self.get(self.batches_path(), &query)
    }

    fn results(&self, source: &ResultSource) -> Result<EncodedCall, Error> {
        match source {
            ResultSource::File(id) => Ok(self.content(id)?.framing(Framing::Ndjson)),
            ResultSource::Lines(id) => Ok(self
                .get(&self.batch_path(id, "/results")?, "")?
                .framing(Framing::Ndjson)),
            ResultSource::Pages { batch, page } => {
                let query = match page.as_deref().and_then(encode_segment) {
                    Some(page) => ["limit=100&pagination_token=", &page].concat(),
                    None => "limit=100".to_owned(),
                };
                self.get(&self.batch_path(batch, "/results")?, &query)
            }
            ResultSource::Inline(id) => self.get(&self.batch_path(id, "")?, ""),
        }
    }

    fn read_batch(&self, head: &response::Parts, body: &Bytes) -> Result<ProviderBatch, Error> {
        let mut batch = match self.profile.dialect {
            BatchDialect::Xai => xai::read(self.name(), body)?,
            dialect => object::read(self.name(), dialect, body)?,
        };
        batch.poll_after = reading::poll_after(&head.headers);
        Ok(batch)
    }

    fn read_list(&self, page: Option<&str>, body: &Bytes) -> Result<BatchAnswer, Error> {
        #[derive(Deserialize)]
        struct List<'a> {
            #[serde(borrow, alias = "batches")]
            data: Vec<&'a RawValue>,
            #[serde(default)]
            has_more: bool,
            #[serde(default)]
            pagination_token: Option<String>,
        }
        let what = "a list of batches";
        let list: List<'_> = match body.trim_ascii_start().first() {
            // Together returns the complete list, without an envelope.
            Some(b'[') => List {
                data: reading::parse(self.name(), what, body)?,
                has_more: false,
                pagination_token: None,
            },
            _ => reading::parse(self.name(), what, body)?,
        };
        let read = |raw: &&RawValue| match self.profile.dialect {
            BatchDialect::Xai => xai::read(self.name(), raw.get().as_bytes()),
            dialect => object::read(self.name(), dialect, raw.get().as_bytes()),
        };
        let batches: Vec<ProviderBatch> = list.data.iter().map(read).collect::<Result<_, _>>()?;
        let next = match self.profile.dialect {
            BatchDialect::Mistral => (batches.len() >= 100).then(|| {
                let page: u32 = page.and_then(|page| page.parse().ok()).unwrap_or(0);
                page.saturating_add(1).to_string()
            }),
            BatchDialect::Xai => list.pagination_token.filter(|token| !token.is_empty()),
            _ => {
                let last = batches.last().filter(|_| list.has_more);
                last.map(|last| last.id.clone())
            }
        };
        Ok(BatchAnswer::Batches(batches, next))
    }
}

impl BatchApi for OpenAiBatches<'_> {
    fn limits(&self) -> BatchLimits {
        self.profile.limits
    }

    fn encode_line(&self, id: &str, request: &ChatRequest) -> Result<Vec<u8>, Error> {
        let mut request = request.clone();
        request.stream = false;
        if let (_, Some(deployment)) = self.split_url() {
            deployment.clone_into(&mut request.model);
        }
        let encoded = self.provider.encode_chat(&request)?;
        lines::encode(self, id, encoded.request.body())
    }

    fn encode_call(&self, call: &BatchCall) -> Result<EncodedCall, Error> {
        match call {
            BatchCall::Create(batch) => self.post(self.batches_path(), self.create(batch)?),
            BatchCall::Add {
                id,
                requests: BatchInput::Lines(lines),
            } if self.profile.dialect == BatchDialect::Xai => {
                let mut out = ObjectWriter::with_capacity(lines.len().saturating_add(32));
                out.encoded_list("batch_requests", item_list(lines));
                let call = self.post(&self.batch_path(id, "/requests")?, out.finish())?;
                Ok(call.framing(Framing::Raw))
            }
            BatchCall::Retrieve(id) => self.get(&self.batch_path(id, "")?, ""),
            BatchCall::Cancel(id) => self.cancel(id),
            BatchCall::List(page) | BatchCall::Find { page, .. } => self.list(page.as_deref()),
            BatchCall::Results(source) => self.results(source),
            files => self.encode_file_call(files),
        }
    }

    fn decode_call(
        &self,
        call: &BatchCall,
        head: &response::Parts,
        body: &Bytes,
    ) -> Result<DecodedCall, Error> {
        let answer = match call {
            BatchCall::Create(_) | BatchCall::Retrieve(_) | BatchCall::Cancel(_) => {
                BatchAnswer::Batch(Box::new(self.read_batch(head, body)?))
            }
            BatchCall::Add { .. } => BatchAnswer::Done,
            BatchCall::List(page) | BatchCall::Find { page, .. } => {
                self.read_list(page.as_deref(), body)?
            }
            BatchCall::Results(ResultSource::Pages { batch, .. }) => {
                let (items, next) = xai::read_page(self, body)?;
                let next = next.map(|page| {
                    BatchCall::Results(ResultSource::Pages {
                        batch: batch.clone(),
                        page: Some(page),
                    })
                });
                return Ok(DecodedCall::Items(items, next));
            }
            call if is_inline(call) => {
                let items = object::read_inline(self.name(), body)?;
                let items = items.iter().map(|raw| self.decode_line(raw.get()));
                return Ok(DecodedCall::Items(items.collect(), None));
            }
            files => return self.decode_file_call(files, head, body),
        };
        Ok(DecodedCall::Answer(answer))
    }

    fn decode_line(&self, line: &str) -> BatchItem<Json> {
        lines::decode(self.provider, line)
    }

    /// xAI answers a batch of responses with chat completions, so the body decides.
    fn answer_decoder(&self, body: &[u8], request: Option<&ChatRequest>) -> Box<dyn ChatDecoder> {
        let own = || match request {
            Some(request) => self.provider.chat_decoder(request),
            None => self.provider.chat_decoder(&ChatRequest::new("")),
        };
        let came = endpoint_of(body);
        match came {
            _ if came == self.endpoint => own(),
            Endpoint::Responses => openai_responses::answer_decoder(self.name()),
            Endpoint::Chat => {
                openai_chat::answer_decoder(self.name(), self.profile.reasoning_apart)
            }
        }
    }
}

/// The API of a response.
fn endpoint_of(body: &[u8]) -> Endpoint {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Answer<'a> {
        #[serde(borrow)]
        object: Option<std::borrow::Cow<'a, str>>,
    }
    let answer: Answer<'_> = serde_json::from_slice(body).unwrap_or_default();
    match answer.object.as_deref() {
        Some("response") => Endpoint::Responses,
        _ => Endpoint::Chat,
    }
}
