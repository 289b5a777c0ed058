//! The typed form of hosted tools in a response: Groq's `executed_tools`, Perplexity's `search_results`.

use crate::{
    Error, Json,
    chat::{
        Citation, CodeOutput, FetchedPage, HostedToolCall, HostedToolInput, HostedToolOutput,
        HostedToolResult, HostedToolUsage, ProviderBlock, SearchResult,
    },
    event::MESSAGE_KEY,
    provider::{
        ResponseBuilder,
        kit::{
            hosted::owned,
            lenient::{self, Count, List, Object, Raw, Text, object},
        },
    },
};

object! {
    struct Kept<'a> {
        message: Object<Message<'a>>,
    }
}

object! {
    struct Message<'a> {
        executed_tools: List<Raw<'a>>,
    }
}

object! {
    /// A tool that Groq ran.
    struct Executed<'a> {
        index: Count,
        r#type as "type": Text<'a>,
        /// JSON as a text.
        arguments: Text<'a>,
        output: Text<'a>,
        search_results: Object<SearchResults<'a>>,
    }
}

object! {
    struct SearchResults<'a> {
        results: List<Object<Found<'a>>>,
    }
}

object! {
    struct Found<'a> {
        url: Text<'a>,
        title: Text<'a>,
        content: Text<'a>,
        snippet: Text<'a>,
        date: Text<'a>,
    }
}

object! {
    struct Arguments<'a> {
        query: Text<'a>,
        url: Text<'a>,
        code: Text<'a>,
    }
}

/// Adds the tools that a kept field of the message shows. The block itself is with the first of them. Returns the block if
/// it has none.
pub(super) fn executed(
    choice: u32,
    number: u32,
    block: Json,
    provider: &str,
    out: &mut ResponseBuilder,
) -> Result<(), Error> {
    let tools = {
        let kept: Kept<'_> = lenient::parse(block.as_str()).unwrap_or_default();
        let message = kept.message.0.unwrap_or_default();
        // A stream sends each tool twice: without and with its result.
        let mut tools: Vec<(Option<u64>, Raw<'_>)> = Vec::new();
        for raw in message.executed_tools.0 {
            let tool: Executed<'_> = raw.read().unwrap_or_default();
            let index = tool.index.0;
            let known = tools.iter_mut().rev().take(MAX_COMPARED);
            match known
                .into_iter()
                .find(|(other, _)| index.is_some() && *other == index)
            {
                Some((_, known)) => *known = raw,
                None => tools.push((index, raw)),
            }
        }
        let typed = |raw: Raw<'_>| typed(&raw.read().unwrap_or_default());
        let typed: Vec<_> = tools.into_iter().map(|(_, raw)| typed(raw)).collect();
        typed
    };
    let mut raw = Some(ProviderBlock::new(provider, block));
    let mut usage = HostedToolUsage::default();
    for (mut call, result) in tools {
        call.raw = raw.take();
        let counter = match &call.input {
            HostedToolInput::WebSearch { .. } => &mut usage.web_searches,
            HostedToolInput::WebFetch { .. } => &mut usage.web_fetches,
            HostedToolInput::CodeExecution { .. } => &mut usage.code_executions,
            _ => &mut None,
        };
        *counter = Some(counter.unwrap_or(0).saturating_add(1));
        out.hosted_tool_call(choice, number, call)?;
        if let Some(result) = result {
            out.hosted_tool_result(choice, number, result)?;
        }
    }
    count(usage, out);
    match raw {
        Some(raw) => out.provider_block(choice, number, raw),
        None => Ok(()),
    }
}

/// The tools whose index is compared with that of a further one.
const MAX_COMPARED: usize = 64;

/// Adds counts to the usage, if the server reported none itself.
fn count(counts: HostedToolUsage, out: &mut ResponseBuilder) {
    let Some(usage) = out
        .current_usage()
        .filter(|usage| usage.hosted_tools.is_none())
    else {
        return;
    };
    let mut usage = usage.clone();
    usage.hosted_tools = counts.into_option();
    out.usage(usage);
}

fn typed(tool: &Executed<'_>) -> (HostedToolCall, Option<HostedToolResult>) {
    let kind = tool.r#type.as_deref().unwrap_or_default();
    let text = tool.arguments.as_deref().unwrap_or_default();
    let arguments: Arguments<'_> = lenient::parse(text).unwrap_or_default();
    let output = owned(&tool.output);
    let (input, output) = match kind {
        "search" | "web_search" | "browser.search" | "browser_search" => {
            let found = tool.search_results.0.as_ref();
            let results = found.map(|found| found.results.0.iter().filter_map(page).collect());
            let queries = owned(&arguments.query).into_iter().collect();
            (
                HostedToolInput::WebSearch { queries },
                results.map(|results| HostedToolOutput::WebSearch { results }),
            )
        }
        "visit" | "visit_website" | "browser.open" => {
            let url = owned(&arguments.url);
            let pages = |text| {
                vec![FetchedPage {
                    url: url.clone(),
                    text: Some(text),
                    ..FetchedPage::default()
                }]
            };
            let output = output.map(|text| HostedToolOutput::WebFetch { pages: pages(text) });
            let input = HostedToolInput::WebFetch {
                urls: url.clone().into_iter().collect(),
                pattern: None,
            };
            (input, output)
        }
        "python" | "code_interpreter" | "function" if arguments.code.non_empty().is_some() => {
            let code = arguments.code.to_string_or_empty();
            let output = output.map(|stdout| {
                HostedToolOutput::CodeExecution(CodeOutput {
                    stdout,
                    ..CodeOutput::default()
                })
            });
            (HostedToolInput::CodeExecution { code }, output)
        }
        _ => {
            let input = HostedToolInput::Other {
                input: Json::parse(text).ok(),
            };
            (input, output.map(|text| HostedToolOutput::Text { text }))
        }
    };
    let id = tool
        .index
        .0
        .map(|index| index.to_string())
        .unwrap_or_default();
    let result = output.map(|output| HostedToolResult::new(id.as_str(), output));
    (HostedToolCall::new(id, kind, input), result)
}

fn page(found: &Object<Found<'_>>) -> Option<SearchResult> {
    let found = found.0.as_ref()?;
    Some(SearchResult {
        url: owned(&found.url),
        title: owned(&found.title),
        snippet: owned(&found.content).or_else(|| owned(&found.snippet)),
        date: owned(&found.date),
    })
}

/// Adds the search that the server shows beside the choices (Perplexity), and its pages as the sources of the text. The
/// marks `[1]`, `[2]`, .. in the text are the numbers of the pages.
pub(super) fn searched(number: u32, out: &mut ResponseBuilder) -> Result<(), Error> {
    let shown = out
        .extras()
        .iter()
        .find(|(name, _)| name == "search_results");
    let Some(shown) = shown.map(|(_, json)| json.clone()) else {
        return Ok(());
    };
    let list: List<Raw<'_>> = lenient::parse(shown.as_str()).unwrap_or_default();
    if list.0.is_empty() {
        return Ok(());
    }
    let mut results = Vec::new();
    for raw in list.0 {
        let Some(result) = raw.read().and_then(|found| page(&found)) else {
            continue;
        };
        let citation = Citation {
            url: result.url.clone(),
            title: result.title.clone(),
            cited_text: result.snippet.clone(),
            raw: raw.json(),
        };
        if !out.has_citation(0, MESSAGE_KEY, &citation)? {
            out.citation(0, MESSAGE_KEY, citation)?;
        }
        results.push(result);
    }
    let queries = Vec::new();
    let input = HostedToolInput::WebSearch { queries };
    out.hosted_tool_call(0, number, HostedToolCall::new("", "web_search", input))?;
    let output = HostedToolOutput::WebSearch { results };
    out.hosted_tool_result(0, number, HostedToolResult::new("", output))
}
