use crate::{
    Error, ErrorKind, Json, Model, ModelPage,
    error::ErrorBody,
    provider::{
        failure,
        lenient::{self, Count, List, Raw, Text},
    },
};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

/// `{object: "list", data: [..]}`; Together sends the bare array.
pub(in crate::provider) fn decode_list(provider: &str, body: &Bytes) -> Result<ModelPage, Error> {
    #[derive(Deserialize)]
    struct Listed<'a> {
        #[serde(borrow)]
        data: Option<List<&'a RawValue>>,
    }
    let mut scratch = String::new();
    let is_array = body.trim_ascii_start().starts_with(b"[");
    let data = if is_array {
        lenient::parse_body::<Vec<&RawValue>>(body, &mut scratch)?
    } else {
        match lenient::parse_body::<Listed<'_>>(body, &mut scratch)?.data {
            Some(list) => list.0,
            None => return Err(not_a_model(body)),
        }
    };
    let models = data
        .into_iter()
        .filter_map(|raw| decode(provider, raw))
        .collect();
    Ok(ModelPage::new(models, None))
}

pub(in crate::provider) fn decode_one(provider: &str, body: &Bytes) -> Result<Model, Error> {
    let mut scratch = String::new();
    let raw: &RawValue = lenient::parse_body(body, &mut scratch)?;
    decode(provider, raw).ok_or_else(|| not_a_model(body))
}

fn decode(provider: &str, raw: &RawValue) -> Option<Model> {
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Wire<'a> {
        #[serde(borrow)]
        id: Text<'a>,
        name: Text<'a>,
        owned_by: Text<'a>,
        created: Count,
        context_length: Count,
        limits: Raw<'a>,
    }
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Limits {
        max_context_length: Count,
    }
    let wire: Wire<'_> = serde_json::from_str(raw.get()).ok()?;
    let limits: Limits = wire.limits.read().unwrap_or_default();
    let mut model = Model::new(provider, wire.id.non_empty()?);
    model.name = wire.name.non_empty().map(str::to_owned);
    model.owned_by = wire.owned_by.non_empty().map(str::to_owned);
    model.created = wire.created.0;
    model.context_length = wire.context_length.0.or(limits.max_context_length.0);
    model.raw = Some(Json::from_raw(raw));
    Some(model)
}

/// An error with status 200, or something else altogether.
fn not_a_model(body: &Bytes) -> Error {
    match ErrorBody::parse(body) {
        Some(error) => failure::from_body(200, &error),
        None => Error::new(ErrorKind::Protocol, "the answer is no list of models"),
    }
}
