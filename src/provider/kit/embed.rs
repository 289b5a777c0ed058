//! Encoding and decoding of embeddings.

use super::request::UnsupportedParams;
use crate::provider::EncodedRequest;
use crate::{EmbedRequest, Error, ErrorKind, Json, Usage, json::ObjectWriter};
use serde::Serialize;

/// A request for vectors, and the number of its texts.
#[derive(Debug)]
#[non_exhaustive]
pub struct EncodedEmbedRequest {
    /// The request; its response is a single body.
    pub encoded: EncodedRequest,
    /// The number of texts; at least one.
    pub texts: usize,
    /// Whether the vectors were asked for in base64, which is a quarter of the size of numbers.
    pub is_base64: bool,
}

impl EncodedEmbedRequest {
    /// Creates a request with this number of texts.
    #[must_use]
    pub fn new(encoded: EncodedRequest, texts: usize) -> Self {
        EncodedEmbedRequest {
            encoded,
            texts,
            is_base64: false,
        }
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

/// Whether a server refused a request for vectors because it has too many texts, too many tokens, or a text that is too long. The texts
/// are those that servers were seen to send.
pub(crate) fn is_too_large(error: &Error) -> bool {
    const CODES: [&str; 4] = [
        "max_tokens_per_request",
        "array_above_max_length",
        "TOO_MANY_TOKENS_IN_BATCH",
        "exceed_context_size_error",
    ];
    const PHRASES: [&str; 21] = [
        "max tokens per request",
        "tokens per request",
        "maximum input length is",
        "maximum context length is",
        "array too long",
        "array length must be",
        "too many inputs",
        "too many tokens",
        "too many input tokens",
        "total number of texts must be at most",
        "requests can be in one batch",
        "is allowed per prediction",
        "input token count is",
        "expected maximum item count",
        "expected maxlength",
        "max allowed tokens per submitted batch",
        "batch size limit is",
        "is too large to process",
        "larger than the max context size",
        "maximum allowed batch size",
        "must have less than",
    ];
    // llama.cpp answers 500.
    if !matches!(error.status(), Some(400 | 413 | 422 | 500)) {
        return false;
    }
    let is_known = |text: &str| {
        let text = text.to_lowercase();
        PHRASES.iter().any(|phrase| text.contains(phrase))
    };
    matches!(
        error.kind(),
        ErrorKind::ContextOverflow | ErrorKind::TooLarge
    ) || error.code().is_some_and(|code| CODES.contains(&code))
        || is_known(error.message())
        || std::str::from_utf8(error.body()).is_ok_and(is_known)
}

/// The most texts of a request whose answer, with vectors of this many dimensions, stays below the limit of a body.
pub(crate) fn most_texts(
    request: &EmbedRequest,
    is_base64: bool,
    dimensions: Option<usize>,
    limit: usize,
) -> usize {
    // The largest vectors of the models that many servers have.
    const USUAL: usize = 3072;
    // A number in JSON has up to 17 digits, sign, point, exponent and comma; in base64 four bytes become 5.4.
    const NUMBER: usize = 24;
    // The object around a vector.
    const VECTOR: usize = 256;
    let asked = request.dimensions.and_then(|n| usize::try_from(n).ok());
    let dimensions = dimensions.or(asked).unwrap_or(USUAL);
    let per_text = dimensions.saturating_mul(if is_base64 { 6 } else { NUMBER });
    // The rest of the body: `usage`, and what a server adds.
    let room = limit.saturating_sub(4096);
    room.checked_div(per_text.saturating_add(VECTOR))
        .map_or(1, |most| most.max(1))
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
