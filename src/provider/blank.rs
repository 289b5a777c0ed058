//! Blank texts, which Anthropic's models refuse on each of their wires.

/// Content of a tool's result that has none.
pub(crate) const NO_OUTPUT: &str = "(no output)";

/// Content of a turn of the user that has none.
pub(crate) const NO_TEXT: &str = "(no text)";

/// Whether a text is empty or white space only.
pub(crate) fn is_blank(text: &str) -> bool {
    text.chars().all(is_space)
}

/// A text without the white space at its end.
pub(crate) fn trim_end(text: &str) -> &str {
    text.trim_end_matches(is_space)
}

/// White space as Unicode has it, and the four separators that Python counts among it (U+001C to U+001F).
fn is_space(letter: char) -> bool {
    letter.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_of_every_kind_is_blank() {
        for text in [
            "",
            " ",
            "\n\t\r\u{b}\u{c}",
            "\u{a0}\u{2003}\u{3000}",
            "\u{1c}\u{1f}",
            "\u{85}",
        ] {
            assert!(is_blank(text), "{text:?}");
        }
        for text in [".", " a ", "\u{200b}"] {
            assert!(!is_blank(text), "{text:?}");
        }
        assert_eq!(trim_end(" a\u{1d}\u{2028}\n"), " a");
    }
}
