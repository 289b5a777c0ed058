//! Chunks of a stream that differ from one another in their text alone.

use crate::json::plain;

/// What stands around the text of a chunk. Most servers repeat it from chunk to chunk, so that only the first of them has to
/// be parsed.
///
/// One more string may differ, behind the text, in a member that nobody reads: OpenAI fills `obfuscation` with random letters,
/// so that the size of a chunk does not tell the size of its text.
#[derive(Debug, Default)]
pub(crate) struct ChunkTemplate {
    /// To the text's opening quotation mark; empty as long as nothing is known.
    prefix: String,
    /// From its closing one to the opening one of the string that nobody reads, or to the end.
    infix: String,
    /// From that string's closing quotation mark on; empty if there is none.
    suffix: String,
}

/// What is longer is parsed each time rather than kept.
const MAX_TEMPLATE_BYTES: usize = 4096;

impl ChunkTemplate {
    /// Takes `chunk`, a JSON value, as the pattern. `match_text` is a slice of it: the whole of a string that stands there without
    /// escapes. So is `unread`, which belongs to a member that nobody reads; anywhere but behind the text it counts as fixed.
    pub(crate) fn learn(&mut self, chunk: &str, text: &str, unread: Option<&str>) {
        for part in [&mut self.prefix, &mut self.infix, &mut self.suffix] {
            part.clear();
        }
        if chunk.len().saturating_sub(text.len()) > MAX_TEMPLATE_BYTES {
            return;
        }
        let Some((before, behind)) = around(chunk, text) else {
            return;
        };
        let unread = unread.filter(|unread| plain(unread.as_bytes()) == unread.len());
        let split = unread.and_then(|unread| around(behind, unread));
        let (between, after) = split.unwrap_or((behind, ""));
        self.prefix.push_str(before);
        self.infix.push_str(between);
        self.suffix.push_str(after);
    }

    /// The text of a chunk that is otherwise the same as the one learned.
    ///
    /// The bytes before the text say that a string has begun. The text has nothing that would end it, so that the bytes behind
    /// it mean what they meant before; so with the string that nobody reads.
    pub(crate) fn match_text<'c>(&self, chunk: &'c str) -> Option<&'c str> {
        if self.prefix.is_empty() {
            return None;
        }
        let rest = chunk.strip_prefix(&*self.prefix)?;
        let (text, rest) = rest.split_at_checked(plain(rest.as_bytes()))?;
        let rest = rest.strip_prefix(&*self.infix)?;
        let rest = match &*self.suffix {
            "" => rest,
            after => rest.get(plain(rest.as_bytes())..)?.strip_prefix(after)?,
        };
        rest.is_empty().then_some(text)
    }
}

/// What stands before and after `match_text` in `chunk`, if `match_text` is a slice of it that fills a string.
fn around<'c>(chunk: &'c str, text: &str) -> Option<(&'c str, &'c str)> {
    let start = text.as_ptr().addr().checked_sub(chunk.as_ptr().addr())?;
    let (before, rest) = chunk.split_at_checked(start)?;
    let (found, after) = rest.split_at_checked(text.len())?;
    (found == text && before.ends_with('"') && after.starts_with('"')).then_some((before, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNK: &str = r#"{"id":"a","delta":{"content":"one"},"n":1}"#;

    fn learned() -> ChunkTemplate {
        let mut template = ChunkTemplate::default();
        let at = CHUNK.find("one").unwrap();
        template.learn(CHUNK, &CHUNK[at..at + 3], None);
        template
    }

    #[test]
    fn a_chunk_that_differs_in_its_text_alone_is_known() {
        for text in ["", "two", "drei Wörter hier", "}],{:"] {
            let chunk = CHUNK.replace("one", text);
            assert_eq!(learned().match_text(&chunk), Some(text));
        }
    }

    #[test]
    fn any_other_chunk_is_not() {
        for chunk in [
            "",
            r#"{"id":"b","delta":{"content":"one"},"n":1}"#,
            r#"{"id":"a","delta":{"content":"one"},"n":2}"#,
            r#"{"id":"a","delta":{"content":"o\ne"},"n":1}"#,
            r#"{"id":"a","delta":{"content":"one","content":"two"},"n":1}"#,
            "{\"id\":\"a\",\"delta\":{\"content\":\"o\ne\"},\"n\":1}",
            r#"{"id":"a","delta":{"content":"},"n":1}"#,
        ] {
            assert_eq!(learned().match_text(chunk), None, "{chunk}");
        }
        assert_eq!(ChunkTemplate::default().match_text(CHUNK), None);
    }

    #[test]
    fn only_a_slice_that_fills_a_string_is_learned() {
        let elsewhere = "one".to_owned();
        let at = CHUNK.find("ne").unwrap();
        for text in [&*elsewhere, &CHUNK[at..at + 2], &CHUNK[at..at + 1]] {
            let mut template = learned();
            template.learn(CHUNK, text, None);
            assert_eq!(template.match_text(CHUNK), None, "{text}");
        }
    }
    #[test]
    fn one_unread_string_may_differ_too() {
        let chunk = |text: &str, pad: &str| {
            format!(r#"{{"id":"a","delta":{{"content":"{text}"}},"n":1,"pad":"{pad}","m":2}}"#)
        };
        let first = chunk("one", "xyz");
        let slice = |part: &str| {
            first
                .find(part)
                .map(|at| &first[at..at + part.len()])
                .unwrap()
        };
        let mut template = ChunkTemplate::default();
        template.learn(&first, slice("one"), Some(slice("xyz")));
        for (text, pad) in [
            ("two", "x"),
            ("", ""),
            ("more words", "longer than before"),
            ("x\"", ""),
        ] {
            let known = (!text.contains('"')).then_some(text);
            assert_eq!(template.match_text(&chunk(text, pad)), known);
        }
        for other in [
            chunk("two", "a\\n"),
            chunk("two", "\",\"m\":3,\"o\":\""),
            chunk("two", "").replace("\"m\":2", "\"m\":3"),
            chunk("two", "") + " ",
        ] {
            assert_eq!(template.match_text(&other), None, "{other}");
        }
        // Before the text it counts as fixed.
        template.learn(&first, slice("one"), Some(slice("a")));
        assert_eq!(template.match_text(&first), Some("one"));
        assert_eq!(template.match_text(&first.replace("\"a\"", "\"b\"")), None);
    }
}
