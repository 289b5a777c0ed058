use crate::{
    Error, ErrorKind, Model,
    provider::{
        ModelPage,
        kit::{
            lenient::{self, Count, List, Raw, Text, object},
            model::read_models,
        },
    },
};
use bytes::Bytes;

/// `/v1/models`: a page, and the token of the next one.
pub(super) fn decode_list(provider: &str, body: &Bytes) -> Result<ModelPage, Error> {
    object! {
        struct Page<'a> {
            models: Option<List<Raw<'a>>>,
            next_page_token: Text<'a>,
        }
    }
    let page: Page<'_> = lenient::parse_body(body)?;
    let Some(models) = page.models else {
        return Err(Error::new(
            ErrorKind::Protocol,
            "the response is not a list of models",
        ));
    };
    let models = read_models(body.len(), models, provider, model)?;
    Ok(ModelPage::new(
        models,
        page.next_page_token.non_empty().map(str::to_owned),
    ))
}

pub(super) fn decode_one(provider: &str, body: &Bytes) -> Result<Model, Error> {
    let raw: Raw<'_> = lenient::parse_body(body)?;
    model(provider, raw)
        .ok_or_else(|| Error::new(ErrorKind::Protocol, "the response is not a model"))
}

fn model(provider: &str, raw: Raw<'_>) -> Option<Model> {
    object! {
        struct ModelFields<'a> {
            name: Text<'a>,
            context_length: Count,
        }
    }
    let wire: ModelFields<'_> = raw.read()?;
    let mut model = Model::new(provider, wire.name.non_empty()?);
    model.context_length = wire.context_length.0;
    model.raw = raw.json();
    Some(model)
}
