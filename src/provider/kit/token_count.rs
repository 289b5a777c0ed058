//! Token counts by a server's own endpoint.

use super::{
    core::ProviderCore,
    errors,
    json_object::JsonObject,
    lenient::{self, Count, List, Object, Raw, object},
};
use crate::{
    ChatRequest, ContentPart, Error, ErrorKind, Json, Tool,
    chat::Warning,
    error::ErrorBody,
    json::ObjectWriter,
    provider::{ApiAnswer, ApiRequest, BaseUrl, Framing, Provider},
    tokens::TokenCount,
};
use bytes::Bytes;

/// The endpoint by which a server counts the tokens of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenCounter {
    /// None.
    None,
    /// OpenAI's `/responses/input_tokens`.
    ResponsesInputTokens,
    /// vLLM's `/tokenize` with messages, beside the version's folder.
    VllmTokenize,
    /// llama.cpp's `/apply-template`, and `/tokenize` of its result, beside the version's folder.
    LlamaCppTemplate,
    /// xAI's `/tokenize-text`: the text alone, so the count is an estimate.
    XaiTokenizeText,
    /// Moonshot's `/tokenizers/estimate-token-count`.
    MoonshotEstimate,
    /// Z.ai's `/tokenizer`.
    ZaiTokenizer,
}

/// The error of a provider without an endpoint for this.
pub(crate) fn unsupported(name: &str) -> Error {
    Error::new(
        ErrorKind::InvalidRequest,
        format!(
            "`{name}` cannot count the tokens of a request: it has no endpoint for that; the usage of a response has the number"
        ),
    )
}

/// The body of a chat as the provider encodes it, and its warnings.
pub(crate) fn prompt(
    provider: &dyn Provider,
    request: &ChatRequest,
) -> Result<(Bytes, Vec<Warning>), Error> {
    let whole;
    let request = match request.stream {
        false => request,
        true => {
            whole = request.clone().stream(false);
            &whole
        }
    };
    let encoded = provider.encode_chat(request)?;
    Ok((encoded.request.into_body(), encoded.warnings))
}

/// The fields of an encoded body that are in `names`, in their order.
pub(crate) fn only(body: &[u8], names: &[&str]) -> Result<ObjectWriter, Error> {
    let mut out = ObjectWriter::with_capacity(body.len().saturating_add(64));
    for (name, value) in members(body)?.iter() {
        if names.contains(&name) {
            out.member(name, value)?;
        }
    }
    Ok(out)
}

/// The fields of a body that this library encoded.
pub(crate) fn members(body: &[u8]) -> Result<JsonObject, Error> {
    let text = std::str::from_utf8(body).unwrap_or_default();
    JsonObject::read(text).ok_or_else(|| {
        Error::new(
            ErrorKind::InvalidRequest,
            "the encoded request is not a JSON object that fits into memory",
        )
    })
}

/// Counts what `body`, an encoded chat of OpenAI's API, has as its prompt.
pub(crate) fn of_openai_chat(
    core: &ProviderCore,
    counter: TokenCounter,
    request: &ChatRequest,
    body: &[u8],
    warnings: Vec<Warning>,
) -> Result<ApiRequest<TokenCount>, Error> {
    let post = |uri, body: ObjectWriter| core.post(uri, body.finish(), Framing::SingleBody);
    let names = match counter {
        TokenCounter::LlamaCppTemplate => &["messages", "tools", "chat_template_kwargs"][..],
        _ => &["model", "messages", "tools", "chat_template_kwargs"],
    };
    let api = match counter {
        TokenCounter::VllmTokenize => {
            let uri = core.url_at(&beside_version(core.base_url())?, "/tokenize")?;
            ApiRequest::new(post(uri, only(body, names)?), |_, body| decode_vllm(body))
        }
        TokenCounter::LlamaCppTemplate => {
            let root = beside_version(core.base_url())?;
            let uri = core.url_at(&root, "/apply-template")?;
            let core = core.clone();
            let post = post(uri, only(body, names)?);
            ApiRequest::with_next(post, move |_, body| {
                let content = decode_template(body)?;
                let uri = core.url_at(&root, "/tokenize")?;
                let mut out = ObjectWriter::with_capacity(content.len());
                out.text("content", &content);
                // As for a chat: the template does not contain the token that begins every prompt.
                out.member("add_special", &true)?;
                let post = core.post(uri, out.finish(), Framing::SingleBody);
                let next = ApiRequest::new(post, |_, body| decode_token_list(body));
                Ok(ApiAnswer::Next(Box::new(next.repeatable())))
            })
        }
        TokenCounter::XaiTokenizeText => text_tokens(core, "/tokenize-text", request)?,
        TokenCounter::MoonshotEstimate => {
            let uri = core.url("/tokenizers/estimate-token-count")?;
            ApiRequest::new(post(uri, only(body, names)?), |_, body| {
                decode_estimate(body)
            })
        }
        TokenCounter::ZaiTokenizer => {
            let uri = core.url("/tokenizer")?;
            ApiRequest::new(post(uri, only(body, names)?), |_, body| {
                decode_estimate(body)
            })
        }
        TokenCounter::None | TokenCounter::ResponsesInputTokens => {
            return Err(unsupported(core.name()));
        }
    };
    Ok(api.repeatable().with_warnings(warnings))
}

/// Counts the texts of a request by an endpoint that takes one text.
pub(crate) fn text_tokens(
    core: &ProviderCore,
    path: &str,
    request: &ChatRequest,
) -> Result<ApiRequest<TokenCount>, Error> {
    let mut out = ObjectWriter::with_capacity(256);
    out.text("model", &request.model);
    out.text("text", &text_of(core.name(), request)?);
    let post = core.post(core.url(path)?, out.finish(), Framing::SingleBody);
    Ok(ApiRequest::new(post, |_, body| {
        decode_token_list(body).map(|count| TokenCount::estimated(count.tokens))
    })
    .repeatable())
}

/// All texts of a request, tools included.
fn text_of(name: &str, request: &ChatRequest) -> Result<String, Error> {
    let mut text = String::new();
    let mut add = |more: &str| {
        text.push_str(more);
        text.push('\n');
    };
    for tool in &request.tools {
        match tool {
            Tool::Function {
                name,
                description,
                parameters,
                ..
            } => {
                add(name);
                add(description.as_deref().unwrap_or_default());
                add(parameters.as_ref().map_or("", Json::as_str));
            }
            Tool::Provider { definition, .. } => add(definition.as_str()),
            // Its text is the provider's.
            Tool::Hosted(_) => {}
        }
    }
    let mut parts: Vec<&ContentPart> = Vec::new();
    for message in &request.messages {
        for part in &message.content {
            match part {
                ContentPart::ToolResult(result) => parts.extend(&result.content),
                part => parts.push(part),
            }
        }
    }
    for part in parts {
        match part {
            ContentPart::Text { text, .. } | ContentPart::Reasoning { text, .. } => add(text),
            ContentPart::ToolCall(call) => {
                add(&call.name);
                add(&call.arguments);
            }
            ContentPart::ProviderBlock(_)
            | ContentPart::HostedToolCall(_)
            | ContentPart::HostedToolResult(_)
            | ContentPart::Compaction(_) => {
                add(part.raw().map_or("", |block| block.block.as_str()));
            }
            _ => {
                return Err(Error::new(
                    ErrorKind::InvalidRequest,
                    format!(
                        "`{name}` counts the tokens of text only, and the messages contain media: remove them from the counted request"
                    ),
                ));
            }
        }
    }
    Ok(text)
}

/// The base URL without the version at its end.
fn beside_version(base_url: &BaseUrl) -> Result<BaseUrl, Error> {
    let url = base_url.as_str().trim_end_matches('/');
    BaseUrl::parse(url.strip_suffix("/v1").unwrap_or(url))
}

/// A body without the number: the error that it has, or one that names the missing field.
pub(crate) fn missing(body: &Bytes, field: &str) -> Error {
    match ErrorBody::parse(body) {
        Some(error) => errors::from_body(200, &error),
        None => Error::new(
            ErrorKind::Protocol,
            format!("the response to a token count has no number at `{field}`"),
        ),
    }
}

/// `{input_tokens, context_management?: {original_input_tokens}}`: Anthropic and OpenAI.
pub(crate) fn decode_input_tokens(body: &Bytes) -> Result<TokenCount, Error> {
    object! {
        struct Counted {
            input_tokens: Count,
            context_management: Object<Shortened>,
        }
    }
    object! {
        struct Shortened {
            original_input_tokens: Count,
        }
    }
    let counted: Counted = lenient::parse_body(body)?;
    let tokens = counted.input_tokens.0;
    let mut count = TokenCount::exact(tokens.ok_or_else(|| missing(body, "input_tokens"))?);
    count.original_tokens = counted
        .context_management
        .0
        .and_then(|shortened| shortened.original_input_tokens.0);
    Ok(count)
}

/// `{count, max_model_len, tokens}`
fn decode_vllm(body: &Bytes) -> Result<TokenCount, Error> {
    object! {
        struct Counted {
            count: Count,
            max_model_len: Count,
        }
    }
    let counted: Counted = lenient::parse_body(body)?;
    let tokens = counted.count.0.ok_or_else(|| missing(body, "count"))?;
    let mut count = TokenCount::exact(tokens);
    count.context_length = counted.max_model_len.0;
    Ok(count)
}

/// `{prompt}`
fn decode_template(body: &Bytes) -> Result<String, Error> {
    object! {
        struct Template<'a> {
            prompt: Option<lenient::Text<'a>>,
        }
    }
    let template: Template<'_> = lenient::parse_body(body)?;
    template
        .prompt
        .and_then(|text| text.as_deref().map(str::to_owned))
        .ok_or_else(|| missing(body, "prompt"))
}

/// `{tokens: [..]}` of llama.cpp and Cohere, `{token_ids: [..]}` of xAI.
fn decode_token_list(body: &Bytes) -> Result<TokenCount, Error> {
    object! {
        struct Tokens<'a> {
            tokens: Option<List<Raw<'a>>>,
            token_ids: Option<List<Raw<'a>>>,
        }
    }
    let list: Tokens<'_> = lenient::parse_body(body)?;
    let tokens = list.tokens.or(list.token_ids);
    let tokens = tokens.ok_or_else(|| missing(body, "tokens"))?;
    Ok(TokenCount::exact(tokens.0.len() as u64))
}

/// `{data: {total_tokens}}` of Moonshot, `{usage: {prompt_tokens}}` of Z.ai.
fn decode_estimate(body: &Bytes) -> Result<TokenCount, Error> {
    object! {
        struct Estimate {
            data: Object<Total>,
            usage: Object<Total>,
        }
    }
    object! {
        struct Total {
            total_tokens: Count,
            prompt_tokens: Count,
        }
    }
    let estimate: Estimate = lenient::parse_body(body)?;
    let data = estimate.data.0.and_then(|data| data.total_tokens.0);
    let usage = estimate.usage.0;
    let tokens = data
        .or(usage.as_ref().and_then(|usage| usage.prompt_tokens.0))
        .or(usage.and_then(|usage| usage.total_tokens.0));
    Ok(TokenCount::estimated(
        tokens.ok_or_else(|| missing(body, "total_tokens"))?,
    ))
}
