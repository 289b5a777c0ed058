//! The differences between the servers that copy OpenAI's batch API, as data.

use crate::provider::batch_api::{BatchLimits, Submission};

/// The batch API of one server. Source of all values: the servers' SDKs and documentation, and recorded traffic where there is some.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BatchProfile {
    /// The limits of one batch.
    pub limits: BatchLimits,
    /// The dialect of its batch API.
    pub dialect: BatchDialect,
    /// The path of chats, as it is named in lines and batches.
    pub chat_endpoint: &'static str,
    /// Its value for the purpose of a file with requests.
    pub batch_purpose: &'static str,
    /// Its value for the purpose of a file for chats; empty if the server requires none.
    pub file_purpose: &'static str,
    /// As in [`ChatProfile`](crate::provider::openai_chat::ChatProfile), for chats that answer batches of responses.
    pub reasoning_apart: bool,
}

/// A dialect of the batch API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BatchDialect {
    /// OpenAI's: the requests are in a file, the results in an output file and an error file.
    OpenAi,
    /// Together's: the file is uploaded in three steps, the new batch is in `job`.
    Together,
    /// Cerebras': results have a path of their own, and a cancellation is a deletion.
    Cerebras,
    /// OpenRouter's: the requests are in the call, the results in the description.
    OpenRouter,
    /// Mistral's: jobs with the requests in the call.
    Mistral,
    /// xAI's: an empty batch to which requests are added.
    Xai,
    /// Fireworks': jobs of an account, whose requests and results are data sets.
    Fireworks,
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

    /// Azure OpenAI by deployments. Lines name the path without a version, as users of its SDK do.
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

    /// OpenRouter. It states no limit in bytes; 20 MB is a bound of this library.
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

    /// Fireworks. An upload in one request has at most 150 MB. It states no number of requests; 50,000 is a bound of this library.
    pub const FIREWORKS: BatchProfile = BatchProfile {
        limits: BatchLimits::new(50_000, 150_000_000, Submission::File),
        dialect: BatchDialect::Fireworks,
        ..BatchProfile::OPENAI
    };

    /// xAI, which accepts 25 MB in one call.
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
