//! Checks of the schema of a function's arguments.

use super::{node::Node, references::find};
use crate::Json;

/// Maximum depth of the check.
const MAX_DEPTH: usize = 16;

/// Why no object can match this schema, so that it is not a schema of arguments; `None` if an object can.
pub(crate) fn describes_no_object(schema: &Json) -> Option<String> {
    if !schema.as_str().trim_start().starts_with('{') {
        return Some("not a JSON object".to_owned());
    }
    // A schema that cannot be parsed, for example because it is too deep, is reported when the request is encoded.
    let root = Node::read(schema).ok()?;
    if !matches!(root.get("properties"), None | Some(Node::Object(_))) {
        return Some("a schema whose `properties` are not an object".to_owned());
    }
    no_object(&root, &root, 0)
}

fn no_object(node: &Node, root: &Node, depth: usize) -> Option<String> {
    let deeper = depth.saturating_add(1);
    if deeper > MAX_DEPTH {
        return None;
    }
    if node.is_keyword("false") {
        return Some("a schema that no value matches".to_owned());
    }
    match node.get("type") {
        None => {}
        Some(Node::Text(kind)) if kind == "object" => {}
        Some(Node::Text(kind)) => {
            return Some(format!("a schema of type `{}`", kind.escape_debug()));
        }
        Some(Node::List(kinds)) if kinds.iter().any(|kind| kind.as_text() == Some("object")) => {}
        Some(Node::List(_)) => return Some("a schema whose types lack `object`".to_owned()),
        Some(_) => return Some("a schema whose `type` is not a string".to_owned()),
    }
    let is_object = |value: &Node| matches!(value, Node::Object(_));
    match node.get("enum") {
        Some(Node::List(values)) if !values.iter().any(is_object) => {
            return Some("an `enum` without an object".to_owned());
        }
        _ => {}
    }
    if node.get("const").is_some_and(|value| !is_object(value)) {
        return Some("a `const` that is not an object".to_owned());
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
