//! One pass over all schemas of a schema.

use super::{Dialect, References, SchemaChange, node::Node, object, references, rewrite};

/// What came of a schema.
pub(super) struct Walked {
    pub(super) node: Node,
    pub(super) changes: Vec<SchemaChange>,
    /// What the dialect cannot express at all.
    pub(super) refused: Vec<SchemaChange>,
}

/// The pass under way.
pub(super) struct Walk<'d> {
    pub(super) dialect: &'d Dialect,
    pub(super) changes: Vec<SchemaChange>,
    pub(super) refused: Vec<SchemaChange>,
}

/// What a schema is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    Answer,
    /// The arguments of a function, which are an object whether or not the schema says so.
    Arguments,
}

/// Brings a schema to a dialect as far as that goes.
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

/// Members that are a schema each.
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
/// Members that are a list of schemas.
const LISTS: &[&str] = &["anyOf", "oneOf", "allOf", "prefixItems", "items"];
/// Members that are an object of schemas.
const MAPS: &[&str] = &[
    "properties",
    "$defs",
    "definitions",
    "patternProperties",
    "dependentSchemas",
];

impl Walk<'_> {
    /// A change after which the same values are valid, or which the server's mode implies.
    pub(super) fn record_loss(&mut self, path: &str, why: impl Into<String>) {
        self.record(path, why, false);
    }

    /// A change after which other values are valid.
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
                self.refuse(path, "any value is valid: give it a type");
            }
            return;
        }
        rewrite::keywords(node, path, self);
        object::object(node, path, self);
        each(node, path, &mut |inner, path| self.schema(inner, path));
        rewrite::type_list(node, path, self);
    }
}

/// Visits the schemas that a schema is made of.
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

/// A JSON pointer one step further.
pub(super) fn join(path: &str, step: &str) -> String {
    [path, "/", &step.replace('~', "~0").replace('/', "~1")].concat()
}
