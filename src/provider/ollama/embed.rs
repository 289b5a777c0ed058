//! `/api/embed`.

use crate::{
    EmbedRequest, Error, ErrorKind,
    chat::Warning,
    embed::{EmbedEncoding, vectors::vectors},
    error::ErrorBody,
    provider::kit::{
        embed::{DecodedEmbeddings, EmbedWriter, read_tokens, texts},
        errors,
        lenient::{self, Count, Raw, Text, object},
    },
};
use bytes::Bytes;

/// The server has no limit; this one bounds the cost of a failure.
const MAX_BATCH: usize = 1024;

pub(super) fn body(
    provider: &str,
    request: &EmbedRequest,
    first: usize,
) -> Result<(Vec<u8>, Vec<Warning>, usize), Error> {
    let texts = texts(request, first, MAX_BATCH);
    let mut out = EmbedWriter::new(provider, request);
    out.member("model", &request.model)?;
    out.member("input", texts)?;
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

pub(super) fn decode(body: &Bytes) -> Result<DecodedEmbeddings, Error> {
    object! {
        struct EmbedResponse<'a> {
            model: Text<'a>,
            embeddings: Raw<'a>,
            prompt_eval_count: Count,
        }
    }
    let answer: EmbedResponse<'_> = lenient::parse_body(body)?;
    if answer.embeddings.text().is_none() {
        return Err(match ErrorBody::parse(body) {
            Some(_) => errors::from_event("", body),
            None => Error::new(ErrorKind::Protocol, "the response has no `embeddings`"),
        });
    }
    let mut embedded = DecodedEmbeddings::new(vectors(answer.embeddings, "embeddings")?);
    embedded.model = answer.model.non_empty().map(str::to_owned);
    embedded.usage = read_tokens(answer.prompt_eval_count.0, None);
    Ok(embedded)
}
