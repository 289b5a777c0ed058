//! Rewrites or removes keywords that the dialect lacks.

use super::{
    node::Node,
    pattern,
    walk::{Walk, each, join},
};

/// Keywords that describe a value without restricting it.
pub(super) const ANNOTATIONS: &[&str] = &[
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
    "$comment",
];

pub(super) fn keywords(node: &mut Node, path: &str, walk: &mut Walk<'_>) {
    constants(node, path, walk);
    let constant = node.get("const").filter(|_| !walk.dialect.constants);
    if let Some(value) = constant.cloned() {
        walk.record_loss(
            &join(path, "const"),
            "`const` became an `enum` of one value",
        );
        node.take("const");
        add_type(node, &value);
        node.set("enum", Node::List(vec![value]));
    }
    if node.has("oneOf") && !walk.dialect.one_of {
        if node.has("anyOf") {
            walk.refuse(
                path,
                "`oneOf` is not supported, and cannot become `anyOf` because the schema has one",
            );
        } else if let Node::Object(members) = node {
            walk.record_loss(&join(path, "oneOf"), "`oneOf` became `anyOf`");
            for (name, _) in members.iter_mut().filter(|(name, _)| name == "oneOf") {
                "anyOf".clone_into(name);
            }
        }
    }
    if !walk.dialect.defaults && node.take("default").is_some() {
        walk.record_loss(
            &join(path, "default"),
            "`default` is not supported and was removed",
        );
    }
    if !walk.dialect.tuples {
        tuple(node, path, walk);
    }
    bounds(node, path, walk);
    pattern::pattern(node, path, walk);
    let Some(known) = walk.dialect.formats else {
        return;
    };
    let format = node.get("format").and_then(Node::as_text);
    if let Some(format) = format.filter(|format| !known.contains(format)) {
        let why = format!(
            "the format `{}` is not supported and was removed",
            format.escape_debug()
        );
        walk.record_loss(&join(path, "format"), why);
        node.take("format");
    }
}

/// A `oneOf` or `anyOf` of constants only becomes an `enum`. Rust enums with doc comments have this form.
fn constants(node: &mut Node, path: &str, walk: &mut Walk<'_>) {
    let (of, kept) = match (node.has("oneOf"), node.has("anyOf")) {
        (true, _) => ("oneOf", walk.dialect.one_of),
        (_, true) => ("anyOf", true),
        _ => return,
    };
    if (kept && walk.dialect.constants) || node.has("enum") {
        return;
    }
    let Some(list) = node.get(of).and_then(Node::as_list) else {
        return;
    };
    let (mut values, mut told) = (Vec::new(), Vec::new());
    for branch in list {
        let Node::Object(members) = branch else {
            return;
        };
        let fits =
            |name: &str| matches!(name, "const" | "enum" | "type") || ANNOTATIONS.contains(&name);
        if !members.iter().all(|(name, _)| fits(name)) {
            return;
        }
        let own = match (
            branch.get("const"),
            branch.get("enum").and_then(Node::as_list),
        ) {
            (Some(value), None) => std::slice::from_ref(value),
            (None, Some(values)) => values,
            _ => return,
        };
        let scalar = |value: &Node| matches!(value, Node::Text(_) | Node::Other(_));
        if !own.iter().all(scalar) {
            return;
        }
        if let (Some(value), Some(text)) = (
            own.first(),
            branch.get("description").and_then(Node::as_text),
        ) {
            told.push(format!("{}: {text}", spelled(value)));
        }
        for value in own {
            if !values.contains(value) {
                values.push(value.clone());
            }
        }
    }
    if values.is_empty() {
        return;
    }
    walk.record_loss(
        &join(path, of),
        format!("`{of}` of constants became an `enum`; their descriptions moved to the enum"),
    );
    if let Node::Object(members) = node {
        for (name, value) in members.iter_mut().filter(|(name, _)| name == of) {
            "enum".clone_into(name);
            *value = Node::List(values.clone());
        }
    }
    let has_type_of = |first: &&Node| values.iter().all(|value| kind(value) == kind(first));
    if let Some(first) = values.first().filter(has_type_of) {
        add_type(node, first);
    }
    if !told.is_empty() {
        let own = node
            .get("description")
            .and_then(Node::as_text)
            .map(str::to_owned);
        let all: Vec<String> = own.into_iter().chain(told).collect();
        node.set("description", Node::text(&all.join("\n")));
    }
}

fn spelled(value: &Node) -> String {
    match value {
        Node::Text(text) => text.clone(),
        Node::Other(json) => json.as_str().to_owned(),
        _ => String::new(),
    }
}

fn add_type(node: &mut Node, value: &Node) {
    if let Some(kind) = kind(value).filter(|_| !node.has("type")) {
        node.set("type", Node::text(kind));
    }
}

fn kind(value: &Node) -> Option<&'static str> {
    match value {
        Node::Text(_) => Some("string"),
        Node::Other(json) => Some(match json.as_str() {
            "true" | "false" => "boolean",
            "null" => "null",
            number if number.contains(['.', 'e', 'E']) => "number",
            _ => "integer",
        }),
        _ => None,
    }
}

/// Merges each `allOf` of one schema into its parent, before other rewrites, so that a reference or a `oneOf` in it
/// is treated like the parent's own.
pub(super) fn merge_all_of(node: &mut Node, path: &str, walk: &mut Walk<'_>) {
    while node.has("allOf") {
        all_of(node, path, walk);
    }
    each(node, path, &mut |inner, path| {
        merge_all_of(inner, path, walk)
    });
}

/// An `allOf` of one schema is equivalent to that schema.
fn all_of(node: &mut Node, path: &str, walk: &mut Walk<'_>) {
    let at = join(path, "allOf");
    match node.take("allOf") {
        None => {}
        Some(Node::List(mut list)) if list.len() == 1 => {
            if let Some(Node::Object(members)) = list.pop() {
                let clashes = members.iter().any(|(name, value)| {
                    !ANNOTATIONS.contains(&name.as_str())
                        && node.get(name).is_some_and(|own| own != value)
                });
                if clashes {
                    walk.refuse(&at, "`allOf` is not supported: merge its schemas");
                }
                walk.record_loss(&at, "the `allOf` of one schema was merged into its parent");
                for (name, value) in members {
                    if !node.has(&name) {
                        node.set(&name, value);
                    }
                }
            }
        }
        Some(_) => walk.refuse(&at, "`allOf` is not supported: merge its schemas"),
    }
}

/// A tuple becomes an array of any of its element schemas.
fn tuple(node: &mut Node, path: &str, walk: &mut Walk<'_>) {
    let Some(Node::List(elements)) = node.take("prefixItems") else {
        return;
    };
    let at = join(path, "prefixItems");
    let mut different: Vec<Node> = Vec::new();
    for element in elements {
        if !different.contains(&element) {
            different.push(element);
        }
    }
    let is_uniform = different.len() == 1;
    let items = match different.pop() {
        Some(only) if is_uniform => only,
        Some(last) => {
            different.push(last);
            Node::of("anyOf", Node::List(different))
        }
        None => return,
    };
    let is_closed = node
        .get("items")
        .is_none_or(|items| items.is_keyword("false"));
    if is_uniform && is_closed {
        walk.record_loss(&at, "a tuple of one type became an array");
    } else {
        walk.alter(
            &at,
            "a tuple became an array, which does not fix the order of its elements: use an object instead",
        );
    }
    node.set("items", items);
}

/// Removes keywords that the dialect lacks.
fn bounds(node: &mut Node, path: &str, walk: &mut Walk<'_>) {
    let integer = integer_bounds(node.get("format").and_then(Node::as_text));
    for name in walk.dialect.without.iter().copied().flatten() {
        // In a map of properties this name is not a keyword.
        let Some(value) = node.take(name) else {
            continue;
        };
        let at = join(path, name);
        let is_own = |own: &str| matches!(&value, Node::Other(json) if json.as_str() == own);
        let is_implied = match *name {
            "minimum" => integer.is_some_and(|(least, _)| is_own(least)),
            "maximum" => integer.is_some_and(|(_, most)| is_own(most)),
            _ => false,
        };
        if is_implied {
            walk.record_loss(&at, format!("`{name}` is not supported and was removed; the integer's own type has the same bound"));
        } else {
            walk.alter(
                &at,
                format!("`{name}` is not supported and cannot be enforced"),
            );
        }
    }
    let least = node.get("minItems").and_then(Node::number);
    let exceeded = |most: &_| least.is_some_and(|least| least > *most);
    if let Some(most) = walk.dialect.max_min_items.filter(exceeded) {
        walk.alter(
            &join(path, "minItems"),
            format!("`minItems` was lowered to the server's maximum, {most}"),
        );
        node.set("minItems", Node::keyword(&most.to_string()));
    }
}

/// The bounds of a Rust integer type, which parsing the response checks too.
fn integer_bounds(format: Option<&str>) -> Option<(&'static str, &'static str)> {
    Some(match format? {
        "uint8" => ("0", "255"),
        "uint16" => ("0", "65535"),
        "uint32" => ("0", "4294967295"),
        "uint64" | "uint" | "uint128" => ("0", "18446744073709551615"),
        "int8" => ("-128", "127"),
        "int16" => ("-32768", "32767"),
        "int32" => ("-2147483648", "2147483647"),
        _ => return None,
    })
}

/// A list of types becomes `anyOf`, if the dialect lacks it.
pub(super) fn type_list(node: &mut Node, path: &str, walk: &mut Walk<'_>) {
    let Some(types) = node
        .get("type")
        .and_then(Node::as_list)
        .map(<[Node]>::to_vec)
    else {
        return;
    };
    if walk.dialect.type_lists {
        return;
    }
    let at = join(path, "type");
    if let [only] = types.as_slice() {
        walk.record_loss(&at, "a list of one type became that type");
        node.set("type", only.clone());
        return;
    }
    if node.has("anyOf") {
        walk.refuse(
            &at,
            "a list of types is not supported, and cannot become `anyOf` because the schema has one",
        );
        return;
    }
    walk.record_loss(&at, "a list of types became `anyOf`");
    let Node::Object(members) = std::mem::replace(node, Node::Object(Vec::new())) else {
        return;
    };
    let stays = |name: &str| ANNOTATIONS.contains(&name) || matches!(name, "$defs" | "definitions");
    let (outer, inner): (Vec<_>, Vec<_>) = members
        .into_iter()
        .filter(|(name, _)| name != "type")
        .partition(|(name, _)| stays(name));
    let mut branches = Vec::with_capacity(types.len());
    for of in &types {
        let word = of.as_text().unwrap_or_default();
        let mut branch = Node::of("type", of.clone());
        for (name, value) in inner.iter().filter(|(name, _)| belongs(name, word)) {
            match value {
                Node::List(values) if name == "enum" => {
                    let own = values.iter().filter(|value| is_of(value, word)).cloned();
                    branch.set(name, Node::List(own.collect()));
                }
                value => branch.set(name, value.clone()),
            }
        }
        if branch
            .get("enum")
            .and_then(Node::as_list)
            .is_none_or(|list| !list.is_empty())
        {
            if word == "null" {
                branch.take("enum");
            }
            branches.push(branch);
        }
    }
    *node = Node::Object(outer);
    node.set("anyOf", Node::List(branches));
}

fn is_of(value: &Node, word: &str) -> bool {
    let kind = kind(value);
    kind == Some(word) || (word == "number" && kind == Some("integer"))
}

/// Whether a keyword applies to values of this type.
fn belongs(name: &str, word: &str) -> bool {
    match name {
        "minLength" | "maxLength" | "pattern" | "format" => {
            word == "string" || (name == "format" && matches!(word, "integer" | "number"))
        }
        "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" | "multipleOf" => {
            matches!(word, "integer" | "number")
        }
        "items" | "prefixItems" | "minItems" | "maxItems" | "uniqueItems" | "contains" => {
            word == "array"
        }
        "properties"
        | "required"
        | "additionalProperties"
        | "patternProperties"
        | "propertyNames"
        | "minProperties"
        | "maxProperties" => word == "object",
        _ => true,
    }
}
