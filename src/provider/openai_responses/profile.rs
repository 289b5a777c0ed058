//! What differs between the servers that speak OpenAI's Responses API, as data.

use super::OpenAiResponses;
use crate::{
    provider::{AuthStyle, BatchProfile, IdFormat, kit::profile_table::profile_table},
    schema::Dialects,
};

/// One server's dialect. A new server is a new value of this type and a test.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ResponsesProfile {
    /// A short name, such as `openai-responses`.
    pub name: &'static str,
    /// Where it is, version path included; empty for servers without a fixed place. A name in braces stands for what differs
    /// between accounts and is given with [`url_param`](crate::provider::ProviderBuilder::url_param).
    pub base_url: &'static str,
    /// The environment variable with the key.
    pub key_env: &'static str,
    /// Where the key goes.
    pub auth: AuthStyle,
    /// Whether it works without a key (local servers).
    pub key_optional: bool,
    /// The form of a tool call's id. Another provider's id that it refuses is replaced, in the call and in its result.
    pub call_id: IdFormat,
    /// Whether it refuses a history in which a tool call has no result.
    pub results_wanted: bool,
    /// The form of a function's name.
    pub tool_name: IdFormat,
    /// Makers whose names begin its own names of models, before a dot; see [`Provider::owns_model`].
    ///
    /// [`Provider::owns_model`]: crate::provider::Provider::owns_model
    pub vendors: &'static [&'static str],
    /// Its name for who the end user is.
    pub user_id_name: &'static str,
    /// Whether it keeps responses, so that `store` and `metadata` mean something.
    pub stores: bool,
    /// Whether `include` can ask it for `reasoning.encrypted_content`, with which reasoning goes on where nothing is stored.
    pub encrypts_reasoning: bool,
    /// Which part of JSON Schema it takes, in answers and in tools.
    pub schemas: Dialects,
    /// Its batches; `None` if it has none.
    pub batches: Option<&'static BatchProfile>,
}

impl ResponsesProfile {
    /// What all profiles start from.
    pub const BASE: ResponsesProfile = ResponsesProfile {
        name: "responses",
        base_url: "",
        key_env: "OPENAI_API_KEY",
        auth: AuthStyle::Bearer,
        key_optional: false,
        call_id: IdFormat::new(1, 64),
        results_wanted: false,
        tool_name: IdFormat::ANY,
        vendors: &[],
        user_id_name: "user",
        stores: true,
        encrypts_reasoning: false,
        schemas: Dialects::ANY,
        batches: None,
    };

    /// OpenAI.
    pub const OPENAI: ResponsesProfile = ResponsesProfile {
        batches: Some(&BatchProfile::OPENAI),
        name: "openai-responses",
        results_wanted: true,
        base_url: "https://api.openai.com/v1",
        tool_name: IdFormat::new(1, 64).only("_-"),
        user_id_name: "safety_identifier",
        encrypts_reasoning: true,
        schemas: Dialects::OPENAI,
        ..ResponsesProfile::BASE
    };

    /// Azure OpenAI, version `v1`, where `model` names the deployment.
    pub const AZURE: ResponsesProfile = ResponsesProfile {
        batches: Some(&BatchProfile::OPENAI),
        name: "azure-responses",
        base_url: "https://{resource}.openai.azure.com/openai/v1",
        results_wanted: true,
        key_env: "AZURE_OPENAI_API_KEY",
        auth: AuthStyle::Header("api-key"),
        call_id: IdFormat::new(1, 40),
        encrypts_reasoning: true,
        tool_name: IdFormat::new(1, 64).only("_-"),
        schemas: Dialects::OPENAI,
        ..ResponsesProfile::BASE
    };

    /// xAI.
    pub const XAI: ResponsesProfile = ResponsesProfile {
        batches: Some(&BatchProfile::XAI),
        name: "xai-responses",
        base_url: "https://api.x.ai/v1",
        key_env: "XAI_API_KEY",
        encrypts_reasoning: true,
        schemas: Dialects::XAI,
        ..ResponsesProfile::BASE
    };

    /// OpenRouter, which keeps nothing.
    pub const OPENROUTER: ResponsesProfile = ResponsesProfile {
        batches: Some(&BatchProfile::OPENROUTER),
        name: "openrouter-responses",
        base_url: "https://openrouter.ai/api/v1",
        key_env: "OPENROUTER_API_KEY",
        stores: false,
        encrypts_reasoning: true,
        ..ResponsesProfile::BASE
    };

    /// DeepSeek.
    pub const DEEPSEEK: ResponsesProfile = ResponsesProfile {
        name: "deepseek-responses",
        base_url: "https://api.deepseek.com",
        key_env: "DEEPSEEK_API_KEY",
        ..ResponsesProfile::BASE
    };

    /// OpenAI's models on Amazon Bedrock, with a Bedrock API key; the base URL names the region.
    pub const BEDROCK: ResponsesProfile = ResponsesProfile {
        name: "bedrock-responses",
        base_url: "https://bedrock-mantle.us-east-1.api.aws/openai/v1",
        key_env: "AWS_BEARER_TOKEN_BEDROCK",
        encrypts_reasoning: true,
        vendors: crate::provider::kit::model::BEDROCK_VENDORS,
        schemas: Dialects::OPENAI_LIKE,
        ..ResponsesProfile::BASE
    };

    /// LM Studio on this machine.
    pub const LM_STUDIO: ResponsesProfile = ResponsesProfile {
        name: "lmstudio-responses",
        schemas: Dialects::LLAMA_CPP,
        base_url: "http://localhost:1234/v1",
        key_env: "LM_API_TOKEN",
        key_optional: true,
        ..ResponsesProfile::BASE
    };

    /// All of them, but for [`ResponsesProfile::BASE`].
    pub const ALL: &'static [ResponsesProfile] = TABLE;
}

profile_table! {
    OpenAiResponses, ResponsesProfile, "openai_responses::";
    openai(key) = ResponsesProfile::OPENAI;
    azure(resource, key) = ResponsesProfile::AZURE;
    xai(key) = ResponsesProfile::XAI;
    openrouter(key) = ResponsesProfile::OPENROUTER;
    deepseek(key) = ResponsesProfile::DEEPSEEK;
    bedrock(key) = ResponsesProfile::BEDROCK;
    lm_studio() = ResponsesProfile::LM_STUDIO;
}
