use crate::{
    Error, ErrorKind, Model,
    codec::rfc3339::rfc3339,
    provider::{
        ModelPage,
        kit::{
            lenient::{self, List, Raw, Text, object},
            model::read_models,
        },
    },
};
use bytes::Bytes;
use std::time::SystemTime;

/// `/api/tags`: the models on the server's machine.
pub(super) fn decode(provider: &str, body: &Bytes) -> Result<ModelPage, Error> {
    object! {
        struct Tags<'a> {
            models: Option<List<Raw<'a>>>,
        }
    }
    let tags: Tags<'_> = lenient::parse_body(body)?;
    let Some(models) = tags.models else {
        return Err(Error::new(
            ErrorKind::Protocol,
            "the response is not a list of models",
        ));
    };
    let models = read_models(body.len(), models, provider, model)?;
    Ok(ModelPage::new(models, None))
}

fn model(provider: &str, raw: Raw<'_>) -> Option<Model> {
    object! {
        struct Tag<'a> {
            name: Text<'a>,
            model: Text<'a>,
            modified_at: Text<'a>,
        }
    }
    let tag: Tag<'_> = raw.read()?;
    let mut model = Model::new(provider, tag.model.non_empty().or(tag.name.non_empty())?);
    model.name = tag.name.non_empty().map(str::to_owned);
    let made = tag.modified_at.as_deref().and_then(rfc3339);
    model.created =
        made.and_then(|at| Some(at.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs()));
    model.raw = raw.json();
    Some(model)
}
