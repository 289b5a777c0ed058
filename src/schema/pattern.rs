//! Converts `pattern` to other forms of regular expressions than JSON Schema's.
//!
//! A pattern of JSON Schema may match anywhere in the text. A grammar describes the complete text.

use super::{
    Patterns,
    node::Node,
    walk::{Walk, join},
};

pub(super) fn pattern(node: &mut Node, path: &str, walk: &mut Walk<'_>) {
    let form = walk.dialect.patterns;
    let Some(text) = node.get("pattern").and_then(Node::as_text) else {
        return;
    };
    let said = match form {
        Patterns::Any => return,
        Patterns::Bare if !is_anchored(text) => Some(text.to_owned()),
        Patterns::Whole | Patterns::Bare => whole(text, form),
    };
    let at = join(path, "pattern");
    match said {
        Some(said) if said == text => {}
        Some(said) => {
            walk.record_loss(&at, "`pattern` was rewritten to match the complete text");
            node.set("pattern", Node::Text(said));
        }
        None => {
            walk.alter(
                &at,
                "`pattern` uses a feature that the server's regular expressions lack, so it cannot be enforced",
            );
            node.take("pattern");
        }
    }
}

/// A token of a regular expression.
enum Piece<'p> {
    /// `^`
    Start,
    /// `$`
    End,
    /// `|` outside of groups.
    Or,
    /// Anything else.
    Other(&'p str),
}

/// Splits a pattern into tokens. `None` if it has lookaround, word boundaries or backreferences.
fn pieces(text: &str) -> Option<Vec<Piece<'_>>> {
    let mut pieces = Vec::new();
    let mut depth = 0_usize;
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '\\' => {
                let escaped = rest.chars().nth(1)?;
                if matches!(escaped, 'b' | 'B' | 'k' | 'p' | 'P' | '1'..='9') {
                    return None;
                }
                escaped.len_utf8().saturating_add(1)
            }
            '[' => class_length(rest)?,
            '(' if rest.starts_with("(?:") => 3,
            '(' if rest.starts_with("(?") => return None,
            other => other.len_utf8(),
        };
        let (piece, behind) = rest.split_at_checked(length)?;
        rest = behind;
        pieces.push(match first {
            '^' => Piece::Start,
            '$' => Piece::End,
            '|' if depth == 0 => Piece::Or,
            _ => Piece::Other(piece),
        });
        match first {
            '(' => depth = depth.saturating_add(1),
            ')' => depth = depth.checked_sub(1)?,
            _ => {}
        }
    }
    (depth == 0).then_some(pieces)
}

/// The length in bytes of a class, from `[` to `]`.
fn class_length(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            ']' => return at.checked_add(1),
            _ => {}
        }
    }
    None
}

/// Whether a pattern has anchors or cannot be parsed.
fn is_anchored(text: &str) -> bool {
    pieces(text).is_none_or(|pieces| {
        pieces
            .iter()
            .any(|piece| matches!(piece, Piece::Start | Piece::End))
    })
}

fn whole(text: &str, form: Patterns) -> Option<String> {
    let pieces = pieces(text)?;
    let branches: Vec<String> = pieces
        .split(|piece| matches!(piece, Piece::Or))
        .map(|branch| one(branch, form))
        .collect::<Option<_>>()?;
    let said = match branches.as_slice() {
        [only] => only.clone(),
        several => ["(", &several.join("|"), ")"].concat(),
    };
    Some(match form {
        Patterns::Whole => ["^", &said, "$"].concat(),
        _ => said,
    })
}

/// Converts one alternative; where it is not anchored, any text may precede or follow.
fn one(branch: &[Piece<'_>], form: Patterns) -> Option<String> {
    let mut said = String::new();
    let mut inner = branch;
    match inner.split_first() {
        Some((Piece::Start, rest)) => inner = rest,
        _ => said.push_str(".*"),
    }
    let is_ended = match inner.split_last() {
        Some((Piece::End, rest)) => {
            inner = rest;
            true
        }
        _ => false,
    };
    for piece in inner {
        let Piece::Other(text) = piece else {
            return None;
        };
        if form == Patterns::Whole {
            said.push_str(&without_shorthands(text)?);
        } else {
            said.push_str(text);
        }
    }
    if !is_ended {
        said.push_str(".*");
    }
    Some(said)
}

/// A token without `\d` and similar classes, which grammars lack.
fn without_shorthands(piece: &str) -> Option<String> {
    if piece == "(?:" {
        return Some("(".to_owned());
    }
    let is_class = piece.starts_with('[');
    let mut said = String::with_capacity(piece.len());
    let mut rest = piece.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            said.push(c);
            continue;
        }
        let escaped = rest.next()?;
        let (class, is_negated) = match escaped {
            'd' | 'D' => ("0-9", escaped == 'D'),
            'w' | 'W' => ("a-zA-Z0-9_", escaped == 'W'),
            's' | 'S' => (" \\t\\n\\r", escaped == 'S'),
            other => {
                said.push(c);
                said.push(other);
                continue;
            }
        };
        match (is_class, is_negated) {
            (true, true) => return None,
            (true, false) => said.push_str(class),
            (false, true) => said.extend(["[^", class, "]"]),
            (false, false) => said.extend(["[", class, "]"]),
        }
    }
    Some(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grammar_pattern_matches_the_complete_text() {
        for (text, said) in [
            ("^[a-z]+$", Some("^[a-z]+$")),
            ("abc", Some("^.*abc.*$")),
            ("^a", Some("^a.*$")),
            ("a$", Some("^.*a$")),
            (r"a\$", Some(r"^.*a\$.*$")),
            ("^a|b$", Some("^(a.*|.*b)$")),
            ("^(a|b)$", Some("^(a|b)$")),
            ("^(?:a|b)$", Some("^(a|b)$")),
            (r"^\d{3}-[\w-]+$", Some("^[0-9]{3}-[a-zA-Z0-9_-]+$")),
            (r"\S", Some(r"^.*[^ \t\n\r].*$")),
            (r"^[^|$^\]]*$", Some(r"^[^|$^\]]*$")),
            (r"^[\S]$", None),
            (r"\bword\b", None),
            ("^(?=a).*$", None),
            ("^a(^b|$)$", None),
            ("^(a$", None),
            ("^[a", None),
            ("^a\\", None),
            ("", Some("^.*.*$")),
        ] {
            assert_eq!(whole(text, Patterns::Whole).as_deref(), said, "{text}");
        }
    }

    #[test]
    fn a_bare_pattern_has_no_anchors() {
        for (text, said) in [
            (r"^\d+$", Some(r"\d+")),
            ("^a", Some("a.*")),
            ("^a$|^b$", Some("(a|b)")),
            ("(?!a)", None),
        ] {
            assert!(is_anchored(text));
            assert_eq!(whole(text, Patterns::Bare).as_deref(), said, "{text}");
        }
        assert!(!is_anchored("[0-9]{3}"));
    }
}
