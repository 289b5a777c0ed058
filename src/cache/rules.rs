//! The order in which an API caches the parts of a request, and which fields change the prompt besides them.

/// A part of the prompt that is cached up to its end. A change of one loses it and all after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CacheTier {
    /// The tools.
    Tools,
    /// The system messages.
    System,
    /// The conversation.
    Messages,
}

/// What an API caches. Source of the values: each provider's page on prompt caching.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct CacheRules {
    /// The tiers in the order of the prompt, each with the path of its field in the body.
    pub order: &'static [(CacheTier, &'static str)],
    /// Other fields, by path, and the first tier that is lost when they change.
    pub settings: &'static [(&'static str, CacheTier)],
    /// True if a cache ends only where a request marked it, so that a change loses the whole of its tier; false if
    /// everything before the change can be read.
    pub ends_at_marks: bool,
}

impl CacheRules {
    /// Creates rules.
    #[must_use]
    pub const fn new(
        order: &'static [(CacheTier, &'static str)],
        settings: &'static [(&'static str, CacheTier)],
        ends_at_marks: bool,
    ) -> Self {
        CacheRules {
            order,
            settings,
            ends_at_marks,
        }
    }

    /// Servers with OpenAI's chat API, and those that are not known: tools, then messages.
    pub const CHAT: CacheRules = CacheRules::new(
        &[
            (CacheTier::Tools, "tools"),
            (CacheTier::Messages, "messages"),
        ],
        &[
            ("response_format", CacheTier::Tools),
            ("parallel_tool_calls", CacheTier::Tools),
            ("reasoning_effort", CacheTier::Tools),
            ("verbosity", CacheTier::Tools),
        ],
        false,
    );

    /// OpenAI's Responses API.
    pub const RESPONSES: CacheRules = CacheRules::new(
        &[
            (CacheTier::Tools, "tools"),
            (CacheTier::System, "instructions"),
            (CacheTier::Messages, "input"),
        ],
        &[
            ("parallel_tool_calls", CacheTier::Tools),
            ("text", CacheTier::Tools),
            ("reasoning.effort", CacheTier::Tools),
            ("context_management", CacheTier::Tools),
        ],
        false,
    );

    /// Anthropic's Messages API.
    pub const ANTHROPIC: CacheRules = CacheRules::new(
        &[
            (CacheTier::Tools, "tools"),
            (CacheTier::System, "system"),
            (CacheTier::Messages, "messages"),
        ],
        &[
            ("output_config.format", CacheTier::Tools),
            ("speed", CacheTier::System),
            ("tool_choice", CacheTier::Messages),
            ("thinking", CacheTier::Messages),
            ("output_config.effort", CacheTier::Messages),
        ],
        true,
    );

    /// Bedrock's Converse.
    pub const CONVERSE: CacheRules = CacheRules::new(
        &[
            (CacheTier::Tools, "toolConfig.tools"),
            (CacheTier::System, "system"),
            (CacheTier::Messages, "messages"),
        ],
        &[
            ("outputConfig.textFormat", CacheTier::Tools),
            ("toolConfig.toolChoice", CacheTier::Messages),
            ("additionalModelRequestFields", CacheTier::Messages),
        ],
        true,
    );

    /// Gemini Interactions.
    pub const INTERACTIONS: CacheRules = CacheRules::new(
        &[
            (CacheTier::System, "system_instruction"),
            (CacheTier::Tools, "tools"),
            (CacheTier::Messages, "input"),
        ],
        &[],
        false,
    );

    /// Gemini.
    pub const GEMINI: CacheRules = CacheRules::new(
        &[
            (CacheTier::System, "systemInstruction"),
            (CacheTier::Tools, "tools"),
            (CacheTier::Messages, "contents"),
        ],
        &[
            ("cachedContent", CacheTier::System),
            ("toolConfig", CacheTier::Tools),
        ],
        false,
    );
}
