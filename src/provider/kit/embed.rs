//! Encoding and decoding of embeddings.

use super::request::UnsupportedParams;
use crate::provider::EncodedRequest;
use crate::{EmbedRequest, Error, Json, Usage, json::ObjectWriter};
use serde::Serialize;

/// A request for vectors, and the number of its texts.
#[derive(Debug)]
#[non_exhaustive]
pub struct EncodedEmbedRequest {
    /// The request; its response is a single body.
    pub encoded: EncodedRequest,
    /// The number of texts; at least one.
    pub texts: usize,
}

impl EncodedEmbedRequest {
    /// Creates a request with this number of texts.
    #[must_use]
    pub fn new(encoded: EncodedRequest, texts: usize) -> Self {
        EncodedEmbedRequest { encoded, texts }
    }
}

/// The vectors of a response.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct DecodedEmbeddings {
    /// One vector per text, in order.
    pub embeddings: Vec<Vec<f32>>,
    /// Token counts.
    pub usage: Option<Usage>,
    /// The model, if the response names it.
    pub model: Option<String>,
}

impl DecodedEmbeddings {
    /// Creates decoded vectors.
    #[must_use]
    pub fn new(embeddings: Vec<Vec<f32>>) -> Self {
        DecodedEmbeddings {
            embeddings,
            ..DecodedEmbeddings::default()
        }
    }
}

/// Writes a request's body: the part that all APIs share.
pub(in crate::provider) struct EmbedWriter<'a> {
    pub(in crate::provider) request: &'a EmbedRequest,
    pub(in crate::provider) omissions: UnsupportedParams<'a>,
    out: ObjectWriter,
}

impl<'a> EmbedWriter<'a> {
    pub(in crate::provider) fn new(provider: &'a str, request: &'a EmbedRequest) -> Self {
        EmbedWriter {
            request,
            omissions: UnsupportedParams::new(provider, request.drop_unsupported),
            out: ObjectWriter::with_capacity(512),
        }
    }

    /// Writes a field, unless `extra` has one with this name.
    pub(in crate::provider) fn member<T: Serialize + ?Sized>(
        &mut self,
        name: &str,
        value: &T,
    ) -> Result<(), Error> {
        if self.request.extra.iter().any(|(other, _)| other == name) {
            return Ok(());
        }
        self.out.member(name, value)
    }

    /// Writes a field if it is set.
    pub(in crate::provider) fn optional<T: Serialize>(
        &mut self,
        name: &str,
        value: Option<&T>,
    ) -> Result<(), Error> {
        value.map_or(Ok(()), |value| self.member(name, value))
    }

    /// Refuses a field that is set although the API lacks it.
    pub(in crate::provider) fn refuse(&mut self, field: &str, set: bool) -> Result<(), Error> {
        match set {
            true => self.omissions.refuse(&format!("the field `{field}`")),
            false => Ok(()),
        }
    }

    /// The body with the extra fields, and the warnings.
    pub(in crate::provider) fn finish(
        mut self,
    ) -> Result<(Vec<u8>, Vec<crate::chat::Warning>), Error> {
        for (name, value) in &self.request.extra {
            let value: &Json = value;
            self.out.member(name, value)?;
        }
        Ok((self.out.finish(), self.omissions.into_warnings()))
    }
}

/// At most `most` texts, starting at `first`.
pub(in crate::provider) fn texts(request: &EmbedRequest, first: usize, most: usize) -> &[String] {
    let rest = request.input.get(first..).unwrap_or_default();
    rest.get(..most).unwrap_or(rest)
}

/// A count of input tokens; embeddings have no output tokens.
pub(in crate::provider) fn read_tokens(count: Option<u64>, raw: Option<Json>) -> Option<Usage> {
    count.map(|count| Usage {
        prompt_tokens: Some(count),
        total_tokens: Some(count),
        raw,
        ..Usage::default()
    })
}
