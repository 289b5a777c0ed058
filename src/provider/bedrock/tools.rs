//! `toolConfig`.

use super::BLOCK_PROVIDER;
use crate::{
    ChatRequest, Error, ErrorKind, Json, Tool, ToolChoice,
    provider::kit::request::UnsupportedParams,
};
use serde::{Serialize, Serializer, ser::SerializeMap};

/// The tools and the choice among them.
#[derive(Debug)]
pub(super) struct Tools<'a> {
    pub(super) tools: Vec<EncodedTool<'a>>,
    pub(super) choice: Option<EncodedToolChoice<'a>>,
}

/// What can be said of a request's tools, before it is known whether the conversation has calls in it.
pub(super) fn tools<'a>(
    request: &'a ChatRequest,
    omissions: &mut UnsupportedParams<'_>,
) -> Result<Tools<'a>, Error> {
    let known = omissions.tools(&request.tools, &[BLOCK_PROVIDER])?;
    let tools: Vec<_> = known.into_iter().map(tool).collect::<Result<_, _>>()?;
    let choice = match &request.tool_choice {
        None | Some(ToolChoice::None) => None,
        Some(ToolChoice::Auto) if tools.is_empty() => None,
        Some(_) if tools.is_empty() => {
            return Err(refuse(
                "`tool_choice` asks for a tool, but there are none".to_owned(),
            ));
        }
        Some(choice) => Some(EncodedToolChoice(choice)),
    };
    Ok(Tools { tools, choice })
}

fn tool(tool: &Tool) -> Result<EncodedTool<'_>, Error> {
    match tool {
        Tool::Function {
            name,
            description,
            parameters,
            strict,
        } => {
            check_name(name)?;
            Ok(EncodedTool::ToolSpec {
                name,
                // An empty one is refused.
                description: description
                    .as_deref()
                    .filter(|text| !text.trim().is_empty()),
                input_schema: Schema {
                    json: parameters.as_ref(),
                },
                strict: *strict,
            })
        }
        Tool::Provider { definition, .. } => Ok(EncodedTool::Raw(definition)),
    }
}

fn check_name(name: &str) -> Result<(), Error> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    if (1..=64).contains(&name.len()) && name.bytes().all(allowed) {
        return Ok(());
    }
    Err(refuse(format!(
        "`{}` cannot be a tool's name: Bedrock takes 1 to 64 letters, digits, `_` and `-`",
        name.escape_debug()
    )))
}

fn refuse(what: String) -> Error {
    Error::new(ErrorKind::InvalidRequest, what)
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(super) enum EncodedTool<'a> {
    ToolSpec {
        name: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        description: Option<&'a str>,
        input_schema: Schema<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        strict: Option<bool>,
    },
    #[serde(untagged)]
    Raw(&'a Json),
}

/// A tool without arguments needs a schema all the same.
#[derive(Debug)]
pub(super) struct Schema<'a> {
    json: Option<&'a Json>,
}

impl Serialize for Schema<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Nothing {
            r#type: &'static str,
            properties: Empty,
        }
        let mut map = serializer.serialize_map(Some(1))?;
        match self.json {
            Some(json) => map.serialize_entry("json", json)?,
            None => map.serialize_entry(
                "json",
                &Nothing {
                    r#type: "object",
                    properties: Empty {},
                },
            )?,
        }
        map.end()
    }
}

#[derive(Serialize)]
struct Empty {}

#[derive(Debug)]
pub(super) struct EncodedToolChoice<'a>(&'a ToolChoice);

impl Serialize for EncodedToolChoice<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Named<'a> {
            name: &'a str,
        }
        let mut map = serializer.serialize_map(Some(1))?;
        match self.0 {
            ToolChoice::Required => map.serialize_entry("any", &Empty {})?,
            ToolChoice::Function(name) => map.serialize_entry("tool", &Named { name })?,
            ToolChoice::Auto | ToolChoice::None => map.serialize_entry("auto", &Empty {})?,
        }
        map.end()
    }
}
