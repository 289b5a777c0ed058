//! Checks of a request's tools and media that apply to every provider.

use crate::{
    ContentPart, Error, ErrorKind, Media, Message, Tool, ToolChoice, chat::HostedToolSetting,
    schema,
};
use std::collections::BTreeSet;

/// `has_more`: the request also has tools in an extra field.
pub(super) fn tools(
    tools: &[Tool],
    choice: Option<&ToolChoice>,
    has_more: bool,
) -> Result<(), Error> {
    let mut names = BTreeSet::new();
    for (number, tool) in tools.iter().enumerate() {
        let Tool::Function {
            name, parameters, ..
        } = tool
        else {
            continue;
        };
        let shown = name.escape_debug();
        if name.is_empty() {
            return refuse(format!(
                "`tools[{number}].name` is empty: set the function's name"
            ));
        }
        if name.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return refuse(format!(
                "`tools[{number}].name` is `{shown}`: a function's name must not contain white space; use `_`"
            ));
        }
        if !names.insert(name.as_str()) {
            return refuse(format!(
                "`tools[{number}].name` is `{shown}`, which an earlier tool has too: give each function its own name"
            ));
        }
        if let Some(schema) = parameters {
            if let Some(what) = schema::describes_no_object(schema) {
                return refuse(format!(
                    "`tools[{number}].parameters` of `{shown}` is {what}: the arguments of a function are an object, so give a JSON Schema with `\"type\": \"object\"`"
                ));
            }
        }
    }
    let has_function = |wanted: &str| {
        tools
            .iter()
            .any(|tool| matches!(tool, Tool::Function { name, .. } if name == wanted))
    };
    for tool in tools {
        let Tool::Hosted(hosted) = tool else {
            continue;
        };
        let deferred = hosted.list(HostedToolSetting::Deferred);
        if let Some(name) = deferred
            .iter()
            .find(|name| !has_function(name) && !has_more)
        {
            return refuse(format!(
                "the hosted tool `{}` defers the function `{}`, which is not in `tools`: add it, or remove its name",
                hosted.kind,
                name.escape_debug()
            ));
        }
    }
    let offers = |name: &str| {
        let own = |tool: &Tool| match tool {
            // A provider's tool can be chosen by its name or its type.
            Tool::Provider { .. } => true,
            Tool::Hosted(hosted) => hosted.kind.as_str() == name,
            Tool::Function { name: other, .. } => other == name,
        };
        has_more || tools.iter().any(own)
    };
    match choice {
        Some(ToolChoice::Function(name)) if !offers(name) => refuse(format!(
            "`tool_choice` is the function `{}`, which is not in `tools`: add it, or choose another",
            name.escape_debug()
        )),
        Some(ToolChoice::Required) if tools.is_empty() && !has_more => refuse(
            "`tool_choice` requires a call, but `tools` is empty: add a tool, or remove the choice"
                .to_owned(),
        ),
        _ => Ok(()),
    }
}

/// Checks the URLs of images, audio, video and documents.
pub(super) fn media(messages: &[Message]) -> Result<(), Error> {
    for (number, message) in messages.iter().enumerate() {
        for (place, part) in message.content.iter().enumerate() {
            if let ContentPart::ToolResult(result) = part {
                for (inner, part) in result.content.iter().enumerate() {
                    medium(part, || {
                        format!("`messages[{number}].content[{place}].content[{inner}]`")
                    })?;
                }
            } else {
                medium(part, || format!("`messages[{number}].content[{place}]`"))?;
            }
        }
    }
    Ok(())
}

fn medium(part: &ContentPart, place: impl Fn() -> String) -> Result<(), Error> {
    let (ContentPart::Image { media, .. }
    | ContentPart::Audio { media }
    | ContentPart::Video { media }
    | ContentPart::Document { media, .. }) = part
    else {
        return Ok(());
    };
    match media {
        Media::Url { url, .. } if !is_address(url) => {
            // The URL is not shown: it may have a key in its query, and a `data:` URL is long.
            refuse(format!(
                "{} has a URL that no provider can fetch: it needs a scheme such as `https:`; send the bytes of a local file",
                place()
            ))
        }
        Media::File { id } if id.trim().is_empty() => {
            refuse(format!("{} is an uploaded file without an id", place()))
        }
        _ => Ok(()),
    }
}

/// Whether a text is a `data:` URL, or begins with a scheme (RFC 3986, section 3.1) other than `file`, `://` and a
/// host. A scheme of one letter is a Windows drive.
fn is_address(url: &str) -> bool {
    let Some((scheme, rest)) = url.split_once(':') else {
        return false;
    };
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    if scheme.eq_ignore_ascii_case("data") {
        return !rest.is_empty();
    }
    let host = rest.strip_prefix("//").unwrap_or_default();
    let host = host.split(['/', '?', '#']).next().unwrap_or_default();
    scheme.len() > 1
        && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(is_part)
        && !scheme.eq_ignore_ascii_case("file")
        && !host.is_empty()
        && !host.contains(char::is_whitespace)
}

fn refuse<T>(what: String) -> Result<T, Error> {
    Err(Error::new(ErrorKind::InvalidRequest, what))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ChatRequest, Json, Role, ToolResult};

    fn tool(name: &str, schema: &str) -> Tool {
        Tool::function(name, "", &Json::parse(schema).unwrap()).unwrap()
    }

    fn validation_error(request: ChatRequest) -> String {
        match request.validate() {
            Ok(()) => String::new(),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::InvalidRequest);
                error.message().to_owned()
            }
        }
    }

    #[test]
    fn unsupported_tools_are_named_with_their_path() {
        let ask = || ChatRequest::new("m").user("hi");
        let good = || ask().tool(tool("a", "{}"));
        let object = r#"{"type":"object"}"#;
        let rows = [
            (good(), ""),
            (good().tool(tool("b", object)), ""),
            (ask().tool(tool("b", r#"{"type":["object","null"]}"#)), ""),
            (good().tool(tool("", object)), "`tools[1].name`"),
            (good().tool(tool("get weather", object)), "`tools[1].name`"),
            (good().tool(tool("get\u{a0}it", object)), "`tools[1].name`"),
            (good().tool(tool("b\n", object)), "`tools[1].name`"),
            (good().tool(tool("a", object)), "`tools[1].name`"),
            (good().tool(tool("b", "[]")), "`tools[1].parameters`"),
            (good().tool(tool("b", "true")), "`tools[1].parameters`"),
            (good().tool(tool("b", "\"{}\"")), "`tools[1].parameters`"),
            (
                ask().tool(tool("b", r#"{"type":"array","items":{}}"#)),
                "`tools[0].parameters`",
            ),
            (
                ask().tool(tool("b", r#"{"type":5}"#)),
                "`tools[0].parameters`",
            ),
            (
                ask().tool(tool("b", r#"{"type":"object","properties":[]}"#)),
                "`tools[0].parameters`",
            ),
            (
                ask().tool(tool("b", r#"{"type":"object","properties":{}}"#)),
                "",
            ),
            (
                ask().tool(tool("b", r#"{"type":["string","null"]}"#)),
                "`tools[0].parameters`",
            ),
            (
                ask().tool(tool("b", r#"{"enum":["x"]}"#)),
                "`tools[0].parameters`",
            ),
            (
                ask().tool(tool("b", r#"{"const":5}"#)),
                "`tools[0].parameters`",
            ),
            (
                ask().tool(tool("b", r#"{"oneOf":[{"type":"string"},{"enum":[1]}]}"#)),
                "`tools[0].parameters`",
            ),
            (
                ask().tool(tool(
                    "b",
                    r#"{"allOf":[{"type":"object"},{"type":"null"}]}"#,
                )),
                "`tools[0].parameters`",
            ),
            (
                ask().tool(tool(
                    "b",
                    r##"{"$ref":"#/$defs/S","$defs":{"S":{"type":"string"}}}"##,
                )),
                "`tools[0].parameters`",
            ),
            (
                ask().tool(tool(
                    "b",
                    r##"{"$ref":"#/$defs/S","$defs":{"S":{"type":"object"}}}"##,
                )),
                "",
            ),
            (
                ask().tool(tool(
                    "b",
                    r#"{"anyOf":[{"type":"string"},{"properties":{}}]}"#,
                )),
                "",
            ),
            (ask().tool(tool("b", r##"{"$ref":"#"}"##)), ""),
            (ask().tool(tool("b", r#"{"enum":[{"a":1}]}"#)), ""),
        ];
        for (request, place) in rows {
            let said = validation_error(request.clone());
            assert_eq!(said.is_empty(), place.is_empty(), "{request:?}: {said}");
            assert!(said.contains(place), "{said}");
        }
    }

    #[test]
    fn a_chosen_tool_must_be_in_the_list() {
        let ask = || ChatRequest::new("m").user("hi");
        let search = Tool::Provider {
            provider: "anthropic".into(),
            definition: Json::parse(r#"{"type":"web_search","name":"web_search"}"#).unwrap(),
        };
        let choose = |name: &str| ToolChoice::Function(name.into());
        let offered = ask().tool(tool("a", "{}"));
        let rows = [
            (offered.clone().tool_choice(choose("a")), true),
            (offered.clone().tool_choice(choose("b")), false),
            (offered.tool_choice(ToolChoice::Required), true),
            (ask().tool_choice(choose("a")), false),
            (ask().tool_choice(ToolChoice::Required), false),
            (ask().tool_choice(ToolChoice::None), true),
            (ask().tool_choice(ToolChoice::Auto), true),
            (ask().tool(search).tool_choice(choose("web_search")), true),
            (
                ask()
                    .extra("tools", &["raw"])
                    .unwrap()
                    .tool_choice(choose("raw")),
                true,
            ),
        ];
        for (request, right) in rows {
            let said = validation_error(request.clone());
            assert_eq!(said.is_empty(), right, "{request:?}: {said}");
            assert!(right || said.contains("`tool_choice`"), "{said}");
        }
    }

    #[test]
    fn a_local_path_is_not_a_url() {
        for url in [
            "https://x/a.png",
            "HTTP://x/a.png",
            "data:image/png;base64,AAAA",
            "s3://bucket/a.png",
            "gs://bucket/a.png",
        ] {
            assert!(is_address(url), "{url}");
        }
        for url in [
            "",
            "a.png",
            "/tmp/a.png",
            "./a.png",
            "../a:b.png",
            "C:\\a.png",
            "C:/a.png",
            "file:///tmp/a.png",
            "//x/a.png",
            "https:",
            "~/a.png",
            "a b:c",
            "localhost:80/a.png",
            "javascript:alert(1)",
            "https://",
            "https:///a.png",
            "http:// x/a.png",
        ] {
            let picture = ContentPart::image_url(url);
            let request = ChatRequest::new("m")
                .user("hi")
                .user_parts(vec!["look".into(), picture.clone()]);
            let said = validation_error(request);
            assert!(said.contains("`messages[1].content[1]`"), "{url}: {said}");
            let mut result = ToolResult::new("a", "seen");
            result.content.push(picture);
            let message = Message::new(Role::Tool, vec![ContentPart::ToolResult(result)]);
            let said = media(&[message]).unwrap_err();
            assert!(
                said.message()
                    .contains("`messages[0].content[0].content[1]`")
            );
        }
    }
}
