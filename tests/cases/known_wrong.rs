//! Cases that are known to come out wrong. The test fails for a name here whose case comes out right.

#[rustfmt::skip]
pub const CASES: &[&str] = &[
    "06-xai-usage",
    "07b-koboldcpp-null-string-cut",
    "08-moonshot-usage-in-choice",
    "13-openrouter-image",
    "14-openai-custom-tool",
    "15b-databricks-reasoning",
    "18-minimax-final-full-message",
    "21b-litellm-summary-chunk",
    "22-glm-duplicate-ids",
    "34d-gemini-openai-foreign-call",
    "48-openai-audio-output",
    "79-copilot-split-choices",
    "custom-call-beside-a-function",
    "custom-call-streamed",
    "duplicate-ids-in-pieces",
    "duplicate-ids-whole",
    "finish-reason-null-before-calls",
    "finish-reason-unknown-repeated",
    "lost-parts-of-a-stream",
    "lost-parts-of-an-unknown-type",
    "repeats-message-with-call",
    "split-choices-of-three",
    "usage-in-choice-beside-calls",
    "usage-without-reasoning-streamed",
];
