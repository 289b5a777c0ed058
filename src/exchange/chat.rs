use super::{Exchange, Start, operation::sealed::Operation};
use crate::{
    Assembler, AssemblerLimits, CallOptions, ChatRequest, Encoded, Error, ErrorKind, Fallback,
    Framing, Metrics, Provider, ProviderMetadata, RawBody, ServerTiming, StreamEvent,
    UnifiedChatResponse, Warning,
    provider::{Decoder, Frame, Progress},
};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request};
use std::{fmt, sync::Arc};

/// A chat, whole or streamed.
pub struct Chat {
    provider: Arc<dyn Provider>,
    request: Arc<ChatRequest>,
    prompt: Prompt,
    limits: AssemblerLimits,
    /// Boxed, because an exchange is moved more often than it is used.
    assembler: Box<Assembler>,
    decoder: Option<Box<dyn Decoder>>,
    raw: Option<RawBody>,
}

/// The request as HTTP, for one provider.
struct Prompt {
    /// Until it is sent. Another attempt encodes it anew, so that it takes no memory while the answer comes.
    unsent: Option<Request<Bytes>>,
    method: Method,
    framing: Framing,
    bytes: usize,
    warnings: Vec<Warning>,
}

impl Exchange<Chat> {
    /// A chat with `provider`.
    ///
    /// # Errors
    /// `invalid_request` if the request cannot be sent as it is. Nothing was sent then.
    pub fn new(
        provider: Arc<dyn Provider>,
        request: Arc<ChatRequest>,
        options: Arc<CallOptions>,
        start: Start,
    ) -> Result<Self, Error> {
        request.validate()?;
        let mut exchange = Exchange::unencoded(provider, request, options, start);
        exchange.encode()?;
        Ok(exchange)
    }

    /// The same, made in the box in which it stays.
    pub(crate) fn boxed(
        provider: Arc<dyn Provider>,
        request: Arc<ChatRequest>,
        options: Arc<CallOptions>,
        start: Start,
    ) -> Result<Box<Self>, Error> {
        request.validate()?;
        let mut exchange = Box::new(Exchange::unencoded(provider, request, options, start));
        exchange.encode()?;
        Ok(exchange)
    }

    /// Without its prompt, which is large and would be moved with the rest.
    #[inline(always)]
    fn unencoded(
        provider: Arc<dyn Provider>,
        request: Arc<ChatRequest>,
        options: Arc<CallOptions>,
        start: Start,
    ) -> Self {
        let limits = AssemblerLimits {
            retained_bytes: options.sizes.body,
            ..AssemblerLimits::default()
        };
        let chat = Chat {
            assembler: assembler(&request, limits),
            provider: provider.clone(),
            request,
            prompt: Prompt::NONE,
            limits,
            decoder: None,
            raw: None,
        };
        Exchange::with_operation(provider, chat, options, start)
    }

    fn encode(&mut self) -> Result<(), Error> {
        let Chat {
            provider,
            request,
            prompt,
            assembler,
            ..
        } = &mut self.operation;
        *prompt = Prompt::new(&**provider, request)?;
        prompt.warn(assembler);
        self.metadata
            .correlation_id
            .clone_from(&request.correlation_id);
        Ok(())
    }
}

impl Exchange<Chat> {
    /// A chat with the first of several targets that can answer, whatever the model that the request names.
    ///
    /// # Errors
    /// `invalid_request` if the request cannot be sent to the first one as it is.
    pub fn with_fallback(
        fallback: Fallback,
        mut request: Arc<ChatRequest>,
        options: Arc<CallOptions>,
        start: Start,
    ) -> Result<Self, Error> {
        let mut fallback = Box::new(fallback);
        let Some(first) = fallback.next() else {
            return Err(Error::new(
                ErrorKind::InvalidRequest,
                "there is no target to ask",
            ));
        };
        first
            .model
            .clone_into(&mut Arc::make_mut(&mut request).model);
        let mut exchange = Exchange::new(first.provider.clone(), request, options, start)?;
        exchange.turn_to(first);
        exchange.fallback = Some(fallback);
        Ok(exchange)
    }
}

impl Prompt {
    /// Before it is encoded.
    const NONE: Prompt = Prompt {
        unsent: None,
        method: Method::POST,
        framing: Framing::Whole,
        bytes: 0,
        warnings: Vec::new(),
    };

    fn new(provider: &dyn Provider, request: &ChatRequest) -> Result<Self, Error> {
        let encoded = encode(provider, request)?;
        Ok(Prompt {
            method: encoded.request.method().clone(),
            framing: encoded.framing,
            bytes: encoded.request.body().len(),
            warnings: encoded.warnings,
            unsent: Some(encoded.request),
        })
    }

    fn warn(&self, assembler: &mut Assembler) {
        for warning in &self.warnings {
            assembler.warn(warning.clone());
        }
    }
}

impl Chat {
    fn decoder(&mut self) -> (&mut dyn Decoder, &mut Assembler) {
        let decoder = self
            .decoder
            .get_or_insert_with(|| self.provider.chat_decoder(&self.request));
        (&mut **decoder, &mut *self.assembler)
    }

    fn describe(&mut self, metadata: ProviderMetadata, metrics: Metrics) {
        let raw = self.raw.take();
        let response = self.assembler.response_mut();
        let extra = std::mem::take(&mut response.provider_metadata.extra);
        response.provider_metadata = ProviderMetadata {
            raw,
            extra,
            ..metadata
        };
        let server = response.metrics.server;
        response.metrics = Metrics {
            server: ServerTiming {
                total: server.total.or(metrics.server.total),
                ..server
            },
            provider_time_info: response.metrics.provider_time_info.take(),
            ..metrics
        };
        if response.model.is_empty() {
            response.model.clone_from(&self.request.model);
        }
    }
}

impl Operation for Chat {
    type Output = UnifiedChatResponse;

    fn request(&mut self) -> Result<Request<Bytes>, Error> {
        match self.prompt.unsent.take() {
            Some(request) => Ok(request),
            None => Ok(encode(&*self.provider, &self.request)?.request),
        }
    }

    fn method(&self) -> Method {
        self.prompt.method.clone()
    }

    fn tokens(&self) -> u64 {
        let prompt = self.prompt.bytes as u64 / 4;
        prompt.saturating_add(self.request.max_tokens.unwrap_or_default())
    }

    fn used_tokens(&self) -> Option<u64> {
        self.assembler.usage_so_far()?.total_tokens
    }

    fn model(&self) -> &str {
        &self.request.model
    }

    fn retarget(&mut self, provider: &Arc<dyn Provider>, model: &str) -> Result<(), Error> {
        let mut request = self.request.clone();
        model.clone_into(&mut Arc::make_mut(&mut request).model);
        self.prompt = Prompt::new(&**provider, &request)?;
        self.provider = provider.clone();
        self.request = request;
        Ok(())
    }

    fn framing(&self) -> Framing {
        self.prompt.framing
    }

    fn begin(&mut self) {
        self.raw = None;
        self.decoder = None;
        self.assembler = assembler(&self.request, self.limits);
        self.prompt.warn(&mut self.assembler);
    }

    fn frame(&mut self, frame: Frame<'_>) -> Result<Progress, Error> {
        if self.request.raw_frames {
            self.assembler.raw_frame(frame.data.as_bytes());
        }
        let (decoder, assembler) = self.decoder();
        let progress = decoder.frame(frame, assembler)?;
        assembler.check_waiting()?;
        assembler.check_retained()?;
        if progress == Progress::Done {
            self.assembler.end_marker();
        }
        Ok(progress)
    }

    fn whole(&mut self, body: &Bytes) -> Result<(), Error> {
        let (decoder, assembler) = self.decoder();
        decoder.whole(body, assembler)
    }

    fn keep(&mut self, body: Bytes) {
        self.raw = Some(RawBody::new(body));
    }

    fn is_complete(&self) -> bool {
        self.assembler.is_complete()
    }

    /// Nothing is told of an end before it is sure that there is one.
    fn settle(&mut self, but: Option<Warning>) -> Result<(), Error> {
        let (decoder, assembler) = self.decoder();
        assembler.check_calls()?;
        if let Some(but) = but {
            assembler.warn(but);
        }
        decoder.finish(assembler)?;
        assembler.settle()
    }

    fn warn(&mut self, warning: Warning) {
        self.assembler.warn(warning);
    }

    fn next_event(&mut self) -> Option<StreamEvent> {
        self.assembler.next_event()
    }

    fn is_visible(&self) -> bool {
        self.assembler.is_visible()
    }

    fn is_streamed(&self) -> bool {
        self.request.stream
    }

    fn answer(output: &UnifiedChatResponse) -> Option<&UnifiedChatResponse> {
        Some(output)
    }

    fn into_output(mut self, metadata: ProviderMetadata, metrics: Metrics) -> UnifiedChatResponse {
        self.describe(metadata, metrics);
        self.assembler.into_response()
    }

    fn into_partial(
        mut self,
        metadata: ProviderMetadata,
        metrics: Metrics,
    ) -> Option<UnifiedChatResponse> {
        if self.assembler.is_empty() {
            return None;
        }
        self.describe(metadata, metrics);
        Some(self.assembler.into_response())
    }
}

impl fmt::Debug for Chat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither the question nor the answer: an exchange ends up in logs (F113).
        f.debug_struct("Chat")
            .field("provider", &self.provider.name())
            .field("model", &self.request.model)
            .field("framing", &self.prompt.framing)
            .finish_non_exhaustive()
    }
}

fn assembler(request: &ChatRequest, limits: AssemblerLimits) -> Box<Assembler> {
    let mut assembler = Box::new(Assembler::new(request.stream, limits));
    assembler.extract_think(request.extract_think);
    assembler.wanted_choices(request.n.unwrap_or(1));
    assembler
}

fn encode(provider: &dyn Provider, request: &ChatRequest) -> Result<Encoded, Error> {
    let mut encoded = provider.encode_chat(request)?;
    add_headers(&mut encoded.request, request)?;
    Ok(encoded)
}

fn add_headers(http: &mut Request<Bytes>, request: &ChatRequest) -> Result<(), Error> {
    let refuse = |what: String| Error::new(ErrorKind::InvalidRequest, what);
    let correlation = request
        .correlation_id
        .iter()
        .map(|id| ("x-request-id", id.as_str()));
    let own = request
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    for (name, value) in correlation.chain(own) {
        let parsed: HeaderName = name
            .parse()
            .map_err(|_| refuse(format!("`{}` is not a header name", name.escape_debug())))?;
        // Not shown: a caller's header may be a key (F107).
        if value.is_empty() || !value.bytes().all(|b| matches!(b, b' '..=b'~')) {
            return Err(refuse(format!(
                "the value of header `{parsed}` ({} bytes) is empty or has characters other than visible ASCII",
                value.len()
            )));
        }
        let mut value = HeaderValue::from_str(value)
            .map_err(|_| refuse(format!("the value of header `{parsed}` cannot be sent")))?;
        value.set_sensitive(parsed != "x-request-id");
        http.headers_mut().insert(parsed, value);
    }
    Ok(())
}
