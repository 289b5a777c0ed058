//! Hosted tools: how a request has them, and the typed form of their items in a response.

use crate::{
    Error, Json, Media,
    chat::{
        CodeOutput, Compaction, FilePassage, HostedToolCall, HostedToolError, HostedToolInput,
        HostedToolKind, HostedToolOutput, HostedToolResult, HostedToolSetting as Setting,
        HostedToolUsage, ProviderBlock, SearchResult,
    },
    provider::{
        ResponseBuilder,
        kit::{
            hosted::{HostedToolMapping, HostedToolPlace, owned},
            lenient::{self, Count, List, Number, Object, Raw, Text, object},
        },
    },
};
use base64::{Engine, engine::general_purpose::STANDARD};

const WEB_SEARCH: HostedToolMapping = HostedToolMapping {
    kind: HostedToolKind::WebSearch,
    place: HostedToolPlace::Tools,
    definition: r#"{"type":"web_search"}"#,
    settings: &[
        (Setting::AllowedDomains, "filters.allowed_domains"),
        (Setting::UserLocation, "user_location"),
        (Setting::SearchContextSize, "search_context_size"),
    ],
    include: Some("web_search_call.action.sources"),
};

const FILE_SEARCH: HostedToolMapping = HostedToolMapping {
    kind: HostedToolKind::FileSearch,
    place: HostedToolPlace::Tools,
    definition: r#"{"type":"file_search"}"#,
    settings: &[
        (Setting::Stores, "vector_store_ids"),
        (Setting::MaxResults, "max_num_results"),
    ],
    include: Some("file_search_call.results"),
};

const CODE_INTERPRETER: HostedToolMapping = HostedToolMapping {
    kind: HostedToolKind::CodeExecution,
    place: HostedToolPlace::Tools,
    definition: r#"{"type":"code_interpreter","container":{"type":"auto"}}"#,
    settings: &[
        (Setting::Container, "container"),
        (Setting::Files, "container.file_ids"),
    ],
    include: Some("code_interpreter_call.outputs"),
};

const IMAGE_GENERATION: HostedToolMapping = HostedToolMapping::tool(
    HostedToolKind::ImageGeneration,
    r#"{"type":"image_generation"}"#,
    &[
        (Setting::Size, "size"),
        (Setting::Quality, "quality"),
        (Setting::OutputFormat, "output_format"),
        (Setting::Background, "background"),
    ],
);

const MCP: HostedToolMapping = HostedToolMapping::tool(
    HostedToolKind::Mcp,
    r#"{"type":"mcp"}"#,
    &[
        (Setting::Server, "server_label"),
        (Setting::Url, "server_url"),
        (Setting::Description, "server_description"),
        (Setting::AllowedTools, "allowed_tools"),
        (Setting::RequireApproval, "require_approval"),
        (Setting::Authorization, "authorization"),
    ],
);

const TOOL_SEARCH: HostedToolMapping =
    HostedToolMapping::tool(HostedToolKind::ToolSearch, r#"{"type":"tool_search"}"#, &[]);

/// OpenAI's tools.
pub(super) const OPENAI_TOOLS: &[HostedToolMapping] = &[
    WEB_SEARCH,
    FILE_SEARCH,
    CODE_INTERPRETER,
    IMAGE_GENERATION,
    MCP,
    TOOL_SEARCH,
];

/// xAI's tools. Its searches return their sources unasked, and it never asks for approvals.
pub(super) const XAI_TOOLS: &[HostedToolMapping] = &[
    HostedToolMapping::tool(
        HostedToolKind::WebSearch,
        r#"{"type":"web_search"}"#,
        &[
            (Setting::AllowedDomains, "allowed_domains"),
            (Setting::BlockedDomains, "excluded_domains"),
        ],
    ),
    HostedToolMapping::tool(
        HostedToolKind::FileSearch,
        r#"{"type":"file_search"}"#,
        &[
            (Setting::Stores, "vector_store_ids"),
            (Setting::MaxResults, "max_num_results"),
        ],
    ),
    HostedToolMapping::tool(
        HostedToolKind::CodeExecution,
        r#"{"type":"code_interpreter"}"#,
        &[],
    ),
    HostedToolMapping::tool(
        HostedToolKind::ImageGeneration,
        r#"{"type":"image_generation"}"#,
        &[],
    ),
    HostedToolMapping::tool(
        HostedToolKind::Mcp,
        r#"{"type":"mcp"}"#,
        &[
            (Setting::Server, "server_label"),
            (Setting::Url, "server_url"),
            (Setting::Description, "server_description"),
            (Setting::AllowedTools, "allowed_tools"),
            (Setting::Authorization, "authorization"),
        ],
    ),
];

object! {
    /// An item of a hosted tool.
    struct Item<'a> {
        r#type as "type": Text<'a>,
        id: Text<'a>,
        call_id: Text<'a>,
        name: Text<'a>,
        status: Text<'a>,
        execution: Text<'a>,
        server_label: Text<'a>,
        arguments: Raw<'a>,
        action: Object<Action<'a>>,
        environment: Object<Environment<'a>>,
        queries: List<Text<'a>>,
        results: Raw<'a>,
        code: Text<'a>,
        outputs: Raw<'a>,
        /// Of an MCP call a text, of a shell a list.
        output: Raw<'a>,
        error: Raw<'a>,
        tools: List<Object<Named<'a>>>,
        result: Text<'a>,
        revised_prompt: Text<'a>,
        prompt: Text<'a>,
        output_format: Text<'a>,
    }
}

object! {
    struct Action<'a> {
        r#type as "type": Text<'a>,
        query: Text<'a>,
        queries: List<Text<'a>>,
        url: Text<'a>,
        pattern: Text<'a>,
        commands: List<Text<'a>>,
        sources: Raw<'a>,
    }
}

object! {
    struct Environment<'a> {
        r#type as "type": Text<'a>,
    }
}

object! {
    struct Arguments<'a> {
        query: Text<'a>,
        queries: List<Text<'a>>,
        paths: List<Text<'a>>,
        url: Text<'a>,
        code: Text<'a>,
    }
}

object! {
    struct Named<'a> {
        name: Text<'a>,
    }
}

object! {
    struct Found<'a> {
        url: Text<'a>,
        title: Text<'a>,
        name: Text<'a>,
    }
}

object! {
    struct Passage<'a> {
        file_id: Text<'a>,
        filename: Text<'a>,
        text: Text<'a>,
        score: Number,
    }
}

object! {
    /// An output of code or of a command.
    struct Printed<'a> {
        logs: Text<'a>,
        url: Text<'a>,
        stdout: Text<'a>,
        stderr: Text<'a>,
        outcome: Object<Outcome>,
    }
}

object! {
    struct Outcome {
        exit_code: Count,
    }
}

object! {
    struct Failure<'a> {
        code: Text<'a>,
        r#type as "type": Text<'a>,
        message: Text<'a>,
    }
}

/// The typed form of an item.
enum Typed {
    /// A call, and its result if the item has it.
    Call(HostedToolCall, Option<HostedToolOutput>),
    Result(HostedToolResult),
    Compaction,
    Unknown,
}

/// Adds a finished item: typed if it is of a hosted tool, else as it is. Counts what the API bills.
pub(super) fn emit(
    provider: &str,
    part: u32,
    item: Json,
    usage: &mut HostedToolUsage,
    out: &mut ResponseBuilder,
) -> Result<(), Error> {
    let typed = typed(&lenient::parse(item.as_str()).unwrap_or_default(), usage);
    let raw = ProviderBlock::new(provider, item);
    match typed {
        Typed::Call(mut call, output) => {
            let id = call.id.clone();
            call.raw = Some(raw);
            out.hosted_tool_call(0, part, call)?;
            match output {
                Some(output) => out.hosted_tool_result(0, part, HostedToolResult::new(id, output)),
                None => Ok(()),
            }
        }
        Typed::Result(mut result) => {
            result.raw = Some(raw);
            out.hosted_tool_result(0, part, result)
        }
        Typed::Compaction => out.compaction(0, part, Compaction::new(None, raw)),
        Typed::Unknown => out.provider_block(0, part, raw),
    }
}

fn typed(item: &Item<'_>, usage: &mut HostedToolUsage) -> Typed {
    let kind = item.r#type.as_deref().unwrap_or_default();
    let id = || {
        let own = owned(&item.call_id).filter(|_| kind != "web_search_call");
        own.or_else(|| owned(&item.id)).unwrap_or_default()
    };
    let call = |name: &str, input| HostedToolCall::new(id(), name, input);
    match kind {
        "web_search_call" => web_search(item, usage),
        "file_search_call" => {
            count(&mut usage.file_searches);
            let queries = texts(&item.queries);
            let input = HostedToolInput::FileSearch { queries };
            let passages = item.results.read::<List<Object<Passage<'_>>>>();
            let output = passages
                .filter(|_| item.results.text().is_some())
                .map(|found| {
                    let passages = found.0.into_iter().filter_map(passage).collect();
                    HostedToolOutput::FileSearch { passages }
                });
            Typed::Call(call("file_search", input), output.or_else(|| failure(item)))
        }
        "code_interpreter_call" | "code_execution_call" => {
            count(&mut usage.code_executions);
            let arguments: Arguments<'_> = arguments(item.arguments);
            let code = owned(&item.code).or_else(|| owned(&arguments.code));
            let input = HostedToolInput::CodeExecution {
                code: code.unwrap_or_default(),
            };
            Typed::Call(
                call("code_interpreter", input),
                code_output(item.outputs).or_else(|| failure(item)),
            )
        }
        "image_generation_call" => {
            count(&mut usage.image_generations);
            let prompt = owned(&item.revised_prompt).or_else(|| owned(&item.prompt));
            let input = HostedToolInput::ImageGeneration { prompt };
            let output = item.result.non_empty().and_then(|data| image(item, data));
            Typed::Call(
                call("image_generation", input),
                output.or_else(|| failure(item)),
            )
        }
        "mcp_list_tools" => {
            let server = item.server_label.to_string_or_empty();
            let names = item.tools.0.iter();
            let names = names.filter_map(|tool| owned(&tool.0.as_ref()?.name));
            let names = names.collect();
            let output = error(item.error).unwrap_or(HostedToolOutput::McpTools { names });
            Typed::Call(
                call("mcp_list_tools", HostedToolInput::McpListTools { server }),
                Some(output),
            )
        }
        "mcp_call" | "mcp_approval_request" => {
            let server = item.server_label.to_string_or_empty();
            let arguments = item.arguments.arguments().unwrap_or_default().into_owned();
            let name = item.name.as_deref().unwrap_or_default();
            if kind == "mcp_approval_request" {
                let input = HostedToolInput::McpApproval { server, arguments };
                return Typed::Call(call(name, input), None);
            }
            count(&mut usage.mcp_calls);
            let text = item.output.read::<Text<'_>>().and_then(|text| text.0);
            let output = error(item.error).or_else(|| {
                Some(HostedToolOutput::Mcp {
                    text: text?.into_owned(),
                    is_error: false,
                })
            });
            let input = HostedToolInput::Mcp { server, arguments };
            Typed::Call(call(name, input), output.or_else(|| failure(item)))
        }
        // A search of the program's own has to be answered by the program.
        "tool_search_call" if item.execution.as_deref() == Some("server") => {
            let arguments: Arguments<'_> = arguments(item.arguments);
            let mut queries = texts(&arguments.queries);
            queries.extend(owned(&arguments.query));
            queries.extend(texts(&arguments.paths));
            Typed::Call(
                call("tool_search", HostedToolInput::ToolSearch { queries }),
                None,
            )
        }
        "tool_search_output" if item.execution.as_deref() == Some("server") => {
            let names = item.tools.0.iter();
            let names = names.filter_map(|tool| owned(&tool.0.as_ref()?.name));
            let names = names.collect();
            let call_id = owned(&item.call_id).unwrap_or_default();
            Typed::Result(HostedToolResult::new(
                call_id,
                HostedToolOutput::ToolSearch { names },
            ))
        }
        // A shell without a container of the provider is the program's.
        "shell_call" if is_in_container(item) => {
            let commands = item.action.0.as_ref().map(|action| texts(&action.commands));
            let code = commands.unwrap_or_default().join("\n");
            Typed::Call(call("shell", HostedToolInput::CodeExecution { code }), None)
        }
        "shell_call_output" => match code_output(item.output) {
            Some(output) => Typed::Result(HostedToolResult::new(id(), output)),
            None => Typed::Unknown,
        },
        "program" => {
            let code = item.code.to_string_or_empty();
            Typed::Call(
                call("program", HostedToolInput::CodeExecution { code }),
                None,
            )
        }
        "program_output" => {
            let stdout = owned(&item.result).unwrap_or_default();
            let output = CodeOutput {
                stdout,
                ..CodeOutput::default()
            };
            Typed::Result(HostedToolResult::new(
                id(),
                HostedToolOutput::CodeExecution(output),
            ))
        }
        "x_search_call" | "view_image_call" | "view_x_video_call" => {
            let name = item.name.non_empty().or(kind.strip_suffix("_call"));
            let input = HostedToolInput::Other {
                input: item
                    .arguments
                    .arguments()
                    .ok()
                    .and_then(|text| Json::parse(text.into_owned()).ok()),
            };
            Typed::Call(call(name.unwrap_or_default(), input), failure(item))
        }
        "compaction" => Typed::Compaction,
        _ => Typed::Unknown,
    }
}

/// A search, or the opening of a page that it found.
fn web_search(item: &Item<'_>, usage: &mut HostedToolUsage) -> Typed {
    let nothing = Action::default();
    let action = item.action.0.as_ref().unwrap_or(&nothing);
    let arguments: Arguments<'_> = arguments(item.arguments);
    let id = owned(&item.id).unwrap_or_default();
    let kind = action.r#type.as_deref().unwrap_or_default();
    if matches!(kind, "open_page" | "find_in_page" | "find") {
        let input = HostedToolInput::WebFetch {
            urls: owned(&action.url).into_iter().collect(),
            pattern: owned(&action.pattern),
        };
        return Typed::Call(HostedToolCall::new(id, "web_search", input), failure(item));
    }
    count(&mut usage.web_searches);
    let mut queries = texts(&action.queries);
    for query in [&action.query, &arguments.query] {
        queries.extend(owned(query).filter(|query| !queries.contains(query)));
    }
    let sources: Option<List<Object<Found<'_>>>> = action.sources.read();
    let page = |found: Object<Found<'_>>| {
        let found = found.0?;
        Some(SearchResult {
            url: owned(&found.url),
            title: owned(&found.title).or_else(|| owned(&found.name)),
            ..SearchResult::default()
        })
    };
    let output = sources
        .filter(|_| action.sources.text().is_some())
        .map(|found| HostedToolOutput::WebSearch {
            results: found.0.into_iter().filter_map(page).collect(),
        });
    let name = item.name.non_empty().unwrap_or("web_search");
    let input = HostedToolInput::WebSearch { queries };
    Typed::Call(
        HostedToolCall::new(id, name, input),
        output.or_else(|| failure(item)),
    )
}

fn texts(list: &List<Text<'_>>) -> Vec<String> {
    list.0.iter().filter_map(owned).collect()
}

/// The arguments of a call, an object or its text. What does not parse is ignored: `raw` has it.
fn arguments<'a>(raw: Raw<'a>) -> Arguments<'a> {
    match raw.text() {
        Some(text) if text.starts_with('"') => {
            let text = raw.arguments().unwrap_or_default();
            let read: Arguments<'_> = lenient::parse(&text).unwrap_or_default();
            let keep = |text: &Text<'_>| Text(owned(text).map(Into::into));
            let all = |list: &List<Text<'_>>| List(list.0.iter().map(keep).collect());
            Arguments {
                query: keep(&read.query),
                queries: all(&read.queries),
                paths: all(&read.paths),
                url: keep(&read.url),
                code: keep(&read.code),
            }
        }
        _ => raw.read().unwrap_or_default(),
    }
}

fn passage(found: Object<Passage<'_>>) -> Option<FilePassage> {
    let found = found.0?;
    Some(FilePassage {
        file_id: owned(&found.file_id),
        name: owned(&found.filename),
        text: owned(&found.text),
        score: found.score.0,
    })
}

/// The outputs of code or commands; `None` if the item has none, as without `include`.
fn code_output(outputs: Raw<'_>) -> Option<HostedToolOutput> {
    outputs.text()?;
    let printed: List<Object<Printed<'_>>> = outputs.read()?;
    let mut output = CodeOutput::default();
    for printed in printed.0.into_iter().filter_map(|printed| printed.0) {
        for text in [&printed.logs, &printed.stdout] {
            output.stdout.push_str(text.as_deref().unwrap_or_default());
        }
        output
            .stderr
            .push_str(printed.stderr.as_deref().unwrap_or_default());
        output.images.extend(owned(&printed.url));
        let exit = printed.outcome.0.and_then(|outcome| outcome.exit_code.0);
        output.exit_code = exit
            .and_then(|code| code.try_into().ok())
            .or(output.exit_code);
    }
    Some(HostedToolOutput::CodeExecution(output))
}

fn image(item: &Item<'_>, base64: &str) -> Option<HostedToolOutput> {
    let data = STANDARD.decode(base64).ok()?;
    let format = item.output_format.non_empty().unwrap_or("png");
    Some(HostedToolOutput::Images {
        images: vec![Media::inline(["image/", format].concat(), data)],
    })
}

fn is_in_container(item: &Item<'_>) -> bool {
    let environment = item.environment.0.as_ref();
    environment
        .is_some_and(|environment| environment.r#type.as_deref() == Some("container_reference"))
}

/// The failure of an item that has only a status.
fn failure(item: &Item<'_>) -> Option<HostedToolOutput> {
    error(item.error).or_else(|| {
        (item.status.as_deref() == Some("failed")).then(|| {
            HostedToolOutput::Error(HostedToolError {
                code: "failed".into(),
                message: None,
            })
        })
    })
}

/// An error is an object or a text.
fn error(raw: Raw<'_>) -> Option<HostedToolOutput> {
    let text = raw.text()?;
    if text.starts_with('"') {
        let message: Text<'_> = raw.read()?;
        return Some(HostedToolOutput::Error(HostedToolError {
            code: String::new(),
            message: owned(&message),
        }));
    }
    let read: Failure<'_> = raw.read().unwrap_or_default();
    let code = owned(&read.code).or_else(|| owned(&read.r#type));
    Some(HostedToolOutput::Error(HostedToolError {
        code: code.unwrap_or_default(),
        message: owned(&read.message).or_else(|| Some(crate::error::excerpt(text.as_bytes()))),
    }))
}

fn count(counter: &mut Option<u64>) {
    *counter = Some(counter.unwrap_or(0).saturating_add(1));
}
