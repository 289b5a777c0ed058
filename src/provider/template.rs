//! Chunks of a stream that differ from one another in their text alone.

/// What stands around the text of a chunk. Most servers repeat it from chunk to chunk, so that only the first of them has to
/// be parsed.
#[derive(Debug, Default)]
pub(crate) struct Template {
    /// To the text's opening quotation mark; empty as long as nothing is known.
    before: String,
    /// From its closing one on.
    after: String,
}

/// What is longer is parsed each time rather than kept.
const MOST_KEPT_BYTES: usize = 4096;

impl Template {
    /// Takes `chunk`, a JSON value that was read without mending, as the pattern. `text` is a slice of it: the whole of a
    /// string that stands there without escapes.
    pub(crate) fn learn(&mut self, chunk: &str, text: &str) {
        self.forget();
        if chunk.len().saturating_sub(text.len()) > MOST_KEPT_BYTES {
            return;
        }
        let Some(around) = around(chunk, text) else {
            return;
        };
        self.before.push_str(around.0);
        self.after.push_str(around.1);
    }

    pub(crate) fn forget(&mut self) {
        self.before.clear();
        self.after.clear();
    }

    /// The text of a chunk that is otherwise the same as the one learned.
    ///
    /// The bytes before the text say that a string has begun. The text has nothing that would end it, so that the bytes after
    /// it mean what they meant before.
    pub(crate) fn text<'c>(&self, chunk: &'c str) -> Option<&'c str> {
        if self.before.is_empty() {
            return None;
        }
        let text = chunk.strip_prefix(&*self.before)?;
        let text = text.strip_suffix(&*self.after)?;
        text.bytes().all(is_plain).then_some(text)
    }
}

/// Whether a byte of a JSON string stands for itself.
fn is_plain(byte: u8) -> bool {
    !matches!(byte, b'"' | b'\\' | ..=0x1f)
}

/// What stands before and after `text` in `chunk`, if `text` is a slice of it that fills a string.
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

    fn learned() -> Template {
        let mut template = Template::default();
        let at = CHUNK.find("one").unwrap();
        template.learn(CHUNK, &CHUNK[at..at + 3]);
        template
    }

    #[test]
    fn a_chunk_that_differs_in_its_text_alone_is_known() {
        for text in ["", "two", "drei Wörter hier", "}],{:"] {
            let chunk = CHUNK.replace("one", text);
            assert_eq!(learned().text(&chunk), Some(text));
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
            assert_eq!(learned().text(chunk), None, "{chunk}");
        }
        assert_eq!(Template::default().text(CHUNK), None);
    }

    #[test]
    fn only_a_slice_that_fills_a_string_is_learned() {
        let elsewhere = "one".to_owned();
        let at = CHUNK.find("ne").unwrap();
        for text in [&*elsewhere, &CHUNK[at..at + 2], &CHUNK[at..at + 1]] {
            let mut template = learned();
            template.learn(CHUNK, text);
            assert_eq!(template.text(CHUNK), None, "{text}");
        }
    }
}
