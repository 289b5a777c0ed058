//! Objects, arrays and untyped values, for servers that require them closed and typed.

use super::{
    node::Node,
    walk::{Walk, join},
};

/// Adds to a function's schema the properties that the dialect requires explicitly.
pub(super) fn arguments(node: &mut Node, walk: &mut Walk<'_>) {
    let dialect = walk.dialect;
    let Node::Object(members) = node else {
        return;
    };
    let has = |members: &[(String, Node)], name: &str| members.iter().any(|(own, _)| own == name);
    let is_choice = CHOICES.iter().any(|name| has(members, name)) || has(members, "$ref");
    if dialect.object_root && !is_choice && !has(members, "type") {
        members.insert(0, ("type".to_owned(), Node::text("object")));
        walk.record_loss("", "`\"type\": \"object\"` was added");
    }
    if dialect.closed && !is_choice && !has(members, "properties") {
        let is_open = has(members, "additionalProperties") || has(members, "patternProperties");
        if !is_open {
            node.set("properties", Node::Object(Vec::new()));
            walk.record_loss(
                "",
                "empty `properties` were added, because the schema names no argument",
            );
        }
    }
}

/// Keywords that make a schema a choice.
const CHOICES: [&str; 5] = ["anyOf", "oneOf", "allOf", "enum", "not"];

/// Checks that the root says that it is an object.
pub(super) fn root(node: &Node, walk: &mut Walk<'_>) {
    if node.get("type").and_then(Node::as_text) != Some("object") {
        walk.refuse(
            "",
            "the root must be an object: put this schema into a property of one",
        );
        return;
    }
    if let Some(name) = CHOICES.iter().find(|name| node.has(name)) {
        walk.refuse(
            "",
            format!("the root must be an object without `{name}`: put this schema into a property of one"),
        );
    }
}

pub(super) fn object(node: &mut Node, path: &str, walk: &mut Walk<'_>) {
    if is(node, "object") || node.has("properties") {
        closed(node, path, walk);
        listed(node, path, walk);
        required(node, path, walk);
        one_required(node, path, walk);
    }
    if !walk.dialect.typed {
        if walk.dialect.members_listed && is(node, "array") && !node.has("items") {
            node.set("items", Node::Object(Vec::new()));
            walk.record_loss(path, "empty `items` were added");
        }
        return;
    }
    if is(node, "array") && !node.has("items") && !node.has("prefixItems") {
        walk.refuse(path, "an array must describe its elements: add `items`");
    }
    let says_type = [
        "type",
        "$ref",
        "anyOf",
        "oneOf",
        "allOf",
        "enum",
        "const",
        "properties",
    ];
    if !says_type.iter().any(|name| node.has(name)) {
        walk.refuse(
            path,
            "the schema has no type, so any value is valid: add a `type`",
        );
    }
}

fn is(node: &Node, word: &str) -> bool {
    match node.get("type") {
        Some(Node::Text(text)) => text == word,
        Some(Node::List(list)) => list.iter().any(|text| text.as_text() == Some(word)),
        _ => false,
    }
}

fn closed(node: &mut Node, path: &str, walk: &mut Walk<'_>) {
    if !walk.dialect.closed {
        return;
    }
    match node.get("additionalProperties") {
        Some(value) if value.is_keyword("false") => {}
        Some(_) => walk.refuse(
            path,
            "a map (an object with arbitrary names) cannot be enforced: use an array of pairs, or remove `strict`",
        ),
        None if node.has("properties") => {
            walk.record_loss(path, "`additionalProperties: false` was added, because the server requires it");
            node.set("additionalProperties", Node::keyword("false"));
        }
        None => walk.refuse(
            path,
            "an object with arbitrary properties cannot be enforced: list its `properties`, or remove `strict`",
        ),
    }
}

/// Adds empty `properties` to an object without them, which means the same.
fn listed(node: &mut Node, path: &str, walk: &mut Walk<'_>) {
    if !walk.dialect.members_listed {
        return;
    }
    if is(node, "object") && !node.has("properties") {
        node.set("properties", Node::Object(Vec::new()));
        walk.record_loss(path, "empty `properties` were added");
    }
}

/// If an object must have a required property and has none, all become required and nullable.
fn one_required(node: &mut Node, path: &str, walk: &mut Walk<'_>) {
    if !walk.dialect.one_required {
        return;
    }
    let required = node.get("required").and_then(Node::as_list);
    if required.is_some_and(|names| !names.is_empty()) {
        return;
    }
    let has_members = matches!(node.get("properties"), Some(Node::Object(own)) if !own.is_empty());
    if has_members {
        return require_all(node, path, walk);
    }
    walk.refuse(
        path,
        "an object must have a required property: add one to `properties` and `required`",
    );
}

fn required(node: &mut Node, path: &str, walk: &mut Walk<'_>) {
    if walk.dialect.all_required {
        require_all(node, path, walk);
    }
}

fn require_all(node: &mut Node, path: &str, walk: &mut Walk<'_>) {
    let Some(Node::Object(properties)) = node.get("properties") else {
        return;
    };
    let required = node
        .get("required")
        .and_then(Node::as_list)
        .unwrap_or_default();
    let is_required = |name: &str| required.iter().any(|text| text.as_text() == Some(name));
    let missing: Vec<String> = properties
        .iter()
        .map(|(name, _)| name)
        .filter(|name| !is_required(name))
        .cloned()
        .collect();
    if missing.is_empty() {
        if !node.has("required") {
            node.set("required", Node::List(Vec::new()));
            walk.record_loss(path, "an empty `required` was added");
        }
        return;
    }
    let mut all = required.to_vec();
    for name in &missing {
        let at = join(&join(path, "properties"), name);
        walk.alter(
            &at,
            "every property must be required, so this one became required and nullable",
        );
        all.push(Node::text(name));
    }
    node.set("required", Node::List(all));
    let Node::Object(members) = node else {
        return;
    };
    let properties = members.iter_mut().find(|(name, _)| name == "properties");
    if let Some((_, Node::Object(properties))) = properties {
        for (_, property) in properties
            .iter_mut()
            .filter(|(name, _)| missing.contains(name))
        {
            nullable(property);
        }
    }
}

/// Makes null valid.
fn nullable(node: &mut Node) {
    let null = || Node::of("type", Node::text("null"));
    let kind = node.get("type").cloned();
    match kind {
        Some(Node::Text(text)) if text != "null" && !node.has("enum") && !node.has("const") => {
            node.set(
                "type",
                Node::List(vec![Node::Text(text), Node::text("null")]),
            );
        }
        Some(Node::List(mut list)) if !node.has("const") => {
            if !list.iter().any(|text| text.as_text() == Some("null")) {
                list.push(Node::text("null"));
                node.set("type", Node::List(list));
            }
            if let Some(Node::List(mut values)) = node.get("enum").cloned() {
                if !values.iter().any(|value| value.is_keyword("null")) {
                    values.push(Node::keyword("null"));
                    node.set("enum", Node::List(values));
                }
            }
        }
        _ => match node.get("anyOf").cloned() {
            Some(Node::List(mut list)) => {
                if !list.contains(&null()) {
                    list.push(null());
                    node.set("anyOf", Node::List(list));
                }
            }
            _ => {
                let own = std::mem::replace(node, Node::Object(Vec::new()));
                *node = Node::of("anyOf", Node::List(vec![own, null()]));
            }
        },
    }
}
