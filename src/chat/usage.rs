use crate::Json;
use serde::{Serialize, Serializer, ser::SerializeMap};

/// Token counts by the provider. `None` means that the provider reported no count; nothing is estimated.
///
/// `prompt_tokens` and `completion_tokens` are totals. The cached, cache-write, audio and image counts are part of
/// the prompt; the reasoning and prediction counts are part of the completion. Counts of providers that count
/// differently are converted; `raw` has them as sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Input tokens.
    pub prompt_tokens: Option<u64>,
    /// Output tokens, reasoning included.
    pub completion_tokens: Option<u64>,
    /// Input and output tokens.
    pub total_tokens: Option<u64>,
    /// Part of the prompt: read from a cache.
    pub cached_tokens: Option<u64>,
    /// Part of the prompt: written to a cache.
    pub cache_write_tokens: Option<u64>,
    /// Part of the prompt: images.
    pub image_tokens: Option<u64>,
    /// Part of the prompt: audio.
    pub audio_tokens: Option<u64>,
    /// Part of the completion: reasoning.
    pub reasoning_tokens: Option<u64>,
    /// Part of the completion: tokens of the prediction that were used.
    pub accepted_prediction_tokens: Option<u64>,
    /// Part of the completion: tokens of the prediction that were not used, but are billed.
    pub rejected_prediction_tokens: Option<u64>,
    /// How often the provider ran hosted tools, which it bills apart from the tokens.
    pub hosted_tools: Option<Box<HostedToolUsage>>,
    /// The provider's own object.
    pub raw: Option<Json>,
}

impl Usage {
    /// Input and output tokens: the reported total, or else the sum. `None` if neither is known.
    pub(crate) fn total(&self) -> Option<u64> {
        let sum = || Some(self.prompt_tokens?.saturating_add(self.completion_tokens?));
        self.total_tokens.or_else(sum)
    }

    /// Whether the counts are the same; the provider's own object is not compared.
    pub(crate) fn has_counts_of(&self, other: &Usage) -> bool {
        let counts = |usage: &Usage| {
            [
                usage.prompt_tokens,
                usage.completion_tokens,
                usage.total_tokens,
                usage.cached_tokens,
                usage.cache_write_tokens,
                usage.image_tokens,
                usage.audio_tokens,
                usage.reasoning_tokens,
                usage.accepted_prediction_tokens,
                usage.rejected_prediction_tokens,
            ]
        };
        counts(self) == counts(other) && self.hosted_tools == other.hosted_tools
    }

    /// The counts that exceed those of `earlier`, a part of the same response. `raw` stays as it is.
    pub(crate) fn beyond(&self, earlier: &Usage) -> Usage {
        let rest = |own: Option<u64>, earlier: Option<u64>| {
            own.map(|own| own.saturating_sub(earlier.unwrap_or_default()))
        };
        Usage {
            raw: self.raw.clone(),
            ..self.combined(earlier, rest)
        }
    }

    /// The sum of the counts of two requests, without `raw`.
    pub(crate) fn sum(&self, other: &Usage) -> Usage {
        self.combined(other, |own, other| match (own, other) {
            (Some(own), Some(other)) => Some(own.saturating_add(other)),
            (own, other) => own.or(other),
        })
    }

    fn combined(
        &self,
        other: &Usage,
        sum: impl Fn(Option<u64>, Option<u64>) -> Option<u64>,
    ) -> Usage {
        Usage {
            prompt_tokens: sum(self.prompt_tokens, other.prompt_tokens),
            completion_tokens: sum(self.completion_tokens, other.completion_tokens),
            total_tokens: sum(self.total_tokens, other.total_tokens),
            cached_tokens: sum(self.cached_tokens, other.cached_tokens),
            cache_write_tokens: sum(self.cache_write_tokens, other.cache_write_tokens),
            image_tokens: sum(self.image_tokens, other.image_tokens),
            audio_tokens: sum(self.audio_tokens, other.audio_tokens),
            reasoning_tokens: sum(self.reasoning_tokens, other.reasoning_tokens),
            accepted_prediction_tokens: sum(
                self.accepted_prediction_tokens,
                other.accepted_prediction_tokens,
            ),
            rejected_prediction_tokens: sum(
                self.rejected_prediction_tokens,
                other.rejected_prediction_tokens,
            ),
            hosted_tools: self.hosted_tools_of(other, &sum),
            raw: None,
        }
    }

    fn hosted_tools_of(
        &self,
        other: &Usage,
        sum: impl Fn(Option<u64>, Option<u64>) -> Option<u64>,
    ) -> Option<Box<HostedToolUsage>> {
        let none = HostedToolUsage::default();
        let own = self.hosted_tools.as_deref().unwrap_or(&none);
        let other = other.hosted_tools.as_deref().unwrap_or(&none);
        own.combined(other, sum).into_option()
    }
}

/// How often the provider ran hosted tools in one call.
///
/// The counts are the provider's where it reports them, else the number of its call items (OpenAI's Responses, which bills
/// them) or queries (Gemini) in the response. `None` if there is neither.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct HostedToolUsage {
    /// Searches of the web.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub web_searches: Option<u64>,
    /// Fetches of web pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub web_fetches: Option<u64>,
    /// Runs of code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code_executions: Option<u64>,
    /// Searches of files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_searches: Option<u64>,
    /// Calls of tools of MCP servers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mcp_calls: Option<u64>,
    /// Generated images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_generations: Option<u64>,
    /// Part of the prompt: tokens that hosted tools added (Gemini).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_tokens: Option<u64>,
}

impl HostedToolUsage {
    /// The counts, if there is any.
    pub(crate) fn into_option(self) -> Option<Box<Self>> {
        (self != Self::default()).then(|| Box::new(self))
    }

    fn combined(
        &self,
        other: &HostedToolUsage,
        sum: impl Fn(Option<u64>, Option<u64>) -> Option<u64>,
    ) -> HostedToolUsage {
        HostedToolUsage {
            web_searches: sum(self.web_searches, other.web_searches),
            web_fetches: sum(self.web_fetches, other.web_fetches),
            code_executions: sum(self.code_executions, other.code_executions),
            file_searches: sum(self.file_searches, other.file_searches),
            mcp_calls: sum(self.mcp_calls, other.mcp_calls),
            image_generations: sum(self.image_generations, other.image_generations),
            prompt_tokens: sum(self.prompt_tokens, other.prompt_tokens),
        }
    }
}

impl Serialize for Usage {
    /// Writes the format of OpenAI's `usage`, without absent counts.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Prompt {
            #[serde(skip_serializing_if = "Option::is_none")]
            cached_tokens: Option<u64>,
            #[serde(skip_serializing_if = "Option::is_none")]
            cache_write_tokens: Option<u64>,
            #[serde(skip_serializing_if = "Option::is_none")]
            image_tokens: Option<u64>,
            #[serde(skip_serializing_if = "Option::is_none")]
            audio_tokens: Option<u64>,
        }
        #[derive(Serialize)]
        struct Completion {
            #[serde(skip_serializing_if = "Option::is_none")]
            reasoning_tokens: Option<u64>,
            #[serde(skip_serializing_if = "Option::is_none")]
            accepted_prediction_tokens: Option<u64>,
            #[serde(skip_serializing_if = "Option::is_none")]
            rejected_prediction_tokens: Option<u64>,
        }
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in [
            ("prompt_tokens", self.prompt_tokens),
            ("completion_tokens", self.completion_tokens),
            ("total_tokens", self.total_tokens),
        ] {
            if let Some(value) = value {
                map.serialize_entry(name, &value)?;
            }
        }
        let prompt = [
            self.cached_tokens,
            self.cache_write_tokens,
            self.image_tokens,
            self.audio_tokens,
        ];
        if prompt.iter().any(Option::is_some) {
            let [
                cached_tokens,
                cache_write_tokens,
                image_tokens,
                audio_tokens,
            ] = prompt;
            let details = Prompt {
                cached_tokens,
                cache_write_tokens,
                image_tokens,
                audio_tokens,
            };
            map.serialize_entry("prompt_tokens_details", &details)?;
        }
        let completion = [
            self.reasoning_tokens,
            self.accepted_prediction_tokens,
            self.rejected_prediction_tokens,
        ];
        if completion.iter().any(Option::is_some) {
            let [
                reasoning_tokens,
                accepted_prediction_tokens,
                rejected_prediction_tokens,
            ] = completion;
            let details = Completion {
                reasoning_tokens,
                accepted_prediction_tokens,
                rejected_prediction_tokens,
            };
            map.serialize_entry("completion_tokens_details", &details)?;
        }
        if let Some(hosted) = &self.hosted_tools {
            map.serialize_entry("hosted_tools", hosted)?;
        }
        map.end()
    }
}
