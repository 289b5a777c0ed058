//! Hosted tools: how a request has them, and the typed form of their parts and metadata in a response.

use super::BLOCK_PROVIDER;
use crate::{
    Error, Json,
    chat::{
        CodeOutput, FetchedPage, FilePassage, HostedToolCall, HostedToolError, HostedToolInput,
        HostedToolKind, HostedToolOutput, HostedToolResult, HostedToolSetting as Setting,
        ProviderBlock, SearchResult,
    },
    provider::{
        ResponseBuilder,
        kit::{
            hosted::{HostedToolMapping, owned},
            lenient::{self, List, Object, Raw, Text, object},
        },
    },
};

/// The tools of `generateContent`, at Google's own API and on Vertex AI.
pub(super) const TOOLS: &[HostedToolMapping] = &[
    HostedToolMapping::tool(HostedToolKind::WebSearch, r#"{"googleSearch":{}}"#, &[]),
    HostedToolMapping::tool(HostedToolKind::WebFetch, r#"{"urlContext":{}}"#, &[]),
    HostedToolMapping::tool(
        HostedToolKind::CodeExecution,
        r#"{"codeExecution":{}}"#,
        &[],
    ),
    HostedToolMapping::tool(
        HostedToolKind::FileSearch,
        r#"{"fileSearch":{}}"#,
        &[
            (Setting::Stores, "fileSearch.fileSearchStoreNames"),
            (Setting::MaxResults, "fileSearch.topK"),
        ],
    ),
];

object! {
    /// A part of a hosted tool.
    struct Part<'a> {
        executable_code as "executableCode": Object<Code<'a>>,
        code_execution_result as "codeExecutionResult": Object<CodeResult<'a>>,
        tool_call as "toolCall": Object<ToolCall<'a>>,
        tool_response as "toolResponse": Object<ToolResponse<'a>>,
    }
}

object! {
    struct Code<'a> {
        id: Text<'a>,
        code: Text<'a>,
    }
}

object! {
    struct CodeResult<'a> {
        id: Text<'a>,
        outcome: Text<'a>,
        output: Text<'a>,
    }
}

object! {
    struct ToolCall<'a> {
        id: Text<'a>,
        tool_type as "toolType": Text<'a>,
        args: Raw<'a>,
    }
}

object! {
    struct ToolResponse<'a> {
        id: Text<'a>,
        response: Raw<'a>,
    }
}

object! {
    struct Arguments<'a> {
        query: Text<'a>,
        queries: List<Text<'a>>,
        urls: List<Text<'a>>,
    }
}

/// Adds a part that only this API has: typed if it is of a hosted tool, else as it is. Returns whether it is a call or a
/// result.
pub(super) fn emit(
    choice: u32,
    number: u32,
    part: Json,
    out: &mut ResponseBuilder,
) -> Result<bool, Error> {
    let wire: Part<'_> = lenient::parse(part.as_str()).unwrap_or_default();
    let call = call(&wire);
    let result = result(&wire);
    let raw = ProviderBlock::new(BLOCK_PROVIDER, part);
    match (call, result) {
        (Some(mut call), _) => {
            call.raw = Some(raw);
            out.hosted_tool_call(choice, number, call)?;
        }
        (None, Some(mut result)) => {
            result.raw = Some(raw);
            out.hosted_tool_result(choice, number, result)?;
        }
        (None, None) => {
            out.provider_block(choice, number, raw)?;
            return Ok(false);
        }
    }
    Ok(true)
}

fn call(part: &Part<'_>) -> Option<HostedToolCall> {
    if let Some(code) = &part.executable_code.0 {
        let text = code.code.to_string_or_empty();
        // Gemini 2.5 shows its search of files as code, which has no result.
        let input = match text.contains("file_search.query(") {
            true => HostedToolInput::FileSearch {
                queries: vec![text],
            },
            false => HostedToolInput::CodeExecution { code: text },
        };
        let id = code.id.to_string_or_empty();
        return Some(HostedToolCall::new(id, "code_execution", input));
    }
    let call = part.tool_call.0.as_ref()?;
    let name = call.tool_type.as_deref().unwrap_or_default();
    let arguments: Arguments<'_> = call.args.read().unwrap_or_default();
    let mut queries: Vec<String> = arguments.queries.0.iter().filter_map(owned).collect();
    queries.extend(owned(&arguments.query));
    let input = match name {
        name if name.starts_with("GOOGLE_SEARCH") => HostedToolInput::WebSearch { queries },
        "FILE_SEARCH" => HostedToolInput::FileSearch { queries },
        "URL_CONTEXT" => HostedToolInput::WebFetch {
            urls: arguments.urls.0.iter().filter_map(owned).collect(),
            pattern: None,
        },
        _ => HostedToolInput::Other {
            input: call.args.json(),
        },
    };
    Some(HostedToolCall::new(
        call.id.to_string_or_empty(),
        name,
        input,
    ))
}

fn result(part: &Part<'_>) -> Option<HostedToolResult> {
    if let Some(result) = &part.code_execution_result.0 {
        let outcome = result.outcome.as_deref().unwrap_or_default();
        let output = match outcome {
            "" | "OUTCOME_OK" => HostedToolOutput::CodeExecution(CodeOutput {
                stdout: result.output.to_string_or_empty(),
                ..CodeOutput::default()
            }),
            failed => HostedToolOutput::Error(HostedToolError {
                code: failed.to_owned(),
                message: owned(&result.output),
            }),
        };
        let id = result.id.to_string_or_empty();
        return Some(HostedToolResult::new(id, output));
    }
    let response = part.tool_response.0.as_ref()?;
    Some(HostedToolResult::new(
        response.id.to_string_or_empty(),
        HostedToolOutput::Other {
            output: response.response.json(),
        },
    ))
}

object! {
    struct Grounding<'a> {
        web_search_queries as "webSearchQueries": List<Text<'a>>,
        retrieval_queries as "retrievalQueries": List<Text<'a>>,
        grounding_chunks as "groundingChunks": List<Object<Chunk<'a>>>,
    }
}

object! {
    struct Chunk<'a> {
        web: Object<Source<'a>>,
        retrieved_context as "retrievedContext": Object<Source<'a>>,
    }
}

object! {
    struct Source<'a> {
        uri: Text<'a>,
        title: Text<'a>,
        text: Text<'a>,
    }
}

object! {
    struct UrlContext<'a> {
        url_metadata as "urlMetadata": List<Object<UrlMetadata<'a>>>,
    }
}

object! {
    struct UrlMetadata<'a> {
        retrieved_url as "retrievedUrl": Text<'a>,
        status as "urlRetrievalStatus": Text<'a>,
    }
}

/// The searches and fetches that the API shows only beside the content: each call with its result.
pub(super) fn of_metadata(
    grounding: Option<&Json>,
    url_context: Option<&Json>,
) -> Vec<(HostedToolCall, HostedToolResult)> {
    let mut found = Vec::new();
    let mut add = |name: &str, input, output| {
        found.push((
            HostedToolCall::new("", name, input),
            HostedToolResult::new("", output),
        ));
    };
    if let Some(json) = url_context {
        let context: UrlContext<'_> = lenient::parse(json.as_str()).unwrap_or_default();
        let pages: Vec<FetchedPage> = context.url_metadata.0.iter().filter_map(page).collect();
        if !pages.is_empty() {
            let urls = pages.iter().filter_map(|page| page.url.clone()).collect();
            let pattern = None;
            add(
                "urlContext",
                HostedToolInput::WebFetch { urls, pattern },
                HostedToolOutput::WebFetch { pages },
            );
        }
    }
    let Some(json) = grounding else {
        return found;
    };
    let grounding: Grounding<'_> = lenient::parse(json.as_str()).unwrap_or_default();
    let (mut results, mut passages) = (Vec::new(), Vec::new());
    for chunk in grounding
        .grounding_chunks
        .0
        .iter()
        .filter_map(|chunk| chunk.0.as_ref())
    {
        if let Some(web) = &chunk.web.0 {
            results.push(SearchResult {
                url: owned(&web.uri),
                title: owned(&web.title),
                ..SearchResult::default()
            });
        }
        if let Some(context) = &chunk.retrieved_context.0 {
            passages.push(FilePassage {
                file_id: owned(&context.uri),
                name: owned(&context.title),
                text: owned(&context.text),
                score: None,
            });
        }
    }
    let queries: Vec<String> = grounding
        .web_search_queries
        .0
        .iter()
        .filter_map(owned)
        .collect();
    if !queries.is_empty() || !results.is_empty() {
        add(
            "googleSearch",
            HostedToolInput::WebSearch { queries },
            HostedToolOutput::WebSearch { results },
        );
    }
    let queries: Vec<String> = grounding
        .retrieval_queries
        .0
        .iter()
        .filter_map(owned)
        .collect();
    if !queries.is_empty() || !passages.is_empty() {
        add(
            "fileSearch",
            HostedToolInput::FileSearch { queries },
            HostedToolOutput::FileSearch { passages },
        );
    }
    found
}

fn page(metadata: &Object<UrlMetadata<'_>>) -> Option<FetchedPage> {
    let metadata = metadata.0.as_ref()?;
    let status = owned(&metadata.status);
    Some(FetchedPage {
        url: owned(&metadata.retrieved_url),
        error: status.filter(|status| status != "URL_RETRIEVAL_STATUS_SUCCESS"),
        ..FetchedPage::default()
    })
}

/// The number of queries of web searches, which the API bills (Gemini 3).
pub(super) fn web_queries(calls: &[(HostedToolCall, HostedToolResult)]) -> Option<u64> {
    let queries = calls.iter().filter_map(|(call, _)| match &call.input {
        HostedToolInput::WebSearch { queries } => u64::try_from(queries.len()).ok(),
        _ => None,
    });
    let sum = queries.fold(0, u64::saturating_add);
    (sum > 0).then_some(sum)
}
