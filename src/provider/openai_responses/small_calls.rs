//! Token counts, and conversations that the server makes shorter (`/responses/compact`).

use super::{OpenAiResponses, ResponsesProfile, types};
use crate::{
    ChatRequest, ContentPart, Error, ErrorKind, Json, Message, Role,
    chat::{CompactedConversation, Compaction, ProviderBlock},
    error::ErrorBody,
    provider::{
        ApiRequest, Framing, ProviderCore,
        kit::{
            errors,
            lenient::{self, List, Raw, Text, object},
            token_count::{self, TokenCounter, decode_input_tokens, only, prompt},
        },
    },
    tokens::TokenCount,
};
use bytes::Bytes;

/// The fields of `/responses/input_tokens`, which refuses others. Source: OpenAI's OpenAPI document.
const COUNTED: [&str; 11] = [
    "model",
    "input",
    "instructions",
    "previous_response_id",
    "conversation",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "text",
    "reasoning",
    "truncation",
];

/// The fields of `/responses/compact`. Source: OpenAI's OpenAPI document.
const COMPACTED: [&str; 8] = [
    "model",
    "input",
    "previous_response_id",
    "instructions",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "service_tier",
];

pub(super) fn count_tokens(
    provider: &OpenAiResponses,
    request: &ChatRequest,
) -> Result<ApiRequest<TokenCount>, Error> {
    let core = &provider.core;
    match provider.profile.token_counter {
        TokenCounter::ResponsesInputTokens => {}
        TokenCounter::XaiTokenizeText => {
            return token_count::text_tokens(core, "/tokenize-text", request);
        }
        _ => return Err(token_count::unsupported(core.name())),
    }
    let (body, warnings) = prompt(provider, request)?;
    let body = only(&body, &COUNTED)?.finish();
    let uri = core.url("/responses/input_tokens")?;
    let post = core.post(uri, body, Framing::SingleBody);
    let api = ApiRequest::new(post, |_, body| decode_input_tokens(body));
    Ok(api.repeatable().with_warnings(warnings))
}

/// Counts a request of the same server's chat API, which has no endpoint for this: in the form of a Responses request.
pub(in crate::provider) fn count_chat_tokens(
    core: &ProviderCore,
    request: &ChatRequest,
) -> Result<ApiRequest<TokenCount>, Error> {
    let provider = OpenAiResponses {
        responses: core.url("/responses")?,
        core: core.clone(),
        profile: ResponsesProfile::OPENAI,
    };
    // Parameters that only the chat API has do not change the prompt.
    let request = request.clone().drop_unsupported();
    Ok(count_tokens(&provider, &request)?.map(|count| TokenCount::estimated(count.tokens)))
}

pub(super) fn compact(
    provider: &OpenAiResponses,
    request: &ChatRequest,
) -> Result<ApiRequest<CompactedConversation>, Error> {
    let core = &provider.core;
    if !provider.profile.compacts {
        return Err(crate::provider::unsupported(
            core.name(),
            "compact a conversation",
        ));
    }
    let (body, warnings) = prompt(provider, request)?;
    let body = only(&body, &COMPACTED)?.finish();
    let post = core.post(core.url("/responses/compact")?, body, Framing::SingleBody);
    let api = ApiRequest::new(post, |provider, body| {
        decode_compacted(provider.name(), body)
    });
    Ok(api.with_warnings(warnings))
}

/// `{id, object: "response.compaction", output: [..], usage}`. The output is the next input.
fn decode_compacted(provider: &str, body: &Bytes) -> Result<CompactedConversation, Error> {
    object! {
        struct Compacted<'a> {
            id: Text<'a>,
            output: Option<List<Raw<'a>>>,
            usage: Raw<'a>,
        }
    }
    let compacted: Compacted<'_> = lenient::parse_body(body)?;
    let Some(output) = compacted.output else {
        return Err(match ErrorBody::parse(body) {
            Some(error) => errors::from_body(200, &error),
            None => Error::new(
                ErrorKind::Protocol,
                "the response to a compaction has no list at `output`",
            ),
        });
    };
    crate::json::Budget::of(body.len())
        .charge(output.0.len().saturating_mul(size_of::<Message>()))
        .map_err(|_| lenient::too_large(body.len()))?;
    Ok(CompactedConversation {
        id: compacted.id.non_empty().map(str::to_owned),
        usage: types::usage(compacted.usage),
        messages: output
            .0
            .into_iter()
            .filter_map(|item| message(provider, item))
            .collect(),
    })
}

/// An item as a message: a text of the user as such, anything else as the item itself, which is sent back unchanged.
fn message(provider: &str, item: Raw<'_>) -> Option<Message> {
    object! {
        struct Item<'a> {
            r#type as "type": Text<'a>,
            role: Text<'a>,
            content: Option<List<Raw<'a>>>,
        }
    }
    object! {
        struct Part<'a> {
            r#type as "type": Text<'a>,
            text: Text<'a>,
        }
    }
    let json = item.json()?;
    let fields: Item<'_> = item.read()?;
    let role = match (fields.r#type.as_deref(), fields.role.as_deref()) {
        (Some("message") | None, Some("user")) => Role::User,
        _ => Role::Assistant,
    };
    let is_compaction = fields.r#type.as_deref() == Some("compaction");
    let block = |json: Json| {
        let raw = ProviderBlock::new(provider, json);
        vec![match is_compaction {
            true => ContentPart::Compaction(Box::new(Compaction::new(None, raw))),
            false => ContentPart::ProviderBlock(raw),
        }]
    };
    let Some(content) = fields.content.filter(|_| role == Role::User) else {
        return Some(Message::new(role, block(json)));
    };
    let texts: Option<Vec<ContentPart>> = content
        .0
        .into_iter()
        .map(|part| {
            let part: Part<'_> = part.read()?;
            let is_text = part.r#type.as_deref() == Some("input_text");
            let text = part.text.as_deref().filter(|_| is_text)?;
            Some(ContentPart::text(text))
        })
        .collect();
    Some(Message::new(role, texts.unwrap_or_else(|| block(json))))
}
