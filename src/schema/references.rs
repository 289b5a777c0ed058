//! `$ref`, where a server does not follow it.

use super::{
    References,
    node::Node,
    rewrite::ANNOTATIONS,
    walk::{Walk, each, join},
};

/// With references put in their places a schema can grow without bound.
const MOST_VALUES: usize = 20_000;
/// References in what references refer to.
const MOST_OPEN: usize = 32;

/// Puts what is referred to in the place of each reference, as far as the dialect asks for it.
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
            let before = resolver.walk.lost.len();
            resolver.inline(&mut node, "");
            if has_definitions && resolver.walk.lost.len() == before {
                resolver
                    .walk
                    .lose("/$defs", "definitions that nothing refers to were removed");
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
    /// The references that are being put in their places.
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
                "a schema that refers to itself cannot be enforced: give it a fixed depth, or leave out `strict`",
            );
            return;
        }
        let Some(target) = self.target(&reference) else {
            self.walk.refuse(&at, "refers to nothing in this schema");
            return;
        };
        self.values = self.values.saturating_add(target.size());
        if self.values > MOST_VALUES || self.open.len() >= MOST_OPEN {
            self.walk.refuse(
                &at,
                "the schema is too large once its references are put in their places",
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
        self.walk.lose(
            &at,
            format!(
                "what `{}` refers to was put in its place",
                reference.escape_debug()
            ),
        );
        self.open.push(reference);
        self.inline(node, path);
        self.open.pop();
    }

    /// A reference stands alone.
    fn bare(&mut self, node: &mut Node, path: &str) {
        if node.has("$ref")
            && let Node::Object(members) = node
        {
            for (name, _) in members.iter() {
                let at = join(path, name);
                if ANNOTATIONS.contains(&name.as_str()) {
                    self.walk.lose(
                        &at,
                        format!("`{name}` cannot be beside `$ref` and was removed"),
                    );
                } else if !matches!(name.as_str(), "$ref" | "$defs" | "definitions") {
                    self.walk
                        .refuse(&at, format!("`{name}` cannot be beside `$ref`"));
                }
            }
            members.retain(|(name, _)| !ANNOTATIONS.contains(&name.as_str()));
        }
        each(node, path, &mut |inner, path| self.bare(inner, path));
    }

    fn target(&self, reference: &str) -> Option<Node> {
        let mut node = self.root;
        for step in reference.strip_prefix('#')?.split('/').skip(1) {
            let step = step.replace("~1", "/").replace("~0", "~");
            node = match node {
                Node::List(list) => list.get(step.parse::<usize>().ok()?)?,
                node => node.get(&step)?,
            };
        }
        Some(node.clone())
    }
}

/// Repeats the whole in `$defs`, where a reference to `#` is not followed.
pub(super) fn move_root(node: &mut Node, walk: &mut Walk<'_>) {
    let mut name = "root".to_owned();
    while node.get("$defs").is_some_and(|defs| defs.has(&name)) {
        name.push('_');
    }
    let target = Node::text(&format!("#/$defs/{name}"));
    if !redirect(node, &target) {
        return;
    }
    walk.lose(
        "",
        "the whole was repeated in `$defs`, because a reference to `#` is not followed",
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
