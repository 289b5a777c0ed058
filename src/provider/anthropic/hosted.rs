//! Hosted tools: how a request has them, and the typed form of their blocks in a response.

use super::BLOCK_PROVIDER;
use crate::{
    ChatRequest, Error, Json, Tool,
    chat::{
        CodeOutput, Compaction, FetchedPage, HostedToolCall, HostedToolError, HostedToolInput,
        HostedToolKind, HostedToolOutput, HostedToolResult, HostedToolSetting as Setting,
        ProviderBlock, SearchResult,
    },
    provider::{
        ResponseBuilder,
        kit::{
            hosted::{HostedToolMapping, HostedToolPlace, owned},
            lenient::{self, List, Number, Object, Raw, Text, object},
        },
    },
};

const WEB_SEARCH: HostedToolMapping = HostedToolMapping::tool(
    HostedToolKind::WebSearch,
    r#"{"type":"web_search_20250305","name":"web_search"}"#,
    &[
        (Setting::MaxUses, "max_uses"),
        (Setting::AllowedDomains, "allowed_domains"),
        (Setting::BlockedDomains, "blocked_domains"),
        (Setting::UserLocation, "user_location"),
    ],
);

/// The tools of Anthropic's own API, on Azure too.
pub(super) const TOOLS: &[HostedToolMapping] = &[
    WEB_SEARCH,
    HostedToolMapping::tool(
        HostedToolKind::WebFetch,
        r#"{"type":"web_fetch_20250910","name":"web_fetch"}"#,
        &[
            (Setting::MaxUses, "max_uses"),
            (Setting::AllowedDomains, "allowed_domains"),
            (Setting::BlockedDomains, "blocked_domains"),
            (Setting::MaxContentTokens, "max_content_tokens"),
            (Setting::Citations, "citations.enabled"),
        ],
    ),
    HostedToolMapping::tool(
        HostedToolKind::CodeExecution,
        r#"{"type":"code_execution_20250825","name":"code_execution"}"#,
        &[(Setting::Container, "/container")],
    ),
    HostedToolMapping::tool(
        HostedToolKind::ToolSearch,
        r#"{"type":"tool_search_tool_regex_20251119","name":"tool_search_tool_regex"}"#,
        &[],
    ),
    HostedToolMapping {
        kind: HostedToolKind::Mcp,
        place: HostedToolPlace::McpServers,
        definition: r#"{"type":"mcp_toolset"}"#,
        settings: &[],
        include: None,
    },
];

/// The tools on Vertex AI.
pub(super) const VERTEX_TOOLS: &[HostedToolMapping] = &[WEB_SEARCH];

/// The beta features that the request needs.
pub(super) fn betas(request: &ChatRequest) -> Vec<&'static str> {
    let has_mcp = request
        .tools
        .iter()
        .any(|tool| matches!(tool, Tool::Hosted(hosted) if hosted.kind == HostedToolKind::Mcp));
    let wanted = [
        (has_mcp, "mcp-client-2025-11-20"),
        (request.compaction.is_some(), "compact-2026-01-12"),
    ];
    wanted
        .into_iter()
        .filter_map(|(wanted, beta)| wanted.then_some(beta))
        .collect()
}

object! {
    /// A block of a hosted tool.
    struct Block<'a> {
        r#type as "type": Text<'a>,
        id: Text<'a>,
        name: Text<'a>,
        server_name: Text<'a>,
        tool_use_id: Text<'a>,
        input: Raw<'a>,
        is_error: Raw<'a>,
        content: Raw<'a>,
        caller: Object<Caller<'a>>,
    }
}

object! {
    struct Caller<'a> {
        tool_id: Text<'a>,
    }
}

object! {
    struct Input<'a> {
        query: Text<'a>,
        pattern: Text<'a>,
        url: Text<'a>,
        code: Text<'a>,
        command: Text<'a>,
    }
}

object! {
    /// The content of a result, of any tool.
    struct Content<'a> {
        r#type as "type": Text<'a>,
        error_code: Text<'a>,
        error_message: Text<'a>,
        text: Text<'a>,
        stdout: Text<'a>,
        stderr: Text<'a>,
        return_code: Number,
        content: Raw<'a>,
        tool_references: List<Object<Reference<'a>>>,
        url: Text<'a>,
        retrieved_at: Text<'a>,
    }
}

object! {
    struct Reference<'a> {
        tool_name: Text<'a>,
    }
}

object! {
    struct File<'a> {
        file_id: Text<'a>,
    }
}

object! {
    struct Document<'a> {
        title: Text<'a>,
        source: Object<Source<'a>>,
    }
}

object! {
    struct Source<'a> {
        r#type as "type": Text<'a>,
        media_type: Text<'a>,
        data: Text<'a>,
    }
}

object! {
    struct Found<'a> {
        url: Text<'a>,
        title: Text<'a>,
        page_age: Text<'a>,
    }
}

object! {
    struct Piece<'a> {
        text: Text<'a>,
    }
}

/// Adds a complete block: typed if it is of a hosted tool, else as it is.
pub(super) fn emit(part: u32, block: Json, out: &mut ResponseBuilder) -> Result<(), Error> {
    enum Typed {
        Call(HostedToolCall),
        Result(HostedToolResult),
        Compaction(Option<String>),
        Unknown,
    }
    let typed = {
        let wire: Block<'_> = lenient::parse(block.as_str()).unwrap_or_default();
        match wire.r#type.as_deref().unwrap_or_default() {
            "server_tool_use" | "mcp_tool_use" => Typed::Call(call(&wire)),
            "compaction" => Typed::Compaction(text_of(wire.content)),
            kind => match kind.strip_suffix("_tool_result") {
                Some(tool) => Typed::Result(HostedToolResult::new(
                    wire.tool_use_id.to_string_or_empty(),
                    output(tool, &wire),
                )),
                None => Typed::Unknown,
            },
        }
    };
    let raw = ProviderBlock::new(BLOCK_PROVIDER, block);
    match typed {
        Typed::Call(mut call) => {
            call.raw = Some(raw);
            out.hosted_tool_call(0, part, call)
        }
        Typed::Result(mut result) => {
            result.raw = Some(raw);
            out.hosted_tool_result(0, part, result)
        }
        Typed::Compaction(summary) => out.compaction(0, part, Compaction::new(summary, raw)),
        Typed::Unknown => out.provider_block(0, part, raw),
    }
}

fn text_of(raw: Raw<'_>) -> Option<String> {
    let text: Text<'_> = raw.read()?;
    owned(&text)
}

fn call(wire: &Block<'_>) -> HostedToolCall {
    let name = wire.name.as_deref().unwrap_or_default();
    let input: Input<'_> = wire.input.read().unwrap_or_default();
    let all = |texts: [&Text<'_>; 2]| texts.into_iter().filter_map(owned).collect();
    let input = match (wire.r#type.as_deref(), name) {
        (Some("mcp_tool_use"), _) => HostedToolInput::Mcp {
            server: wire.server_name.to_string_or_empty(),
            arguments: wire.input.text().unwrap_or_default().to_owned(),
        },
        (_, "web_search") => HostedToolInput::WebSearch {
            queries: all([&input.query, &Text(None)]),
        },
        (_, "web_fetch") => HostedToolInput::WebFetch {
            urls: all([&input.url, &Text(None)]),
            pattern: None,
        },
        (_, "code_execution" | "bash_code_execution") => HostedToolInput::CodeExecution {
            code: owned(&input.code)
                .or_else(|| owned(&input.command))
                .unwrap_or_default(),
        },
        (_, name) if name.starts_with("tool_search_tool") => HostedToolInput::ToolSearch {
            queries: all([&input.query, &input.pattern]),
        },
        _ => HostedToolInput::Other {
            input: wire.input.json(),
        },
    };
    let mut call = HostedToolCall::new(wire.id.to_string_or_empty(), name, input);
    call.caller = wire
        .caller
        .0
        .as_ref()
        .and_then(|caller| owned(&caller.tool_id));
    call
}

/// The output of a tool, whose name is the type of its block without `_tool_result`.
fn output(tool: &str, wire: &Block<'_>) -> HostedToolOutput {
    if tool == "mcp" {
        let is_error = wire.is_error.text() == Some("true");
        let pieces: List<Object<Piece<'_>>> = wire.content.read().unwrap_or_default();
        let texts = pieces
            .0
            .iter()
            .filter_map(|piece| piece.0.as_ref()?.text.as_deref());
        let text = text_of(wire.content).unwrap_or_else(|| texts.collect());
        return HostedToolOutput::Mcp { text, is_error };
    }
    let content: Content<'_> = wire.content.read().unwrap_or_default();
    if content.error_code.non_empty().is_some() {
        return HostedToolOutput::Error(HostedToolError {
            code: content.error_code.to_string_or_empty(),
            message: owned(&content.error_message),
        });
    }
    match tool {
        "web_search" => {
            let found: List<Object<Found<'_>>> = wire.content.read().unwrap_or_default();
            let page = |found: Object<Found<'_>>| {
                let found = found.0?;
                Some(SearchResult {
                    url: owned(&found.url),
                    title: owned(&found.title),
                    snippet: None,
                    date: owned(&found.page_age),
                })
            };
            HostedToolOutput::WebSearch {
                results: found.0.into_iter().filter_map(page).collect(),
            }
        }
        "web_fetch" => {
            let document: Document<'_> = content.content.read().unwrap_or_default();
            let source = document.source.0.unwrap_or_default();
            let is_text = source.r#type.as_deref() == Some("text");
            HostedToolOutput::WebFetch {
                pages: vec![FetchedPage {
                    url: owned(&content.url),
                    title: owned(&document.title),
                    text: owned(&source.data).filter(|_| is_text),
                    mime_type: owned(&source.media_type),
                    retrieved_at: owned(&content.retrieved_at),
                    error: None,
                }],
            }
        }
        "code_execution" | "bash_code_execution" => {
            let files: List<Object<File<'_>>> = content.content.read().unwrap_or_default();
            let files = files
                .0
                .iter()
                .filter_map(|file| owned(&file.0.as_ref()?.file_id));
            HostedToolOutput::CodeExecution(CodeOutput {
                stdout: content.stdout.to_string_or_empty(),
                stderr: content.stderr.to_string_or_empty(),
                exit_code: exit_code(content.return_code),
                files: files.collect(),
                images: Vec::new(),
            })
        }
        "tool_search" => {
            let names = content.tool_references.0.iter();
            let names = names.filter_map(|found| owned(&found.0.as_ref()?.tool_name));
            HostedToolOutput::ToolSearch {
                names: names.collect(),
            }
        }
        _ => match owned(&content.text) {
            Some(text) => HostedToolOutput::Text { text },
            None => HostedToolOutput::Other {
                output: wire.content.json(),
            },
        },
    }
}

/// A number is a whole one in the range of exit codes, or ignored.
fn exit_code(number: Number) -> Option<i64> {
    let number = number.0.filter(|number| number.fract() == 0.0)?;
    format!("{number:.0}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ContentPart, provider::ResponseLimits};

    fn part(block: &str) -> ContentPart {
        let mut out = ResponseBuilder::new(false, ResponseLimits::default());
        emit(0, Json::parse(block).unwrap(), &mut out).unwrap();
        let mut response = Box::new(out).into_response();
        let part = response.choices[0].message.content.remove(0);
        assert_eq!(part.raw().unwrap().block.as_str(), block);
        part
    }

    fn input(block: &str) -> HostedToolInput {
        match part(block) {
            ContentPart::HostedToolCall(call) => call.input,
            other => panic!("{other:?}"),
        }
    }

    fn result(block: &str) -> HostedToolOutput {
        match part(block) {
            ContentPart::HostedToolResult(result) => result.output,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_tool_has_its_input() {
        let call = |name: &str, input: &str| {
            format!(
                r#"{{"type":"server_tool_use","id":"srvtoolu_1","name":"{name}","input":{input}}}"#
            )
        };
        let code = |code: &str| HostedToolInput::CodeExecution { code: code.into() };
        let rows = [
            (
                "web_search",
                r#"{"query":"rust"}"#,
                HostedToolInput::WebSearch {
                    queries: vec!["rust".into()],
                },
            ),
            (
                "web_fetch",
                r#"{"url":"https://a.example"}"#,
                HostedToolInput::WebFetch {
                    urls: vec!["https://a.example".into()],
                    pattern: None,
                },
            ),
            ("code_execution", r#"{"code":"print(1)"}"#, code("print(1)")),
            ("bash_code_execution", r#"{"command":"ls"}"#, code("ls")),
            (
                "tool_search_tool_regex",
                r#"{"pattern":"wea.*"}"#,
                HostedToolInput::ToolSearch {
                    queries: vec!["wea.*".into()],
                },
            ),
            (
                "text_editor_code_execution",
                r#"{"path":"a"}"#,
                HostedToolInput::Other {
                    input: Json::parse(r#"{"path":"a"}"#).ok(),
                },
            ),
        ];
        for (name, json, expected) in rows {
            assert_eq!(input(&call(name, json)), expected, "{name}");
        }
        let mcp = r#"{"type":"mcp_tool_use","id":"mcptoolu_1","name":"echo","server_name":"s","input":{"a":1}}"#;
        assert_eq!(
            input(mcp),
            HostedToolInput::Mcp {
                server: "s".into(),
                arguments: r#"{"a":1}"#.into()
            }
        );
        let nested = r#"{"type":"server_tool_use","id":"2","name":"web_search","input":{},"caller":{"type":"code_execution_20260120","tool_id":"srvtoolu_1"}}"#;
        match part(nested) {
            ContentPart::HostedToolCall(call) => {
                assert_eq!(call.caller.as_deref(), Some("srvtoolu_1"));
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_result_is_typed_and_a_failure_has_its_code() {
        let rows = [
            (
                r#"{"type":"web_search_tool_result","tool_use_id":"1","content":{"type":"web_search_tool_result_error","error_code":"max_uses_exceeded"}}"#,
                HostedToolOutput::Error(HostedToolError {
                    code: "max_uses_exceeded".into(),
                    message: None,
                }),
            ),
            (
                r#"{"type":"web_search_tool_result","tool_use_id":"1","content":[{"type":"web_search_result","url":"u","title":"t","page_age":null,"encrypted_content":"x"}]}"#,
                HostedToolOutput::WebSearch {
                    results: vec![SearchResult {
                        url: Some("u".into()),
                        title: Some("t".into()),
                        ..SearchResult::default()
                    }],
                },
            ),
            (
                r#"{"type":"bash_code_execution_tool_result","tool_use_id":"1","content":{"type":"bash_code_execution_result","stdout":"a","stderr":"b","return_code":3,"content":[{"type":"bash_code_execution_output","file_id":"f"}]}}"#,
                HostedToolOutput::CodeExecution(CodeOutput {
                    stdout: "a".into(),
                    stderr: "b".into(),
                    exit_code: Some(3),
                    files: vec!["f".into()],
                    images: Vec::new(),
                }),
            ),
            (
                r#"{"type":"mcp_tool_result","tool_use_id":"1","is_error":true,"content":[{"type":"text","text":"no"}]}"#,
                HostedToolOutput::Mcp {
                    text: "no".into(),
                    is_error: true,
                },
            ),
            (
                r#"{"type":"tool_search_tool_result","tool_use_id":"1","content":{"type":"tool_search_tool_search_result","tool_references":[{"type":"tool_reference","tool_name":"f"}]}}"#,
                HostedToolOutput::ToolSearch {
                    names: vec!["f".into()],
                },
            ),
            (
                r#"{"type":"advisor_tool_result","tool_use_id":"1","content":{"type":"advisor_result","text":"4"}}"#,
                HostedToolOutput::Text { text: "4".into() },
            ),
        ];
        for (block, expected) in rows {
            assert_eq!(result(block), expected, "{block}");
        }
    }

    #[test]
    fn a_compaction_has_its_summary_and_other_blocks_stay_as_they_are() {
        let summary = |block| match part(block) {
            ContentPart::Compaction(compaction) => compaction.summary,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            summary(r#"{"type":"compaction","content":"so far"}"#).as_deref(),
            Some("so far")
        );
        assert_eq!(summary(r#"{"type":"compaction","content":null}"#), None);
        let redacted = part(r#"{"type":"redacted_thinking","data":"x"}"#);
        assert!(matches!(redacted, ContentPart::ProviderBlock(_)));
    }
}
