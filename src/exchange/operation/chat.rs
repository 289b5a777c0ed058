use super::{AttemptTarget, Exchange, Start, State, sealed::Operation};
use crate::{
    Assembler, AssemblerLimits, CallOptions, ChatRequest, Encoded, Error, ErrorKind, Fallback,
    Framing, Metrics, Provider, ProviderMetadata, RawBody, ServerTiming, StreamEvent, Target,
    UnifiedChatResponse, Warning,
    error::states_an_error,
    provider::{Decoder, Frame, Progress, failure, requests},
};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, header};
use std::{fmt, sync::Arc};

/// A chat, whole or streamed.
pub struct Chat {
    prompt: Prompt,
    limits: AssemblerLimits,
    /// For the ids of calls that come without.
    seed: u64,
    /// Of many calls that wait for their answers at once, none takes memory for it.
    answer: Option<Answer>,
    raw: Option<RawBody>,
}

/// What becomes of the answer, from the moment when something of it is there.
struct Answer {
    decoder: Box<dyn Decoder>,
    /// Boxed, because an exchange is moved more often than it is used.
    assembler: Box<Assembler>,
    /// An error in a shape that the wire does not have, before anything of an answer (F28).
    stated: Option<Error>,
}

/// What remains known of a request that was encoded for one provider.
struct Prompt {
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
            prompt: Prompt::NONE,
            limits,
            seed: start.seed,
            answer: None,
            raw: None,
        };
        Exchange::with_operation(provider, request, chat, options, start)
    }

    fn encode(&mut self) -> Result<(), Error> {
        let AttemptTarget {
            provider, request, ..
        } = &self.target;
        let unsent;
        (self.operation.prompt, unsent) = Prompt::new(&**provider, request)?;
        self.metadata
            .correlation_id
            .clone_from(&request.correlation_id);
        self.state = State::Ready {
            at: self.now,
            unsent: Some(unsent),
        };
        Ok(())
    }
}

impl Exchange<Chat> {
    /// A chat with the first of several targets that can answer, whatever the model that the request names. It begins with
    /// the first one whose wire can say what is asked, unless the fallback [stays](Fallback::stay_on) on `InvalidRequest`.
    ///
    /// # Errors
    /// `invalid_request` if the request is wrong for all of them, or cannot be sent to any of them as it is.
    pub fn with_fallback(
        fallback: Fallback,
        mut request: Arc<ChatRequest>,
        options: Arc<CallOptions>,
        start: Start,
    ) -> Result<Self, Error> {
        let mut fallback = Box::new(fallback);
        let mut refused = Error::new(ErrorKind::InvalidRequest, "there is no target to ask");
        let mut is_first = true;
        while let Some(target) = fallback.next() {
            aim(&mut request, &target, is_first);
            is_first = false;
            let (provider, options) = (target.provider.clone(), options.clone());
            match Exchange::new(provider, request.clone(), options, start) {
                Ok(mut exchange) => {
                    exchange.turn_to(target, request);
                    exchange.fallback = Some(fallback);
                    return Ok(exchange);
                }
                Err(error) if fallback.moves_on(&error) => {
                    fallback.leave(target.provider.name(), &target.model, &error);
                    refused = error.with_provider(target.provider.name());
                }
                Err(error) => return Err(error),
            }
        }
        Err(refused)
    }
}

impl Prompt {
    /// Before it is encoded.
    const NONE: Prompt = Prompt {
        method: Method::POST,
        framing: Framing::Whole,
        bytes: 0,
        warnings: Vec::new(),
    };

    fn new(
        provider: &dyn Provider,
        request: &ChatRequest,
    ) -> Result<(Self, Request<Bytes>), Error> {
        let encoded = encode(provider, request)?;
        let prompt = Prompt {
            method: encoded.request.method().clone(),
            framing: encoded.framing,
            bytes: encoded.request.body().len(),
            warnings: encoded.warnings,
        };
        Ok((prompt, encoded.request))
    }
}

impl Chat {
    fn answer(&mut self, target: &AttemptTarget<Arc<ChatRequest>>) -> &mut Answer {
        let Chat {
            limits,
            seed,
            prompt,
            answer,
            ..
        } = self;
        answer.get_or_insert_with(|| Answer::new(target, *limits, *seed, &prompt.warnings))
    }

    fn into_response(
        self,
        target: &AttemptTarget<Arc<ChatRequest>>,
        metadata: ProviderMetadata,
        metrics: Metrics,
    ) -> UnifiedChatResponse {
        let Chat {
            limits,
            seed,
            prompt,
            answer,
            raw,
        } = self;
        let Answer { mut assembler, .. } =
            answer.unwrap_or_else(|| Answer::new(target, limits, seed, &prompt.warnings));
        let response = assembler.response_mut();
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
            response.model.clone_from(&target.request.model);
        }
        assembler.into_response()
    }
}

impl Answer {
    fn new(
        target: &AttemptTarget<Arc<ChatRequest>>,
        limits: AssemblerLimits,
        seed: u64,
        warnings: &[Warning],
    ) -> Self {
        let request = &target.request;
        let mut assembler = Box::new(Assembler::new(request.stream, limits));
        assembler.extract_think(request.extract_think);
        assembler.wanted_choices(request.n.unwrap_or(1));
        assembler.make_call_ids(seed, request.clone());
        for warning in warnings {
            assembler.warn(warning.clone());
        }
        Answer {
            decoder: target.provider.chat_decoder(request),
            assembler,
            stated: None,
        }
    }
}

impl Operation for Chat {
    type Output = UnifiedChatResponse;
    type Request = Arc<ChatRequest>;

    fn request(
        &mut self,
        target: &AttemptTarget<Arc<ChatRequest>>,
    ) -> Result<Request<Bytes>, Error> {
        Ok(encode(&*target.provider, &target.request)?.request)
    }

    fn method(&self) -> Method {
        self.prompt.method.clone()
    }

    fn tokens(&self, target: &AttemptTarget<Arc<ChatRequest>>) -> u64 {
        let prompt = self.prompt.bytes as u64 / 4;
        prompt.saturating_add(target.request.max_tokens.unwrap_or_default())
    }

    fn used_tokens(&self) -> Option<u64> {
        let answer = self.answer.as_ref()?;
        answer.assembler.usage_so_far()?.total_tokens
    }

    fn model(request: &Arc<ChatRequest>) -> &str {
        &request.model
    }

    fn retarget(
        &mut self,
        request: &Arc<ChatRequest>,
        target: &Target,
    ) -> Result<(Arc<ChatRequest>, Request<Bytes>), Error> {
        let mut request = request.clone();
        aim(&mut request, target, false);
        let unsent;
        (self.prompt, unsent) = Prompt::new(&*target.provider, &request)?;
        Ok((request, unsent))
    }

    fn framing(&self) -> Framing {
        self.prompt.framing
    }

    fn begin(&mut self) {
        self.raw = None;
        self.answer = None;
    }

    fn frame(
        &mut self,
        frame: Frame<'_>,
        target: &AttemptTarget<Arc<ChatRequest>>,
    ) -> Result<Progress, Error> {
        let raw_frames = target.request.raw_frames;
        let Answer {
            decoder,
            assembler,
            stated,
        } = self.answer(target);
        if raw_frames {
            assembler.raw_frame(frame.data.as_bytes());
        }
        if !assembler.is_visible() && states_an_error(frame.data) {
            *stated = Some(failure::from_event("", frame.data.as_bytes()));
        }
        let progress = decoder.frame(frame, assembler).map_err(|error| {
            let is_foreign = error.kind() == ErrorKind::Protocol;
            stated.take().filter(|_| is_foreign).unwrap_or(error)
        })?;
        assembler.check_waiting()?;
        assembler.check_retained()?;
        if progress == Progress::Done {
            assembler.end_marker();
        }
        Ok(progress)
    }

    fn whole(
        &mut self,
        body: &Bytes,
        target: &AttemptTarget<Arc<ChatRequest>>,
    ) -> Result<(), Error> {
        let Answer {
            decoder, assembler, ..
        } = self.answer(target);
        let read = decoder.whole(body, assembler);
        let Err(error) = read else { return read };
        let is_foreign = error.kind() == ErrorKind::Protocol
            && std::str::from_utf8(body).is_ok_and(states_an_error);
        Err(if is_foreign {
            failure::from_event("", body)
        } else {
            error
        })
    }

    fn stated(&mut self) -> Option<Error> {
        let answer = self.answer.as_mut()?;
        answer
            .stated
            .take()
            .filter(|_| !answer.assembler.is_visible())
    }

    fn keep(&mut self, body: Bytes) {
        self.raw = Some(RawBody::new(body));
    }

    fn is_complete(&self) -> bool {
        let answer = self.answer.as_ref();
        answer.is_some_and(|answer| answer.assembler.is_complete())
    }

    /// Nothing is told of an end before it is sure that there is one.
    fn settle(
        &mut self,
        target: &AttemptTarget<Arc<ChatRequest>>,
        but: Option<Warning>,
    ) -> Result<(), Error> {
        let Answer {
            decoder, assembler, ..
        } = self.answer(target);
        assembler.check_calls()?;
        decoder.check_end()?;
        if let Some(but) = but {
            assembler.warn(but);
        }
        assembler.has_all();
        decoder.finish(assembler)?;
        assembler.settle()
    }

    fn warn(&mut self, target: &AttemptTarget<Arc<ChatRequest>>, warning: Warning) {
        self.answer(target).assembler.warn(warning);
    }

    fn next_event(&mut self) -> Option<StreamEvent> {
        self.answer.as_mut()?.assembler.next_event()
    }

    fn is_visible(&self) -> bool {
        let answer = self.answer.as_ref();
        answer.is_some_and(|answer| answer.assembler.is_visible())
    }

    fn is_streamed(request: &Arc<ChatRequest>) -> bool {
        request.stream
    }

    fn answer(output: &UnifiedChatResponse) -> Option<&UnifiedChatResponse> {
        Some(output)
    }

    fn into_output(
        self,
        target: &AttemptTarget<Arc<ChatRequest>>,
        metadata: ProviderMetadata,
        metrics: Metrics,
    ) -> UnifiedChatResponse {
        self.into_response(target, metadata, metrics)
    }

    fn into_partial(
        self,
        target: &AttemptTarget<Arc<ChatRequest>>,
        metadata: ProviderMetadata,
        metrics: Metrics,
    ) -> Option<UnifiedChatResponse> {
        let answer = self.answer.as_ref()?;
        (!answer.assembler.is_empty()).then(|| self.into_response(target, metadata, metrics))
    }
}

impl fmt::Debug for Chat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither the question nor the answer: an exchange ends up in logs (F113).
        f.debug_struct("Chat")
            .field("framing", &self.prompt.framing)
            .finish_non_exhaustive()
    }
}

fn encode(provider: &dyn Provider, request: &ChatRequest) -> Result<Encoded, Error> {
    let mut encoded = provider.encode_chat(request)?;
    add_headers(&mut encoded.request, request)?;
    Ok(encoded)
}

/// Makes a request one for a target. The caller's headers belong to the first target, and each target has its own.
fn aim(request: &mut Arc<ChatRequest>, target: &Target, is_first: bool) {
    let request = Arc::make_mut(request);
    target.model.clone_into(&mut request.model);
    if !is_first {
        request.headers.clear();
    }
    request.headers.extend(target.headers.iter().cloned());
}

fn add_headers(http: &mut Request<Bytes>, request: &ChatRequest) -> Result<(), Error> {
    let refuse = |what: String| Error::new(ErrorKind::InvalidRequest, what);
    let correlation = request
        .correlation_id
        .iter()
        .map(|id| ("x-request-id", id.as_str()));
    let own = request.shared_headers.iter().chain(&request.headers);
    let own = own.map(|(name, value)| (name.as_str(), value.as_str()));
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
        if requests::is_of_transport(&parsed) {
            return Err(refuse(format!(
                "the header `{parsed}` is set by the transport: leave it out"
            )));
        }
        if parsed == header::HOST {
            let host = http.uri().authority().map_or("", |own| own.as_str());
            if !value.eq_ignore_ascii_case(host) {
                return Err(refuse(format!(
                    "the header `host` names another host than the request's, `{host}`: leave it out, or set the base URL"
                )));
            }
        }
        let mut value = HeaderValue::from_str(value)
            .map_err(|_| refuse(format!("the value of header `{parsed}` cannot be sent")))?;
        value.set_sensitive(parsed != "x-request-id");
        http.headers_mut().insert(parsed, value);
    }
    Ok(())
}
