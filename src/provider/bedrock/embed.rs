//! Embeddings by `InvokeModel`, whose body is the model maker's own: Amazon Titan, one text at a time, and Cohere.

use crate::{
    EmbedRequest, Error, ErrorKind,
    chat::Warning,
    embed::{EmbedEncoding, vectors::vector},
    provider::{
        cohere,
        kit::{
            embed::{DecodedEmbeddings, EmbedWriter, read_tokens, texts},
            lenient::{self, Count, Raw, object},
        },
    },
};
use bytes::Bytes;

/// The makers whose bodies are known, by what stands in a model's id, with or without a region's prefix or an ARN.
fn model_family(model: &str) -> Option<ModelFamily> {
    let name = model.rsplit('/').next().unwrap_or(model);
    [
        ("amazon.titan-embed", ModelFamily::Titan),
        ("cohere.embed", ModelFamily::Cohere),
    ]
    .into_iter()
    .find_map(|(mark, model_family)| name.contains(mark).then_some(model_family))
}

#[derive(Clone, Copy)]
enum ModelFamily {
    Titan,
    Cohere,
}

pub(super) fn body(
    provider: &str,
    request: &EmbedRequest,
    first: usize,
) -> Result<(Vec<u8>, Vec<Warning>, usize), Error> {
    match model_family(&request.model) {
        Some(ModelFamily::Titan) => titan(provider, request, first),
        Some(ModelFamily::Cohere) => cohere::embed::body(provider, request, first, false),
        None => Err(Error::new(
            ErrorKind::InvalidRequest,
            format!(
                "`{provider}` embeds with models of `amazon.titan-embed` and `cohere.embed`; `{:.64}` is neither",
                request.model.escape_debug()
            ),
        )),
    }
}

fn titan(
    provider: &str,
    request: &EmbedRequest,
    first: usize,
) -> Result<(Vec<u8>, Vec<Warning>, usize), Error> {
    let texts = texts(request, first, 1);
    let mut out = EmbedWriter::new(provider, request);
    out.optional("inputText", texts.first())?;
    out.optional("dimensions", request.dimensions.as_ref())?;
    out.refuse(
        "encoding",
        matches!(&request.encoding, Some(encoding) if *encoding != EmbedEncoding::Float),
    )?;
    out.refuse("input_type", request.input_type.is_some())?;
    out.refuse("user_id", request.user_id.is_some())?;
    let (body, warnings) = out.finish()?;
    Ok((body, warnings, texts.len()))
}

/// Titan's answer has `embedding`, Cohere's `embeddings`.
pub(super) fn decode(body: &Bytes) -> Result<DecodedEmbeddings, Error> {
    object! {
        struct EmbedResponse<'a> {
            embedding: Raw<'a>,
            embeddings: Raw<'a>,
            tokens as "inputTextTokenCount": Count,
        }
    }
    let answer: EmbedResponse<'_> = lenient::parse_body(body)?;
    if answer.embeddings.text().is_some() {
        return cohere::embed::decode(body);
    }
    let mut embedded = DecodedEmbeddings::new(vec![vector(answer.embedding, "embedding")?]);
    embedded.usage = read_tokens(answer.tokens.0, None);
    Ok(embedded)
}
