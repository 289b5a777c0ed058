//! The schemas of a request: of its answer and of its tools.

use super::{Dialect, Dialects, node::Node, walk};
use crate::{ChatRequest, Error, ErrorKind, Json, ResponseFormat, Tool, Warning};
use std::borrow::Cow;

/// What a server enforces.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Enforced {
    pub(crate) answers: Dialects,
    pub(crate) tools: Dialects,
}

impl Enforced {
    /// The same of answers and of tools.
    pub(crate) const fn both(dialects: Dialects) -> Self {
        Enforced {
            answers: dialects,
            tools: dialects,
        }
    }
}

/// The request with its schemas in the server's dialects, and a warning for each change that alters what is valid. The same
/// request if all of them are so already.
///
/// # Errors
/// `invalid_request` if a schema cannot be enforced, or only another one can and the request is not `lenient`.
pub(crate) fn fit<'r>(
    request: &'r ChatRequest,
    provider: &str,
    enforced: Enforced,
) -> Result<(Cow<'r, ChatRequest>, Vec<Warning>), Error> {
    let mut fitted = Cow::Borrowed(request);
    let mut fitting = Fitting {
        provider,
        lenient: request.lenient,
        warnings: Vec::new(),
    };
    if let Some(ResponseFormat::JsonSchema(format)) = &request.response_format {
        let place = format!("`response_format` (`{}`)", format.name.escape_debug());
        let (schema, strict) =
            fitting.schema(&place, &format.schema, format.strict, enforced.answers)?;
        if schema.is_some() || strict != format.strict {
            let mut format = format.clone();
            format.strict = strict;
            format.schema = schema.unwrap_or(format.schema);
            fitted.to_mut().response_format = Some(ResponseFormat::JsonSchema(format));
        }
    }
    for (index, tool) in request.tools.iter().enumerate() {
        let Tool::Function {
            name,
            parameters: Some(parameters),
            strict,
            ..
        } = tool
        else {
            continue;
        };
        let place = format!("`tools[{index}].parameters` (`{}`)", name.escape_debug());
        let (schema, now) = fitting.schema(&place, parameters, *strict, enforced.tools)?;
        if schema.is_none() && now == *strict {
            continue;
        }
        if let Some(Tool::Function {
            parameters, strict, ..
        }) = fitted.to_mut().tools.get_mut(index)
        {
            *strict = now;
            if schema.is_some() {
                *parameters = schema;
            }
        }
    }
    Ok((fitted, fitting.warnings))
}

struct Fitting<'a> {
    provider: &'a str,
    lenient: bool,
    warnings: Vec<Warning>,
}

impl Fitting<'_> {
    /// A schema that is another one, and whether it is to be enforced.
    fn schema(
        &mut self,
        place: &str,
        schema: &Json,
        strict: Option<bool>,
        dialects: Dialects,
    ) -> Result<(Option<Json>, Option<bool>), Error> {
        let is_strict = strict == Some(true);
        let dialect = if is_strict {
            dialects.strict
        } else {
            dialects.loose
        };
        if dialect == Dialect::ANY {
            return Ok((None, strict));
        }
        let walked = walk::walk(Node::read(schema)?, &dialect);
        if let Some(refused) = walked.refused.first() {
            let what = format!(
                "{place} cannot be enforced by `{}`: at `{}` {}",
                self.provider, refused.path, refused.why
            );
            if !self.lenient || !is_strict || dialects.loose == dialects.strict {
                return Err(Error::new(ErrorKind::InvalidRequest, what));
            }
            self.warn(format!("{what}; it was sent without `strict`"));
            let (schema, _) = self.schema(place, schema, Some(false), dialects)?;
            return Ok((schema, Some(false)));
        }
        for lost in walked.lost.iter().filter(|lost| lost.alters) {
            let what = format!(
                "{place} cannot be enforced as it is by `{}`: at `{}` {}",
                self.provider, lost.path, lost.why
            );
            if !self.lenient {
                return Err(Error::new(
                    ErrorKind::InvalidRequest,
                    format!(
                        "{what}; change the schema, leave out `strict`, or let it be altered with `lenient()`"
                    ),
                ));
            }
            self.warn(what);
        }
        if walked.lost.is_empty() {
            return Ok((None, strict));
        }
        Ok((Some(Json::new(&walked.node)?), strict))
    }

    fn warn(&mut self, message: String) {
        self.warnings.push(Warning::new("schema_altered", message));
    }
}
