//! Resolves `$ref` for servers that do not.

use super::{
    References,
    node::Node,
    rewrite::ANNOTATIONS,
    walk::{Walk, each, join},
};

/// Inlining references can make a schema arbitrarily large.
const MAX_VALUES: usize = 20_000;
/// Maximum depth of references inside referenced schemas.
const MAX_OPEN_REFERENCES: usize = 32;

/// Refuses each `$ref` without a target. No provider fetches other documents, and a missing name is an error
/// everywhere.
pub(super) fn check(node: &mut Node, walk: &mut Walk<'_>) {
    let root = node.clone();
    check_in(node, "", &root, walk);
}

fn check_in(node: &mut Node, path: &str, root: &Node, walk: &mut Walk<'_>) {
    if let Some(reference) = node.get("$ref") {
        let at = join(path, "$ref");
        match reference.as_text() {
            None => walk.refuse(&at, "the reference is not a string: write one such as `#/$defs/Name`"),
            Some(text) if find(root, text).is_some() => {}
            Some(text) if text.starts_with('#') => walk.refuse(
                &at,
                format!(
                    "the reference `{}` has no target in this schema: define it in `$defs`",
                    text.escape_debug()
                ),
            ),
            Some(text) => walk.refuse(
                &at,
                format!(
                    "the reference `{}` is to another document, which no provider fetches: copy it into `$defs` and refer to `#/$defs/Name`",
                    text.escape_debug()
                ),
            ),
        }
    }
    each(node, path, &mut |inner, path| {
        check_in(inner, path, root, walk)
    });
}

/// The target of a reference in this schema: the root (`#`), a JSON pointer after `#`, percent-encoded or not, or the
/// name of an `$anchor`.
pub(super) fn find<'n>(root: &'n Node, reference: &str) -> Option<&'n Node> {
    let fragment = reference.strip_prefix('#')?;
    if fragment.is_empty() || fragment.starts_with('/') {
        return at(root, fragment).or_else(|| at(root, &percent_decoded(fragment)?));
    }
    anchor(root, fragment)
}

fn at<'n>(root: &'n Node, pointer: &str) -> Option<&'n Node> {
    pointer.split('/').skip(1).try_fold(root, |node, step| {
        let step = step.replace("~1", "/").replace("~0", "~");
        match node {
            Node::List(list) => list.get(step.parse::<usize>().ok()?),
            node => node.get(&step),
        }
    })
}

fn anchor<'n>(node: &'n Node, name: &str) -> Option<&'n Node> {
    let is_named = |member: &str| node.get(member).and_then(Node::as_text) == Some(name);
    if is_named("$anchor") || is_named("$dynamicAnchor") {
        return Some(node);
    }
    match node {
        Node::Object(members) => members.iter().find_map(|(_, value)| anchor(value, name)),
        Node::List(list) => list.iter().find_map(|value| anchor(value, name)),
        _ => None,
    }
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut parts = text.split('%');
    bytes.extend_from_slice(parts.next()?.as_bytes());
    for part in parts {
        bytes.push(u8::from_str_radix(part.get(..2)?, 16).ok()?);
        bytes.extend_from_slice(part.get(2..)?.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

/// Replaces a reference at the root by its target, if the root must have a type.
pub(super) fn open_root(node: &mut Node, walk: &mut Walk<'_>) {
    let mut steps = 0_usize;
    while let Some(reference) = node.get("$ref").and_then(Node::as_text).map(str::to_owned) {
        steps = steps.saturating_add(1);
        let target =
            find(node, &reference).filter(|_| reference != "#" && steps < MAX_OPEN_REFERENCES);
        let Some(Node::Object(members)) = target.cloned() else {
            return;
        };
        node.take("$ref");
        for (name, value) in members {
            if !node.has(&name) {
                node.set(&name, value);
            }
        }
        walk.record_loss(
            "/$ref",
            format!(
                "the reference `{}` was replaced by its target, because the root must have a type",
                reference.escape_debug()
            ),
        );
    }
}

/// Replaces each reference by its target, as far as the dialect requires it.
pub(super) fn resolve(node: Node, walk: &mut Walk<'_>) -> Node {
    let root = node.clone();
    let mut resolver = Resolver {
        root: &root,
        walk,
        open: Vec::new(),
        values: root.size(),
    };
    let mut node = node;
    match resolver.walk.dialect.references {
        References::Inlined => {
            let has_definitions = node.has("$defs") || node.has("definitions");
            node.take("$defs");
            node.take("definitions");
            let before = resolver.walk.changes.len();
            resolver.inline(&mut node, "");
            if has_definitions && resolver.walk.changes.len() == before {
                resolver
                    .walk
                    .record_loss("/$defs", "unused definitions were removed");
            }
        }
        _ if !resolver.walk.dialect.beside_references => resolver.bare(&mut node, ""),
        _ => {}
    }
    node
}

struct Resolver<'r, 'w, 'd> {
    root: &'r Node,
    walk: &'w mut Walk<'d>,
    /// The references that are being replaced.
    open: Vec<String>,
    values: usize,
}

impl Resolver<'_, '_, '_> {
    fn inline(&mut self, node: &mut Node, path: &str) {
        let reference = node.get("$ref").and_then(Node::as_text).map(str::to_owned);
        let Some(reference) = reference else {
            return each(node, path, &mut |inner, path| self.inline(inner, path));
        };
        let at = join(path, "$ref");
        if self.open.contains(&reference) || (reference == "#" && !path.is_empty()) {
            self.walk.refuse(
                &at,
                "a recursive schema cannot be enforced: give it a fixed depth, or remove `strict`",
            );
            return;
        }
        // References without a target were refused before.
        let Some(target) = find(self.root, &reference).cloned() else {
            return;
        };
        self.values = self.values.saturating_add(target.size());
        if self.values > MAX_VALUES || self.open.len() >= MAX_OPEN_REFERENCES {
            self.walk.refuse(
                &at,
                "the schema is too large once its references are replaced by their targets",
            );
            return;
        }
        node.take("$ref");
        let own = std::mem::replace(node, target);
        if let Node::Object(members) = own {
            for (name, value) in members {
                node.set(&name, value);
            }
        }
        self.walk.record_loss(
            &at,
            format!(
                "the reference `{}` was replaced by its target",
                reference.escape_debug()
            ),
        );
        self.open.push(reference);
        self.inline(node, path);
        self.open.pop();
    }

    /// Removes keywords next to a reference.
    fn bare(&mut self, node: &mut Node, path: &str) {
        let has_reference = node.has("$ref");
        if let (true, Node::Object(members)) = (has_reference, &mut *node) {
            for (name, _) in members.iter() {
                let at = join(path, name);
                if ANNOTATIONS.contains(&name.as_str()) {
                    self.walk.record_loss(
                        &at,
                        format!("`{name}` is not allowed next to `$ref` and was removed"),
                    );
                } else if !matches!(name.as_str(), "$ref" | "$defs" | "definitions") {
                    self.walk
                        .refuse(&at, format!("`{name}` is not allowed next to `$ref`"));
                }
            }
            members.retain(|(name, _)| !ANNOTATIONS.contains(&name.as_str()));
        }
        each(node, path, &mut |inner, path| self.bare(inner, path));
    }
}

/// Repeats the root in `$defs`, for servers that do not resolve a reference to `#`.
pub(super) fn move_root(node: &mut Node, walk: &mut Walk<'_>) {
    let mut name = "root".to_owned();
    while node.get("$defs").is_some_and(|defs| defs.has(&name)) {
        name.push('_');
    }
    let target = Node::text(&format!("#/$defs/{name}"));
    if !redirect(node, &target) {
        return;
    }
    walk.record_loss(
        "",
        "the root was repeated in `$defs`, because the server does not resolve a reference to `#`",
    );
    let mut whole = node.clone();
    let mut definitions = whole.take("$defs").unwrap_or(Node::Object(Vec::new()));
    definitions.set(&name, whole);
    node.set("$defs", definitions);
}

fn redirect(node: &mut Node, target: &Node) -> bool {
    let mut found = node.get("$ref").and_then(Node::as_text) == Some("#");
    if found {
        node.set("$ref", target.clone());
    }
    each(node, "", &mut |inner, _| found |= redirect(inner, target));
    found
}
