use super::validate;
use crate::{
    ContentPart, Error, ErrorKind, Json, Message, ReasoningEffort, ResponseFormat, Role, Tool,
    ToolChoice, ToolResult,
    chat::{ReasoningFormat, ServiceTier, Verbosity},
};
use serde::Serialize;
use std::{collections::BTreeMap, fmt, sync::Arc};

/// Declares the request's parameters once: field, setter, [`Param`] and a visit over those that are set.
macro_rules! parameters {
    ($($(#[$meta:meta])* $field:ident: $ty:ty, $arg:ty => $param:ident),+ $(,)?) => {
        /// What a model is asked: the messages, and how to answer them.
        ///
        /// A parameter that is `None` is not sent; the provider's default holds. One that the provider does not know is
        /// an error, or with [`drop_unsupported`](ChatRequest::drop_unsupported) a warning in the response.
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
            /// The model's name, as the provider knows it.
            pub model: String,
            /// The conversation so far.
            pub messages: Vec<Message>,
            /// Tools that the model may call.
            pub tools: Vec<Tool>,
            /// Whether and which tool the model must call.
            pub tool_choice: Option<ToolChoice>,
            /// Texts at which the model stops.
            pub stop: Vec<String>,
            /// The form that the answer must have.
            pub response_format: Option<ResponseFormat>,
            /// The text that much of the answer is expected to repeat (predicted output).
            pub prediction: Option<String>,
            $($(#[$meta])* pub $field: Option<$ty>,)+
            /// Further members of the request's JSON object, merged last, in this order.
            pub extra: Vec<(String, Json)>,
            /// Whether the answer is to come piece by piece. A client's `stream` calls set it; its `chat` calls then still
            /// return the answer once it is complete, which keeps a long one from waiting in silence.
            pub stream: bool,
            /// Drop and list what the provider does not support, rather than refuse the request.
            pub drop_unsupported: bool,
            /// Move what stands in `<think>` tags from the content to the reasoning.
            pub parse_think_tags: bool,
            /// Also hand out every frame of a stream as it came.
            pub include_raw_frames: bool,
            /// Sent as `X-Request-ID`, to find the call in logs of both sides.
            pub client_request_id: Option<String>,
            /// Further request headers. Of several targets, as in a [`Fallback`](crate::policy::Fallback) or a comparison, only the
            /// first is sent them: a header may be a key or a cookie of one company.
            pub headers: Vec<(String, String)>,
            /// Further request headers that every target may be sent. They must not be secrets.
            pub shared_headers: Vec<(String, String)>,
        }

        impl ChatRequest {
            /// A request without messages.
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

            /// Sets a scalar parameter by its field's name. False if there is none of that name.
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
            /// What is set. Of headers only the names: a caller's header may be a key (F108).
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

        /// A parameter of a [`ChatRequest`], by which a provider says what it supports.
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
            /// All of them.
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
    /// The most tokens to write, reasoning included.
    max_tokens: u64, u64 => MaxTokens,
    /// The fewest tokens to write; -1 for as many as the model can (Cerebras).
    min_tokens: i64, i64 => MinTokens,
    /// 0 for the likeliest words, higher for more variety.
    temperature: f64, f64 => Temperature,
    /// Only the likeliest words that together have this probability, 0 to 1.
    top_p: f64, f64 => TopP,
    /// Only this many of the likeliest words.
    top_k: u64, u64 => TopK,
    /// Only words at least this likely, as a share of the likeliest.
    min_p: f64, f64 => MinP,
    /// Against words by how often they were used, -2 to 2.
    frequency_penalty: f64, f64 => FrequencyPenalty,
    /// Against words that were used at all, -2 to 2.
    presence_penalty: f64, f64 => PresencePenalty,
    /// Against repetition, as a factor; 1 is none.
    repetition_penalty: f64, f64 => RepetitionPenalty,
    /// For or against single tokens, by token id, -100 to 100.
    logit_bias: BTreeMap<String, f64>, BTreeMap<String, f64> => LogitBias,
    /// Whether to return log probabilities.
    logprobs: bool, bool => Logprobs,
    /// How many alternatives to return for each token.
    top_logprobs: u32, u32 => TopLogprobs,
    /// How many answers to write.
    n: u32, u32 => N,
    /// The same seed and request give, as far as the provider can, the same answer.
    seed: i64, i64 => Seed,
    /// Whether several tools may be called in one turn.
    parallel_tool_calls: bool, bool => ParallelToolCalls,
    /// How much to think.
    reasoning_effort: ReasoningEffort, ReasoningEffort => ReasoningEffort,
    /// How reasoning is to be returned.
    reasoning_format: ReasoningFormat, ReasoningFormat => ReasoningFormat,
    /// The most tokens to spend on reasoning.
    reasoning_max_tokens: u64, u64 => ReasoningMaxTokens,
    /// Do not reason (Cerebras).
    disable_reasoning: bool, bool => DisableReasoning,
    /// Drop the reasoning of turns before the last user message (Cerebras, GLM models).
    clear_reasoning: bool, bool => ClearReasoning,
    /// How wordy to be.
    verbosity: Verbosity, Verbosity => Verbosity,
    /// Requests with the same key and beginning share a cache.
    prompt_cache_key: String, impl Into<String> => PromptCacheKey,
    /// The processing class.
    service_tier: ServiceTier, ServiceTier => ServiceTier,
    /// Settings of one model (Cerebras).
    model_parameters: Json, Json => ModelParameters,
    /// Who the end user is, for the provider's abuse checks (`user` on OpenAI's wire).
    user_id: String, impl Into<String> => UserId,
    /// Labels kept with the request.
    metadata: BTreeMap<String, String>, BTreeMap<String, String> => Metadata,
    /// Whether the provider may keep the exchange.
    store: bool, bool => Store,
    /// Whether a stream is to end with the usage. Unset: asked for wherever the provider allows it.
    include_usage: bool, bool => IncludeUsage,
}

impl ChatRequest {
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

    /// Adds instructions.
    #[must_use]
    pub fn system(self, text: impl Into<String>) -> Self {
        self.message(Message::system(text))
    }

    /// Adds a question.
    #[must_use]
    pub fn user(self, text: impl Into<String>) -> Self {
        self.message(Message::user(text))
    }

    /// Adds a question made of several parts: text, pictures, documents.
    #[must_use]
    pub fn user_parts(self, content: Vec<ContentPart>) -> Self {
        self.message(Message::new(Role::User, content))
    }

    /// Adds an answer.
    #[must_use]
    pub fn assistant(self, text: impl Into<String>) -> Self {
        self.message(Message::assistant(text))
    }

    /// Adds a tool's result.
    #[must_use]
    pub fn tool_result(self, result: ToolResult) -> Self {
        self.message(Message::new(
            Role::Tool,
            vec![ContentPart::ToolResult(result)],
        ))
    }

    /// Offers a tool.
    #[must_use]
    pub fn tool(mut self, tool: Tool) -> Self {
        self.tools.push(tool);
        self
    }

    /// Whether and which tool must be called. Without tools `auto` and `none` are not sent.
    #[must_use]
    pub fn tool_choice(mut self, choice: ToolChoice) -> Self {
        self.tool_choice = Some(choice);
        self
    }

    /// Stops at `text`.
    #[must_use]
    pub fn stop(mut self, text: impl Into<String>) -> Self {
        self.stop.push(text.into());
        self
    }

    /// The form that the answer must have.
    #[must_use]
    pub fn response_format(mut self, format: ResponseFormat) -> Self {
        self.response_format = Some(format);
        self
    }

    /// The text that much of the answer is expected to repeat.
    #[must_use]
    pub fn prediction(mut self, text: impl Into<String>) -> Self {
        self.prediction = Some(text.into());
        self
    }

    /// A member of the request's JSON object that has no field here. The last one of a name counts.
    ///
    /// # Errors
    /// `invalid_request` if `value` cannot be written as JSON.
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

    /// Asks for the answer piece by piece; see the [field](Self::stream).
    #[must_use]
    pub fn stream(mut self, stream: bool) -> Self {
        self.stream = stream;
        self
    }

    /// Drops and lists what the provider does not support, rather than refuse the request.
    #[must_use]
    pub fn drop_unsupported(mut self) -> Self {
        self.drop_unsupported = true;
        self
    }

    /// Moves what stands in `<think>` tags from the content to the reasoning.
    #[must_use]
    pub fn parse_think_tags(mut self) -> Self {
        self.parse_think_tags = true;
        self
    }

    /// Also hands out every frame of a stream as it came.
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

    /// Checks what no provider can accept.
    ///
    /// # Errors
    /// `invalid_request` that names the field: an empty model, no messages, a number that is not finite, `n` of zero, an
    /// empty stop text, an extra member without a name; a tool whose schema is none of an object, whose name is empty, has white
    /// space or is that of another, a tool choice that is not offered, a picture whose address is a path.
    pub fn validate(&self) -> Result<(), Error> {
        let refuse = |what: String| Err(Error::new(ErrorKind::InvalidRequest, what));
        if self.model.trim().is_empty() {
            return refuse("`model` is empty: name the model that is to answer".into());
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
            return refuse("`n` is 0: ask for at least one answer".into());
        }
        if self.stop.iter().any(String::is_empty) {
            return refuse("`stop` has an empty text: it would stop before the first word".into());
        }
        if self.extra.iter().any(|(name, _)| name.is_empty()) {
            return refuse("`extra` has a member without a name".into());
        }
        validate::tools(
            &self.tools,
            self.tool_choice.as_ref(),
            self.has_tools_in_extra(),
        )?;
        validate::media(&self.messages)
    }

    /// The tool choice, unless it is `auto` or `none` and there are no tools: it changes nothing then, and servers refuse it.
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
    /// A copy, so that a call can be made with a reference. An `Arc` of one's own is not copied.
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
