//! `batchEmbedContents`, at Google's developer API.

use super::own_path;
use crate::{
    EmbedRequest, Error, ErrorKind,
    chat::Warning,
    embed::{
        EmbedEncoding, EmbeddingInputType,
        vectors::{collect, vector, wrong},
    },
    error::ErrorBody,
    provider::kit::{
        embed::{DecodedEmbeddings, EmbedWriter, texts},
        errors,
        lenient::{self, List, Raw, object},
    },
};
use bytes::Bytes;
use serde::Serialize;

/// Google's limit for one request.
const MAX_BATCH: usize = 100;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EmbedItem<'a> {
    model: &'a str,
    content: Content<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    task_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_dimensionality: Option<u32>,
}

#[derive(Serialize)]
struct Content<'a> {
    parts: [Part<'a>; 1],
}

#[derive(Serialize)]
struct Part<'a> {
    text: &'a str,
}

pub(super) fn body(
    provider: &str,
    request: &EmbedRequest,
    first: usize,
) -> Result<(Vec<u8>, Vec<Warning>, usize), Error> {
    let texts = texts(request, first, MAX_BATCH);
    // The model is named in the path and again in each text's own request.
    let path = own_path(&request.model)?;
    let one = |text| EmbedItem {
        model: path.trim_start_matches('/'),
        content: Content {
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

pub(super) fn decode(body: &Bytes) -> Result<DecodedEmbeddings, Error> {
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
            None => Error::new(ErrorKind::Protocol, "the answer has no `embeddings`"),
        });
    };
    let read = |index: usize, raw: Raw<'_>| {
        let place = format!("embeddings[{index}].values");
        let element: Element<'_> = raw.read().ok_or_else(|| wrong(&place, "missing"))?;
        vector(element.values, &place)
    };
    collect(&embeddings, read).map(DecodedEmbeddings::new)
}
