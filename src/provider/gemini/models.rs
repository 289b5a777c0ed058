use crate::{
    Error, ErrorKind, Json, Model, ModelPage,
    error::ErrorBody,
    provider::lenient::{self, Count, List, Text},
};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

/// `{models: [..], nextPageToken}`.
pub(super) fn decode_list(provider: &str, body: &Bytes) -> Result<ModelPage, Error> {
    #[derive(Default, Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct Page<'a> {
        #[serde(borrow)]
        models: Option<List<&'a RawValue>>,
        next_page_token: Text<'a>,
    }
    let mut scratch = String::new();
    let page: Page<'_> = lenient::parse_body(body, &mut scratch)?;
    let Some(models) = page.models else {
        return Err(not_a_model(body));
    };
    let models = models.0.into_iter().filter_map(|raw| decode(provider, raw));
    let next = page.next_page_token.non_empty().map(str::to_owned);
    Ok(ModelPage::new(models.collect(), next))
}

pub(super) fn decode_one(provider: &str, body: &Bytes) -> Result<Model, Error> {
    let mut scratch = String::new();
    let raw: &RawValue = lenient::parse_body(body, &mut scratch)?;
    decode(provider, raw).ok_or_else(|| not_a_model(body))
}

fn decode(provider: &str, raw: &RawValue) -> Option<Model> {
    #[derive(Deserialize, Default)]
    #[serde(default, rename_all = "camelCase")]
    struct Wire<'a> {
        #[serde(borrow)]
        name: Text<'a>,
        display_name: Text<'a>,
        input_token_limit: Count,
    }
    let wire: Wire<'_> = serde_json::from_str(raw.get()).ok()?;
    let name = wire.name.non_empty()?;
    let mut model = Model::new(provider, name.strip_prefix("models/").unwrap_or(name));
    model.name = wire.display_name.non_empty().map(str::to_owned);
    model.owned_by = Some("google".to_owned());
    model.context_length = wire.input_token_limit.0;
    model.raw = Some(Json::from_raw(raw));
    Some(model)
}

/// An error with status 200, or something else altogether.
fn not_a_model(body: &Bytes) -> Error {
    match ErrorBody::parse(body) {
        Some(error) => crate::provider::failure::from_body(200, &error),
        None => Error::new(ErrorKind::Protocol, "the answer is no list of models"),
    }
}
