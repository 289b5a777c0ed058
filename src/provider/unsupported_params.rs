//! What a request says and a wire cannot.

use super::history::{self, HistorySupport};
use crate::{Error, ErrorKind, Json, Message, Tool, ToolCall, chat::Warning};
use std::{borrow::Cow, collections::BTreeMap, fmt::Display};

/// Refuses what a wire cannot say, or with `drop_unsupported` lists it as left out.
#[derive(Debug)]
pub(crate) struct UnsupportedParams<'a> {
    provider: &'a str,
    drop_unsupported: bool,
    warnings: Vec<Warning>,
}

impl<'a> UnsupportedParams<'a> {
    pub(crate) fn new(provider: &'a str, lenient: bool) -> Self {
        UnsupportedParams {
            provider,
            drop_unsupported: lenient,
            warnings: Vec::new(),
        }
    }

    /// A parameter or value that the provider does not know.
    pub(crate) fn refuse(&mut self, what: &str) -> Result<(), Error> {
        let message = format!("`{}` does not support {what}", self.provider);
        if self.drop_unsupported {
            self.warn(
                "unsupported_parameter",
                format!("{message}; it was not sent"),
            );
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::InvalidRequest,
            format!("{message}; leave it out, or ask with `drop_unsupported()` to have it dropped"),
        ))
    }

    /// A part of a message without which the question would be another one: refused even with `drop_unsupported`.
    pub(crate) fn cannot_send(&self, what: &str) -> Error {
        Error::new(
            ErrorKind::InvalidRequest,
            format!("{what} cannot be sent to `{}`", self.provider),
        )
    }

    /// A value that the provider does not know of a parameter that it knows.
    pub(crate) fn refuse_value(
        &mut self,
        parameter: &str,
        value: &dyn Display,
    ) -> Result<(), Error> {
        self.refuse(&format!(
            "the value `{value}` of the parameter `{parameter}`"
        ))
    }

    /// The tools that the wire takes: functions, and those of its own makers.
    pub(crate) fn tools<'t>(
        &mut self,
        tools: &'t [Tool],
        own: &[&str],
    ) -> Result<Vec<&'t Tool>, Error> {
        let mut taken = Vec::with_capacity(tools.len());
        for tool in tools {
            match tool {
                Tool::Provider { provider, .. } if !own.contains(&provider.as_str()) => {
                    self.refuse(&format!("in `tools` a tool of `{provider}`"))?;
                }
                tool => taken.push(tool),
            }
        }
        Ok(taken)
    }

    /// The arguments of a call as the text of a JSON object. What is none is wrapped into one, with a warning: a server refuses it,
    /// at each further request of the conversation.
    pub(crate) fn arguments<'c>(&mut self, call: &'c ToolCall) -> Result<Cow<'c, str>, Error> {
        if call.has_valid_arguments() {
            return Ok(call.arguments_json().into());
        }
        self.warn(
            "invalid_tool_arguments",
            format!(
                "the arguments of tool call `{}` are no JSON object; they were sent as text in one",
                call.id
            ),
        );
        let wrapped = Json::new(&BTreeMap::from([("INVALID_JSON", &call.arguments)]))?;
        Ok(wrapped.as_str().to_owned().into())
    }

    /// Lists what of the conversation stays behind.
    pub(crate) fn history(&mut self, messages: &[Message], takes: HistorySupport<'_>) {
        let left_out = history::dropped_part_warnings(self.provider, takes, messages);
        self.warnings.extend(left_out);
    }

    pub(crate) fn warn(&mut self, code: &'static str, message: impl Into<String>) {
        self.warnings.push(Warning::new(code, message));
    }

    pub(crate) fn into_warnings(self) -> Vec<Warning> {
        self.warnings
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
