//! JSON schemas in the dialect of each server.
//!
//! Servers support different parts of JSON Schema, and refuse a request whose schema has more. [`adapt`] converts a
//! schema to a [`Dialect`] and lists all changes. Providers do this automatically with the schemas of responses and
//! tools.
//!
//! ```
//! # fn main() -> Result<(), unifiedai::Error> {
//! use unifiedai::{Json, schema::{Dialect, adapt}};
//! let schema = Json::parse(r#"{"type":"object","properties":{"unit":{"oneOf":[{"const":"C"},{"const":"F"}]}},
//!     "required":["unit"],"additionalProperties":false}"#)?;
//! let adapted = adapt(&schema, &Dialect::OPENAI_STRICT)?;
//! assert!(adapted.schema.as_str().contains(r#""unit":{"enum":["C","F"],"type":"string"}"#));
//! assert_eq!(adapted.changes[0].path, "/properties/unit/oneOf");
//! # Ok(())
//! # }
//! ```

mod dialect;
mod fit;
mod node;
mod object;
mod pattern;
mod references;
mod rewrite;
mod tool;
mod walk;

use crate::{Error, ErrorKind, Json};
use node::Node;

pub use dialect::{Dialect, Dialects, Patterns, References};
pub(crate) use fit::fit;
pub(crate) use tool::describes_no_object;

/// A schema in a server's dialect, and the changes.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Adapted {
    /// The schema.
    pub schema: Json,
    /// The changes, in the order of the schema.
    pub changes: Vec<SchemaChange>,
}

/// A change to a schema.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SchemaChange {
    /// The position, as a JSON pointer into the original schema.
    pub path: String,
    /// The change and its reason.
    pub why: String,
    /// Whether the change alters which values are valid. Requests are sent with such a change only with
    /// [`drop_unsupported`](crate::ChatRequest::drop_unsupported).
    pub changes_meaning: bool,
}

/// Converts a schema to a dialect. Changes that alter which values are valid are made too, and marked in
/// [`SchemaChange::changes_meaning`].
///
/// # Errors
/// `invalid_request` that names path and reason, if the dialect cannot express the schema.
pub fn adapt(schema: &Json, dialect: &Dialect) -> Result<Adapted, Error> {
    let result = walk::walk(Node::read(schema)?, walk::Of::Answer, dialect);
    if let Some(refused) = result.refused.first() {
        return Err(Error::new(
            ErrorKind::InvalidRequest,
            format!(
                "the schema cannot be enforced: at `{}`: {}",
                refused.path, refused.why
            ),
        ));
    }
    let schema = if result.changes.is_empty() {
        schema.clone()
    } else {
        Json::new(&result.node)?
    };
    Ok(Adapted {
        schema,
        changes: result.changes,
    })
}
