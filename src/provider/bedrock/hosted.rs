//! Hosted tools (`systemTool`): how a request has them, and the typed form of their blocks in a response.

use super::BLOCK_PROVIDER;
use crate::{
    Error, Json,
    chat::{
        CodeOutput, HostedToolCall, HostedToolError, HostedToolInput, HostedToolKind,
        HostedToolOutput, HostedToolResult, ProviderBlock,
    },
    provider::{
        ResponseBuilder,
        kit::{
            hosted::{HostedToolMapping, owned},
            lenient::{self, List, Number, Object, Raw, Text, object},
        },
    },
};

/// The tools of Amazon's Nova 2 models; other models refuse them.
pub(super) const TOOLS: &[HostedToolMapping] = &[
    HostedToolMapping::tool(
        HostedToolKind::WebSearch,
        r#"{"systemTool":{"name":"nova_grounding"}}"#,
        &[],
    ),
    HostedToolMapping::tool(
        HostedToolKind::CodeExecution,
        r#"{"systemTool":{"name":"nova_code_interpreter"}}"#,
        &[],
    ),
];

object! {
    struct Block<'a> {
        tool_use as "toolUse": Object<Use<'a>>,
        tool_result as "toolResult": Object<Answer<'a>>,
    }
}

object! {
    struct Use<'a> {
        id as "toolUseId": Text<'a>,
        name: Text<'a>,
        input: Raw<'a>,
    }
}

object! {
    struct Answer<'a> {
        id as "toolUseId": Text<'a>,
        kind as "type": Text<'a>,
        status: Text<'a>,
        content: List<Object<Piece<'a>>>,
    }
}

object! {
    struct Piece<'a> {
        text: Text<'a>,
        json: Object<Printed<'a>>,
    }
}

object! {
    struct Printed<'a> {
        stdout as "stdOut": Text<'a>,
        stderr as "stdErr": Text<'a>,
        exit_code as "exitCode": Number,
    }
}

object! {
    struct Input<'a> {
        query: Text<'a>,
        snippet: Text<'a>,
    }
}

/// Adds a block that only this API has: typed if it is of a hosted tool, else as it is.
pub(super) fn emit(
    choice: u32,
    number: u32,
    block: Json,
    out: &mut ResponseBuilder,
) -> Result<(), Error> {
    let wire: Block<'_> = lenient::parse(block.as_str()).unwrap_or_default();
    let call = wire.tool_use.0.as_ref().map(call);
    let result = wire.tool_result.0.as_ref().map(result);
    let raw = ProviderBlock::new(BLOCK_PROVIDER, block);
    match (call, result) {
        (Some(mut call), _) => {
            call.raw = Some(raw);
            out.hosted_tool_call(choice, number, call)
        }
        (None, Some(mut result)) => {
            result.raw = Some(raw);
            out.hosted_tool_result(choice, number, result)
        }
        (None, None) => out.provider_block(choice, number, raw),
    }
}

fn call(wire: &Use<'_>) -> HostedToolCall {
    let name = wire.name.as_deref().unwrap_or_default();
    let input: Input<'_> = wire.input.read().unwrap_or_default();
    let input = match name {
        "nova_grounding" => HostedToolInput::WebSearch {
            queries: owned(&input.query).into_iter().collect(),
        },
        "nova_code_interpreter" => HostedToolInput::CodeExecution {
            code: input.snippet.to_string_or_empty(),
        },
        _ => HostedToolInput::Other {
            input: wire.input.json(),
        },
    };
    HostedToolCall::new(wire.id.to_string_or_empty(), name, input)
}

/// The text of a search result is hidden: it is `[HIDDEN]`.
fn result(wire: &Answer<'_>) -> HostedToolResult {
    let pieces = || wire.content.0.iter().filter_map(|piece| piece.0.as_ref());
    let text = || -> String { pieces().filter_map(|piece| piece.text.as_deref()).collect() };
    let printed = pieces().find_map(|piece| piece.json.0.as_ref());
    let output = match (wire.kind.as_deref().unwrap_or_default(), printed) {
        (_, None) if wire.status.as_deref() == Some("error") => {
            HostedToolOutput::Error(HostedToolError {
                code: "error".into(),
                message: Some(text()).filter(|text| !text.is_empty()),
            })
        }
        ("nova_grounding_result", _) => HostedToolOutput::WebSearch {
            results: Vec::new(),
        },
        (_, Some(printed)) => HostedToolOutput::CodeExecution(CodeOutput {
            stdout: printed.stdout.to_string_or_empty(),
            stderr: printed.stderr.to_string_or_empty(),
            exit_code: whole(printed.exit_code),
            ..CodeOutput::default()
        }),
        _ => HostedToolOutput::Text { text: text() },
    };
    HostedToolResult::new(wire.id.to_string_or_empty(), output)
}

fn whole(number: Number) -> Option<i64> {
    let number = number.0.filter(|number| number.fract() == 0.0)?;
    format!("{number:.0}").parse().ok()
}
