//! The schemas of a request: those of its response and of its tools.

use super::{
    Dialect, Dialects,
    node::Node,
    walk::{self, Of},
};
use crate::{ChatRequest, Error, ErrorKind, Json, ResponseFormat, Tool, chat::Warning};
use std::borrow::Cow;

/// Returns the request with its schemas in the server's dialects, and a warning for each change of the set of valid
/// values. Returns the same request if nothing changes.
///
/// # Errors
/// `invalid_request` if a schema cannot be enforced, or can only be enforced with a change of the set of valid values
/// and the request is not `drop_unsupported`.
pub(crate) fn fit<'r>(
    request: &'r ChatRequest,
    provider: &str,
    dialects: Dialects,
) -> Result<(Cow<'r, ChatRequest>, Vec<Warning>), Error> {
    let mut fitted = Cow::Borrowed(request);
    let mut fitting = Fitting {
        provider,
        drop_unsupported: request.drop_unsupported,
        warnings: Vec::new(),
    };
    if let Some(ResponseFormat::JsonSchema(format)) = &request.response_format {
        let place = format!("`response_format` (`{}`)", format.name.escape_debug());
        let (schema, strict) = fitting.schema(
            &place,
            &format.schema,
            format.strict,
            (Of::Answer, dialects),
        )?;
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
            parameters,
            strict,
            ..
        } = tool
        else {
            continue;
        };
        // A strict function without a schema has no arguments.
        let is_enforced = *strict == Some(true) && dialects.strict_tools.closed;
        let none = is_enforced.then(|| Json::part(r#"{"type":"object"}"#));
        let Some(parameters) = parameters.as_ref().or(none.as_ref()) else {
            continue;
        };
        let place = format!("`tools[{index}].parameters` (`{}`)", name.escape_debug());
        let (schema, now) =
            fitting.schema(&place, parameters, *strict, (Of::Arguments, dialects))?;
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
    drop_unsupported: bool,
    warnings: Vec<Warning>,
}

impl Fitting<'_> {
    /// Adapts a schema. Returns it if it changed, and whether the server enforces it.
    fn schema(
        &mut self,
        place: &str,
        schema: &Json,
        strict: Option<bool>,
        (of, dialects): (Of, Dialects),
    ) -> Result<(Option<Json>, Option<bool>), Error> {
        let is_strict = strict == Some(true);
        let (enforced, loose) = match of {
            Of::Answer => (dialects.strict, dialects.loose),
            Of::Arguments => (dialects.strict_tools, dialects.loose_tools),
        };
        let dialect = if is_strict { enforced } else { loose };
        // References are checked for all servers.
        if dialect == Dialect::ANY && !schema.as_str().contains("$ref") {
            return Ok((None, strict));
        }
        let walked = walk::walk(Node::read(schema)?, of, &dialect);
        if let Some(refused) = walked.refused.first() {
            let what = format!(
                "the schema of {place} cannot be enforced by `{}`: at `{}`: {}",
                self.provider, refused.path, refused.why
            );
            if !self.drop_unsupported || !is_strict || enforced == loose {
                return Err(Error::new(ErrorKind::InvalidRequest, what));
            }
            self.warn(format!("{what}; it was sent without `strict`"));
            let (schema, _) = self.schema(place, schema, Some(false), (of, dialects))?;
            return Ok((schema, Some(false)));
        }
        for lost in walked.changes.iter().filter(|lost| lost.changes_meaning) {
            let what = format!(
                "the schema of {place} cannot be enforced by `{}` without a change: at `{}`: {}",
                self.provider, lost.path, lost.why
            );
            if !self.drop_unsupported {
                return Err(Error::new(
                    ErrorKind::InvalidRequest,
                    format!(
                        "{what}; change the schema, remove `strict`, or allow the change with `drop_unsupported()`"
                    ),
                ));
            }
            self.warn(what);
        }
        if walked.changes.is_empty() {
            return Ok((None, strict));
        }
        Ok((Some(Json::new(&walked.node)?), strict))
    }

    fn warn(&mut self, message: String) {
        self.warnings.push(Warning::new("schema_altered", message));
    }
}
