mod convert;
mod events;
mod shapes;
mod stream;

pub use events::{BlockDelta, BlockStart, ConverseEvent, ReasoningDelta};
pub use shapes::{
    ConverseBlock, ConverseMessage, ConverseMetrics, ConverseOutput, ConverseRequest,
    ConverseResponse, ConverseTool, ConverseToolChoice, InferenceConfig, InputSchema,
    ReasoningContent, TokenUsage, ToolConfig, ToolResultBlock, ToolResultContent, ToolUse,
};
pub use stream::{AsyncConverseStream, ConverseStream};

use super::per_call::PerCall;
use crate::{AsyncClient, ChatRequest, Client, Error, Json, Model, provider::Bedrock};
use serde::Serialize;
use std::time::Duration;
use unifiedai_transport::{AsyncTransport, BoxedAsyncTransport, BoxedTransport, Transport};

/// A blocking client in the shape of the AWS SDK's Bedrock client. A model `cerebras.<id>` selects Cerebras if the
/// client has it; the response has Bedrock's shape all the same.
///
/// ```no_run
/// # #[cfg(feature = "ureq")] {
/// use unifiedai::{compat::{BedrockRuntime, ConverseMessage, ConverseRequest}, transport::UreqTransport, Client};
///
/// let client = BedrockRuntime::from(Client::from_env(UreqTransport::new(), &["bedrock", "cerebras"])?);
/// let mut request = ConverseRequest::new("cerebras.gpt-oss-120b");
/// request.messages.push(ConverseMessage::user("Why is fast inference important?"));
/// println!("{}", client.converse(request)?.stop_reason);
/// # }
/// # Ok::<(), unifiedai::Error>(())
/// ```
pub type BedrockRuntime<T = BoxedTransport> = BedrockCompat<Client<T>>;

/// An async client in the shape of the AWS SDK's Bedrock client.
pub type AsyncBedrockRuntime<T = BoxedAsyncTransport> = BedrockCompat<AsyncClient<T>>;

/// [`BedrockRuntime`] or [`AsyncBedrockRuntime`], generic over the client that makes the calls.
#[derive(Clone, Debug)]
pub struct BedrockCompat<C> {
    client: C,
    call: PerCall,
}

/// The result of `list_foundation_models`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct FoundationModels {
    /// Each model as Bedrock sent it.
    pub model_summaries: Vec<Json>,
}

impl<C> BedrockCompat<C> {
    /// The underlying client.
    #[must_use]
    pub fn client(&self) -> &C {
        &self.client
    }

    /// Limits the duration of each call made with this value, retries included; clone the value to limit one call.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.call.timeout(timeout);
        self
    }

    /// Sets the retries of calls made with this value.
    #[must_use]
    pub fn max_retries(mut self, retries: u32) -> Self {
        self.call.max_retries(retries);
        self
    }

    /// Adds a header to every [`ConverseRequest`].
    #[must_use]
    pub fn extra_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.call.header(name.into(), value.into());
        self
    }

    /// Adds a field to the JSON body of every [`ConverseRequest`]. Parameters of a model that Converse lacks go into
    /// its `additional_model_request_fields`.
    ///
    /// # Errors
    /// `invalid_request` if `value` cannot be serialised as JSON.
    pub fn extra_body<V: Serialize + ?Sized>(
        mut self,
        name: impl Into<String>,
        value: &V,
    ) -> Result<Self, Error> {
        self.call.body(name.into(), value)?;
        Ok(self)
    }

    fn request(&self, request: ConverseRequest) -> Result<ChatRequest, Error> {
        self.call.request(convert::request(request)?)
    }
}

impl<C> From<C> for BedrockCompat<C> {
    /// Wraps a client whose default provider is Bedrock; it may have other providers.
    fn from(client: C) -> Self {
        BedrockCompat {
            client,
            call: PerCall::default(),
        }
    }
}

impl BedrockRuntime {
    /// Creates a client with credentials and region from the environment and the configuration files of AWS tools.
    ///
    /// # Errors
    /// `invalid_request` that names the missing or wrong setting.
    pub fn from_env(
        transport: impl Transport<Body: Send + 'static> + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        Ok(Client::new(transport, Bedrock::from_env()?).into())
    }
}

impl<T: Transport + Clone> BedrockRuntime<T> {
    /// Sends a request and returns the complete response.
    ///
    /// # Errors
    /// The error that ended the call.
    pub fn converse(&self, request: ConverseRequest) -> Result<ConverseResponse, Error> {
        let response = self.calling().chat(self.request(request)?)?;
        Ok(convert::response(&response))
    }

    /// Sends a request and returns its events as they arrive.
    ///
    /// # Errors
    /// `invalid_request`. The stream returns all other errors.
    pub fn converse_stream(&self, request: ConverseRequest) -> Result<ConverseStream<T>, Error> {
        let stream = self.calling().stream(self.request(request)?)?;
        Ok(ConverseStream::new(stream))
    }

    /// Lists Bedrock's models, all of them or those of one vendor.
    ///
    /// # Errors
    /// The error that ended the call.
    pub fn list_foundation_models(
        &self,
        by_provider: Option<&str>,
    ) -> Result<FoundationModels, Error> {
        let models = self.calling().list_models(None)?;
        Ok(FoundationModels::new(models, by_provider))
    }

    /// Closes the client: see [`Client::close`].
    pub fn close(&self) {
        self.client.close();
    }

    fn calling(&self) -> Client<T> {
        let options = self.call.options(self.client.options());
        self.client.clone().with_options(options)
    }
}

impl AsyncBedrockRuntime {
    /// Creates a client with credentials and region from the environment and the configuration files of AWS tools.
    ///
    /// # Errors
    /// `invalid_request` that names the missing or wrong setting.
    pub fn from_env(transport: impl AsyncTransport + 'static) -> Result<Self, Error> {
        Ok(AsyncClient::new(transport, Bedrock::from_env()?).into())
    }
}

impl<T: AsyncTransport + Clone + Unpin> AsyncBedrockRuntime<T> {
    /// Sends a request and returns the complete response.
    ///
    /// # Errors
    /// The error that ended the call.
    pub async fn converse(&self, request: ConverseRequest) -> Result<ConverseResponse, Error> {
        let response = self.calling().chat(self.request(request)?).await?;
        Ok(convert::response(&response))
    }

    /// Sends a request and returns its events as they arrive.
    ///
    /// # Errors
    /// `invalid_request`. The stream returns all other errors.
    pub fn converse_stream(
        &self,
        request: ConverseRequest,
    ) -> Result<AsyncConverseStream<T>, Error> {
        let stream = self.calling().stream(self.request(request)?)?;
        Ok(AsyncConverseStream::new(stream))
    }

    /// Lists Bedrock's models, all of them or those of one vendor.
    ///
    /// # Errors
    /// The error that ended the call.
    pub async fn list_foundation_models(
        &self,
        by_provider: Option<&str>,
    ) -> Result<FoundationModels, Error> {
        let models = self.calling().list_models(None).await?;
        Ok(FoundationModels::new(models, by_provider))
    }

    /// Closes the client: see [`AsyncClient::close`].
    pub fn close(&self) {
        self.client.close();
    }

    fn calling(&self) -> AsyncClient<T> {
        let options = self.call.options(self.client.options());
        self.client.clone().with_options(options)
    }
}

impl FoundationModels {
    fn new(models: Vec<Model>, by_provider: Option<&str>) -> Self {
        let wanted = |model: &Model| match (by_provider, &model.owned_by) {
            (None, _) => true,
            (Some(model_family), Some(owner)) => owner.eq_ignore_ascii_case(model_family),
            (Some(_), None) => false,
        };
        let models = models.into_iter().filter(wanted);
        FoundationModels {
            model_summaries: models.filter_map(|model| model.raw).collect(),
        }
    }
}
