use crate::Json;
use serde::{Serialize, Serializer, ser::SerializeMap};

/// Tokens counted by the provider. `None` means that it did not say; nothing is estimated.
///
/// `prompt_tokens` and `completion_tokens` are totals: the cached, cache-write, audio and image numbers are part of the
/// prompt, the reasoning and prediction numbers part of the completion. Providers that count differently are brought to
/// this (their numbers as sent are in `raw`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Tokens read.
    pub prompt_tokens: Option<u64>,
    /// Tokens written, reasoning included.
    pub completion_tokens: Option<u64>,
    /// Both together.
    pub total_tokens: Option<u64>,
    /// Of the prompt: read from a cache.
    pub cached_tokens: Option<u64>,
    /// Of the prompt: written to a cache.
    pub cache_write_tokens: Option<u64>,
    /// Of the prompt: from pictures.
    pub image_tokens: Option<u64>,
    /// Of the prompt: from sound.
    pub audio_tokens: Option<u64>,
    /// Of the completion: spent on reasoning.
    pub reasoning_tokens: Option<u64>,
    /// Of the completion: predicted rightly.
    pub accepted_prediction_tokens: Option<u64>,
    /// Of the completion: predicted in vain, and paid for.
    pub rejected_prediction_tokens: Option<u64>,
    /// The provider's own object.
    pub raw: Option<Json>,
}

impl Serialize for Usage {
    /// In the shape of OpenAI's `usage`; absent numbers are left out.
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
        map.end()
    }
}
