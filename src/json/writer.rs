//! Writes a JSON object field by field, directly into the body's bytes.

use super::plain;
use crate::{Error, ErrorKind};
use serde::Serialize;

/// An unfinished object.
#[derive(Debug)]
pub(crate) struct ObjectWriter {
    out: Vec<u8>,
}

/// An unfinished list of objects in an object.
#[derive(Debug)]
pub(crate) struct ListWriter<'a>(&'a mut ObjectWriter);

impl ObjectWriter {
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        let mut out = Vec::with_capacity(bytes);
        out.push(b'{');
        ObjectWriter { out }
    }

    /// Adds a field.
    pub(crate) fn member<T: Serialize + ?Sized>(
        &mut self,
        name: &str,
        value: &T,
    ) -> Result<(), Error> {
        self.separate();
        self.string(name);
        self.out.push(b':');
        serde_json::to_writer(&mut self.out, value).map_err(|e| {
            Error::new(
                ErrorKind::InvalidRequest,
                format!("`{name}` cannot be serialised as JSON: {e}"),
            )
        })
    }

    /// Adds a string field. The name must need no escapes. With a constant name, it compiles to a constant write.
    #[inline(always)]
    pub(crate) fn text(&mut self, name: &'static str, text: &str) {
        self.plain_name(name);
        self.string(text);
    }

    /// Adds a field with a list of objects. The name is as in [`text`](Self::text).
    pub(crate) fn list(
        &mut self,
        name: &'static str,
        elements: impl FnOnce(&mut ListWriter<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.plain_name(name);
        self.out.push(b'[');
        elements(&mut ListWriter(self))?;
        self.out.push(b']');
        Ok(())
    }

    /// Adds a member that is a list of values that are JSON already. The name is as in [`text`](Self::text).
    pub(crate) fn encoded_list<'v>(
        &mut self,
        name: &'static str,
        values: impl Iterator<Item = &'v [u8]>,
    ) {
        self.plain_name(name);
        self.out.push(b'[');
        for value in values {
            self.separate();
            self.out.extend_from_slice(value);
        }
        self.out.push(b']');
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.out.push(b'}');
        self.out
    }

    #[inline(always)]
    fn plain_name(&mut self, name: &'static str) {
        debug_assert_eq!(plain(name.as_bytes()), name.len(), "{name:?}");
        self.separate();
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    /// No value ends with an opening bracket.
    #[inline(always)]
    fn separate(&mut self) {
        if !matches!(self.out.last(), Some(b'{' | b'[')) {
            self.out.push(b',');
        }
    }

    fn string(&mut self, text: &str) {
        self.out.push(b'"');
        let text = text.as_bytes();
        let clean = plain(text);
        if clean == text.len() {
            self.out.extend_from_slice(text);
        } else {
            self.escaped(text, clean);
        }
        self.out.push(b'"');
    }

    /// Writes a text whose first `clean` bytes need no escape.
    fn escaped(&mut self, mut text: &[u8], mut clean: usize) {
        while let Some((before, marked)) = text.split_at_checked(clean) {
            self.out.extend_from_slice(before);
            let Some((byte, behind)) = marked.split_first() else {
                return;
            };
            self.escape(*byte);
            (text, clean) = (behind, plain(behind));
        }
    }

    fn escape(&mut self, byte: u8) {
        let letter = match byte {
            b'"' | b'\\' => byte,
            0x08 => b'b',
            b'\t' => b't',
            b'\n' => b'n',
            0x0c => b'f',
            b'\r' => b'r',
            _ => {
                let low = match byte & 15 {
                    digit @ 0..=9 => digit | b'0',
                    letter => letter.wrapping_add(b'a' - 10),
                };
                let high = byte >> 4 | b'0';
                return self
                    .out
                    .extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
            }
        };
        self.out.extend_from_slice(&[b'\\', letter]);
    }
}

impl ListWriter<'_> {
    /// Adds an object.
    pub(crate) fn object(
        &mut self,
        members: impl FnOnce(&mut ObjectWriter) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.0.separate();
        self.0.out.push(b'{');
        members(self.0)?;
        self.0.out.push(b'}');
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(write: impl FnOnce(&mut ObjectWriter) -> Result<(), Error>) -> String {
        let mut object = ObjectWriter::with_capacity(0);
        write(&mut object).unwrap();
        String::from_utf8(object.finish()).unwrap()
    }

    #[test]
    fn members_and_elements_are_separated_at_any_position() {
        let nothing = written(|_| Ok(()));
        assert_eq!(nothing, "{}");
        let lists = written(|object| {
            object.list("none", |_| Ok(()))?;
            object.list("some", |list| {
                list.object(|_| Ok(()))?;
                list.object(|object| {
                    object.text("a", "[");
                    object.text("b", "{");
                    object.member("c", &[1, 2])
                })
            })?;
            object.member("last", &true)
        });
        let expected = r#"{"none":[],"some":[{},{"a":"[","b":"{","c":[1,2]}],"last":true}"#;
        assert_eq!(lists, expected);
    }

    #[test]
    fn fields_that_cannot_be_serialised_are_named() {
        let keys = std::collections::BTreeMap::from([((1, 2), 3)]);
        let mut object = ObjectWriter::with_capacity(0);
        let error = object.member("m", &keys).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        assert!(error.to_string().contains("`m`"), "{error}");
    }

    #[test]
    fn every_character_is_escaped_as_serde_json_does_it() {
        let ascii: String = (0..=0x7f).map(char::from).collect();
        for text in [ascii.as_str(), "", "\"", "ö\n\u{2028}\u{10ffff}"] {
            let own = written(|object| object.member(text, &1));
            assert_eq!(
                own,
                format!("{{{}:1}}", serde_json::to_string(text).unwrap())
            );
            let own = written(|object| {
                object.text("t", text);
                Ok(())
            });
            let quoted = serde_json::to_string(text).unwrap();
            assert_eq!(own, format!("{{\"t\":{quoted}}}"));
        }
    }

    proptest! {
        #[test]
        fn text_is_written_like_serde_json(text in "([a-z]{0,12}[\\x00-\\x7f]?){0,6}|.{0,40}") {
            let own = written(|object| {
                object.text("t", &text);
                Ok(())
            });
            let quoted = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(own, format!("{{\"t\":{quoted}}}"));
        }
    }
}
