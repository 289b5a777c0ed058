//! Arguments of earlier calls as they go back.

use super::omissions::Omissions;
use crate::{Error, Json, ToolCall};
use serde::Serialize;
use std::borrow::Cow;

/// The arguments of a call as text that is a JSON object. What a model cut off or got wrong goes as a text in one, with a
/// warning: servers that read the arguments of the history refuse every further request otherwise.
///
/// # Errors
/// None in practice: a text can always be written as JSON.
pub(crate) fn object<'a>(
    call: &'a ToolCall,
    omissions: &mut Omissions<'_>,
) -> Result<Cow<'a, str>, Error> {
    if call.has_valid_arguments() {
        return Ok(call.arguments_json().into());
    }
    omissions.warn(
        "invalid_tool_arguments",
        format!(
            "the arguments of tool call `{}` ({}) are no JSON object; they were sent as a text in one",
            call.id.escape_debug(),
            call.name.escape_debug()
        ),
    );
    #[derive(Serialize)]
    struct Invalid<'a> {
        #[serde(rename = "INVALID_JSON")]
        text: &'a str,
    }
    let json = Json::new(&Invalid {
        text: &call.arguments,
    })?;
    Ok(json.as_str().to_owned().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_no_object_is_wrapped() {
        let rows = [
            (r#"{"a": 1.0 }"#, r#"{"a": 1.0 }"#, 0),
            (" {} ", "{}", 0),
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
            let mut omissions = Omissions::new("p", false);
            assert_eq!(object(&call, &mut omissions).unwrap(), sent);
            assert_eq!(omissions.into_warnings().len(), warnings, "{arguments}");
        }
    }
}
