//! What differs between the servers that speak OpenAI's Responses API, as data.

use crate::{
    provider::{IdForm, openai_chat::AuthStyle},
    schema::Dialects,
};

/// One server's dialect. A new server is a new value of this type and a test.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Profile {
    /// A short name, such as `openai-responses`.
    pub name: &'static str,
    /// Where it is, version path included; empty for servers without a fixed place.
    pub base_url: &'static str,
    /// The environment variable with the key.
    pub key_env: &'static str,
    /// Where the key goes.
    pub auth: AuthStyle,
    /// Whether it works without a key (local servers).
    pub key_optional: bool,
    /// The form of a tool call's id. Another provider's id that it refuses is replaced, in the call and in its result.
    pub call_id: IdForm,
    /// Whether it refuses a history in which a tool call has no result.
    pub results_wanted: bool,
    /// The form of a function's name.
    pub tool_name: IdForm,
    /// Makers whose names begin its own names of models, before a dot; see [`Provider::owns_model`].
    ///
    /// [`Provider::owns_model`]: crate::Provider::owns_model
    pub makers: &'static [&'static str],
    /// Its name for who the end user is.
    pub end_user: &'static str,
    /// Whether it keeps responses, so that `store` and `metadata` mean something.
    pub stores: bool,
    /// Whether `include` can ask it for `reasoning.encrypted_content`, with which reasoning goes on where nothing is stored.
    pub encrypts_reasoning: bool,
    /// Which part of JSON Schema it takes, in answers and in tools.
    pub schemas: Dialects,
}

impl Profile {
    /// What all profiles start from.
    pub const BASE: Profile = Profile {
        name: "responses",
        base_url: "",
        key_env: "OPENAI_API_KEY",
        auth: AuthStyle::Bearer,
        key_optional: false,
        call_id: IdForm::new(1, 64),
        results_wanted: false,
        tool_name: IdForm::ANY,
        makers: &[],
        end_user: "user",
        stores: true,
        encrypts_reasoning: false,
        schemas: Dialects::ANY,
    };

    /// OpenAI.
    pub const OPENAI: Profile = Profile {
        name: "openai-responses",
        results_wanted: true,
        base_url: "https://api.openai.com/v1",
        tool_name: IdForm::new(1, 64).only("_-"),
        end_user: "safety_identifier",
        encrypts_reasoning: true,
        schemas: Dialects::OPENAI,
        ..Profile::BASE
    };

    /// Azure OpenAI, version `v1`: the base URL is `https://<resource>.openai.azure.com/openai/v1`, the model a deployment.
    pub const AZURE: Profile = Profile {
        name: "azure-responses",
        results_wanted: true,
        key_env: "AZURE_OPENAI_API_KEY",
        auth: AuthStyle::Header("api-key"),
        call_id: IdForm::new(1, 40),
        encrypts_reasoning: true,
        tool_name: IdForm::new(1, 64).only("_-"),
        schemas: Dialects::OPENAI,
        ..Profile::BASE
    };

    /// xAI.
    pub const XAI: Profile = Profile {
        name: "xai-responses",
        base_url: "https://api.x.ai/v1",
        key_env: "XAI_API_KEY",
        encrypts_reasoning: true,
        schemas: Dialects::XAI,
        ..Profile::BASE
    };

    /// OpenRouter, which keeps nothing.
    pub const OPENROUTER: Profile = Profile {
        name: "openrouter-responses",
        base_url: "https://openrouter.ai/api/v1",
        key_env: "OPENROUTER_API_KEY",
        stores: false,
        encrypts_reasoning: true,
        ..Profile::BASE
    };

    /// DeepSeek.
    pub const DEEPSEEK: Profile = Profile {
        name: "deepseek-responses",
        base_url: "https://api.deepseek.com",
        key_env: "DEEPSEEK_API_KEY",
        ..Profile::BASE
    };

    /// OpenAI's models on Amazon Bedrock, with a Bedrock API key; the base URL names the region.
    pub const BEDROCK: Profile = Profile {
        name: "bedrock-responses",
        base_url: "https://bedrock-mantle.us-east-1.api.aws/openai/v1",
        key_env: "AWS_BEARER_TOKEN_BEDROCK",
        encrypts_reasoning: true,
        makers: crate::provider::model_ids::BEDROCK_MAKERS,
        schemas: Dialects::OPENAI_LIKE,
        ..Profile::BASE
    };

    /// LM Studio on this machine.
    pub const LM_STUDIO: Profile = Profile {
        name: "lmstudio-responses",
        schemas: Dialects::LLAMA_CPP,
        base_url: "http://localhost:1234/v1",
        key_env: "LM_API_TOKEN",
        key_optional: true,
        ..Profile::BASE
    };

    /// All of them, but for [`Profile::BASE`].
    pub const ALL: &'static [Profile] = &[
        Profile::OPENAI,
        Profile::AZURE,
        Profile::XAI,
        Profile::OPENROUTER,
        Profile::DEEPSEEK,
        Profile::BEDROCK,
        Profile::LM_STUDIO,
    ];
}
