//! What Converse has beyond a chat request's own fields.

use crate::{ChatRequest, Error, Json};
use serde::Serialize;
use std::collections::BTreeMap;

/// Settings of Bedrock's Converse that no other provider has. [`apply`](ConverseOptions::apply) puts them into a request.
///
/// ```
/// use unifiedai::{ChatRequest, provider::bedrock::{ConverseOptions, Guardrail}};
/// # fn main() -> Result<(), unifiedai::Error> {
/// let request = ConverseOptions::new()
///     .guardrail(Guardrail::new("abcd1234", "DRAFT").trace("enabled"))
///     .model_field("top_k", &40)?
///     .apply(ChatRequest::new("us.anthropic.claude-sonnet-4-20250514-v1:0").user("Hello"))?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConverseOptions {
    guardrail: Option<Guardrail>,
    model_fields: BTreeMap<String, Json>,
    response_paths: Vec<String>,
    latency: Option<String>,
    prompt_variables: BTreeMap<String, Variable>,
}

impl ConverseOptions {
    /// No options: what Bedrock does by itself.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A guardrail to hold question and answer against (`guardrailConfig`).
    #[must_use]
    pub fn guardrail(mut self, guardrail: Guardrail) -> Self {
        self.guardrail = Some(guardrail);
        self
    }

    /// A parameter of the model's own, such as Anthropic's `top_k` or `thinking` (a member of
    /// `additionalModelRequestFields`).
    ///
    /// # Errors
    /// `invalid_request` if `value` cannot be written as JSON.
    pub fn model_field<T: Serialize + ?Sized>(
        mut self,
        name: impl Into<String>,
        value: &T,
    ) -> Result<Self, Error> {
        self.model_fields.insert(name.into(), Json::new(value)?);
        Ok(self)
    }

    /// A JSON pointer, such as `/stop_sequence`, to a member of the model's own answer that is to come back in
    /// `additionalModelResponseFields` (at most 10).
    #[must_use]
    pub fn response_path(mut self, pointer: impl Into<String>) -> Self {
        self.response_paths.push(pointer.into());
        self
    }

    /// `standard` or `optimized` (`performanceConfig.latency`).
    #[must_use]
    pub fn latency(mut self, latency: impl Into<String>) -> Self {
        self.latency = Some(latency.into());
        self
    }

    /// What stands for a variable of a managed prompt, whose ARN is the request's model (`promptVariables`).
    #[must_use]
    pub fn prompt_variable(mut self, name: impl Into<String>, text: impl Into<String>) -> Self {
        let variable = Variable { text: text.into() };
        self.prompt_variables.insert(name.into(), variable);
        self
    }

    /// Puts the options that are set into a request, as members of [`ChatRequest::extra`].
    ///
    /// # Errors
    /// None for options made with this type's methods.
    pub fn apply(&self, mut request: ChatRequest) -> Result<ChatRequest, Error> {
        if let Some(guardrail) = &self.guardrail {
            request = request.extra("guardrailConfig", guardrail)?;
        }
        if !self.model_fields.is_empty() {
            request = request.extra("additionalModelRequestFields", &self.model_fields)?;
        }
        if !self.response_paths.is_empty() {
            request = request.extra("additionalModelResponseFieldPaths", &self.response_paths)?;
        }
        if let Some(latency) = &self.latency {
            request = request.extra("performanceConfig", &Performance { latency })?;
        }
        if !self.prompt_variables.is_empty() {
            request = request.extra("promptVariables", &self.prompt_variables)?;
        }
        Ok(request)
    }
}

#[derive(Serialize)]
struct Performance<'a> {
    latency: &'a str,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Variable {
    text: String,
}

/// A guardrail of Amazon Bedrock. Where it intervenes the answer is its own text, with the finish reason
/// `content_filter` and the native one `guardrail_intervened`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Guardrail {
    guardrail_identifier: String,
    guardrail_version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_processing_mode: Option<String>,
}

impl Guardrail {
    /// A guardrail by its id or ARN and its version: a number or `DRAFT`.
    #[must_use]
    pub fn new(identifier: impl Into<String>, version: impl Into<String>) -> Self {
        Guardrail {
            guardrail_identifier: identifier.into(),
            guardrail_version: version.into(),
            trace: None,
            stream_processing_mode: None,
        }
    }

    /// What it is to tell of its work in the member `trace` of
    /// [`ProviderMetadata::extra`](crate::chat::ProviderMetadata::extra): `enabled`, `disabled` or `enabled_full`.
    #[must_use]
    pub fn trace(mut self, trace: impl Into<String>) -> Self {
        self.trace = Some(trace.into());
        self
    }

    /// Whether a stream waits for it (`sync`) or is checked while it goes on (`async`). An answer that comes whole is
    /// asked for without it.
    #[must_use]
    pub fn stream_processing_mode(mut self, mode: impl Into<String>) -> Self {
        self.stream_processing_mode = Some(mode.into());
        self
    }
}
