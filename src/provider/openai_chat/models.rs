//! Lists of models and embeddings, in OpenAI's format.

use crate::{
    EmbedRequest, Error, ErrorKind, Model, Usage,
    chat::Warning,
    codec::percent::encode_segment,
    embed::EmbedEncoding,
    embed::vectors::{vector, wrong},
    error::ErrorBody,
    provider::{
        ModelPage,
        kit::{
            embed::{DecodedEmbeddings, EmbedWriter, texts},
            errors,
            lenient::{self, Count, List, Raw, Text, object},
            model::read_models,
        },
    },
};
use bytes::Bytes;

/// `{object: "list", data: [..]}`; Together sends the plain array.
pub(in crate::provider) fn decode_list(provider: &str, body: &Bytes) -> Result<ModelPage, Error> {
    object! {
        struct Listed<'a> {
            data: Option<List<Raw<'a>>>,
        }
    }
    let is_array = body.trim_ascii_start().starts_with(b"[");
    let data = if is_array {
        lenient::parse_body::<List<Raw<'_>>>(body)?
    } else {
        match lenient::parse_body::<Listed<'_>>(body)?.data {
            Some(list) => list,
            None => return Err(not_a_model(body)),
        }
    };
    let models = read_models(body.len(), data, provider, decode)?;
    Ok(ModelPage::new(models, None))
}

pub(in crate::provider) fn decode_one(provider: &str, body: &Bytes) -> Result<Model, Error> {
    let raw: Raw<'_> = lenient::parse_body(body)?;
    decode(provider, raw).ok_or_else(|| not_a_model(body))
}

/// The path of a model. Many ids contain a slash, which is also in the path (`org/name`).
///
/// # Errors
/// `invalid_request` if the id has an empty segment.
pub(in crate::provider) fn path(id: &str) -> Result<String, Error> {
    let segments: Option<Vec<String>> = id.split('/').map(encode_segment).collect();
    let segments = segments.ok_or_else(|| {
        Error::new(
            ErrorKind::InvalidRequest,
            format!("`{}` is not a model's id", id.escape_debug()),
        )
    })?;
    Ok(["/models/", &segments.join("/")].concat())
}

fn decode(provider: &str, raw: Raw<'_>) -> Option<Model> {
    object! {
        struct ModelFields<'a> {
            id: Text<'a>,
            name: Text<'a>,
            owned_by: Text<'a>,
            created: Count,
            context_length: Count,
            limits: Raw<'a>,
        }
    }
    object! {
        struct Limits {
            max_context_length: Count,
        }
    }
    let wire: ModelFields<'_> = raw.read()?;
    let limits: Limits = wire.limits.read().unwrap_or_default();
    let mut model = Model::new(provider, wire.id.non_empty()?);
    model.name = wire.name.non_empty().map(str::to_owned);
    model.owned_by = wire.owned_by.non_empty().map(str::to_owned);
    model.created = wire.created.0;
    model.context_length = wire.context_length.0.or(limits.max_context_length.0);
    model.raw = raw.json();
    Some(model)
}

/// An error with status 200, or an unexpected body.
fn not_a_model(body: &Bytes) -> Error {
    match ErrorBody::parse(body) {
        Some(error) => errors::from_body(200, &error),
        None => Error::new(ErrorKind::Protocol, "the response is not a list of models"),
    }
}

// `/embeddings`, in OpenAI's format.

/// OpenAI's limit for one request.
pub(super) const MAX_BATCH: usize = 2048;

pub(super) fn embed_body(
    provider: &str,
    base64_vectors: bool,
    request: &EmbedRequest,
    first: usize,
) -> Result<(Vec<u8>, Vec<Warning>, usize), Error> {
    let texts = texts(request, first, MAX_BATCH);
    let mut out = EmbedWriter::new(provider, request);
    out.member("model", &request.model)?;
    out.member("input", texts)?;
    out.optional("dimensions", request.dimensions.as_ref())?;
    let base64 = base64_vectors.then_some(&EmbedEncoding::Base64);
    out.optional("encoding_format", request.encoding.as_ref().or(base64))?;
    out.optional("user", request.user_id.as_ref())?;
    out.refuse("input_type", request.input_type.is_some())?;
    let (body, warnings) = out.finish()?;
    Ok((body, warnings, texts.len()))
}

/// Vectors by their `index`, or by their position if a server omits it.
pub(super) fn decode_embed(body: &Bytes) -> Result<DecodedEmbeddings, Error> {
    object! {
        struct EmbedResponse<'a> {
            data: Option<List<Raw<'a>>>,
            model: Text<'a>,
            usage: Raw<'a>,
        }
    }
    object! {
        struct Element<'a> {
            index: Count,
            embedding: Raw<'a>,
        }
    }
    let answer: EmbedResponse<'_> = lenient::parse_body(body)?;
    let Some(data) = answer.data else {
        return Err(match ErrorBody::parse(body) {
            Some(_) => errors::from_event("", body),
            None => Error::new(
                ErrorKind::Protocol,
                "the response has no embeddings: `data` is missing",
            ),
        });
    };
    let mut vectors: Vec<Option<Vec<f32>>> = Vec::new();
    vectors.resize_with(data.0.len(), || None);
    for (position, raw) in data.0.iter().enumerate() {
        let place = format!("data[{position}].embedding");
        let element: Element<'_> = raw.read().ok_or_else(|| wrong(&place, "missing"))?;
        let index = element
            .index
            .0
            .map_or(Some(position), |index| usize::try_from(index).ok());
        match index.and_then(|index| vectors.get_mut(index)) {
            Some(free @ None) => *free = Some(vector(element.embedding, &place)?),
            _ => {
                return Err(wrong(
                    &format!("data[{position}].index"),
                    "out of range or used twice",
                ));
            }
        }
    }
    let mut embedded = DecodedEmbeddings::new(vectors.into_iter().flatten().collect());
    embedded.model = answer.model.non_empty().map(str::to_owned);
    embedded.usage = usage(answer.usage);
    Ok(embedded)
}

fn usage(raw: Raw<'_>) -> Option<Usage> {
    object! {
        struct UsageFields {
            prompt_tokens: Count,
            total_tokens: Count,
        }
    }
    let wire: UsageFields = raw.read()?;
    Some(Usage {
        prompt_tokens: wire.prompt_tokens.0,
        total_tokens: wire.total_tokens.0,
        raw: raw.json(),
        ..Usage::default()
    })
}
