//! What differs between the servers that speak OpenAI chat, as data.

use crate::Param;

/// One server's dialect of OpenAI chat. A new server is a new value of this type and a test.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Profile {
    /// A short name, such as `cerebras`; also the prefix in `cerebras.gpt-oss-120b`.
    pub name: &'static str,
    /// Where it is, version path included; empty for servers without a fixed place.
    pub base_url: &'static str,
    /// The environment variable with the key.
    pub key_env: &'static str,
    /// Where the key goes.
    pub auth: AuthStyle,
    /// Whether it works without a key (local servers).
    pub key_optional: bool,
    /// The parameters it takes, under OpenAI's names unless `renamed` says otherwise.
    pub params: &'static [Param],
    /// Parameters that it calls by another name.
    pub renamed: &'static [(Param, &'static str)],
    /// Which further members it takes; `None` for any.
    pub extra: Option<&'static [&'static str]>,
    /// Whether `stream_options: {include_usage}` may be sent.
    pub stream_usage: bool,
    /// How reasoning of earlier turns goes back.
    pub reasoning: ReasoningReplay,
    /// Whether the role `developer` is known; elsewhere it becomes `system`.
    pub developer_role: bool,
    /// Whether a message may have a `name`.
    pub message_name: bool,
    /// Its word for "call at least one tool".
    pub tool_choice_required: &'static str,
    /// Whether every stream ends with `[DONE]`.
    pub end_marker: EndMarker,
    /// How its message begins where it tells a context overflow in no other way.
    pub context_overflow: &'static [&'static str],
}

/// Where the key goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuthStyle {
    /// `authorization: Bearer`.
    Bearer,
    /// A header of its own.
    Header(&'static str),
}

/// How reasoning of earlier turns goes back to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReasoningReplay {
    /// Not at all: the server refuses or ignores it.
    Never,
    /// In this member of the message.
    Field(&'static str),
    /// As `reasoning_details`, unchanged (OpenRouter).
    Details,
}

/// How a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndMarker {
    /// With `[DONE]`.
    Always,
    /// Without: the end after a finish reason is the end (Cerebras).
    Never,
    /// One way or the other, by model or upstream.
    Sometimes,
}

impl Profile {
    /// What all profiles start from: OpenAI's own names, the parameters that every server takes.
    pub const BASE: Profile = Profile {
        name: "openai-compatible",
        base_url: "",
        key_env: "OPENAI_API_KEY",
        auth: AuthStyle::Bearer,
        key_optional: false,
        params: Self::COMMON_PARAMS,
        renamed: &[],
        extra: None,
        stream_usage: false,
        reasoning: ReasoningReplay::Never,
        developer_role: false,
        message_name: true,
        tool_choice_required: "required",
        end_marker: EndMarker::Sometimes,
        context_overflow: &[],
    };

    /// The parameters that every server takes.
    pub const COMMON_PARAMS: &'static [Param] = &[
        Param::MaxTokens,
        Param::Temperature,
        Param::TopP,
        Param::Stop,
        Param::Tools,
        Param::ToolChoice,
    ];

    /// The name of a parameter on this server's wire.
    pub(super) fn wire_name(&self, param: Param) -> &'static str {
        if let Some((_, name)) = self.renamed.iter().find(|(other, _)| *other == param) {
            return name;
        }
        match param {
            Param::EndUser => "user",
            other => other.name(),
        }
    }

    pub(super) fn takes(&self, param: Param) -> bool {
        self.params.contains(&param)
    }
}
