//! What differs between the servers whose batches are like OpenAI's, as data.

use crate::provider::batch_api::{BatchLimits, Submission};

/// One server's batches. Source of all values: the servers' SDKs and documentation, and recorded traffic where there is some.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BatchProfile {
    /// What a batch may have.
    pub limits: BatchLimits,
    /// Its way of making batches.
    pub dialect: BatchDialect,
    /// The path of chats, as lines and batches name it.
    pub chat_endpoint: &'static str,
    /// What files of requests are for, in its word.
    pub batch_purpose: &'static str,
    /// What files for chats are for, in its word; empty if it wants none.
    pub file_purpose: &'static str,
    /// As in [`ChatProfile`](crate::provider::openai_chat::ChatProfile), for chats that answer batches of responses.
    pub reasoning_apart: bool,
}

/// A way of making batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BatchDialect {
    /// OpenAI's: a file in, a file of answers and a file of errors out.
    OpenAi,
    /// Together's: the file is uploaded in three steps, the new batch is in `job`.
    Together,
    /// Cerebras': results have a path of their own, and a cancellation is a deletion.
    Cerebras,
    /// OpenRouter's: requests in the call, results in the description.
    OpenRouter,
    /// Mistral's: jobs, with requests in the call.
    Mistral,
    /// xAI's: an empty batch to which requests are added.
    Xai,
}

impl BatchProfile {
    /// OpenAI.
    pub const OPENAI: BatchProfile = BatchProfile {
        limits: BatchLimits::new(50_000, 200_000_000, Submission::File),
        dialect: BatchDialect::OpenAi,
        chat_endpoint: "/v1/chat/completions",
        batch_purpose: "batch",
        file_purpose: "user_data",
        reasoning_apart: false,
    };

    /// Azure OpenAI by deployments. Lines name the path without a version, as its SDK's users send it.
    pub const AZURE: BatchProfile = BatchProfile {
        chat_endpoint: "/chat/completions",
        ..BatchProfile::OPENAI
    };

    /// Groq.
    pub const GROQ: BatchProfile = BatchProfile {
        limits: BatchLimits::new(50_000, 100_000_000, Submission::File),
        ..BatchProfile::OPENAI
    };

    /// Together.
    pub const TOGETHER: BatchProfile = BatchProfile {
        limits: BatchLimits::new(50_000, 100_000_000, Submission::File),
        dialect: BatchDialect::Together,
        batch_purpose: "batch-api",
        ..BatchProfile::OPENAI
    };

    /// Cerebras, whose batches are in private preview.
    pub const CEREBRAS: BatchProfile = BatchProfile {
        limits: BatchLimits {
            min_requests: 10,
            max_line_bytes: 1_000_000,
            ..BatchProfile::OPENAI.limits
        },
        dialect: BatchDialect::Cerebras,
        ..BatchProfile::OPENAI
    };

    /// OpenRouter. It names no limit of bytes.
    pub const OPENROUTER: BatchProfile = BatchProfile {
        limits: BatchLimits::new(5_000, 20_000_000, Submission::Inline),
        dialect: BatchDialect::OpenRouter,
        ..BatchProfile::OPENAI
    };

    /// Mistral.
    pub const MISTRAL: BatchProfile = BatchProfile {
        limits: BatchLimits::new(100_000, 512_000_000, Submission::Inline),
        dialect: BatchDialect::Mistral,
        file_purpose: "ocr",
        ..BatchProfile::OPENAI
    };

    /// xAI, which takes 25 MB in one call.
    pub const XAI: BatchProfile = BatchProfile {
        limits: BatchLimits {
            one_model: false,
            ..BatchLimits::new(50_000, 20_000_000, Submission::Added)
        },
        dialect: BatchDialect::Xai,
        file_purpose: "",
        reasoning_apart: true,
        ..BatchProfile::OPENAI
    };
}
