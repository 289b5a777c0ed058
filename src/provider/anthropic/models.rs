use crate::{
    Error, ErrorKind, Model,
    codec::rfc3339::rfc3339,
    error::ErrorBody,
    provider::{
        ModelPage,
        kit::{
            errors,
            lenient::{self, Count, List, Raw, Text, object},
            model::read_models,
        },
    },
};
use bytes::Bytes;
use std::time::UNIX_EPOCH;

/// `{data: [..], has_more, last_id}`; the last id selects the next page.
pub(super) fn decode_list(provider: &str, body: &Bytes) -> Result<ModelPage, Error> {
    object! {
        struct Page<'a> {
            data: Option<List<Raw<'a>>>,
            has_more: bool,
            last_id: Text<'a>,
        }
    }
    let page: Page<'_> = lenient::parse_body(body)?;
    let Some(data) = page.data else {
        return Err(not_a_model(body));
    };
    let models = read_models(body.len(), data, provider, decode)?;
    let next = page.last_id.non_empty().filter(|_| page.has_more);
    Ok(ModelPage::new(models, next.map(str::to_owned)))
}

pub(super) fn decode_one(provider: &str, body: &Bytes) -> Result<Model, Error> {
    let raw: Raw<'_> = lenient::parse_body(body)?;
    decode(provider, raw).ok_or_else(|| not_a_model(body))
}

fn decode(provider: &str, raw: Raw<'_>) -> Option<Model> {
    object! {
        struct ModelFields<'a> {
            id: Text<'a>,
            display_name: Text<'a>,
            created_at: Text<'a>,
            max_input_tokens: Count,
        }
    }
    let wire: ModelFields<'_> = raw.read()?;
    let created = wire.created_at.as_deref().and_then(rfc3339);
    let mut model = Model::new(provider, wire.id.non_empty()?);
    model.name = wire.display_name.non_empty().map(str::to_owned);
    model.owned_by = Some("anthropic".to_owned());
    model.created = created.and_then(|at| Some(at.duration_since(UNIX_EPOCH).ok()?.as_secs()));
    model.context_length = wire.max_input_tokens.0;
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
