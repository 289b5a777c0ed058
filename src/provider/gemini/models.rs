use crate::{
    Error, ErrorKind, Model,
    error::ErrorBody,
    provider::{
        ModelPage,
        kit::{
            lenient::{self, Count, List, Raw, Text, object},
            model::read_models,
        },
    },
};
use bytes::Bytes;

/// `{models: [..], nextPageToken}`.
pub(super) fn decode_list(provider: &str, body: &Bytes) -> Result<ModelPage, Error> {
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

pub(super) fn decode_one(provider: &str, body: &Bytes) -> Result<Model, Error> {
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

/// An error with status 200, or something else altogether.
fn not_a_model(body: &Bytes) -> Error {
    match ErrorBody::parse(body) {
        Some(error) => crate::provider::kit::errors::from_body(200, &error),
        None => Error::new(ErrorKind::Protocol, "the answer is no list of models"),
    }
}
