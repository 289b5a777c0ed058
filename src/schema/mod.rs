//! JSON schemas in the dialect of each server.
//!
//! Servers take different parts of JSON Schema and refuse a request whose schema has more. [`adapt`] brings a schema to a
//! [`Dialect`] and lists everything that it changed. Providers do so by themselves with the schemas of answers and of tools.
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

/// A schema in a server's dialect, and what it lost on the way there.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Adapted {
    /// The schema.
    pub schema: Json,
    /// What was changed, in the order of the schema.
    pub changes: Vec<SchemaChange>,
}

/// A change of a schema.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SchemaChange {
    /// Where, as a JSON pointer into the schema that was given.
    pub path: String,
    /// What was changed, and why.
    pub why: String,
    /// Whether values are valid that were not before, or no longer valid. Such a change is made only with
    /// [`drop_unsupported`](crate::ChatRequest::drop_unsupported).
    pub changes_meaning: bool,
}

/// Brings a schema to a dialect. Changes that alter what is valid are made, too, and marked in [`SchemaChange::changes_meaning`].
///
/// # Errors
/// `invalid_request` if the dialect cannot express the schema; names the path and the reason.
pub fn adapt(schema: &Json, dialect: &Dialect) -> Result<Adapted, Error> {
    let result = walk::walk(Node::read(schema)?, walk::Of::Answer, dialect);
    if let Some(refused) = result.refused.first() {
        return Err(Error::new(
            ErrorKind::InvalidRequest,
            format!(
                "the schema cannot be enforced: at `{}` {}",
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
