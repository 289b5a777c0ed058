//! What a provider says of embeddings.

use super::request::UnsupportedParams;
use crate::provider::EncodedRequest;
use crate::{EmbedRequest, Error, Json, Usage, json::ObjectWriter};
use serde::Serialize;

/// A request for vectors, and how many of the texts are in it.
#[derive(Debug)]
#[non_exhaustive]
pub struct EncodedEmbedRequest {
    /// The request; its answer comes whole.
    pub encoded: EncodedRequest,
    /// How many texts it has; at least one.
    pub texts: usize,
}

impl EncodedEmbedRequest {
    /// A request with so many texts.
    #[must_use]
    pub fn new(encoded: EncodedRequest, texts: usize) -> Self {
        EncodedEmbedRequest { encoded, texts }
    }
}

/// The vectors of an answer.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct DecodedEmbeddings {
    /// One for each text, in their order.
    pub embeddings: Vec<Vec<f32>>,
    /// The tokens counted.
    pub usage: Option<Usage>,
    /// The model, if the answer says it.
    pub model: Option<String>,
}

impl DecodedEmbeddings {
    /// Vectors.
    #[must_use]
    pub fn new(embeddings: Vec<Vec<f32>>) -> Self {
        DecodedEmbeddings {
            embeddings,
            ..DecodedEmbeddings::default()
        }
    }
}

/// A request's body under way: what all wires do alike.
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

    /// A member, unless `extra` has one of its name.
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

    /// The same for one that is set.
    pub(in crate::provider) fn optional<T: Serialize>(
        &mut self,
        name: &str,
        value: Option<&T>,
    ) -> Result<(), Error> {
        value.map_or(Ok(()), |value| self.member(name, value))
    }

    /// Refuses a field that is set although the wire has no place for it.
    pub(in crate::provider) fn refuse(&mut self, field: &str, set: bool) -> Result<(), Error> {
        match set {
            true => self.omissions.refuse(&format!("the field `{field}`")),
            false => Ok(()),
        }
    }

    /// The body with the extra members, and what was dropped from it.
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

/// At most `most` texts from `first` on.
pub(in crate::provider) fn texts(request: &EmbedRequest, first: usize, most: usize) -> &[String] {
    let rest = request.input.get(first..).unwrap_or_default();
    rest.get(..most).unwrap_or(rest)
}

/// A count of tokens that were read; embedding writes none.
pub(in crate::provider) fn read_tokens(count: Option<u64>, raw: Option<Json>) -> Option<Usage> {
    count.map(|count| Usage {
        prompt_tokens: Some(count),
        total_tokens: Some(count),
        raw,
        ..Usage::default()
    })
}
