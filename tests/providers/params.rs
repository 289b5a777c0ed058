//! Each parameter of a request at each API: it is in the body, or an error names it, or with `drop_unsupported` a
//! warning.

use super::{encode, function, schema, wires};
use serde_json::Value;
use std::collections::BTreeMap;
use unifiedai::{
    ChatRequest, ContentPart, ErrorKind, Json, JsonSchema, Media, Message, ReasoningEffort,
    ResponseFormat, Role, Tool, ToolChoice,
    chat::{CompactionSettings, ImageDetail, Param, ReasoningFormat, ServiceTier, Verbosity},
};

/// The path of a parameter in the body (dots lead into objects and lists). `-`: refused by name. `=`: the API's
/// default behaviour. `!path`: expressed by omitting the value at this path.
const TABLE: &str = "
member | cerebras | openai | anthropic | gemini | responses | cohere | ollama | bedrock | interactions
max_tokens | max_completion_tokens | max_completion_tokens | max_tokens | generationConfig.maxOutputTokens | max_output_tokens | max_tokens | options.num_predict | inferenceConfig.maxTokens | generation_config.max_output_tokens
min_tokens | min_completion_tokens | - | - | - | - | - | - | - | -
temperature | temperature | temperature | temperature | generationConfig.temperature | temperature | temperature | options.temperature | inferenceConfig.temperature | generation_config.temperature
top_p | top_p | top_p | top_p | generationConfig.topP | top_p | p | options.top_p | inferenceConfig.topP | generation_config.top_p
top_k | - | - | top_k | generationConfig.topK | - | k | options.top_k | - | generation_config.top_k
min_p | - | - | - | - | - | - | options.min_p | - | -
frequency_penalty | frequency_penalty | frequency_penalty | - | generationConfig.frequencyPenalty | - | frequency_penalty | options.frequency_penalty | - | -
presence_penalty | presence_penalty | presence_penalty | - | generationConfig.presencePenalty | - | presence_penalty | options.presence_penalty | - | -
repetition_penalty | - | - | - | - | - | - | options.repeat_penalty | - | -
logit_bias | logit_bias | logit_bias | - | - | - | - | - | - | -
logprobs | logprobs | logprobs | - | generationConfig.responseLogprobs | include | logprobs | logprobs | - | -
top_logprobs | top_logprobs | top_logprobs | - | generationConfig.logprobs | top_logprobs | - | top_logprobs | - | -
n | n | n | - | generationConfig.candidateCount | - | - | - | - | -
seed | seed | seed | - | generationConfig.seed | - | seed | options.seed | - | generation_config.seed
parallel_tool_calls | parallel_tool_calls | parallel_tool_calls | tool_choice.disable_parallel_tool_use | - | parallel_tool_calls | - | - | - | -
reasoning_effort | reasoning_effort | reasoning_effort | output_config.effort | generationConfig.thinkingConfig.thinkingLevel | reasoning.effort | - | think | outputConfig.effort | generation_config.thinking_level
reasoning_effort: none | reasoning_effort | reasoning_effort | thinking.type | generationConfig.thinkingConfig.thinkingBudget | reasoning.effort | thinking.type | think | - | -
reasoning_effort: minimal | reasoning_effort | reasoning_effort | - | generationConfig.thinkingConfig.thinkingLevel | reasoning.effort | - | - | outputConfig.effort | generation_config.thinking_level
reasoning_format | reasoning_format | - | = | generationConfig.thinkingConfig.includeThoughts | reasoning.summary | - | - | - | generation_config.thinking_summaries
reasoning_format: raw | reasoning_format | - | - | - | - | - | - | - | -
reasoning_max_tokens | - | - | thinking.budget_tokens | generationConfig.thinkingConfig.thinkingBudget | - | thinking.token_budget | - | - | -
disable_reasoning | disable_reasoning | - | thinking.type | generationConfig.thinkingConfig.thinkingBudget | reasoning.effort | thinking.type | think | - | -
clear_reasoning | clear_thinking | - | - | - | - | - | - | - | -
verbosity | - | verbosity | - | - | text.verbosity | - | - | - | -
prompt_cache_key | prompt_cache_key | prompt_cache_key | - | - | prompt_cache_key | - | - | - | -
cached_content | - | - | - | cachedContent | - | - | - | - | -
service_tier | service_tier | service_tier | - | serviceTier | service_tier | - | - | serviceTier.type | service_tier
service_tier: auto | service_tier | service_tier | service_tier | = | service_tier | - | - | = | =
service_tier: default | service_tier | service_tier | service_tier | serviceTier | service_tier | - | - | serviceTier.type | service_tier
model_parameters | model_parameters | - | - | - | - | - | - | - | -
user_id | user | user | metadata.user_id | - | safety_identifier | - | - | - | -
metadata | - | metadata | - | - | metadata | - | - | requestMetadata.k | labels.k
store | - | store | - | - | store | - | - | - | store
background | - | - | - | - | background | - | - | - | background
compaction | - | - | context_management.edits | - | context_management | - | - | - | -
include_usage | = | = | = | = | = | = | = | = | =
include_usage: false | !stream_options | !stream_options | - | - | - | - | - | - | -
tools | tools.1.function.name | tools.1.function.name | tools.1.name | tools.0.functionDeclarations.1.name | tools.1.name | tools.1.function.name | tools.1.function.name | toolConfig.tools.1.toolSpec.name | tools.1.name
tools: strict | tools.0.function.strict | tools.0.function.strict | tools.0.strict | toolConfig.functionCallingConfig.mode | tools.0.strict | strict_tools | - | toolConfig.tools.0.toolSpec.strict | generation_config.tool_choice
tools: another's | - | - | - | - | - | - | - | - | -
tools: web search | - | web_search_options | tools.1.name | tools.1.googleSearch | tools.1.type | - | - | toolConfig.tools.1.systemTool | tools.1.type
tool_choice | tool_choice | tool_choice | tool_choice.type | toolConfig.functionCallingConfig.mode | tool_choice | tool_choice | - | toolConfig.toolChoice.any | generation_config.tool_choice
tool_choice: none | tool_choice | tool_choice | tool_choice.type | toolConfig.functionCallingConfig.mode | tool_choice | tool_choice | !tools | !toolConfig | generation_config.tool_choice
tool_choice: function | tool_choice.function.name | tool_choice.function.name | tool_choice.name | toolConfig.functionCallingConfig.allowedFunctionNames.0 | tool_choice.name | - | - | toolConfig.toolChoice.tool.name | generation_config.tool_choice.allowed_tools.tools.0
stop | stop | stop | stop_sequences | generationConfig.stopSequences | - | stop_sequences | options.stop | inferenceConfig.stopSequences | generation_config.stop_sequences
response_format | response_format | response_format | output_config.format | generationConfig.responseJsonSchema | text.format | response_format.json_schema | format | outputConfig.textFormat | response_format.schema
response_format: object | response_format | response_format | - | generationConfig.responseMimeType | text.format | response_format | format | - | response_format.mime_type
prediction | prediction | prediction | - | - | - | - | - | - | -
extra | - | marker | marker | marker | marker | marker | marker | - | marker
name | messages.0.name | messages.0.name | - | - | - | - | - | - | -
detail | messages.0.content.1.image_url.detail | messages.0.content.1.image_url.detail | - | - | input.0.content.1.detail | messages.0.content.1.image_url.detail | - | - | input.0.content.1.resolution
";

/// A streamed request with an image, and a tool to choose.
fn base() -> ChatRequest {
    asked_with(None).tool(function("f")).stream(true)
}

fn asked_with(detail: Option<ImageDetail>) -> ChatRequest {
    let media = Media::inline("image/png", vec![1, 2, 3]);
    let mut picture = ContentPart::image("image/png", vec![]);
    if let ContentPart::Image {
        media: place,
        detail: closeness,
        ..
    } = &mut picture
    {
        *place = media;
        *closeness = detail;
    }
    ChatRequest::new("some-model").user_parts(vec!["what is this?".into(), picture])
}

/// The base request of a row.
fn without(row: &str) -> ChatRequest {
    match row {
        // A request that names one has no tools.
        "cached_content" => asked_with(None).stream(true),
        _ => base(),
    }
}

/// The base request with the parameter of a row.
fn with(row: &str) -> ChatRequest {
    let request = base();
    let labels = || BTreeMap::from([("k".to_owned(), "v".to_owned())]);
    let strict = |mut tool: Tool| {
        if let Tool::Function { strict, .. } = &mut tool {
            *strict = Some(true);
        }
        tool
    };
    match row {
        "max_tokens" => request.max_tokens(77_u64),
        "min_tokens" => request.min_tokens(7_i64),
        "temperature" => request.temperature(0.25),
        "top_p" => request.top_p(0.5),
        "top_k" => request.top_k(7_u64),
        "min_p" => request.min_p(0.125),
        "frequency_penalty" => request.frequency_penalty(0.5),
        "presence_penalty" => request.presence_penalty(0.5),
        "repetition_penalty" => request.repetition_penalty(1.25),
        "logit_bias" => request.logit_bias(BTreeMap::from([("1".to_owned(), 2.0)])),
        "logprobs" => request.logprobs(true),
        "top_logprobs" => request.top_logprobs(3_u32),
        "n" => request.n(2_u32),
        "seed" => request.seed(7_i64),
        "parallel_tool_calls" => request.parallel_tool_calls(false),
        "reasoning_effort" => request.reasoning_effort(ReasoningEffort::High),
        "reasoning_effort: none" => request.reasoning_effort(ReasoningEffort::None),
        "reasoning_effort: minimal" => request.reasoning_effort(ReasoningEffort::Minimal),
        "reasoning_format" => request.reasoning_format(ReasoningFormat::Parsed),
        "reasoning_format: raw" => request.reasoning_format(ReasoningFormat::Raw),
        "reasoning_max_tokens" => request.reasoning_max_tokens(2048_u64),
        "disable_reasoning" => request.disable_reasoning(true),
        "clear_reasoning" => request.clear_reasoning(true),
        "verbosity" => request.verbosity(Verbosity::Low),
        "prompt_cache_key" => request.prompt_cache_key("k"),
        "cached_content" => without("cached_content").cached_content("cachedContents/c"),
        "service_tier" => request.service_tier(ServiceTier::Flex),
        "service_tier: auto" => request.service_tier(ServiceTier::Auto),
        "service_tier: default" => request.service_tier(ServiceTier::Default),
        "model_parameters" => request.model_parameters(Json::parse(r#"{"a":1}"#).unwrap()),
        "user_id" => request.user_id("u"),
        "metadata" => request.metadata(labels()),
        "store" => request.store(true),
        "background" => request.background(true),
        "include_usage" => request.include_usage(true),
        "include_usage: false" => request.include_usage(false),
        "tools" => request.tool(function("g")),
        "tools: strict" => {
            let mut request = request;
            request.tools = vec![strict(function("f"))];
            request
        }
        "tools: web search" => request.tool(Tool::web_search()),
        "compaction" => request.compaction(CompactionSettings::at(60_000)),
        "tools: another's" => request.tool(Tool::Provider {
            provider: "nobody".into(),
            definition: Json::parse(r#"{"type":"search"}"#).unwrap(),
        }),
        "tool_choice" => request.tool_choice(ToolChoice::Required),
        "tool_choice: none" => request.tool_choice(ToolChoice::None),
        "tool_choice: function" => request.tool_choice(ToolChoice::Function("f".into())),
        "stop" => request.stop("END"),
        "response_format" => request.response_format(ResponseFormat::JsonSchema(
            JsonSchema::new("s", &schema()).unwrap(),
        )),
        "response_format: object" => request.response_format(ResponseFormat::JsonObject),
        "prediction" => request.prediction("much the same"),
        "extra" => request.extra("marker", &true).unwrap(),
        "name" => {
            let mut request = request;
            request.messages[0].name = Some("ann".into());
            request
        }
        "detail" => asked_with(Some(ImageDetail::High))
            .tool(function("f"))
            .stream(true),
        other => {
            panic!("the table has a row for `{other}`, but the test does not know how to set it")
        }
    }
}

fn at<'v>(body: &'v Value, place: &str) -> Option<&'v Value> {
    body.pointer(&["/", &place.replace('.', "/")].concat())
}

#[test]
fn each_parameter_is_sent_or_named() {
    let wires = wires();
    let mut wrong = Vec::new();
    for line in TABLE.trim().lines().skip(1) {
        let cells: Vec<&str> = line.split(" | ").collect();
        assert_eq!(cells.len(), wires.len() + 1, "{line}");
        for (wire, expected) in wires.iter().zip(&cells[1..]) {
            if let Err(what) = check(&**wire, cells[0], expected) {
                wrong.push(format!(
                    "{} on {}, expected {expected}: {what}",
                    cells[0],
                    wire.name()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn check(
    wire: &dyn unifiedai::provider::Provider,
    row: &str,
    expected: &str,
) -> Result<(), String> {
    let name = row.split(':').next().unwrap_or(row);
    let name = if row == "extra" { "marker" } else { name };
    let request = with(row);
    let (without, _) = encode(wire, &without(row)).unwrap();
    let strict = encode(wire, &request);
    let (lenient, warnings) =
        encode(wire, &request.drop_unsupported()).map_err(|error| error.to_string())?;
    if expected == "-" {
        let error = strict.err().ok_or("it was not refused")?;
        if error.kind() != ErrorKind::InvalidRequest
            || !error.message().contains(&format!("`{name}`"))
        {
            return Err(format!("the error does not name it: {error}"));
        }
        if !warnings
            .iter()
            .any(|warning| warning.message.contains(&format!("`{name}`")))
        {
            return Err(format!("no warning names it: {warnings:?}"));
        }
        return if lenient == without {
            Ok(())
        } else {
            Err(format!("it was sent: {lenient}"))
        };
    }
    let (body, told) = strict.map_err(|error| error.to_string())?;
    if !told.is_empty() || body != lenient {
        return Err(format!("{told:?} {lenient}"));
    }
    let is_right = match (expected, expected.strip_prefix('!')) {
        ("=", _) => body == without,
        (_, Some(place)) => at(&body, place).is_none() && at(&without, place).is_some(),
        (place, None) => at(&body, place).is_some() && at(&body, place) != at(&without, place),
    };
    if is_right {
        Ok(())
    } else {
        Err(body.to_string())
    }
}

#[test]
fn the_table_has_every_parameter() {
    for param in Param::ALL {
        let row = format!("\n{} | ", param.name());
        assert!(TABLE.contains(&row), "no row for `{}`", param.name());
    }
}

/// A part of a message that changes its meaning is never dropped, even with `drop_unsupported`.
#[test]
fn requested_params_are_never_silently_dropped() {
    let sound = ContentPart::Audio {
        media: Media::Url {
            url: "https://x/a.wav".into(),
            mime_type: None,
        },
    };
    let film = ContentPart::Video {
        media: Media::Url {
            url: "https://x/a.mp4".into(),
            mime_type: None,
        },
    };
    for part in [sound, film] {
        for wire in wires() {
            let message = Message::new(Role::User, vec!["what is this?".into(), part.clone()]);
            let request = ChatRequest::new("some-model")
                .message(message)
                .drop_unsupported();
            match encode(&*wire, &request) {
                Ok((body, _)) => assert!(
                    body.to_string().contains("https://x/a."),
                    "{}: {body}",
                    wire.name()
                ),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
                    let names = ["audio", "video", "URL"];
                    assert!(
                        names.iter().any(|name| error.message().contains(name)),
                        "{error}"
                    );
                }
            }
        }
    }
}
