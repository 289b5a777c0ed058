//! Lists of models and of inference profiles, from the control plane.

use super::errors;
use crate::{
    EmbedRequest, Error, ErrorKind, Model,
    chat::Warning,
    embed::{EmbedEncoding, vectors::vector},
    provider::{
        ModelPage, cohere,
        kit::{
            embed::{DecodedEmbeddings, EmbedWriter, read_tokens, texts},
            lenient::{self, Count, List, Object, Raw, Text, object},
            model::read_models,
            token_count::missing,
        },
    },
    tokens::TokenCount,
};
use bytes::Bytes;

/// `GET /foundation-models` or `GET /inference-profiles`; the field tells which.
///
/// The first has no pages. With `profiles` the second follows. Its token selects a page; an empty one selects the
/// first.
pub(super) fn decode_list(
    provider: &str,
    body: &Bytes,
    profiles: bool,
) -> Result<ModelPage, Error> {
    object! {
        struct Page<'a> {
            model_summaries as "modelSummaries": Option<List<Raw<'a>>>,
            inference_profile_summaries as "inferenceProfileSummaries": Option<List<Raw<'a>>>,
            next_token as "nextToken": Text<'a>,
        }
    }
    let page: Page<'_> = lenient::parse_body(body)?;
    let read = |list: List<Raw<'_>>, decode: fn(&str, Raw<'_>) -> Option<Model>| {
        read_models(body.len(), list, provider, decode)
    };
    if let Some(models) = page.model_summaries {
        let next = profiles.then(String::new);
        return Ok(ModelPage::new(read(models, model)?, next));
    }
    if let Some(profiles) = page.inference_profile_summaries {
        let next = page.next_token.non_empty().map(str::to_owned);
        return Ok(ModelPage::new(read(profiles, profile)?, next));
    }
    Err(not_a_model(body))
}

/// `GET /foundation-models/{id}`
pub(super) fn decode_one(provider: &str, body: &Bytes) -> Result<Model, Error> {
    object! {
        struct ModelDetails<'a> {
            model_details as "modelDetails": Raw<'a>,
        }
    }
    let one: ModelDetails<'_> = lenient::parse_body(body)?;
    model(provider, one.model_details).ok_or_else(|| not_a_model(body))
}

fn model(provider: &str, raw: Raw<'_>) -> Option<Model> {
    object! {
        struct ModelFields<'a> {
            model_id as "modelId": Text<'a>,
            model_name as "modelName": Text<'a>,
            provider_name as "providerName": Text<'a>,
            /// Undocumented.
            description: Object<Description<'a>>,
        }
    }
    object! {
        struct Description<'a> {
            max_context_window as "maxContextWindow": Text<'a>,
        }
    }
    let wire: ModelFields<'_> = raw.read()?;
    let mut model = Model::new(provider, wire.model_id.non_empty()?);
    model.name = wire.model_name.non_empty().map(str::to_owned);
    model.owned_by = wire.provider_name.non_empty().map(str::to_owned);
    model.context_length = wire
        .description
        .0
        .and_then(|description| tokens(description.max_context_window.as_deref()?));
    model.raw = raw.json();
    Some(model)
}

fn profile(provider: &str, raw: Raw<'_>) -> Option<Model> {
    object! {
        struct ModelFields<'a> {
            inference_profile_id as "inferenceProfileId": Text<'a>,
            inference_profile_name as "inferenceProfileName": Text<'a>,
        }
    }
    let wire: ModelFields<'_> = raw.read()?;
    let mut model = Model::new(provider, wire.inference_profile_id.non_empty()?);
    model.name = wire.inference_profile_name.non_empty().map(str::to_owned);
    model.raw = raw.json();
    Some(model)
}

/// `128000`, `200k`, `1M`.
fn tokens(text: &str) -> Option<u64> {
    let text = text.trim();
    let (number, factor) = match text.strip_suffix(['k', 'K']) {
        Some(thousands) => (thousands, 1_000),
        None => match text.strip_suffix(['m', 'M']) {
            Some(millions) => (millions, 1_000_000),
            None => (text, 1),
        },
    };
    number.trim().parse::<u64>().ok()?.checked_mul(factor)
}

/// An error with status 200, or an unexpected body.
fn not_a_model(body: &Bytes) -> Error {
    errors::from_response(body)
        .unwrap_or_else(|| Error::new(ErrorKind::Protocol, "the response is not a list of models"))
}

// Embeddings with `InvokeModel`, whose body has the model vendor's format: Amazon Titan (one text per request) and Cohere.

/// The supported model families, by a part of the model's id, with or without a region prefix or an ARN.
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

pub(super) fn embed_body(
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
                "`{provider}` supports embeddings of the models `amazon.titan-embed` and `cohere.embed`, but not of `{:.64}`",
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

/// Titan's response has `embedding`, Cohere's `embeddings`.
pub(super) fn decode_embed(body: &Bytes) -> Result<DecodedEmbeddings, Error> {
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

/// `POST /model/{id}/count-tokens`
pub(super) fn decode_token_count(body: &Bytes) -> Result<TokenCount, Error> {
    object! {
        struct Counted {
            tokens as "inputTokens": Count,
        }
    }
    let counted: Counted = lenient::parse_body(body)?;
    let tokens = counted.tokens.0;
    Ok(TokenCount::exact(
        tokens.ok_or_else(|| missing(body, "inputTokens"))?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(body: &'static str, profiles: bool) -> Result<ModelPage, Error> {
        decode_list("bedrock", &Bytes::from_static(body.as_bytes()), profiles)
    }

    const MODELS: &str = r#"{"enableAccessToAllModelsByDefault":true,"modelSummaries":[
        {"modelId":"acme.one-v1:0","modelName":"One","providerName":"Acme","converse":null,
         "description":{"maxContextWindow":"200k"},"inferenceTypesSupported":["ON_DEMAND"]},
        {"modelId":"acme.two","description":null,"responseStreamingSupported":null},
        {"modelName":"without an id"}, null]}"#;

    #[test]
    fn models_are_read_with_undocumented_members() {
        let page = list(MODELS, false).unwrap();
        assert_eq!((page.models.len(), &page.next_page), (2, &None));
        let one = &page.models[0];
        assert_eq!(one.id, "acme.one-v1:0");
        assert_eq!(one.provider, "bedrock");
        assert_eq!(one.name.as_deref(), Some("One"));
        assert_eq!(one.owned_by.as_deref(), Some("Acme"));
        assert_eq!(one.context_length, Some(200_000));
        assert!(one.raw.as_ref().unwrap().as_str().contains("ON_DEMAND"));
        assert_eq!(page.models[1].context_length, None);
    }

    #[test]
    fn profiles_are_listed_page_by_page_on_request() {
        assert_eq!(list(MODELS, true).unwrap().next_page.as_deref(), Some(""));
        let page = list(
            r#"{"inferenceProfileSummaries":[{"inferenceProfileId":"us.acme.one-v1:0","inferenceProfileName":"US One",
                "status":"ACTIVE","models":[]}],"nextToken":"t"}"#,
            true,
        )
        .unwrap();
        assert_eq!(page.models[0].id, "us.acme.one-v1:0");
        assert_eq!(page.next_page.as_deref(), Some("t"));
        let last = list(r#"{"inferenceProfileSummaries":[],"nextToken":null}"#, true).unwrap();
        assert_eq!(last.next_page, None);
    }

    #[test]
    fn one_model_is_wrapped() {
        let body = br#"{"modelDetails":{"modelId":"m","modelName":"M"}}"#;
        let model = decode_one("bedrock", &Bytes::from_static(body)).unwrap();
        assert_eq!((model.id.as_str(), model.name.as_deref()), ("m", Some("M")));
        let wrong = decode_one("bedrock", &Bytes::from_static(b"{}")).unwrap_err();
        assert_eq!(wrong.kind(), ErrorKind::Protocol);
    }

    #[test]
    fn non_list_is_an_error() {
        for (body, kind) in [
            ("{}", ErrorKind::Protocol),
            ("{\"modelSummaries\":[", ErrorKind::Truncated),
            ("<html>", ErrorKind::Protocol),
            (
                r#"{"__type":"x#AccessDeniedException","message":"m"}"#,
                ErrorKind::PermissionDenied,
            ),
        ] {
            assert_eq!(list(body, false).unwrap_err().kind(), kind, "{body}");
        }
    }

    #[test]
    fn context_windows_have_several_notations() {
        for (text, expected) in [
            ("128000", Some(128_000)),
            ("200k", Some(200_000)),
            ("200K", Some(200_000)),
            ("1M", Some(1_000_000)),
            ("many", None),
            ("", None),
            ("99999999999999999999M", None),
        ] {
            assert_eq!(tokens(text), expected, "{text}");
        }
    }
}
