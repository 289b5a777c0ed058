//! The form of tool call ids and of function names that a server accepts.

use crate::{Error, ErrorKind, Tool};

/// The form that a server requires of an identifier: a tool-call id or a function name.
///
/// ```
/// use unifiedai::provider::IdFormat;
/// const MISTRAL: IdFormat = IdFormat::new(9, 9).only("");
/// assert!(MISTRAL.fits("a1B2c3D4e"));
/// assert!(!MISTRAL.fits("toolu_01"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct IdFormat {
    /// Minimum length, in characters.
    pub min: usize,
    /// Maximum length, in characters.
    pub max: usize,
    /// The allowed characters in addition to ASCII letters and digits; `None` for any character.
    pub punctuation: Option<&'static str>,
}

impl IdFormat {
    /// Any text that is not empty.
    pub const ANY: IdFormat = IdFormat::new(1, usize::MAX);

    /// From `min` to `max` characters of any kind.
    #[must_use]
    pub const fn new(min: usize, max: usize) -> Self {
        IdFormat {
            min,
            max,
            punctuation: None,
        }
    }

    /// Only ASCII letters, digits and the characters in `punctuation`.
    #[must_use]
    pub const fn only(self, others: &'static str) -> Self {
        IdFormat {
            punctuation: Some(others),
            ..self
        }
    }

    /// Whether `id` has this form.
    #[must_use]
    pub fn fits(&self, id: &str) -> bool {
        // A character has at least one byte and at most four.
        let length = match id.len() {
            bytes if bytes <= self.max && bytes / 4 >= self.min => self.min,
            _ => id.chars().count(),
        };
        let allowed = |others: &str| {
            id.chars()
                .all(|c| c.is_ascii_alphanumeric() || others.contains(c))
        };
        (self.min..=self.max).contains(&length) && self.punctuation.is_none_or(allowed)
    }

    /// A description for messages.
    pub(crate) fn description(&self) -> String {
        let length = match (self.min, self.max) {
            (min, max) if min == max => format!("exactly {min}"),
            (0 | 1, usize::MAX) => "one or more".to_owned(),
            (0 | 1, max) => format!("1 to {max}"),
            (min, usize::MAX) => format!("at least {min}"),
            (min, max) => format!("{min} to {max}"),
        };
        match self.punctuation {
            None => format!("{length} characters"),
            Some("") => format!("{length} ASCII letters and digits"),
            Some(others) => format!("{length} ASCII letters, digits and characters of `{others}`"),
        }
    }
}

// Function names.

/// Refuses a function whose name does not have the form.
///
/// # Errors
/// `invalid_request` with the path.
pub(crate) fn check(provider: &str, tools: &[Tool], form: IdFormat) -> Result<(), Error> {
    for (number, tool) in tools.iter().enumerate() {
        if let Tool::Function { name, .. } = tool {
            if !form.fits(name) {
                return Err(Error::new(
                    ErrorKind::InvalidRequest,
                    format!(
                        "`tools[{number}].name` is `{}`, but `{provider}` requires {}",
                        name.escape_debug(),
                        form.description()
                    ),
                ));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_and_alphabet_decide() {
        let mistral = IdFormat::new(9, 9).only("");
        let bedrock = IdFormat::new(1, 64).only("_.:-");
        let short = IdFormat::new(1, 4);
        let rows = [
            (mistral, "abcDEF123", true),
            (mistral, "abcDEF12", false),
            (mistral, "abcDEF1234", false),
            (mistral, "abcDEF12_", false),
            (mistral, "abcDEF12é", false),
            (bedrock, "functions.f:0", true),
            (bedrock, "", false),
            (bedrock, "a b", false),
            // Letters of other scripts do not match `[a-zA-Z0-9]`.
            (bedrock, "ａ", false),
            (short, "äöüß", true),
            (short, "äöüßx", false),
            (short, "\u{1f600}\u{1f600}\u{1f600}\u{1f600}", true),
            (IdFormat::ANY, "", false),
            (IdFormat::ANY, " ", true),
        ];
        for (form, id, fits) in rows {
            assert_eq!(form.fits(id), fits, "{id} {form:?}");
        }
        assert!(bedrock.fits(&"x".repeat(64)) && !bedrock.fits(&"x".repeat(65)));
    }
}

#[cfg(test)]
mod tool_names_tests {
    use super::*;

    #[test]
    fn error_names_path_and_expected_form() {
        let tool = |name: &str| Tool::function(name, "", "").unwrap();
        let form = IdFormat::new(1, 64).only("_-");
        let tools = [tool("get_weather-2"), tool("files.read")];
        let error = check("openai", &tools, form).unwrap_err();
        assert_eq!(
            error.message(),
            "`tools[1].name` is `files.read`, but `openai` requires 1 to 64 ASCII letters, digits and characters of `_-`"
        );
        assert!(check("openai", &tools[..1], form).is_ok());
        assert!(check("vllm", &tools, IdFormat::ANY).is_ok());
    }
}
