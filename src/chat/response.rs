use crate::{
    ContentPart, Error, ErrorKind, Json, Message, Usage, chat::CallMetrics, error::excerpt,
    string_enum::wire_enum,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize, Serializer, de::DeserializeOwned, ser::SerializeMap};
use std::{borrow::Cow, sync::LazyLock, time::Duration};

/// A complete response, the same for every provider, streamed or not.
///
/// As JSON it is an OpenAI `chat.completion` object with the additional fields `provider_metadata`, `metrics` and
/// `warnings`.
///
/// ```
/// use unifiedai::{FinishReason, UnifiedChatResponse};
///
/// fn show(response: &UnifiedChatResponse) {
///     println!("{}", response.text());
///     if response.finish_reason() == Some(&FinishReason::Length) {
///         println!("(cut off by the token limit)");
///     }
///     for call in response.tool_calls() {
///         println!("{}({})", call.name, call.arguments);
///     }
///     if let Some(usage) = &response.usage {
///         println!("{:?} output tokens", usage.completion_tokens);
///     }
/// }
/// # let _ = show;
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct UnifiedChatResponse {
    /// The provider's id of the response; empty if it sent none.
    pub id: String,
    /// Creation time, in seconds since 1970.
    pub created: Option<u64>,
    /// The model that generated the response; it can differ from the requested one.
    pub model: String,
    /// The choices; one, unless the request's `n` is larger.
    pub choices: Vec<Choice>,
    /// Token counts.
    pub usage: Option<Usage>,
    /// The provider's identifier of its configuration.
    pub system_fingerprint: Option<String>,
    /// The processing class that was used.
    pub service_tier: Option<String>,
    /// What was dropped from the request, and problems of the response that are no errors.
    pub warnings: Vec<Warning>,
    /// Data that only this provider has.
    pub provider_metadata: ProviderMetadata,
    /// Measurements of the call.
    pub metrics: CallMetrics,
}

/// One of the responses to a request.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Choice {
    /// Its index, from 0.
    pub index: u32,
    /// The message; add it to the next request's messages to continue the conversation.
    pub message: Message,
    /// Why the model stopped. `None` if the provider gave no reason.
    pub finish_reason: Option<FinishReason>,
    /// The provider's own word for the reason.
    pub native_finish_reason: Option<String>,
    /// Log probabilities, if requested.
    pub logprobs: Option<Logprobs>,
}

/// Log probabilities of the generated tokens.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Logprobs {
    /// Tokens of the text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub content: Vec<TokenLogprob>,
    /// Tokens of a refusal.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refusal: Vec<TokenLogprob>,
    /// Tokens of the reasoning (Cerebras).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasoning: Vec<TokenLogprob>,
}

/// A generated token and its log probability.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TokenLogprob {
    /// The token's text.
    pub token: String,
    /// The natural logarithm of its probability.
    pub logprob: f64,
    /// Its bytes, if they are not valid text by themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<Vec<u8>>,
    /// The likeliest tokens at this position.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub top_logprobs: Vec<TopLogprob>,
}

/// An alternative to a generated token.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TopLogprob {
    /// The token's text.
    pub token: String,
    /// The natural logarithm of its probability.
    pub logprob: f64,
    /// Its bytes, if they are not valid text by themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<Vec<u8>>,
}

/// Data that only one provider has.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ProviderMetadata {
    /// The provider's name.
    pub provider: String,
    /// The HTTP status.
    pub status: Option<u16>,
    /// The provider's id of the request, for its support.
    pub request_id: Option<String>,
    /// The `X-Request-ID` that the caller set.
    pub client_request_id: Option<String>,
    /// The state of the account's rate limits.
    pub rate_limits: Vec<RateLimit>,
    /// The last response's headers, if [`CallOptions::keep_headers`](crate::CallOptions::keep_headers) is set.
    pub headers: RawHeaders,
    /// The body as received; `None` for a stream.
    pub raw: Option<RawBody>,
    /// Fields of the response without a field above, such as `citations` or `guardrail` traces.
    pub extra: Vec<(String, Json)>,
}

impl ProviderMetadata {
    /// The fields of this struct in JSON; `extra` is merged into the same object.
    pub(crate) const MEMBERS: [&'static str; 6] = [
        "provider",
        "status",
        "request_id",
        "correlation_id",
        "rate_limits",
        "raw",
    ];
}

/// Headers as received. They are excluded from `Debug` and JSON, because servers put cookies and keys into them.
// Boxed, because a response is moved more often than its headers are read.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RawHeaders(Option<Box<HeaderMap>>);

/// A body as received.
#[derive(Clone, PartialEq, Eq)]
pub struct RawBody(Bytes);

/// One rate limit, as the provider's headers report it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RateLimit {
    /// The counted unit: `requests`, `tokens`, ..., with the period as in the header (`requests-day`).
    pub name: Cow<'static, str>,
    /// The limit per window, in the unit of `name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// What remains of it in this window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remaining: Option<u64>,
    /// Time until it is reset, counted from the response.
    #[serde(
        rename = "reset_s",
        serialize_with = "as_seconds",
        skip_serializing_if = "Option::is_none"
    )]
    pub reset: Option<Duration>,
}

/// A problem that the caller should know, but that is no error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Warning {
    /// A fixed identifier of the kind of warning, such as `unsupported_parameter`.
    pub code: &'static str,
    /// A description.
    pub message: String,
}

impl Warning {
    /// Creates a warning.
    #[must_use]
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Warning {
            code,
            message: message.into(),
        }
    }
}

impl UnifiedChatResponse {
    /// The text of the first choice; empty if it has none.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        self.choices
            .first()
            .map(|choice| choice.message.text())
            .unwrap_or_default()
    }

    /// The reasoning of the first choice; empty if it has none.
    #[must_use]
    pub fn reasoning(&self) -> Cow<'_, str> {
        self.choices
            .first()
            .map(|choice| choice.message.reasoning())
            .unwrap_or_default()
    }

    /// The refusal of the first choice; empty if the model did not refuse.
    #[must_use]
    pub fn refusal(&self) -> Cow<'_, str> {
        self.choices
            .first()
            .map(|choice| choice.message.refusal())
            .unwrap_or_default()
    }

    /// Why the model stopped, for the first choice.
    #[must_use]
    pub fn finish_reason(&self) -> Option<&FinishReason> {
        self.choices.first()?.finish_reason.as_ref()
    }

    /// The tool calls of the first choice.
    pub fn tool_calls(&self) -> impl Iterator<Item = &crate::ToolCall> {
        self.choices
            .first()
            .into_iter()
            .flat_map(|choice| choice.message.tool_calls())
    }

    /// The hosted tool calls of the first choice, which the provider ran.
    pub fn hosted_tool_calls(&self) -> impl Iterator<Item = &crate::chat::HostedToolCall> {
        self.choices
            .first()
            .into_iter()
            .flat_map(|choice| choice.message.hosted_tool_calls())
    }

    /// The results of the first choice's hosted tool calls.
    pub fn hosted_tool_results(&self) -> impl Iterator<Item = &crate::chat::HostedToolResult> {
        self.choices
            .first()
            .into_iter()
            .flat_map(|choice| choice.message.hosted_tool_results())
    }

    /// The message of the first choice, to be added to the next request.
    #[must_use]
    pub fn message(&self) -> Option<&Message> {
        self.choices.first().map(|choice| &choice.message)
    }

    /// Parses the text of the first choice as a Rust type, for structured output. JSON in a Markdown code block is
    /// accepted too.
    ///
    /// # Errors
    /// `content_filtered` if the model refused; the message has the refusal. `protocol` if the text is not JSON of
    /// this shape; the message shows the beginning of the text, and says if it was cut off by the token limit.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, Error> {
        let (text, refusal) = (self.text(), self.refusal());
        if text.trim().is_empty() && !refusal.is_empty() {
            let message = format!("the model refused: {}", excerpt(refusal.as_bytes()));
            return Err(Error::new(ErrorKind::ContentFiltered, message));
        }
        let whole = serde_json::from_str(&text);
        whole
            .or_else(|e| code_block(&text).map_or(Err(e), serde_json::from_str))
            .map_err(|e| {
                let cut = match self.finish_reason() {
                    Some(FinishReason::Length) => " (the response was cut off by the token limit)",
                    _ => "",
                };
                let text = excerpt(text.as_bytes());
                Error::new(
                    ErrorKind::Protocol,
                    format!(
                        "the response does not parse as JSON of the requested type{cut}: {e}; its text: {text}"
                    ),
                )
            })
    }

    /// Whether the response has no text, reasoning or tool calls.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.choices
            .iter()
            .all(|choice| choice.message.content.is_empty())
    }
}

impl RawHeaders {
    /// Copies the headers: the originals could keep the buffer alive into which they were read.
    pub(crate) fn copied(headers: &HeaderMap) -> Self {
        let copies = headers.iter().filter_map(|(name, value)| {
            let name = HeaderName::from_bytes(name.as_str().as_bytes()).ok()?;
            Some((name, HeaderValue::from_bytes(value.as_bytes()).ok()?))
        });
        let mut copied = HeaderMap::new();
        for (name, value) in copies {
            copied.append(name, value);
        }
        RawHeaders((!copied.is_empty()).then(|| Box::new(copied)))
    }

    /// The headers.
    #[must_use]
    pub fn as_map(&self) -> &HeaderMap {
        static NONE: LazyLock<HeaderMap> = LazyLock::new(HeaderMap::new);
        self.0.as_deref().unwrap_or(&NONE)
    }

    /// A header's value, if it is visible ASCII.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.as_ref()?.get(name)?.to_str().ok()
    }
}

impl std::fmt::Debug for RawHeaders {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RawHeaders({})", self.as_map().len())
    }
}

impl RawBody {
    pub(crate) fn new(body: Bytes) -> Self {
        RawBody(body)
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }
}

impl std::fmt::Debug for RawBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RawBody({} bytes)", self.0.len())
    }
}

impl Serialize for RawBody {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match serde_json::from_slice::<&serde_json::value::RawValue>(&self.0) {
            Ok(raw) => crate::json::serialize_on_one_line(raw, serializer),
            Err(_) => serializer.serialize_none(),
        }
    }
}

impl Serialize for UnifiedChatResponse {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if !self.id.is_empty() {
            map.serialize_entry("id", &self.id)?;
        }
        map.serialize_entry("object", "chat.completion")?;
        if let Some(created) = self.created {
            map.serialize_entry("created", &created)?;
        }
        map.serialize_entry("model", &self.model)?;
        map.serialize_entry("choices", &self.choices)?;
        if let Some(usage) = &self.usage {
            map.serialize_entry("usage", usage)?;
        }
        if let Some(fingerprint) = &self.system_fingerprint {
            map.serialize_entry("system_fingerprint", fingerprint)?;
        }
        if let Some(tier) = &self.service_tier {
            map.serialize_entry("service_tier", tier)?;
        }
        if !self.warnings.is_empty() {
            map.serialize_entry("warnings", &self.warnings)?;
        }
        map.serialize_entry("provider_metadata", &self.provider_metadata)?;
        map.serialize_entry("metrics", &self.metrics)?;
        map.end()
    }
}

impl Serialize for Choice {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("index", &self.index)?;
        map.serialize_entry("message", &CompletionMessage(&self.message))?;
        map.serialize_entry("finish_reason", &self.finish_reason)?;
        if let Some(native) = &self.native_finish_reason {
            map.serialize_entry("native_finish_reason", native)?;
        }
        if let Some(logprobs) = &self.logprobs {
            map.serialize_entry("logprobs", logprobs)?;
        }
        map.end()
    }
}

/// A message in the format of a `chat.completion` object.
struct CompletionMessage<'a>(&'a Message);

impl Serialize for CompletionMessage<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Function<'a> {
            name: &'a str,
            arguments: &'a str,
        }
        #[derive(Serialize)]
        struct Call<'a> {
            id: &'a str,
            r#type: &'static str,
            function: Function<'a>,
        }
        let message = self.0;
        let has = |wanted: fn(&ContentPart) -> bool| message.content.iter().any(wanted);
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("role", &message.role)?;
        let content = has(|part| matches!(part, ContentPart::Text { .. })).then(|| message.text());
        map.serialize_entry("content", &content)?;
        if has(|part| matches!(part, ContentPart::Reasoning { .. })) {
            map.serialize_entry("reasoning", &message.reasoning())?;
        }
        if has(|part| matches!(part, ContentPart::Refusal { .. })) {
            map.serialize_entry("refusal", &message.refusal())?;
        }
        let calls: Vec<Call<'_>> = message
            .tool_calls()
            .map(|call| Call {
                id: &call.id,
                r#type: "function",
                function: Function {
                    name: &call.name,
                    arguments: &call.arguments,
                },
            })
            .collect();
        if !calls.is_empty() {
            map.serialize_entry("tool_calls", &calls)?;
        }
        let citations: Vec<_> = message
            .content
            .iter()
            .flat_map(|part| match part {
                ContentPart::Text { citations, .. } => citations.as_slice(),
                _ => &[],
            })
            .collect();
        if !citations.is_empty() {
            map.serialize_entry("citations", &citations)?;
        }
        let replayable = has(|part| {
            matches!(
                part,
                ContentPart::ProviderBlock(_)
                    | ContentPart::HostedToolCall(_)
                    | ContentPart::HostedToolResult(_)
                    | ContentPart::Compaction(_)
                    | ContentPart::Reasoning {
                        signature: Some(_),
                        ..
                    }
            ) || matches!(part, ContentPart::ToolCall(call) if call.provider_data.is_some())
        });
        if replayable {
            map.serialize_entry("parts", &message.content)?;
        }
        map.end()
    }
}

impl Serialize for ProviderMetadata {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("provider", &self.provider)?;
        if let Some(status) = self.status {
            map.serialize_entry("status", &status)?;
        }
        if let Some(id) = &self.request_id {
            map.serialize_entry("request_id", id)?;
        }
        if let Some(id) = &self.client_request_id {
            map.serialize_entry("correlation_id", id)?;
        }
        if !self.rate_limits.is_empty() {
            map.serialize_entry("rate_limits", &self.rate_limits)?;
        }
        for (name, value) in &self.extra {
            map.serialize_entry(name, value)?;
        }
        if let Some(raw) = &self.raw {
            map.serialize_entry("raw", raw)?;
        }
        map.end()
    }
}

/// The content of the only code block of a Markdown text.
fn code_block(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("```")?;
    let (_language, rest) = rest.split_once('\n')?;
    let (block, rest) = rest.split_once("```")?;
    (!rest.contains("```")).then_some(block)
}

fn as_seconds<S: Serializer>(value: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    value.map(|value| value.as_secs_f64()).serialize(serializer)
}

wire_enum! {
    /// The reason why the model stopped, in OpenAI's terms. The provider's own word is in
    /// [`Choice::native_finish_reason`](crate::chat::Choice::native_finish_reason).
    FinishReason {
        /// A natural end, or one of the stop sequences.
        Stop = "stop",
        /// The token limit or the context window was reached; the text is cut off.
        Length = "length",
        /// The model called tools and waits for their results.
        ToolCalls = "tool_calls",
        /// The provider withheld or cut the text.
        ContentFilter = "content_filter",
    }
}

impl FinishReason {
    /// Whether the end of the response may be missing: a limit, a filter or an unknown reason stopped it.
    pub(crate) fn is_cut(&self) -> bool {
        !matches!(self, FinishReason::Stop | FinishReason::ToolCalls)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(part: ContentPart, finish_reason: FinishReason) -> UnifiedChatResponse {
        UnifiedChatResponse {
            choices: vec![Choice {
                message: Message::new(crate::Role::Assistant, vec![part]),
                finish_reason: Some(finish_reason),
                ..Choice::default()
            }],
            ..UnifiedChatResponse::default()
        }
    }

    fn text(text: &str) -> UnifiedChatResponse {
        response(ContentPart::text(text), FinishReason::Stop)
    }

    #[test]
    fn json_is_parsed_with_and_without_a_code_block() {
        for json in [
            "[1, 2]",
            " [1,2]\n",
            "```json\n[1, 2]\n```",
            "Here it is:\n```\n[1,2]```\nBye.",
        ] {
            assert_eq!(text(json).parse::<Vec<u8>>().unwrap(), [1, 2], "{json}");
        }
        for other in ["", "```[1]", "```json\n[1]\n```\n```json\n[2]\n```", "[1"] {
            assert!(text(other).parse::<Vec<u8>>().is_err(), "{other}");
        }
    }

    #[test]
    fn a_parse_error_shows_the_text() {
        let error = text("I would say 24 degrees.")
            .parse::<Vec<u8>>()
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol);
        assert!(
            error
                .message()
                .ends_with("its text: I would say 24 degrees."),
            "{error}"
        );
        let cut = response(ContentPart::text("[1,"), FinishReason::Length);
        let error = cut.parse::<Vec<u8>>().unwrap_err();
        assert!(
            error.message().contains("cut off by the token limit"),
            "{error}"
        );
    }

    #[test]
    fn a_refusal_is_reported_as_content_filtered() {
        let refused = ContentPart::Refusal {
            text: "I can't help with that.".into(),
        };
        let response = response(refused, FinishReason::Stop);
        assert_eq!(response.refusal(), "I can't help with that.");
        assert_eq!(response.finish_reason(), Some(&FinishReason::Stop));
        let error = response.parse::<Vec<u8>>().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ContentFiltered);
        assert!(
            error.message().contains("I can't help with that."),
            "{error}"
        );
    }
}
