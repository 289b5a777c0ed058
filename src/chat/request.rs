use super::validate;
use crate::{
    ContentPart, Error, ErrorKind, Json, Message, ReasoningEffort, ResponseFormat, Role, Tool,
    ToolChoice, ToolResult,
    cache::{CacheMarks, CachePlan},
    chat::{CompactionSettings, ReasoningFormat, ServiceTier, Verbosity},
};
use serde::Serialize;
use std::{collections::BTreeMap, fmt, sync::Arc};

/// Declares each scalar parameter once: its field, setter and [`Param`], and the visit of those that are set.
macro_rules! parameters {
    ($($(#[$meta:meta])* $field:ident: $ty:ty, $arg:ty => $param:ident),+ $(,)?) => {
        /// A chat request: the messages, and parameters for the response.
        ///
        /// A parameter that is `None` is not sent, so the provider's default applies. A parameter that the provider
        /// does not support is an error, or with [`drop_unsupported`](ChatRequest::drop_unsupported) a warning in the
        /// response.
        ///
        /// ```
        /// use unifiedai::ChatRequest;
        /// let request = ChatRequest::new("gpt-oss-120b")
        ///     .system("Answer in one sentence.")
        ///     .user("Why is fast inference important?")
        ///     .temperature(0.2)
        ///     .max_tokens(200);
        /// assert_eq!(request.messages.len(), 2);
        /// ```
        #[derive(Clone, PartialEq)]
        #[non_exhaustive]
        pub struct ChatRequest {
            /// The model's name at the provider. A client with several providers also accepts `<provider>.<model>`.
            pub model: String,
            /// The conversation so far.
            pub messages: Vec<Message>,
            /// The tools that the model may call.
            pub tools: Vec<Tool>,
            /// Whether the model must call a tool, and which.
            pub tool_choice: Option<ToolChoice>,
            /// Texts at which generation stops.
            pub stop: Vec<String>,
            /// The required format of the response.
            pub response_format: Option<ResponseFormat>,
            /// A text that the response is expected to repeat in large part (predicted output).
            pub prediction: Option<String>,
            /// What the provider caches; it changes nothing that the model reads.
            pub cache_plan: Option<CachePlan>,
            $($(#[$meta])* pub $field: Option<$ty>,)+
            /// Additional fields of the JSON body, merged last, in this order.
            pub extra: Vec<(String, Json)>,
            /// Whether the provider streams the response. A client's `stream` calls set it. `chat` calls with it
            /// still return the complete response; streaming lets the idle timeout apply while the model generates a
            /// long one.
            pub stream: bool,
            /// Drop unsupported parameters with a warning instead of refusing the request.
            pub drop_unsupported: bool,
            /// Move the content of `<think>` tags from the text to the reasoning.
            pub parse_think_tags: bool,
            /// Also emit every frame of a stream as received.
            pub include_raw_frames: bool,
            /// Sent as `X-Request-ID`, to find the call in the logs of both sides.
            pub client_request_id: Option<String>,
            /// Additional request headers. With several targets, as in a [`Fallback`](crate::policy::Fallback) or a
            /// comparison, only the first one gets them, because a header may be a key or a cookie for one company.
            pub headers: Vec<(String, String)>,
            /// Additional request headers for every target. They must not be secrets.
            pub shared_headers: Vec<(String, String)>,
        }

        impl ChatRequest {
            /// Creates a request without messages.
            #[must_use]
            pub fn new(model: impl Into<String>) -> Self {
                ChatRequest {
                    model: model.into(),
                    messages: Vec::new(),
                    tools: Vec::new(),
                    tool_choice: None,
                    stop: Vec::new(),
                    response_format: None,
                    prediction: None,
                    cache_plan: None,
                    $($field: None,)+
                    extra: Vec::new(),
                    stream: false,
                    drop_unsupported: false,
                    parse_think_tags: false,
                    include_raw_frames: false,
                    client_request_id: None,
                    headers: Vec::new(),
                    shared_headers: Vec::new(),
                }
            }

            $($(#[$meta])*
            #[must_use]
            pub fn $field(mut self, value: $arg) -> Self {
                self.$field = Some(value.into());
                self
            })+

            /// Sets a scalar parameter by the name of its field. Returns false if there is no such field.
            pub(super) fn set_scalar(&mut self, field: &str, value: &Json) -> Result<bool, serde_json::Error> {
                match field {
                    $(stringify!($field) => self.$field = serde_json::from_str(value.as_str())?,)+
                    _ => return Ok(false),
                }
                Ok(true)
            }

            /// Calls `visitor` with every scalar parameter that is set, in a fixed order.
            pub(crate) fn for_each_scalar<V: ParamVisitor>(&self, visitor: &mut V) -> Result<(), Error> {
                $(if let Some(value) = &self.$field {
                    visitor.param(Param::$param, value)?;
                })+
                Ok(())
            }
        }

        impl fmt::Debug for ChatRequest {
            /// Shows what is set. Of headers it shows only the names, because a value may be a key.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let names = |headers: &'_ [(String, String)]| -> Vec<String> {
                    headers.iter().map(|(name, _)| name.clone()).collect()
                };
                let mut shown = f.debug_struct("ChatRequest");
                shown
                    .field("model", &self.model)
                    .field("messages", &self.messages)
                    .field("tools", &self.tools)
                    .field("tool_choice", &self.tool_choice)
                    .field("stop", &self.stop)
                    .field("response_format", &self.response_format)
                    .field("prediction", &self.prediction);
                if let Some(plan) = &self.cache_plan {
                    shown.field("cache_plan", plan);
                }
                $(if let Some(value) = &self.$field {
                    shown.field(stringify!($field), value);
                })+
                shown
                    .field("extra", &self.extra)
                    .field("stream", &self.stream)
                    .field("drop_unsupported", &self.drop_unsupported)
                    .field("parse_think_tags", &self.parse_think_tags)
                    .field("include_raw_frames", &self.include_raw_frames)
                    .field("client_request_id", &self.client_request_id)
                    .field("headers", &names(&self.headers))
                    .field("shared_headers", &names(&self.shared_headers))
                    .finish()
            }
        }

        /// A parameter of a [`ChatRequest`]; a provider declares which ones it supports.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Param {
            $(#[doc = concat!("`", stringify!($field), "`")] $param,)+
            /// `tools`
            Tools,
            /// `tool_choice`
            ToolChoice,
            /// `stop`
            Stop,
            /// `response_format`
            ResponseFormat,
            /// `prediction`
            Prediction,
        }

        impl Param {
            /// All parameters.
            pub const ALL: &'static [Param] = &[
                $(Param::$param,)+
                Param::Tools,
                Param::ToolChoice,
                Param::Stop,
                Param::ResponseFormat,
                Param::Prediction,
            ];

            /// The field's name in [`ChatRequest`].
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Param::$param => stringify!($field),)+
                    Param::Tools => "tools",
                    Param::ToolChoice => "tool_choice",
                    Param::Stop => "stop",
                    Param::ResponseFormat => "response_format",
                    Param::Prediction => "prediction",
                }
            }
        }
    };
}

/// Receives the parameters that are set; see [`ChatRequest::for_each_scalar`].
pub(crate) trait ParamVisitor {
    fn param<T: Serialize>(&mut self, param: Param, value: &T) -> Result<(), Error>;
}

parameters! {
    /// Maximum number of output tokens, reasoning included.
    max_tokens: u64, u64 => MaxTokens,
    /// Minimum number of output tokens; -1 for as many as the model can generate (Cerebras).
    min_tokens: i64, i64 => MinTokens,
    /// Sampling temperature: 0 for the likeliest tokens, higher for more variety.
    temperature: f64, f64 => Temperature,
    /// Nucleus sampling: only the likeliest tokens that together have this probability, 0 to 1.
    top_p: f64, f64 => TopP,
    /// Sampling from only this many of the likeliest tokens.
    top_k: u64, u64 => TopK,
    /// Sampling from only those tokens whose probability is at least this share of the likeliest one's.
    min_p: f64, f64 => MinP,
    /// Penalty for tokens by how often they were used, -2 to 2.
    frequency_penalty: f64, f64 => FrequencyPenalty,
    /// Penalty for tokens that were used at all, -2 to 2.
    presence_penalty: f64, f64 => PresencePenalty,
    /// Penalty factor for repetition; 1 is none.
    repetition_penalty: f64, f64 => RepetitionPenalty,
    /// Bias for or against single tokens, by token id, -100 to 100.
    logit_bias: BTreeMap<String, f64>, BTreeMap<String, f64> => LogitBias,
    /// Whether to return log probabilities.
    logprobs: bool, bool => Logprobs,
    /// How many alternatives to return for each token.
    top_logprobs: u32, u32 => TopLogprobs,
    /// Number of choices to generate.
    n: u32, u32 => N,
    /// Seed for reproducible responses, as far as the provider supports them.
    seed: i64, i64 => Seed,
    /// Whether the model may call several tools in one turn.
    parallel_tool_calls: bool, bool => ParallelToolCalls,
    /// How much the model reasons.
    reasoning_effort: ReasoningEffort, ReasoningEffort => ReasoningEffort,
    /// How the provider returns reasoning.
    reasoning_format: ReasoningFormat, ReasoningFormat => ReasoningFormat,
    /// Maximum number of reasoning tokens.
    reasoning_max_tokens: u64, u64 => ReasoningMaxTokens,
    /// No reasoning (Cerebras).
    disable_reasoning: bool, bool => DisableReasoning,
    /// Drop the reasoning of turns before the last user message (Cerebras, GLM models).
    clear_reasoning: bool, bool => ClearReasoning,
    /// How long the response is.
    verbosity: Verbosity, Verbosity => Verbosity,
    /// Requests with the same key and the same beginning share a cache.
    prompt_cache_key: String, impl Into<String> => PromptCacheKey,
    /// The name of a cached content, which comes before the messages (Gemini): see [`cache`](crate::cache). It contains the
    /// system messages and tools, so that the request has none.
    cached_content: String, impl Into<String> => CachedContent,
    /// The processing class.
    service_tier: ServiceTier, ServiceTier => ServiceTier,
    /// Parameters of one model (Cerebras).
    model_parameters: Json, Json => ModelParameters,
    /// Identifier of the end user, for the provider's abuse checks (`user` in OpenAI's API).
    user_id: String, impl Into<String> => UserId,
    /// Labels that the provider stores with the request.
    metadata: BTreeMap<String, String>, BTreeMap<String, String> => Metadata,
    /// Whether the provider may store the request and the response.
    store: bool, bool => Store,
    /// Whether the provider generates the response in the background and keeps it, so that a call can go on after its
    /// connection was lost, and another process can read it.
    background: bool, bool => Background,
    /// When the provider compacts the conversation: it replaces its beginning with a summary.
    compaction: CompactionSettings, CompactionSettings => Compaction,
    /// Whether a stream ends with the usage. If unset, it is requested wherever the provider supports it.
    include_usage: bool, bool => IncludeUsage,
}

impl ChatRequest {
    /// Sets what the provider caches.
    #[must_use]
    pub fn cache_plan(mut self, plan: CachePlan) -> Self {
        self.cache_plan = Some(plan);
        self
    }

    /// The body with the marks of the cache plan.
    pub(crate) fn mark_cached(&self, marks: CacheMarks, body: Vec<u8>) -> Result<Vec<u8>, Error> {
        match &self.cache_plan {
            Some(plan) => plan.apply(marks, body),
            None => Ok(body),
        }
    }

    /// Adds a message.
    #[must_use]
    pub fn message(mut self, message: Message) -> Self {
        self.messages.push(message);
        self
    }

    /// Adds messages.
    #[must_use]
    pub fn messages(mut self, messages: impl IntoIterator<Item = Message>) -> Self {
        self.messages.extend(messages);
        self
    }

    /// Adds a system message.
    #[must_use]
    pub fn system(self, text: impl Into<String>) -> Self {
        self.message(Message::system(text))
    }

    /// Adds a user message.
    #[must_use]
    pub fn user(self, text: impl Into<String>) -> Self {
        self.message(Message::user(text))
    }

    /// Adds a user message of several parts: text, images, documents.
    #[must_use]
    pub fn user_parts(self, content: Vec<ContentPart>) -> Self {
        self.message(Message::new(Role::User, content))
    }

    /// Adds an assistant message.
    #[must_use]
    pub fn assistant(self, text: impl Into<String>) -> Self {
        self.message(Message::assistant(text))
    }

    /// Adds the result of a tool call.
    #[must_use]
    pub fn tool_result(self, result: ToolResult) -> Self {
        self.message(Message::new(
            Role::Tool,
            vec![ContentPart::ToolResult(result)],
        ))
    }

    /// Adds a tool.
    #[must_use]
    pub fn tool(mut self, tool: impl Into<Tool>) -> Self {
        self.tools.push(tool.into());
        self
    }

    /// Sets whether the model must call a tool, and which. Without tools `auto` and `none` are not sent.
    #[must_use]
    pub fn tool_choice(mut self, choice: ToolChoice) -> Self {
        self.tool_choice = Some(choice);
        self
    }

    /// Adds a text at which generation stops.
    #[must_use]
    pub fn stop(mut self, text: impl Into<String>) -> Self {
        self.stop.push(text.into());
        self
    }

    /// Sets the required format of the response.
    #[must_use]
    pub fn response_format(mut self, format: ResponseFormat) -> Self {
        self.response_format = Some(format);
        self
    }

    /// Sets the text that the response is expected to repeat in large part.
    #[must_use]
    pub fn prediction(mut self, text: impl Into<String>) -> Self {
        self.prediction = Some(text.into());
        self
    }

    /// Adds a field of the JSON body that has no field here. A later value of the same name replaces it.
    ///
    /// # Errors
    /// `invalid_request` if `value` cannot be serialised as JSON.
    pub fn extra<T: Serialize + ?Sized>(
        mut self,
        name: impl Into<String>,
        value: &T,
    ) -> Result<Self, Error> {
        let (name, value) = (name.into(), Json::new(value)?);
        self.extra.retain(|(other, _)| *other != name);
        self.extra.push((name, value));
        Ok(self)
    }

    /// Sets whether the provider streams the response; see the [field](Self::stream).
    #[must_use]
    pub fn stream(mut self, stream: bool) -> Self {
        self.stream = stream;
        self
    }

    /// Drops unsupported parameters with a warning instead of refusing the request.
    #[must_use]
    pub fn drop_unsupported(mut self) -> Self {
        self.drop_unsupported = true;
        self
    }

    /// Moves the content of `<think>` tags from the text to the reasoning.
    #[must_use]
    pub fn parse_think_tags(mut self) -> Self {
        self.parse_think_tags = true;
        self
    }

    /// Also emits every frame of a stream as received.
    #[must_use]
    pub fn include_raw_frames(mut self) -> Self {
        self.include_raw_frames = true;
        self
    }

    /// Sends `id` as `X-Request-ID`.
    #[must_use]
    pub fn client_request_id(mut self, id: impl Into<String>) -> Self {
        self.client_request_id = Some(id.into());
        self
    }

    /// Adds a request header for every target; see [`shared_headers`](Self::shared_headers).
    #[must_use]
    pub fn shared_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.shared_headers.push((name.into(), value.into()));
        self
    }

    /// Adds a request header for the first target; see [`headers`](Self::headers).
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The parameters that are set.
    #[must_use]
    pub fn params(&self) -> Vec<Param> {
        struct Names(Vec<Param>);
        impl ParamVisitor for Names {
            fn param<T: Serialize>(&mut self, param: Param, _: &T) -> Result<(), Error> {
                self.0.push(param);
                Ok(())
            }
        }
        let mut names = Names(Vec::new());
        let _ = self.for_each_scalar(&mut names);
        let others = [
            (!self.tools.is_empty(), Param::Tools),
            (self.tool_choice.is_some(), Param::ToolChoice),
            (!self.stop.is_empty(), Param::Stop),
            (self.response_format.is_some(), Param::ResponseFormat),
            (self.prediction.is_some(), Param::Prediction),
        ];
        names.0.extend(
            others
                .into_iter()
                .filter_map(|(set, param)| set.then_some(param)),
        );
        names.0
    }

    /// Checks for errors that no provider accepts.
    ///
    /// # Errors
    /// `invalid_request` that names the field: an empty model; no messages; a number that is not finite; `n` of zero;
    /// an empty stop text; an extra field without a name; a tool whose schema is not an object, or whose name is
    /// empty, contains white space or is used twice; a tool choice that is not in `tools`; a media URL that is a
    /// local path.
    pub fn validate(&self) -> Result<(), Error> {
        let refuse = |what: String| Err(Error::new(ErrorKind::InvalidRequest, what));
        if self.model.trim().is_empty() {
            return refuse("`model` is empty: set the name of a model".into());
        }
        if self.messages.is_empty() {
            return refuse(
                "`messages` is empty: add at least one, for example with `user(..)`".into(),
            );
        }
        let numbers = [
            (Param::Temperature, self.temperature),
            (Param::TopP, self.top_p),
            (Param::MinP, self.min_p),
            (Param::FrequencyPenalty, self.frequency_penalty),
            (Param::PresencePenalty, self.presence_penalty),
            (Param::RepetitionPenalty, self.repetition_penalty),
        ];
        for (param, value) in numbers {
            if let Some(value) = value.filter(|value| !value.is_finite()) {
                return refuse(format!(
                    "`{}` is {value}: it must be a finite number",
                    param.name()
                ));
            }
        }
        if let Some((token, value)) = self
            .logit_bias
            .iter()
            .flatten()
            .find(|(_, value)| !value.is_finite())
        {
            return refuse(format!(
                "`logit_bias` of token `{token}` is {value}: it must be a finite number"
            ));
        }
        if self.n == Some(0) {
            return refuse("`n` is 0: it must be at least 1".into());
        }
        if self.stop.iter().any(String::is_empty) {
            return refuse("`stop` has an empty text: remove it".into());
        }
        if self.extra.iter().any(|(name, _)| name.is_empty()) {
            return refuse("`extra` has a field without a name".into());
        }
        validate::tools(
            &self.tools,
            self.tool_choice.as_ref(),
            self.has_tools_in_extra(),
        )?;
        validate::media(&self.messages)
    }

    /// The tool choice, except `auto` and `none` without tools: they have no effect then, and servers refuse them.
    pub(crate) fn needed_tool_choice(&self) -> Option<&ToolChoice> {
        let has_tools = !self.tools.is_empty() || self.has_tools_in_extra();
        let is_needed = |choice: &&ToolChoice| {
            has_tools || !matches!(choice, ToolChoice::Auto | ToolChoice::None)
        };
        self.tool_choice.as_ref().filter(is_needed)
    }

    fn has_tools_in_extra(&self) -> bool {
        self.extra.iter().any(|(name, _)| name == "tools")
    }
}

impl From<&ChatRequest> for Arc<ChatRequest> {
    /// Copies the request, so that a call can take a reference. An `Arc` of the caller's is not copied.
    fn from(request: &ChatRequest) -> Self {
        Arc::new(request.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_requests_invalid_for_every_provider() {
        let good = || ChatRequest::new("m").message(Message::user("hi"));
        assert!(good().validate().is_ok());
        let bad: [(ChatRequest, &str); 9] = [
            (
                ChatRequest::new(" ").message(Message::user("hi")),
                "`model`",
            ),
            (ChatRequest::new("m"), "`messages`"),
            (good().temperature(f64::NAN), "`temperature`"),
            (good().top_p(f64::INFINITY), "`top_p`"),
            (
                good().presence_penalty(f64::NEG_INFINITY),
                "`presence_penalty`",
            ),
            (
                good().logit_bias(BTreeMap::from([("7".into(), f64::NAN)])),
                "`logit_bias`",
            ),
            (good().n(0), "`n`"),
            (good().stop(""), "`stop`"),
            (good().extra("", &1).unwrap(), "`extra`"),
        ];
        for (request, field) in bad {
            let error = request.validate().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidRequest);
            assert!(error.to_string().contains(field), "{error}");
        }
    }

    #[test]
    fn lists_the_parameters_that_are_set() {
        let request = ChatRequest::new("m").max_tokens(1).seed(7).stop("x");
        assert_eq!(
            request.params(),
            [Param::MaxTokens, Param::Seed, Param::Stop]
        );
    }

    #[test]
    fn the_last_extra_of_a_name_counts() {
        let request = ChatRequest::new("m")
            .extra("a", &1)
            .unwrap()
            .extra("a", &2)
            .unwrap();
        assert_eq!(request.extra, [("a".to_owned(), Json::new(&2).unwrap())]);
    }
}
