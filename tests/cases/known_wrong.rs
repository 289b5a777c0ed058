//! Cases that are known to come out wrong. The test fails for a name here whose case comes out right.

#[rustfmt::skip]
pub const CASES: &[&str] = &[
    "06-xai-usage",
    "07b-koboldcpp-null-string-cut",
    "08-moonshot-usage-in-choice",
    "09-minimax-balance-429",
    "10-zai-1113",
    "11b-moonshot-quota-429",
    "12-groq-413",
    "12b-openai-429-too-large",
    "13-openrouter-image",
    "14-openai-custom-tool",
    "15b-databricks-reasoning",
    "18-minimax-final-full-message",
    "21b-litellm-summary-chunk",
    "22-glm-duplicate-ids",
    "23-gemini-per-day",
    "34d-gemini-openai-foreign-call",
    "48-openai-audio-output",
    "50-dashscope-arrearage",
    "51-xai-credits-429",
    "79-copilot-split-choices",
];
