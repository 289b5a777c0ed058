//! What differs between the servers that speak OpenAI chat, as data.

use crate::{
    chat::Param,
    provider::{AuthStyle, BatchProfile, IdFormat},
    schema::Dialects,
};

/// One server's dialect of OpenAI chat. A new server is a new value of this type and a test.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ChatProfile {
    /// A short name, such as `cerebras`; also the prefix in `cerebras.gpt-oss-120b`.
    pub name: &'static str,
    /// Where it is, version path included; empty for servers without a fixed place. A name in braces stands for what
    /// differs between accounts and is given with [`url_param`](crate::provider::ProviderBuilder::url_param).
    pub base_url: &'static str,
    /// What is added to every URL as its query.
    pub query: &'static [(&'static str, &'static str)],
    /// The environment variable with the key.
    pub key_env: &'static str,
    /// Where the key goes.
    pub auth: AuthStyle,
    /// Whether it works without a key (local servers).
    pub key_optional: bool,
    /// The parameters it takes, in groups, under OpenAI's names unless `renamed` says otherwise.
    pub params: &'static [&'static [Param]],
    /// Parameters that it calls by another name. A dot leads into an object: `reasoning.effort`.
    pub renamed: &'static [(Param, &'static str)],
    /// Values of parameters that it wants said in another way.
    pub renamed_values: &'static [ValueNaming],
    /// Which further members it takes; `None` for any.
    pub extra: Option<&'static [&'static str]>,
    /// How a stream comes to have usage.
    pub stream_usage: StreamUsage,
    /// Whether it counts reasoning in the total alone, and neither in the completion nor, always, by itself.
    pub reasoning_apart: bool,
    /// Which forms of structured output it has.
    pub structured: StructuredOutput,
    /// Which part of JSON Schema it takes, in answers and in tools.
    pub schemas: Dialects,
    /// The form of a tool call's id. Another provider's id that it refuses is replaced, in the call and in its result.
    pub call_id: IdFormat,
    /// Whether it refuses a history in which a tool call has no result.
    pub results_wanted: bool,
    /// The form of a function's name.
    pub tool_name: IdFormat,
    /// How reasoning of earlier turns goes back.
    pub reasoning: ReasoningReplay,
    /// How calls of other models go to the server.
    pub foreign_calls: ForeignCalls,
    /// What a turn of the assistant with calls has in the member of its reasoning if it has none. With thinking on, the server
    /// refuses such a turn without the member; `None` where it does not.
    pub required_reasoning: Option<&'static str>,
    /// Beginnings of the names of models that take content as one text alone, `""` beside calls: an empty beginning stands for
    /// all models.
    pub text_only: &'static [&'static str],
    /// Whether user and assistant must take turns, with all instructions before them. Neighbours of one role are joined.
    pub alternating_roles: bool,
    /// Which messages may have pictures, sound and documents.
    pub media: MediaPlacement,
    /// Whether the role `developer` is known; elsewhere it becomes `system`.
    pub developer_role: bool,
    /// Whether a message may have a `name`.
    pub message_name: bool,
    /// Whether an assistant's message may have a `refusal`; elsewhere it becomes text.
    pub message_refusal: bool,
    /// Its word for "call at least one tool".
    pub tool_choice_required: &'static str,
    /// Whether every stream ends with `[DONE]`.
    pub end_marker: EndMarker,
    /// Whether it closes the connection after a stream although it announces to keep it. A stream is then asked for with
    /// `connection: close`, so that no later request goes out on a connection that is about to end.
    pub closes_after_stream: bool,
    /// How its message begins where it tells a context overflow in no other way.
    pub context_overflow: &'static [&'static str],
    /// Makers whose names begin its own names of models, before a dot (`openai.gpt-oss-120b`). A client's routing by names
    /// leaves such a name as it is.
    pub vendors: &'static [&'static str],
    /// Whether its operator names its models, so that a name that begins with a maker's (`anthropic.claude`) may be one of them.
    /// A client's routing asks which is meant.
    pub free_names: bool,
    /// Its batches; `None` if it has none.
    pub batches: Option<&'static BatchProfile>,
    /// Whether it lists its models, at `/models`.
    pub models: bool,
    /// The path of the cheapest answer it gives.
    pub check_path: &'static str,
}

/// A value of a parameter that a server wants said in another way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ValueNaming {
    /// The parameter.
    pub param: Param,
    /// Its value, as JSON.
    pub value: &'static str,
    /// The member that is sent instead. A dot leads into an object.
    pub name: &'static str,
    /// That member's value, as JSON.
    pub api_value: &'static str,
}

impl ValueNaming {
    /// `value` of `param` is said as `name: wire`.
    #[must_use]
    pub const fn new(
        param: Param,
        value: &'static str,
        name: &'static str,
        wire: &'static str,
    ) -> Self {
        ValueNaming {
            param,
            value,
            name,
            api_value: wire,
        }
    }
}

/// How a stream comes to have usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamUsage {
    /// By `stream_options: {include_usage: true}`, which is sent unless the request says no.
    Requested,
    /// By the same option, which is sent only if the request asks for usage: some models behind the server refuse it.
    OnRequest,
    /// By itself; the option is not sent, because some servers refuse it.
    Always,
    /// Nobody knows; asking for it is refused.
    Unknown,
}

/// Which forms of structured output a server has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StructuredOutput {
    /// Any JSON object.
    Object,
    /// JSON that follows a schema, too.
    Schema,
}

/// How reasoning of earlier turns goes back to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReasoningReplay {
    /// Not at all: the server refuses or ignores it.
    Never,
    /// In this member of the message.
    Field(&'static str),
    /// As `reasoning_details`, unchanged; without any, as `reasoning`.
    Details,
    /// As a part of type `thinking` in the content (Mistral).
    Thinking,
}

/// How calls of other models go to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ForeignCalls {
    /// As they are.
    Plain,
    /// As Gemini 3 takes them: the first call of a turn without signatures has a word in the place of one, in
    /// `extra_content.google.thought_signature`. Earlier models, which the server tells by their names, take calls as they
    /// are. Source: Google's guide to thought signatures.
    SignedForGemini,
}

/// Which messages may have pictures, sound and documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MediaPlacement {
    /// Any, those of tools and of the assistant among them.
    AnyMessage,
    /// Those of the user alone. Media of others are moved to a message of the user behind them.
    UserMessages,
}

/// How a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndMarker {
    /// With `[DONE]`, and only that ends it: text or an error may follow a finish reason.
    Required,
    /// With `[DONE]`. Where it is missing after a finish reason, a warning says so.
    Always,
    /// Without: the end after a finish reason is the end (Cerebras).
    Never,
    /// One way or the other, by model or upstream.
    Sometimes,
}

impl ChatProfile {
    /// What all profiles start from: OpenAI's own names, the parameters that every server takes.
    pub const BASE: ChatProfile = ChatProfile {
        name: "openai-compatible",
        base_url: "",
        query: &[],
        key_env: "OPENAI_API_KEY",
        auth: AuthStyle::Bearer,
        key_optional: false,
        params: &[Self::COMMON],
        renamed: &[],
        renamed_values: &[],
        extra: None,
        stream_usage: StreamUsage::Unknown,
        reasoning_apart: false,
        structured: StructuredOutput::Schema,
        schemas: Dialects::ANY,
        call_id: IdFormat::ANY,
        results_wanted: false,
        tool_name: IdFormat::ANY,
        reasoning: ReasoningReplay::Never,
        foreign_calls: ForeignCalls::Plain,
        required_reasoning: None,
        text_only: &[],
        alternating_roles: false,
        media: MediaPlacement::AnyMessage,
        developer_role: false,
        message_name: true,
        message_refusal: false,
        tool_choice_required: "required",
        end_marker: EndMarker::Sometimes,
        closes_after_stream: false,
        context_overflow: &[],
        vendors: &[],
        free_names: false,
        batches: None,
        models: true,
        check_path: "/models",
    };

    /// The parameters that every server takes.
    pub const COMMON: &'static [Param] = &[
        Param::MaxTokens,
        Param::Temperature,
        Param::TopP,
        Param::Stop,
        Param::Tools,
        Param::ToolChoice,
    ];

    /// The form of a function's name at OpenAI and at those that took it over.
    pub const TOOL_NAME: IdFormat = IdFormat::new(1, 64).only("_-");

    /// Penalties against repetition, in OpenAI's way.
    pub const PENALTIES: &'static [Param] = &[Param::FrequencyPenalty, Param::PresencePenalty];

    /// Log probabilities.
    pub const LOGPROBS: &'static [Param] = &[Param::Logprobs, Param::TopLogprobs];

    /// What the samplers of open models add.
    pub const SAMPLERS: &'static [Param] = &[Param::TopK, Param::MinP, Param::RepetitionPenalty];

    /// What OpenAI itself takes beyond what all take.
    pub const OPENAI: &'static [Param] = &[
        Param::LogitBias,
        Param::N,
        Param::Seed,
        Param::ParallelToolCalls,
        Param::ReasoningEffort,
        Param::Verbosity,
        Param::PromptCacheKey,
        Param::ServiceTier,
        Param::UserId,
        Param::Metadata,
        Param::Store,
        Param::ResponseFormat,
        Param::Prediction,
    ];

    /// The name of a parameter on this server's wire.
    #[must_use]
    pub fn api_name(&self, param: Param) -> &'static str {
        if let Some((_, name)) = self.renamed.iter().find(|(other, _)| *other == param) {
            return name;
        }
        match param {
            Param::UserId => "user",
            other => other.name(),
        }
    }

    /// Whether the server takes a parameter, maybe not every value of it.
    #[must_use]
    pub fn supports(&self, param: Param) -> bool {
        match param {
            Param::IncludeUsage => self.stream_usage != StreamUsage::Unknown,
            _ => {
                self.supports_any_value(param)
                    || self.renamed_values.iter().any(|s| s.param == param)
            }
        }
    }

    pub(super) fn supports_any_value(&self, param: Param) -> bool {
        self.params.iter().any(|group| group.contains(&param))
    }

    /// Whether a member of the request without a field of its own may be sent.
    pub(super) fn supports_member(&self, name: &str) -> bool {
        self.extra.is_none_or(|allowed| allowed.contains(&name))
    }
}
