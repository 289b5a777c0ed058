use crate::{
    Error, ErrorKind, Model,
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

/// `{object: "list", data: [..]}`; Together sends the bare array.
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

/// An error with status 200, or something else altogether.
fn not_a_model(body: &Bytes) -> Error {
    match ErrorBody::parse(body) {
        Some(error) => errors::from_body(200, &error),
        None => Error::new(ErrorKind::Protocol, "the answer is no list of models"),
    }
}
