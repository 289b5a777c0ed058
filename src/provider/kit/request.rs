//! Request encoding: parameters that an API lacks, and content that most APIs share.

use crate::{ContentPart, Error, ErrorKind, Json, Media, Message, Tool, ToolCall, chat::Warning};
use bytes::Bytes;
use serde::{Serialize, Serializer, ser::SerializeMap};
use std::{borrow::Cow, collections::BTreeMap, fmt::Display};

/// Refuses parameters that an API lacks, or with `drop_unsupported` records a warning.
#[derive(Debug)]
pub(crate) struct UnsupportedParams<'a> {
    provider: &'a str,
    drop_unsupported: bool,
    /// What else a program can do. It ends the error.
    hint: &'static str,
    warnings: Vec<Warning>,
}

impl<'a> UnsupportedParams<'a> {
    pub(crate) fn new(provider: &'a str, lenient: bool) -> Self {
        UnsupportedParams {
            provider,
            drop_unsupported: lenient,
            hint: "",
            warnings: Vec::new(),
        }
    }

    pub(crate) fn with_hint(self, hint: &'static str) -> Self {
        UnsupportedParams { hint, ..self }
    }

    /// A parameter or value that the provider lacks.
    pub(crate) fn refuse(&mut self, what: &str) -> Result<(), Error> {
        let message = format!("`{}` does not support {what}", self.provider);
        if self.drop_unsupported {
            self.warn(
                "unsupported_parameter",
                format!("{message}; it was not sent"),
            );
            return Ok(());
        }
        let hint = match self.hint {
            "" => String::new(),
            hint => format!("; {hint}"),
        };
        Err(Error::new(
            ErrorKind::InvalidRequest,
            format!("{message}; remove it, or allow dropping it with `drop_unsupported()`{hint}"),
        ))
    }

    /// A part of a message that changes its meaning: refused even with `drop_unsupported`.
    pub(crate) fn cannot_send(&self, what: &str) -> Error {
        Error::new(
            ErrorKind::InvalidRequest,
            format!("{what} cannot be sent to `{}`", self.provider),
        )
    }

    /// An unsupported value of a supported parameter.
    pub(crate) fn refuse_value(
        &mut self,
        parameter: &str,
        value: &dyn Display,
    ) -> Result<(), Error> {
        self.refuse(&format!(
            "the value `{value}` of the parameter `{parameter}`"
        ))
    }

    /// The tools that the API accepts: functions, and its own provider tools.
    pub(crate) fn tools<'t>(
        &mut self,
        tools: &'t [Tool],
        own: &[&str],
    ) -> Result<Vec<&'t Tool>, Error> {
        let mut taken = Vec::with_capacity(tools.len());
        for tool in tools {
            match tool {
                Tool::Provider { provider, .. } if !own.contains(&provider.as_str()) => {
                    self.refuse(&format!("a provider tool of `{provider}` in `tools`"))?;
                }
                Tool::Hosted(hosted) => {
                    self.refuse(&format!("the hosted tool `{}` in `tools`", hosted.kind))?;
                }
                tool => taken.push(tool),
            }
        }
        Ok(taken)
    }

    /// The arguments of a call as the text of a JSON object. Any other text is wrapped into an object, with a
    /// warning, because a server would refuse it in each further request of the conversation.
    pub(crate) fn arguments<'c>(&mut self, call: &'c ToolCall) -> Result<Cow<'c, str>, Error> {
        if call.has_valid_arguments() {
            return Ok(call.arguments_json().into());
        }
        self.warn(
            "invalid_tool_arguments",
            format!(
                "the arguments of tool call `{}` are not a JSON object; they were sent as text inside one",
                call.id
            ),
        );
        let wrapped = Json::new(&BTreeMap::from([("INVALID_JSON", &call.arguments)]))?;
        Ok(wrapped.as_str().to_owned().into())
    }

    /// Adds warnings for parts of the conversation that are dropped.
    pub(crate) fn history(&mut self, messages: &[Message], takes: HistorySupport<'_>) {
        let left_out = dropped_part_warnings(self.provider, takes, messages);
        self.warnings.extend(left_out);
    }

    pub(crate) fn warn(&mut self, code: &'static str, message: impl Into<String>) {
        self.warnings.push(Warning::new(code, message));
    }

    /// Adds the warnings of an earlier step.
    pub(crate) fn add_warnings(&mut self, warnings: Vec<Warning>) {
        self.warnings.extend(warnings);
    }

    pub(crate) fn into_warnings(self) -> Vec<Warning> {
        self.warnings
    }
}

// Parts of a conversation that another API does not accept.

/// The kinds of history parts that an API accepts, in addition to plain text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HistorySupport<'a> {
    /// The provider names of its provider blocks.
    pub(crate) block_providers: &'a [&'a str],
    /// Signatures of reasoning.
    pub(crate) signatures: bool,
    /// The error flag of a tool result.
    pub(crate) errors: bool,
}

/// A warning for each part of `messages` that is not sent to `provider`, because only another API accepts it.
pub(crate) fn dropped_part_warnings(
    provider: &str,
    takes: HistorySupport<'_>,
    messages: &[Message],
) -> Vec<Warning> {
    let mut warnings = Vec::new();
    for message in messages {
        parts(provider, takes, &message.content, &mut warnings);
    }
    warnings
}

fn parts(
    provider: &str,
    takes: HistorySupport<'_>,
    content: &[ContentPart],
    warnings: &mut Vec<Warning>,
) {
    let foreign = |vendor: &str| !takes.block_providers.contains(&vendor);
    for part in content {
        let (code, what) = match part {
            ContentPart::ProviderBlock(block) if foreign(&block.provider) => (
                "opaque_left_out",
                format!("a block of `{}`", block.provider),
            ),
            ContentPart::ToolCall(call) => match &call.provider_data {
                Some(data) if foreign(&data.provider) => (
                    "opaque_left_out",
                    format!(
                        "the data that `{}` added to tool call `{}`",
                        data.provider, call.id
                    ),
                ),
                _ => continue,
            },
            ContentPart::Reasoning {
                signature: Some(_), ..
            } if !takes.signatures => (
                "signature_left_out",
                "the signature of a reasoning part".into(),
            ),
            ContentPart::ToolResult(result) => {
                parts(provider, takes, &result.content, warnings);
                if !result.is_error || takes.errors {
                    continue;
                }
                let what = format!("the error flag of the result of `{}`", result.call_id);
                ("tool_error_unmarked", what)
            }
            _ => continue,
        };
        let message = format!("{what} was not sent to `{provider}`");
        warnings.push(Warning::new(code, message));
    }
}

// Blank texts, which Anthropic's models refuse with every API.

/// Placeholder for a tool result without content.
pub(crate) const NO_OUTPUT: &str = "(no output)";

/// Placeholder for a user message without content.
pub(crate) const NO_TEXT: &str = "(no text)";

/// Whether a text is empty or only white space.
pub(crate) fn is_blank(text: &str) -> bool {
    text.chars().all(is_space)
}

/// Removes white space at the end of a text.
pub(crate) fn trim_end(text: &str) -> &str {
    text.trim_end_matches(is_space)
}

/// Unicode white space, and the four separators that Python also counts (U+001C to U+001F).
fn is_space(letter: char) -> bool {
    letter.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&letter)
}

// An element of `tools` in OpenAI's format, which other APIs share.

/// A function, or a tool in the provider's own JSON.
pub(in crate::provider) enum FunctionTool<'a> {
    Function(Function<'a>),
    Raw(&'a Json),
}

#[derive(Serialize)]
pub(in crate::provider) struct Function<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<&'a Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
}

impl<'a> FunctionTool<'a> {
    /// Without `strict`, which only OpenAI's own API has at this position.
    pub(in crate::provider) fn new(tool: &'a Tool) -> Option<Self> {
        Some(match Self::with_strict(tool)? {
            FunctionTool::Function(function) => FunctionTool::Function(Function {
                strict: None,
                ..function
            }),
            raw => raw,
        })
    }

    /// `None` for a hosted tool, which the API was found to lack.
    pub(in crate::provider) fn with_strict(tool: &'a Tool) -> Option<Self> {
        Some(match tool {
            Tool::Hosted(_) => return None,
            Tool::Provider { definition, .. } => FunctionTool::Raw(definition),
            Tool::Function {
                name,
                description,
                parameters,
                strict,
            } => FunctionTool::Function(Function {
                name,
                description: description.as_deref(),
                parameters: parameters.as_ref(),
                strict: *strict,
            }),
        })
    }
}

impl Serialize for FunctionTool<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            FunctionTool::Raw(raw) => raw.serialize(serializer),
            FunctionTool::Function(function) => {
                let mut map = serializer.serialize_map(Some(2))?;
                map.serialize_entry("type", "function")?;
                map.serialize_entry("function", function)?;
                map.end()
            }
        }
    }
}

// `data:` URLs, which only some APIs accept, and formats of audio.

/// The MIME type and the base64 text of a `data:` URL.
pub(crate) fn data_url(url: &str) -> Option<(&str, &str)> {
    let (head, data) = url.strip_prefix("data:")?.split_once(',')?;
    let mime_type = head.strip_suffix(";base64")?;
    Some((mime_type.split(';').next().unwrap_or(mime_type), data))
}

/// Inline media as a `data:` URL.
pub(crate) fn to_data_url(mime_type: &str, data: &Bytes) -> String {
    ["data:", mime_type, ";base64,", &Media::base64(data)].concat()
}

/// The `format` of audio in OpenAI's APIs.
pub(crate) fn audio_format(mime_type: &str) -> &str {
    match mime_type {
        "audio/mpeg" => "mp3",
        "audio/x-wav" | "audio/wave" => "wav",
        other => other.strip_prefix("audio/").unwrap_or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_non_objects_are_wrapped() {
        let rows = [
            (r#"{"a": 1.0 }"#, r#"{"a": 1.0 }"#, 0),
            (" {} ", " {} ", 0),
            ("", "{}", 0),
            ("null", "{}", 0),
            (
                r#"{"city": "Os"#,
                r#"{"INVALID_JSON":"{\"city\": \"Os"}"#,
                1,
            ),
            ("[1]", r#"{"INVALID_JSON":"[1]"}"#, 1),
            (r#""{}""#, r#"{"INVALID_JSON":"\"{}\""}"#, 1),
            ("{} {}", r#"{"INVALID_JSON":"{} {}"}"#, 1),
            ("{'a': 1}", r#"{"INVALID_JSON":"{'a': 1}"}"#, 1),
            (r#"{"a": NaN}"#, r#"{"INVALID_JSON":"{\"a\": NaN}"}"#, 1),
        ];
        for (arguments, sent, warnings) in rows {
            let call = ToolCall::new("c", "f", arguments);
            let mut omissions = UnsupportedParams::new("p", false);
            assert_eq!(omissions.arguments(&call).unwrap(), sent);
            assert_eq!(omissions.into_warnings().len(), warnings, "{arguments}");
        }
    }
}

#[cfg(test)]
mod blank_tests {
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

#[cfg(test)]
mod data_url_tests {
    use super::*;

    #[test]
    fn only_base64_data_urls_are_parsed() {
        let cases = [
            ("data:image/png;base64,AAAA", Some(("image/png", "AAAA"))),
            (
                "data:text/plain;charset=utf-8;base64,AA==",
                Some(("text/plain", "AA==")),
            ),
            ("data:text/plain,hi", None),
            ("https://x/data:a;base64,b", None),
            ("data:", None),
        ];
        for (url, parts) in cases {
            assert_eq!(data_url(url), parts, "{url}");
        }
    }
}
