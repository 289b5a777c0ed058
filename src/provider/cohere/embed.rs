//! `/v2/embed`, also for the same models at Bedrock.

use crate::{
    EmbedRequest, Error,
    chat::Warning,
    embed::{EmbedEncoding, EmbeddingInputType, vectors::vectors},
    provider::kit::{
        embed::{DecodedEmbeddings, EmbedWriter, read_tokens, texts},
        lenient::{self, Count, Object, Raw, object},
    },
};
use bytes::Bytes;

/// Cohere's limit for one request.
const MAX_BATCH: usize = 96;

/// The body. At Bedrock the model is in the URL.
pub(in crate::provider) fn body(
    provider: &str,
    request: &EmbedRequest,
    first: usize,
    names_model: bool,
) -> Result<(Vec<u8>, Vec<Warning>, usize), Error> {
    let texts = texts(request, first, MAX_BATCH);
    let mut out = EmbedWriter::new(provider, request);
    if names_model {
        out.member("model", &request.model)?;
    }
    out.member("texts", texts)?;
    // Models from version 3 on refuse a request without it.
    out.member(
        "input_type",
        request
            .input_type
            .as_ref()
            .unwrap_or(&EmbeddingInputType::Document),
    )?;
    out.member("embedding_types", &["float"])?;
    out.optional("output_dimension", request.dimensions.as_ref())?;
    out.refuse(
        "encoding",
        matches!(&request.encoding, Some(encoding) if *encoding != EmbedEncoding::Float),
    )?;
    out.refuse("user_id", request.user_id.is_some())?;
    let (body, warnings) = out.finish()?;
    Ok((body, warnings, texts.len()))
}

/// `{embeddings: {float: [..]}}`; without `embedding_types` the plain list.
pub(in crate::provider) fn decode(body: &Bytes) -> Result<DecodedEmbeddings, Error> {
    object! {
        struct EmbedResponse<'a> {
            embeddings: Raw<'a>,
            meta: Object<Meta<'a>>,
        }
    }
    object! {
        struct Meta<'a> {
            billed_units: Raw<'a>,
        }
    }
    object! {
        struct ByType<'a> {
            float: Raw<'a>,
        }
    }
    object! {
        struct BilledUnits {
            input_tokens: Count,
        }
    }
    let answer: EmbedResponse<'_> = lenient::parse_body(body)?;
    let is_object = answer
        .embeddings
        .text()
        .is_some_and(|text| text.starts_with('{'));
    let (raw, place) = match answer.embeddings.read::<ByType<'_>>() {
        Some(by_type) if is_object => (by_type.float, "embeddings.float"),
        _ => (answer.embeddings, "embeddings"),
    };
    let mut embedded = DecodedEmbeddings::new(vectors(raw, place)?);
    let billed = answer.meta.0.unwrap_or_default().billed_units;
    let counted: BilledUnits = billed.read().unwrap_or_default();
    embedded.usage = read_tokens(counted.input_tokens.0, billed.json());
    Ok(embedded)
}
