use super::{batches, common::bad_usage, small_calls};
use base64::Engine;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc, time::SystemTime};
use unifiedai::{
    CallOptions, ChatRequest, Error, Json, Model, RetryPolicy, UnifiedChatResponse,
    chat::Continuation,
    policy::ResumePolicy,
    provider::Provider,
    sans_io::{CallStart, Exchange, Input, Operation, Step},
    transport::{
        RequestDelivery, Time, TransportError, TransportErrorKind, testing::provider_for_recording,
    },
};

/// One recorded exchange.
#[derive(Debug, Deserialize)]
pub(crate) struct Recording {
    provider: String,
    dialect: String,
    #[serde(default)]
    operation: Option<String>,
    #[serde(default)]
    streaming: bool,
    #[serde(default)]
    model: Option<String>,
    request: Message,
    response: Message,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Message {
    url: String,
    status: u16,
    headers: BTreeMap<String, String>,
    body: Option<String>,
    body_base64: Option<String>,
}

/// What came out.
pub(crate) struct Outcome {
    pub(crate) result: Result<Answer, Error>,
    pub(crate) events: usize,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Answer {
    Chat(Box<UnifiedChatResponse>),
    Models {
        object: &'static str,
        data: Vec<Model>,
    },
    Model(Box<Model>),
    Batch(batches::Answer),
    Small(small_calls::Answer),
}

impl Recording {
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        serde_json::from_str(text)
            .map_err(|e| bad_usage(format!("this is no recorded exchange: {e}")))
    }

    /// Runs it through the core, `chunk` bytes at a time and at most `cut` bytes of it.
    pub(crate) fn replay(&self, chunk: Option<usize>, cut: Option<usize>) -> Outcome {
        let mut events = 0;
        let result = self.run(chunk, cut, &mut events);
        Outcome { result, events }
    }

    fn run(
        &self,
        chunk: Option<usize>,
        cut: Option<usize>,
        events: &mut usize,
    ) -> Result<Answer, Error> {
        let dialect = match (&*self.dialect, self.operation.as_deref()) {
            // The answer to a token count is the same.
            ("bedrock-invoke", Some("count-tokens")) => "bedrock-converse",
            (dialect, _) => dialect,
        };
        let provider = provider_for_recording(&self.provider, dialect)?;
        let options = Arc::new({
            let mut options = CallOptions::default();
            options.retry = RetryPolicy::none();
            options.resume = ResumePolicy::none();
            options
        });
        let start = CallStart::new(Time::ZERO, SystemTime::UNIX_EPOCH, 0);
        let body = self.response.bytes()?;
        let body = body.slice(..cut.unwrap_or(body.len()).min(body.len()));
        let feed = Feed {
            head: self.response.head()?,
            body,
            chunk: chunk.unwrap_or(usize::MAX),
        };
        match self.operation.as_deref() {
            Some("models") if self.is_one_model() => {
                let id = self
                    .request
                    .url
                    .rsplit("/models/")
                    .next()
                    .unwrap_or_default();
                let exchange = Exchange::retrieve_model(provider, id, options, start)?;
                let count = |_| *events += 1;
                Ok(Answer::Model(Box::new(
                    feed.through(exchange, false, count)?.answer,
                )))
            }
            Some("models") => {
                let exchange = Exchange::list_models(provider, options, start)?;
                Ok(Answer::Models {
                    object: "list",
                    data: feed.through(exchange, false, |_| *events += 1)?.answer,
                })
            }
            Some(operation) if small_calls::is_known(operation) => {
                let source = small_calls::Source {
                    provider,
                    request: self.request(),
                    feed,
                    options,
                    start,
                };
                Ok(Answer::Small(source.replay(operation)?))
            }
            Some(operation) if batches::is_known(operation) => {
                let cut = feed.body.len() < self.response.bytes()?.len();
                let call = batches::call(&*provider, operation, &self.request.url)?;
                let source = batches::Source::new(provider, call, &self.request.url);
                Ok(Answer::Batch(source.replay(feed, cut, options, start)?))
            }
            Some("responses-get") => {
                let exchange = self.resumed(provider, options, start)?;
                let count = |_| *events += 1;
                Ok(Answer::Chat(Box::new(
                    feed.through(exchange, false, count)?,
                )))
            }
            _ => {
                let exchange = Exchange::new(provider, Arc::new(self.request()), options, start)?;
                let count = |_| *events += 1;
                Ok(Answer::Chat(Box::new(
                    feed.through(exchange, false, count)?,
                )))
            }
        }
    }

    /// The request for a response that the provider keeps.
    fn resumed(
        &self,
        provider: Arc<dyn Provider>,
        options: Arc<CallOptions>,
        start: CallStart,
    ) -> Result<Exchange, Error> {
        let (path, query) = self
            .request
            .url
            .split_once('?')
            .unwrap_or((&self.request.url, ""));
        let id = path.rsplit('/').next().unwrap_or_default();
        let streams = query.split('&').any(|pair| pair == "stream=true") || self.streaming;
        let model = self.model.as_deref().unwrap_or("model");
        let position = Continuation::new(provider.name(), model, id).streamed(streams);
        Exchange::resume_response(provider, &position, streams, options, start)
    }

    fn is_one_model(&self) -> bool {
        self.request.url.contains("/models/")
    }

    /// The request does not matter to the answer, but for what changes how it is read.
    fn request(&self) -> ChatRequest {
        let body = self.request.body.as_deref().unwrap_or_default();
        let wanted: Wanted = serde_json::from_str(body).unwrap_or_default();
        let model = self
            .model
            .clone()
            .or(wanted.model.clone())
            .unwrap_or_else(|| "model".into());
        let mut request = ChatRequest::new(model)
            .user("?")
            .stream(self.streaming)
            .drop_unsupported();
        request.n = wanted.n.filter(|n| *n > 0);
        // An unfinished response is then what was asked for.
        if wanted.background == Some(true) {
            let value = Json::parse("true").ok();
            request
                .extra
                .extend(value.map(|value| ("background".to_owned(), value)));
        }
        request
    }
}

/// What of the recorded request changes how its answer is read.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Wanted {
    model: Option<String>,
    n: Option<u32>,
    background: Option<bool>,
}

impl Message {
    fn bytes(&self) -> Result<Bytes, Error> {
        match (&self.body, &self.body_base64) {
            (_, Some(encoded)) => base64::engine::general_purpose::STANDARD
                .decode(encoded)
                .map(Bytes::from)
                .map_err(|e| bad_usage(format!("`body_base64` is not base64: {e}"))),
            (Some(body), None) => Ok(Bytes::copy_from_slice(body.as_bytes())),
            (None, None) => Ok(Bytes::new()),
        }
    }

    fn head(&self) -> Result<http::response::Parts, Error> {
        let mut response = http::Response::builder().status(self.status);
        for (name, value) in &self.headers {
            // The recorded body is decoded, whatever was on the wire.
            if name != "content-encoding" {
                response = response.header(name, value);
            }
        }
        let response = response
            .body(())
            .map_err(|e| bad_usage(format!("the recorded head is none: {e}")))?;
        Ok(response.into_parts().0)
    }
}

/// A response as it arrives.
pub(crate) struct Feed {
    head: http::response::Parts,
    body: Bytes,
    chunk: usize,
}

impl Feed {
    pub(crate) fn size(&self) -> usize {
        self.body.len()
    }

    /// `is_cut` is whether the transport notices that the end is missing.
    pub(crate) fn through<O: Operation>(
        mut self,
        mut exchange: Exchange<O>,
        is_cut: bool,
        mut event: impl FnMut(O::Event),
    ) -> Result<O::Output, Error> {
        let now = Time::ZERO;
        let mut sent = false;
        loop {
            match exchange.poll(now) {
                // A list of several pages was recorded page by page; only the first is here.
                Step::Send { .. } if sent => {
                    return Err(bad_usage(
                        "the recording has one answer, and another is asked for",
                    ));
                }
                Step::Send { .. } => {
                    sent = true;
                    exchange.handle(Input::Headers(self.head.clone()), now);
                }
                Step::Receive { .. } if self.body.is_empty() && is_cut => {
                    let error = TransportError::new(
                        TransportErrorKind::Truncated,
                        RequestDelivery::Answered,
                        "cut",
                    );
                    exchange.handle(Input::TransportError(error), now);
                }
                Step::Receive { .. } if self.body.is_empty() => {
                    exchange.handle(Input::BodyEnd, now)
                }
                Step::Receive { .. } => {
                    let piece = self.body.split_to(self.chunk.min(self.body.len()));
                    exchange.handle(Input::Body(piece), now);
                }
                Step::Event(it) => event(it),
                Step::Done => return exchange.into_result(),
                _ => {
                    return Err(bad_usage(
                        "the machine asks for something that a recording cannot give",
                    ));
                }
            }
        }
    }
}
