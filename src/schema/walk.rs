//! Visits all subschemas once.

use super::{Dialect, References, SchemaChange, node::Node, object, references, rewrite};

/// The result of a visit.
pub(super) struct Walked {
    pub(super) node: Node,
    pub(super) changes: Vec<SchemaChange>,
    /// What the dialect cannot express.
    pub(super) refused: Vec<SchemaChange>,
}

/// The state of a visit.
pub(super) struct Walk<'d> {
    pub(super) dialect: &'d Dialect,
    pub(super) changes: Vec<SchemaChange>,
    pub(super) refused: Vec<SchemaChange>,
}

/// What a schema describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    Answer,
    /// The arguments of a function, which are an object even if the schema does not say so.
    Arguments,
}

/// Converts a schema to a dialect as far as possible.
pub(super) fn walk(mut node: Node, of: Of, dialect: &Dialect) -> Walked {
    let mut walk = Walk {
        dialect,
        changes: Vec::new(),
        refused: Vec::new(),
    };
    references::check(&mut node, &mut walk);
    if !dialect.all_of {
        rewrite::merge_all_of(&mut node, "", &mut walk);
    }
    if dialect.object_root {
        references::open_root(&mut node, &mut walk);
    }
    if of == Of::Arguments {
        object::arguments(&mut node, &mut walk);
    }
    let mut node = references::resolve(node, &mut walk);
    walk.schema(&mut node, "");
    if dialect.references == References::NotRoot {
        references::move_root(&mut node, &mut walk);
    }
    if dialect.object_root {
        object::root(&node, &mut walk);
    }
    Walked {
        node,
        changes: walk.changes,
        refused: walk.refused,
    }
}

/// Keywords with one schema.
const SCHEMAS: &[&str] = &[
    "items",
    "additionalProperties",
    "not",
    "if",
    "then",
    "else",
    "contains",
    "propertyNames",
    "unevaluatedItems",
    "unevaluatedProperties",
];
/// Keywords with a list of schemas.
const LISTS: &[&str] = &["anyOf", "oneOf", "allOf", "prefixItems", "items"];
/// Keywords with an object of schemas.
const MAPS: &[&str] = &[
    "properties",
    "$defs",
    "definitions",
    "patternProperties",
    "dependentSchemas",
];

impl Walk<'_> {
    /// Records a change that keeps the set of valid values, or that the server's mode implies.
    pub(super) fn record_loss(&mut self, path: &str, why: impl Into<String>) {
        self.record(path, why, false);
    }

    /// Records a change that alters the set of valid values.
    pub(super) fn alter(&mut self, path: &str, why: impl Into<String>) {
        self.record(path, why, true);
    }

    fn record(&mut self, path: &str, why: impl Into<String>, changes_meaning: bool) {
        self.changes.push(SchemaChange {
            path: path.to_owned(),
            why: why.into(),
            changes_meaning,
        });
    }

    pub(super) fn refuse(&mut self, path: &str, why: impl Into<String>) {
        self.refused.push(SchemaChange {
            path: path.to_owned(),
            why: why.into(),
            changes_meaning: true,
        });
    }

    fn schema(&mut self, node: &mut Node, path: &str) {
        if !matches!(node, Node::Object(_)) {
            if self.dialect.typed && node.is_keyword("true") {
                self.refuse(
                    path,
                    "the schema has no type, so any value is valid: add a `type`",
                );
            }
            return;
        }
        rewrite::keywords(node, path, self);
        object::object(node, path, self);
        each(node, path, &mut |inner, path| self.schema(inner, path));
        rewrite::type_list(node, path, self);
    }
}

/// Visits the direct subschemas of a schema.
pub(super) fn each(node: &mut Node, path: &str, visit: &mut dyn FnMut(&mut Node, &str)) {
    let Node::Object(members) = node else {
        return;
    };
    for (name, value) in members {
        let path = || join(path, name);
        match value {
            Node::Object(members) if MAPS.contains(&name.as_str()) => {
                for (inner, value) in members {
                    visit(value, &join(&path(), inner));
                }
            }
            Node::List(list) if LISTS.contains(&name.as_str()) => {
                for (index, value) in list.iter_mut().enumerate() {
                    visit(value, &join(&path(), &index.to_string()));
                }
            }
            value if SCHEMAS.contains(&name.as_str()) => visit(value, &path()),
            _ => {}
        }
    }
}

/// Appends a step to a JSON pointer.
pub(super) fn join(path: &str, step: &str) -> String {
    [path, "/", &step.replace('~', "~0").replace('/', "~1")].concat()
}
