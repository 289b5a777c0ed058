use crate::chat::ProviderBlock;
use serde::{Deserialize, Serialize};

/// A summary of the earlier conversation, with which the provider replaced it.
///
/// It is sent back to its own provider unchanged. The provider then ignores everything before the last compaction, so a
/// program may remove those messages from its history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Compaction {
    /// The summary. `None` if it is encrypted (OpenAI), or if the compaction failed (Anthropic), which has no effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// The compaction in the provider's own JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<ProviderBlock>,
}

impl Compaction {
    pub(crate) fn new(summary: Option<String>, raw: ProviderBlock) -> Self {
        Compaction {
            summary,
            raw: Some(raw),
        }
    }
}

/// When the provider compacts the conversation.
///
/// ```
/// use unifiedai::{ChatRequest, chat::CompactionSettings};
/// let settings = CompactionSettings::at(150_000).instructions("Keep every file name.");
/// let request = ChatRequest::new("claude-opus-4-8").user("Go on.").compaction(settings);
/// # let _ = request;
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CompactionSettings {
    /// The number of input tokens from which on the conversation is compacted; `None` for the provider's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger_tokens: Option<u64>,
    /// Instructions for the summary, in place of the provider's own (Anthropic).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
    /// Whether the response ends after the compaction (Anthropic), with the native finish reason `compaction`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pause: bool,
}

impl CompactionSettings {
    /// Compacts a conversation with more input tokens than this. Anthropic's minimum is 50,000, OpenAI's 1,000.
    #[must_use]
    pub fn at(tokens: u64) -> Self {
        CompactionSettings {
            trigger_tokens: Some(tokens),
            ..Self::default()
        }
    }

    /// Sets the instructions for the summary.
    #[must_use]
    pub fn instructions(mut self, text: impl Into<String>) -> Self {
        self.instructions = Some(text.into());
        self
    }

    /// Ends the response after the compaction.
    #[must_use]
    pub fn pause(mut self) -> Self {
        self.pause = true;
        self
    }
}
