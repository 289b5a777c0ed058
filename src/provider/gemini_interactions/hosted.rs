//! Hosted tools: how a request has them, and the typed form of their steps in a response.

use super::BLOCK_PROVIDER;
use crate::{
    Error, Json,
    chat::{
        CodeOutput, FetchedPage, HostedToolCall, HostedToolError, HostedToolInput, HostedToolKind,
        HostedToolOutput, HostedToolResult, HostedToolSetting as Setting, ProviderBlock,
    },
    provider::{
        ResponseBuilder,
        kit::{
            hosted::{HostedToolMapping, owned},
            lenient::{self, List, Object, Raw, Text, object},
        },
    },
};

/// The tools of the API.
pub(super) const TOOLS: &[HostedToolMapping] = &[
    HostedToolMapping::tool(
        HostedToolKind::WebSearch,
        r#"{"type":"google_search"}"#,
        &[],
    ),
    HostedToolMapping::tool(HostedToolKind::WebFetch, r#"{"type":"url_context"}"#, &[]),
    HostedToolMapping::tool(
        HostedToolKind::CodeExecution,
        r#"{"type":"code_execution"}"#,
        &[],
    ),
    HostedToolMapping::tool(
        HostedToolKind::FileSearch,
        r#"{"type":"file_search"}"#,
        &[
            (Setting::Stores, "file_search_store_names"),
            (Setting::MaxResults, "top_k"),
        ],
    ),
    HostedToolMapping::tool(
        HostedToolKind::Mcp,
        r#"{"type":"mcp_server"}"#,
        &[(Setting::Server, "name"), (Setting::Url, "url")],
    ),
];

object! {
    /// A step of a hosted tool.
    struct Step<'a> {
        r#type as "type": Text<'a>,
        id: Text<'a>,
        call_id: Text<'a>,
        name: Text<'a>,
        server_name: Text<'a>,
        arguments: Raw<'a>,
        result: Raw<'a>,
        is_error: Raw<'a>,
    }
}

object! {
    struct Arguments<'a> {
        queries: List<Text<'a>>,
        urls: List<Text<'a>>,
        code: Text<'a>,
    }
}

object! {
    struct Fetched<'a> {
        url: Text<'a>,
        status: Text<'a>,
    }
}

/// Adds a finished step: typed if it is of a hosted tool, else as it is.
pub(super) fn emit(key: u32, step: Json, out: &mut ResponseBuilder) -> Result<(), Error> {
    let wire: Step<'_> = lenient::parse(step.as_str()).unwrap_or_default();
    let kind = wire.r#type.as_deref().unwrap_or_default();
    let call = kind
        .strip_suffix("_call")
        .and_then(|tool| call(tool, &wire));
    let result = kind.strip_suffix("_result").map(|tool| result(tool, &wire));
    let raw = ProviderBlock::new(BLOCK_PROVIDER, step);
    match (call, result) {
        (Some(mut call), _) => {
            call.raw = Some(raw);
            out.hosted_tool_call(0, key, call)
        }
        (None, Some(mut result)) => {
            result.raw = Some(raw);
            out.hosted_tool_result(0, key, result)
        }
        (None, None) => out.provider_block(0, key, raw),
    }
}

fn call(tool: &str, wire: &Step<'_>) -> Option<HostedToolCall> {
    let arguments: Arguments<'_> = wire.arguments.read().unwrap_or_default();
    let texts = |list: &List<Text<'_>>| list.0.iter().filter_map(owned).collect();
    let input = match tool {
        "google_search" => HostedToolInput::WebSearch {
            queries: texts(&arguments.queries),
        },
        "url_context" => HostedToolInput::WebFetch {
            urls: texts(&arguments.urls),
            pattern: None,
        },
        "code_execution" => HostedToolInput::CodeExecution {
            code: arguments.code.to_string_or_empty(),
        },
        "file_search" | "retrieval" => HostedToolInput::FileSearch {
            queries: texts(&arguments.queries),
        },
        "mcp_server_tool" => HostedToolInput::Mcp {
            server: wire.server_name.to_string_or_empty(),
            arguments: wire.arguments.text().unwrap_or_default().to_owned(),
        },
        // The program runs them.
        "function" | "computer_use" => return None,
        _ => HostedToolInput::Other {
            input: wire.arguments.json(),
        },
    };
    let name = wire.name.non_empty().unwrap_or(tool);
    Some(HostedToolCall::new(
        wire.id.to_string_or_empty(),
        name,
        input,
    ))
}

fn result(tool: &str, wire: &Step<'_>) -> HostedToolResult {
    let text = || wire.result.read::<Text<'_>>().and_then(|text| owned(&text));
    let is_error = wire.is_error.text() == Some("true");
    let output = match tool {
        "mcp_server_tool" => HostedToolOutput::Mcp {
            text: text().unwrap_or_else(|| wire.result.text().unwrap_or_default().to_owned()),
            is_error,
        },
        _ if is_error => HostedToolOutput::Error(HostedToolError {
            code: "error".into(),
            message: text(),
        }),
        "google_search" => HostedToolOutput::WebSearch {
            results: Vec::new(),
        },
        "url_context" => {
            let list: List<Object<Fetched<'_>>> = wire.result.read().unwrap_or_default();
            let page = |fetched: Object<Fetched<'_>>| {
                let fetched = fetched.0?;
                Some(FetchedPage {
                    url: owned(&fetched.url),
                    error: owned(&fetched.status).filter(|status| status != "success"),
                    ..FetchedPage::default()
                })
            };
            HostedToolOutput::WebFetch {
                pages: list.0.into_iter().filter_map(page).collect(),
            }
        }
        "code_execution" => HostedToolOutput::CodeExecution(CodeOutput {
            stdout: text().unwrap_or_default(),
            ..CodeOutput::default()
        }),
        "file_search" | "retrieval" => HostedToolOutput::FileSearch {
            passages: Vec::new(),
        },
        _ => HostedToolOutput::Other {
            output: wire.result.json(),
        },
    };
    HostedToolResult::new(wire.call_id.to_string_or_empty(), output)
}
