use super::own_path;
use crate::{
    EmbedRequest, Error, ErrorKind, Model,
    chat::Warning,
    embed::{
        EmbedEncoding, EmbeddingInputType,
        vectors::{collect, vector, wrong},
    },
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
use serde::Serialize;

/// `{models: [..], nextPageToken}`.
pub(in crate::provider) fn decode_list(provider: &str, body: &Bytes) -> Result<ModelPage, Error> {
    object! {
        struct Page<'a> {
            models: Option<List<Raw<'a>>>,
            next_page_token as "nextPageToken": Text<'a>,
        }
    }
    let page: Page<'_> = lenient::parse_body(body)?;
    let Some(models) = page.models else {
        return Err(not_a_model(body));
    };
    let models = read_models(body.len(), models, provider, decode)?;
    let next = page.next_page_token.non_empty().map(str::to_owned);
    Ok(ModelPage::new(models, next))
}

pub(in crate::provider) fn decode_one(provider: &str, body: &Bytes) -> Result<Model, Error> {
    let raw: Raw<'_> = lenient::parse_body(body)?;
    decode(provider, raw).ok_or_else(|| not_a_model(body))
}

fn decode(provider: &str, raw: Raw<'_>) -> Option<Model> {
    object! {
        struct ModelFields<'a> {
            name: Text<'a>,
            display_name as "displayName": Text<'a>,
            input_token_limit as "inputTokenLimit": Count,
        }
    }
    let wire: ModelFields<'_> = raw.read()?;
    let name = wire.name.non_empty()?;
    let mut model = Model::new(provider, name.strip_prefix("models/").unwrap_or(name));
    model.name = wire.display_name.non_empty().map(str::to_owned);
    model.owned_by = Some("google".to_owned());
    model.context_length = wire.input_token_limit.0;
    model.raw = raw.json();
    Some(model)
}

/// An error with status 200, or an unexpected body.
fn not_a_model(body: &Bytes) -> Error {
    match ErrorBody::parse(body) {
        Some(error) => crate::provider::kit::errors::from_body(200, &error),
        None => Error::new(ErrorKind::Protocol, "the response is not a list of models"),
    }
}

// `batchEmbedContents`, at Google's developer API.

/// Google's limit for one request.
const MAX_BATCH: usize = 100;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EmbedItem<'a> {
    model: &'a str,
    content: EmbedContent<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    task_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_dimensionality: Option<u32>,
}

#[derive(Serialize)]
struct EmbedContent<'a> {
    parts: [Part<'a>; 1],
}

#[derive(Serialize)]
struct Part<'a> {
    text: &'a str,
}

pub(super) fn embed_body(
    provider: &str,
    request: &EmbedRequest,
    first: usize,
) -> Result<(Vec<u8>, Vec<Warning>, usize), Error> {
    let texts = texts(request, first, MAX_BATCH);
    // The model is in the path, and also in each text's own request.
    let path = own_path(&request.model)?;
    let one = |text| EmbedItem {
        model: path.trim_start_matches('/'),
        content: EmbedContent {
            parts: [Part { text }],
        },
        task_type: request.input_type.as_ref().map(task),
        output_dimensionality: request.dimensions,
    };
    let requests: Vec<EmbedItem<'_>> = texts.iter().map(|text| one(text)).collect();
    let mut out = EmbedWriter::new(provider, request);
    out.member("requests", &requests)?;
    let packed = matches!(&request.encoding, Some(encoding) if *encoding != EmbedEncoding::Float);
    out.refuse("encoding", packed)?;
    out.refuse("user_id", request.user_id.is_some())?;
    let (body, warnings) = out.finish()?;
    Ok((body, warnings, texts.len()))
}

fn task(input_type: &EmbeddingInputType) -> &str {
    match input_type {
        EmbeddingInputType::Document => "RETRIEVAL_DOCUMENT",
        EmbeddingInputType::Query => "RETRIEVAL_QUERY",
        EmbeddingInputType::Classification => "CLASSIFICATION",
        EmbeddingInputType::Clustering => "CLUSTERING",
        EmbeddingInputType::Other(other) => other,
    }
}

pub(super) fn decode_embed(body: &Bytes) -> Result<DecodedEmbeddings, Error> {
    object! {
        struct EmbedResponse<'a> {
            embeddings: Option<List<Raw<'a>>>,
        }
    }
    object! {
        struct Element<'a> {
            values: Raw<'a>,
        }
    }
    let answer: EmbedResponse<'_> = lenient::parse_body(body)?;
    let Some(embeddings) = answer.embeddings else {
        return Err(match ErrorBody::parse(body) {
            Some(_) => errors::from_event("", body),
            None => Error::new(ErrorKind::Protocol, "the response has no `embeddings`"),
        });
    };
    let read = |index: usize, raw: Raw<'_>| {
        let place = format!("embeddings[{index}].values");
        let element: Element<'_> = raw.read().ok_or_else(|| wrong(&place, "missing"))?;
        vector(element.values, &place)
    };
    collect(&embeddings, read).map(DecodedEmbeddings::new)
}
