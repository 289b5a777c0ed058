//! What a schema of a function's arguments cannot be.

use super::{node::Node, references::find};
use crate::Json;

/// Schemas within schemas that are looked at.
const MAX_DEPTH: usize = 16;

/// Why no object can be valid by this schema, so that it is none of a function's arguments; `None` if one may be.
pub(crate) fn describes_no_object(schema: &Json) -> Option<String> {
    if !schema.as_str().trim_start().starts_with('{') {
        return Some("no JSON object".to_owned());
    }
    // What cannot be read, for example because it is too deep, is told when it is written.
    let root = Node::read(schema).ok()?;
    if !matches!(root.get("properties"), None | Some(Node::Object(_))) {
        return Some("a schema whose `properties` are no object".to_owned());
    }
    no_object(&root, &root, 0)
}

fn no_object(node: &Node, root: &Node, depth: usize) -> Option<String> {
    let deeper = depth.saturating_add(1);
    if deeper > MAX_DEPTH {
        return None;
    }
    if node.is_keyword("false") {
        return Some("a schema by which nothing is valid".to_owned());
    }
    match node.get("type") {
        None => {}
        Some(Node::Text(kind)) if kind == "object" => {}
        Some(Node::Text(kind)) => {
            return Some(format!("a schema of type `{}`", kind.escape_debug()));
        }
        Some(Node::List(kinds)) if kinds.iter().any(|kind| kind.as_text() == Some("object")) => {}
        Some(Node::List(_)) => return Some("a schema whose types lack `object`".to_owned()),
        Some(_) => return Some("a schema whose `type` is no text".to_owned()),
    }
    let is_object = |value: &Node| matches!(value, Node::Object(_));
    match node.get("enum") {
        Some(Node::List(values)) if !values.iter().any(is_object) => {
            return Some("an `enum` without an object".to_owned());
        }
        _ => {}
    }
    if node.get("const").is_some_and(|value| !is_object(value)) {
        return Some("a `const` that is no object".to_owned());
    }
    for name in ["anyOf", "oneOf"] {
        match node.get(name) {
            Some(Node::List(branches))
                if branches
                    .iter()
                    .all(|branch| no_object(branch, root, deeper).is_some()) =>
            {
                return Some(format!("a schema whose `{name}` has no object"));
            }
            _ => {}
        }
    }
    if let Some(Node::List(all)) = node.get("allOf") {
        let first = all.iter().find_map(|own| no_object(own, root, deeper));
        if first.is_some() {
            return first;
        }
    }
    let target = find(root, node.get("$ref")?.as_text()?)?;
    no_object(target, root, deeper)
}
