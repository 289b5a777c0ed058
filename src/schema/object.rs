//! Objects, lists and values of any type where a server wants them closed and typed.

use super::{
    node::Node,
    walk::{Walk, join},
};

/// The arguments of a function: what they can only be is said, if the dialect wants it said.
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
                "empty `properties` were added: a function whose schema names no argument has none",
            );
        }
    }
}

/// Members by which a schema is a choice of others.
const CHOICES: [&str; 5] = ["anyOf", "oneOf", "allOf", "enum", "not"];

/// Checks that the whole is an object by its own word.
pub(super) fn root(node: &Node, walk: &mut Walk<'_>) {
    if node.get("type").and_then(Node::as_text) != Some("object") {
        walk.refuse(
            "",
            "the whole must be an object: put it into a member of one",
        );
        return;
    }
    if let Some(name) = CHOICES.iter().find(|name| node.has(name)) {
        walk.refuse(
            "",
            format!("the whole must be an object without `{name}`: put it into a member of one"),
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
        walk.refuse(path, "a list must say what its elements are: add `items`");
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
        walk.refuse(path, "any value is valid: give it a type");
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
            "a map, an object with members of any name, cannot be enforced: use a list of pairs, or leave out `strict`",
        ),
        None if node.has("properties") => {
            walk.record_loss(path, "`additionalProperties: false` was added, without which the schema cannot be enforced");
            node.set("additionalProperties", Node::keyword("false"));
        }
        None => walk.refuse(
            path,
            "an object of any members cannot be enforced: name its `properties`, or leave out `strict`",
        ),
    }
}

/// An object without `properties` gets empty ones, which say the same.
fn listed(node: &mut Node, path: &str, walk: &mut Walk<'_>) {
    if !walk.dialect.members_listed {
        return;
    }
    if is(node, "object") && !node.has("properties") {
        node.set("properties", Node::Object(Vec::new()));
        walk.record_loss(path, "empty `properties` were added");
    }
}

/// Where an object must have a required member and has none, all become required and may be null.
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
        "an object must have a required member: name one in `properties` and `required`",
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
            "every member must be required: it became required and may be null",
        );
        all.push(Node::text(name));
    }
    node.set("required", Node::List(all));
    if let Node::Object(members) = node
        && let Some((_, Node::Object(properties))) =
            members.iter_mut().find(|(name, _)| name == "properties")
    {
        for (_, property) in properties
            .iter_mut()
            .filter(|(name, _)| missing.contains(name))
        {
            nullable(property);
        }
    }
}

/// Lets null be valid.
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
