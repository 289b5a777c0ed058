//! Files: OpenAI's API, and Together's upload in three steps.

use super::{BatchDialect, OpenAiBatches};
use crate::{
    Error, ErrorKind,
    codec::percent::encode_segment,
    provider::{
        Framing,
        batch_api::{
            DecodedCall, EncodedCall, bad_id, multipart,
            reading::{FileObject, parse, read_file, stored_file},
            unsupported_call,
        },
        kit::core::foreign_request,
    },
    provider_batch::{BatchAnswer, BatchCall, NewFile, StoredFile, UploadStage, UploadStep},
};
use bytes::Bytes;
use http::{HeaderValue, Method, Uri, header, response};
use serde::Deserialize;
use unifiedai_transport::RequestBody;

impl OpenAiBatches<'_> {
    pub(super) fn encode_file_call(&self, call: &BatchCall) -> Result<EncodedCall, Error> {
        if self.profile.dialect == BatchDialect::OpenRouter {
            return Err(unsupported_call(self.name(), call));
        }
        match call {
            BatchCall::UploadFile(file) => self.upload(file),
            BatchCall::ContinueUpload(step) => self.continue_upload(step),
            BatchCall::RetrieveFile(id) => self.get(&file_path(id, "")?, ""),
            BatchCall::DeleteFile(id) => {
                let uri = self.uri(&file_path(id, "")?, "")?;
                let request = self.http(Method::DELETE, uri, Bytes::new());
                Ok(EncodedCall::new(request).framing(Framing::Raw))
            }
            BatchCall::ListFiles(page) => {
                let (limit, name) = match self.profile.dialect {
                    BatchDialect::Mistral => ("page_size=100", "page"),
                    BatchDialect::Xai => ("limit=100", "pagination_token"),
                    _ => ("limit=100", "after"),
                };
                let query = match page.as_deref().and_then(encode_segment) {
                    Some(page) => [limit, "&", name, "=", &page].concat(),
                    None => limit.to_owned(),
                };
                self.get("/files", &query)
            }
            BatchCall::DownloadFile(id) => Ok(self.content(id)?.framing(Framing::Raw)),
            other => Err(unsupported_call(self.name(), other)),
        }
    }

    pub(super) fn content(&self, id: &str) -> Result<EncodedCall, Error> {
        self.get(&file_path(id, "/content")?, "")
    }

    fn purpose<'a>(&'a self, file: &'a NewFile) -> &'a str {
        match file.purpose.as_deref() {
            // Some servers have another value.
            Some("batch") => self.profile.batch_purpose,
            Some(purpose) => purpose,
            None => self.profile.file_purpose,
        }
    }

    fn upload(&self, file: &NewFile) -> Result<EncodedCall, Error> {
        let purpose = [("purpose", self.purpose(file))];
        let (fields, content, accepted): (&[_], _, &[u16]) = match self.profile.dialect {
            BatchDialect::Together => {
                // Without the bytes: these are sent to the URL in the response, a redirect. 409 means that Together has the content.
                let fields = [
                    purpose[0],
                    ("file_name", file.name.as_str()),
                    ("file_type", "jsonl"),
                ];
                let (media_type, body) = multipart::form(&fields, None)?;
                return self.form(media_type, body, &[302, 409]);
            }
            _ if purpose[0].1.is_empty() => (&[], Some(file), &[]),
            _ => (&purpose, Some(file), &[]),
        };
        let (media_type, body) = multipart::form(fields, content)?;
        self.form(media_type, body, accepted)
    }

    fn form(
        &self,
        media_type: HeaderValue,
        body: RequestBody,
        accepted: &'static [u16],
    ) -> Result<EncodedCall, Error> {
        let request = self.http(Method::POST, self.uri("/files", "")?, Bytes::new());
        let mut request = request.map(|_| body);
        request
            .headers_mut()
            .insert(header::CONTENT_TYPE, media_type);
        let mut call = EncodedCall::new(request);
        if !accepted.is_empty() {
            call = call.framing(Framing::Raw);
        }
        call.accepted = accepted;
        Ok(call)
    }

    fn continue_upload(&self, step: &UploadStep) -> Result<EncodedCall, Error> {
        match &step.stage {
            UploadStage::Send { to, .. } => {
                let content = step.file.content.clone();
                let request = foreign_request(Method::PUT, to.clone()).map(|()| content);
                let mut call = EncodedCall::new(request).framing(Framing::Raw);
                call.authenticated = false;
                Ok(call)
            }
            UploadStage::Finish { id } => self.post(&file_path(id, "/preprocess")?, Vec::new()),
        }
    }

    pub(super) fn decode_file_call(
        &self,
        call: &BatchCall,
        head: &response::Parts,
        body: &Bytes,
    ) -> Result<DecodedCall, Error> {
        let answer = match call {
            BatchCall::UploadFile(file) if self.profile.dialect == BatchDialect::Together => {
                return self.next_upload(file, head, body);
            }
            BatchCall::ContinueUpload(UploadStep {
                stage: UploadStage::Send { id, .. },
                file,
            }) => {
                let stage = UploadStage::Finish { id: id.clone() };
                let file = NewFile {
                    content: RequestBody::default(),
                    ..file.clone()
                };
                let step = UploadStep { stage, file };
                return Ok(DecodedCall::Then(BatchCall::ContinueUpload(step)));
            }
            BatchCall::UploadFile(_)
            | BatchCall::ContinueUpload(_)
            | BatchCall::RetrieveFile(_) => BatchAnswer::File(read_file(self.name(), body)?),
            BatchCall::ListFiles(page) => self.read_files(page.as_deref(), body)?,
            BatchCall::DownloadFile(_) => BatchAnswer::Content(body.clone()),
            _ => BatchAnswer::Done,
        };
        Ok(DecodedCall::Answer(answer))
    }

    /// The second request of an upload. Without it if Together already has a file with this content.
    fn next_upload(
        &self,
        file: &NewFile,
        head: &response::Parts,
        body: &Bytes,
    ) -> Result<DecodedCall, Error> {
        let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
        if head.status.as_u16() == 409 {
            #[derive(Default, Deserialize)]
            #[serde(default)]
            struct Known {
                file_id: Option<String>,
            }
            let known: Known = serde_json::from_slice(body).unwrap_or_default();
            return match known.file_id {
                Some(id) => Ok(DecodedCall::Then(BatchCall::RetrieveFile(id))),
                None => Err(self.provider.decode_error(head, body)),
            };
        }
        let place = header("location").and_then(|place| place.parse::<Uri>().ok());
        let id = header("x-together-file-id");
        let (Some(to), Some(id)) = (place, id) else {
            return Err(Error::new(
                ErrorKind::Protocol,
                "the response to the upload has no `location` header or no `x-together-file-id` header",
            ));
        };
        // Without TLS the file is sent only to the origin of the base URL, which the caller chose without TLS.
        let is_secure = to.scheme() == Some(&http::uri::Scheme::HTTPS);
        if !is_secure && !self.core.is_own_origin(&to) {
            return Err(Error::new(
                ErrorKind::Protocol,
                "the `location` of the upload is not an `https://` URL: the file was not sent",
            ));
        }
        let step = UploadStep {
            stage: UploadStage::Send { to, id: id.into() },
            file: file.clone(),
        };
        Ok(DecodedCall::Then(BatchCall::ContinueUpload(step)))
    }

    fn read_files(&self, page: Option<&str>, body: &Bytes) -> Result<BatchAnswer, Error> {
        #[derive(Deserialize)]
        struct List<'a> {
            #[serde(borrow)]
            data: Vec<FileObject<'a>>,
            #[serde(default)]
            has_more: bool,
            #[serde(default)]
            pagination_token: Option<String>,
        }
        let list: List<'_> = parse(self.name(), "a list of files", body)?;
        let read = |object| stored_file(self.name(), object, body);
        let files: Vec<StoredFile> = list.data.into_iter().map(read).collect::<Result<_, _>>()?;
        let next = match self.profile.dialect {
            BatchDialect::Mistral => (files.len() >= 100).then(|| {
                let page: u32 = page.and_then(|page| page.parse().ok()).unwrap_or(0);
                page.saturating_add(1).to_string()
            }),
            BatchDialect::Xai => list.pagination_token.filter(|token| !token.is_empty()),
            _ => files
                .last()
                .filter(|_| list.has_more)
                .map(|last| last.id.clone()),
        };
        Ok(BatchAnswer::Files(files, next))
    }
}

fn file_path(id: &str, behind: &str) -> Result<String, Error> {
    let id = encode_segment(id).ok_or_else(|| bad_id("file", id))?;
    Ok(["/files/", &id, behind].concat())
}
