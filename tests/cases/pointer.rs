//! JSON pointers with `*`, `?name=value` and negative numbers.

use super::value::Value;
use std::borrow::Cow;

/// The value at `pointer`; with `*` or `?` the list of all matches, which may be empty.
pub fn find<'v>(document: &'v Value, pointer: &str) -> Option<Cow<'v, Value>> {
    let Some(path) = pointer.strip_prefix('/') else {
        assert!(pointer.is_empty(), "`{pointer}` does not begin with `/`");
        return Some(Cow::Borrowed(document));
    };
    let tokens: Vec<&str> = path.split('/').collect();
    let mut found = vec![document];
    for token in &tokens {
        found = found.iter().flat_map(|value| step(value, token)).collect();
    }
    let is_list = |token: &&str| *token == "*" || token.starts_with('?');
    if tokens.iter().any(is_list) {
        let all = found.into_iter().cloned().collect();
        return Some(Cow::Owned(Value::List(all)));
    }
    found.first().map(|value| Cow::Borrowed(*value))
}

fn step<'v>(value: &'v Value, token: &str) -> Vec<&'v Value> {
    if let Some(condition) = token.strip_prefix('?') {
        let (name, wanted) = condition.split_once('=').expect("`?name=value`");
        let (name, wanted) = (unescape(name), unescape(wanted));
        let fits = |element: &&Value| element.get(&name).and_then(Value::text) == Some(&*wanted);
        return value.list().into_iter().flatten().filter(fits).collect();
    }
    match (value, token) {
        (Value::List(list), "*") => list.iter().collect(),
        (Value::Object(members), "*") => members.iter().map(|(_, value)| value).collect(),
        (Value::List(list), number) => {
            let Ok(number) = number.parse::<isize>() else {
                return Vec::new();
            };
            let at = match number < 0 {
                true => list.len().checked_add_signed(number),
                false => usize::try_from(number).ok(),
            };
            at.and_then(|at| list.get(at)).into_iter().collect()
        }
        (value, name) => value.get(&unescape(name)).into_iter().collect(),
    }
}

fn unescape(token: &str) -> String {
    token.replace("~1", "/").replace("~0", "~")
}

#[test]
fn a_pointer_finds_one_value_or_a_list() {
    let document = Value::parse(
        r#"{"a": [{"t": "x", "n": 1}, {"t": "y", "n": [2]}, {"t": "x"}], "b/c": {"~": null}}"#,
    );
    for (pointer, found) in [
        ("", Some(document.json())),
        ("/a/0/n", Some("1".into())),
        ("/a/-1/t", Some("\"x\"".into())),
        ("/a/-4/t", None),
        ("/a/3/t", None),
        ("/a/x", None),
        ("/a/*/n", Some("[1,[2]]".into())),
        ("/a/*/n/*", Some("[2]".into())),
        ("/a/0/*", Some("[\"x\",1]".into())),
        ("/a/?t=x/n", Some("[1]".into())),
        ("/a/?t=z", Some("[]".into())),
        ("/nothing/*", Some("[]".into())),
        ("/b~1c/~0", Some("null".into())),
        ("/b~1c/~0/x", None),
    ] {
        let value = find(&document, pointer).map(|value| value.json());
        assert_eq!(value, found, "{pointer}");
    }
}
