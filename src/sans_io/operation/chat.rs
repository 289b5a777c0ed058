use super::{
    AttemptTarget, CallStart, Exchange, State,
    caller_headers::add_headers,
    follow_up::{Ask, FollowUp, not_complete, restarted},
    sealed::Operation,
};
use crate::{
    CallOptions, ChatRequest, Error, ErrorKind, Secret, StreamEvent, Tool, UnifiedChatResponse,
    Usage,
    chat::{CallMetrics, Continuation, ProviderMetadata, RawBody, ServerTiming, Warning},
    cost::BilledTokens,
    error::states_an_error,
    policy::{Fallback, FallbackTarget, ResumePolicy, SizeLimits},
    provider::{
        ChatDecoder, EncodedRequest, Frame, FrameOutcome, Framing, Provider, ResponseBuilder,
        ResponseLimits, kit::errors,
    },
};
use bytes::Bytes;
use http::{Method, Request};
use std::{fmt, sync::Arc, time::Duration};
use unifiedai_transport::RequestBody;

/// A chat. Its response is streamed or a single body.
pub struct Chat {
    meta: RequestMeta,
    limits: ResponseLimits,
    /// Seed of the generated ids of tool calls that have none.
    seed: u64,
    /// `None` until the response begins, so that a waiting call needs no memory for it.
    pub(super) response: Option<ResponseState>,
    raw: Option<RawBody>,
    pub(super) resume: ResumePolicy,
    /// `None` for a chat of one request.
    pub(super) follow_up: Option<Box<FollowUp>>,
}

/// The decoder of the response, and what it has decoded.
pub(super) struct ResponseState {
    decoder: Box<dyn ChatDecoder>,
    /// Boxed, because an exchange is moved more often than it is used.
    pub(super) builder: Box<ResponseBuilder>,
    /// An error before any content, in a format that this API does not define.
    error: Option<Error>,
    /// The provider reported that it failed to generate the response.
    pub(super) has_failed: bool,
}

/// Properties of a request that was encoded for one target.
struct RequestMeta {
    method: Method,
    framing: Framing,
    bytes: usize,
    warnings: Vec<Warning>,
}

impl Exchange<Chat> {
    /// Creates a chat with `provider`.
    ///
    /// # Errors
    /// `invalid_request` if the request is invalid or the provider cannot express it. Nothing was sent then.
    pub fn new(
        provider: Arc<dyn Provider>,
        request: Arc<ChatRequest>,
        options: Arc<CallOptions>,
        start: CallStart,
    ) -> Result<Self, Error> {
        request.validate()?;
        let mut exchange = Exchange::new_lazy(provider, request, options, start);
        exchange.encode_first()?;
        Ok(exchange)
    }

    /// [`new`](Self::new) that creates the exchange in its box.
    pub(crate) fn new_boxed(
        provider: Arc<dyn Provider>,
        request: Arc<ChatRequest>,
        options: Arc<CallOptions>,
        start: CallStart,
    ) -> Result<Box<Self>, Error> {
        request.validate()?;
        let mut exchange = Box::new(Exchange::new_lazy(provider, request, options, start));
        exchange.encode_first()?;
        Ok(exchange)
    }

    /// Does not keep the encoded request, which is large and would be moved too.
    #[inline(always)]
    pub(super) fn new_lazy(
        provider: Arc<dyn Provider>,
        request: Arc<ChatRequest>,
        options: Arc<CallOptions>,
        start: CallStart,
    ) -> Self {
        let limits = ResponseLimits::of(&options.sizes);
        let chat = Chat {
            meta: RequestMeta::NONE,
            limits,
            seed: start.rng_seed,
            response: None,
            raw: None,
            resume: options.resume,
            follow_up: None,
        };
        Exchange::new_with(provider, request, chat, options, start)
    }

    pub(super) fn encode_first(&mut self) -> Result<(), Error> {
        let unsent = self.operation.encode(&self.target)?;
        self.metadata
            .client_request_id
            .clone_from(&self.target.request.client_request_id);
        self.state = State::Ready {
            at: self.now,
            encoded: Some(unsent),
        };
        Ok(())
    }
}

impl Exchange<Chat> {
    /// Creates a chat with a fallback chain. The request's own model is ignored. The chat starts with the first
    /// target whose API can express the request, unless the fallback [excludes](Fallback::never_fall_back_on)
    /// `InvalidRequest`.
    ///
    /// # Errors
    /// `invalid_request` if the request is invalid, or if no target can express it.
    pub fn with_fallback(
        fallback: Fallback,
        mut request: Arc<ChatRequest>,
        options: Arc<CallOptions>,
        start: CallStart,
    ) -> Result<Self, Error> {
        let mut fallback = Box::new(fallback);
        let mut refused = Error::new(ErrorKind::InvalidRequest, "the fallback has no target");
        let mut is_first = true;
        while let Some(target) = fallback.next() {
            apply_target(&mut request, &target, is_first);
            is_first = false;
            let (provider, options) = (target.provider.clone(), options.clone());
            match Exchange::new(provider, request.clone(), options, start) {
                Ok(mut exchange) => {
                    exchange.switch_target(target, request);
                    exchange.fallback = Some(fallback);
                    return Ok(exchange);
                }
                Err(error) if fallback.applies_to(&error) => {
                    fallback.abandon(target.provider.name(), &target.model, &error);
                    refused = error.with_provider(target.provider.name());
                }
                Err(error) => return Err(error),
            }
        }
        Err(refused)
    }
}

impl RequestMeta {
    /// Before it is encoded.
    const NONE: RequestMeta = RequestMeta {
        method: Method::POST,
        framing: Framing::SingleBody,
        bytes: 0,
        warnings: Vec::new(),
    };

    fn of(encoded: EncodedRequest) -> (Self, Request<Bytes>) {
        let meta = RequestMeta {
            method: encoded.request.method().clone(),
            framing: encoded.framing,
            bytes: encoded.request.body().len(),
            warnings: encoded.warnings,
        };
        (meta, encoded.request)
    }
}

impl Chat {
    fn response_state(&mut self, target: &AttemptTarget<Arc<ChatRequest>>) -> &mut ResponseState {
        let limits = self
            .turns()
            .map_or(self.limits, |turns| turns.rest(self.limits));
        let Chat {
            seed,
            meta,
            response,
            ..
        } = self;
        response.get_or_insert_with(|| ResponseState::new(target, limits, *seed, &meta.warnings))
    }

    /// Encodes the request of the next attempt.
    pub(super) fn encode(
        &mut self,
        target: &AttemptTarget<Arc<ChatRequest>>,
    ) -> Result<Request<Bytes>, Error> {
        let provider = &*target.provider;
        let encoded = match self.ask() {
            Ask::New => match self.turn_request(target)? {
                Some(request) => encode_with_headers(provider, &request)?,
                None => encode_with_headers(provider, &target.request)?,
            },
            ask => {
                let position = self.position(target).ok_or_else(|| {
                    Error::new(
                        ErrorKind::Misuse,
                        "the position in the response is not known",
                    )
                })?;
                let mut encoded = match ask {
                    Ask::Cancel => provider.encode_cancel(&position)?,
                    ask => provider.encode_resume(&position, ask == Ask::Stream)?,
                };
                add_headers(&mut encoded.request, &target.request)?;
                encoded
            }
        };
        let request;
        (self.meta, request) = RequestMeta::of(encoded);
        Ok(request)
    }

    /// After a frame: what an earlier call returned is not returned again.
    fn end_frame(&mut self) {
        let Some(response) = &mut self.response else {
            return;
        };
        response.builder.end_frame();
        let Some(follow_up) = &mut self.follow_up else {
            return;
        };
        follow_up.update_billed(response.builder.current_usage());
        if let Some(skip_to) = &follow_up.skip_to {
            while response.builder.next_event().is_some() {}
            let reached = response.builder.decoded_cursor();
            if reached.is_some_and(|cursor| cursor.reaches(skip_to)) {
                follow_up.skip_to = None;
            }
        }
    }

    fn into_response(
        self,
        target: &AttemptTarget<Arc<ChatRequest>>,
        metadata: ProviderMetadata,
        metrics: CallMetrics,
    ) -> UnifiedChatResponse {
        let Chat {
            limits,
            seed,
            meta,
            response,
            raw,
            follow_up,
            ..
        } = self;
        let ResponseState { mut builder, .. } =
            response.unwrap_or_else(|| ResponseState::new(target, limits, seed, &meta.warnings));
        let response = builder.response_mut();
        let extra = std::mem::take(&mut response.provider_metadata.extra);
        response.provider_metadata = ProviderMetadata {
            raw,
            extra,
            ..metadata
        };
        let server = response.metrics.server;
        response.metrics = CallMetrics {
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
        let response = builder.into_response();
        match follow_up.and_then(|next| next.turns) {
            Some(mut turns) => {
                let metadata = ProviderMetadata {
                    extra: Vec::new(),
                    ..response.provider_metadata.clone()
                };
                let mut all = turns.joined(response);
                let extra = std::mem::take(&mut all.provider_metadata.extra);
                all.provider_metadata = ProviderMetadata { extra, ..metadata };
                all
            }
            None => response,
        }
    }
}

impl ResponseState {
    fn new(
        target: &AttemptTarget<Arc<ChatRequest>>,
        limits: ResponseLimits,
        seed: u64,
        warnings: &[Warning],
    ) -> Self {
        let request = &target.request;
        let mut builder = new_builder(request, limits, seed);
        for warning in warnings {
            builder.warn(warning.clone());
        }
        ResponseState {
            decoder: target.provider.chat_decoder(request),
            builder,
            error: None,
            has_failed: false,
        }
    }
}

impl Operation for Chat {
    type Output = UnifiedChatResponse;
    type Event = StreamEvent;
    type Request = Arc<ChatRequest>;

    fn request(
        &mut self,
        target: &AttemptTarget<Arc<ChatRequest>>,
    ) -> Result<Request<RequestBody>, Error> {
        Ok(self.encode(target)?.map(RequestBody::from))
    }

    /// A position can be asked for, and a response cancelled, any number of times.
    fn is_repeatable(&self) -> bool {
        self.ask() != Ask::New || self.meta.method == Method::GET
    }

    /// A response that the provider keeps is not requested a second time, because both would be billed.
    fn may_repeat(&self, _: &Error) -> bool {
        let exists =
            |response: &ResponseState| response.builder.is_resumable() && !response.has_failed;
        !self.is_resuming() && !self.response.as_ref().is_some_and(exists)
    }

    fn resume(
        &mut self,
        target: &AttemptTarget<Arc<ChatRequest>>,
        error: &Error,
    ) -> Option<(Request<Bytes>, u32)> {
        self.prepare_resume(target, error)
    }

    fn is_resuming(&self) -> bool {
        matches!(self.ask(), Ask::Stream | Ask::Poll)
    }

    fn method(&self) -> Method {
        self.meta.method.clone()
    }

    fn estimate(&self, target: &AttemptTarget<Arc<ChatRequest>>) -> Usage {
        if self.ask() != Ask::New {
            return Usage::default();
        }
        let prompt = self.meta.bytes as u64 / 4;
        let completion = target.request.max_tokens.unwrap_or_default();
        Usage {
            prompt_tokens: Some(prompt),
            completion_tokens: Some(completion),
            total_tokens: Some(prompt.saturating_add(completion)),
            ..Usage::default()
        }
    }

    fn billed(&self) -> Option<BilledTokens<'_>> {
        let response = self.response.as_ref()?;
        let billed = response.builder.billed()?;
        match self
            .follow_up
            .as_ref()
            .and_then(|next| next.billed_before.as_ref())
        {
            Some(before) => Some(BilledTokens {
                usage: before.rest.as_ref()?,
                ..billed
            }),
            None => Some(billed),
        }
    }

    fn is_billed(&self) -> bool {
        self.ask() == Ask::New
    }

    fn model(request: &Arc<ChatRequest>) -> &str {
        &request.model
    }

    fn secrets(request: &Arc<ChatRequest>) -> Vec<&str> {
        let tokens = request.tools.iter().filter_map(|tool| match tool {
            Tool::Hosted(hosted) => hosted.token(),
            _ => None,
        });
        tokens.map(Secret::expose).collect()
    }

    fn encode_for_target(
        &mut self,
        request: &Arc<ChatRequest>,
        target: &FallbackTarget,
    ) -> Result<(Arc<ChatRequest>, Request<Bytes>), Error> {
        let mut request = request.clone();
        apply_target(&mut request, target, false);
        let encoded = encode_with_headers(&*target.provider, &request)?;
        let unsent;
        (self.meta, unsent) = RequestMeta::of(encoded);
        self.follow_up = None;
        Ok((request, unsent))
    }

    fn framing(&self) -> Framing {
        self.meta.framing
    }

    fn reset(&mut self) {
        self.raw = None;
        if !self.is_resuming() {
            self.response = None;
        }
    }

    fn decode_frame(
        &mut self,
        frame: Frame<'_>,
        target: &AttemptTarget<Arc<ChatRequest>>,
    ) -> Result<FrameOutcome, Error> {
        let include_raw_frames = target.request.include_raw_frames;
        let ResponseState {
            decoder,
            builder,
            error: stated,
            has_failed,
        } = self.response_state(target);
        if include_raw_frames {
            builder.raw_frame(frame.data.as_bytes());
        }
        if !builder.is_visible() && states_an_error(frame.data) {
            *stated = Some(errors::from_event("", frame.data.as_bytes()));
        }
        let progress = decoder.decode_frame(frame, builder).map_err(|error| {
            let is_foreign = error.kind() == ErrorKind::Protocol;
            *has_failed = !is_cut_or_invalid(&error);
            stated.take().filter(|_| is_foreign).unwrap_or(error)
        })?;
        builder.check_queue_limit()?;
        builder.check_total_limit()?;
        if progress == FrameOutcome::Complete {
            builder.end_marker();
        }
        if builder.is_resumable() {
            self.end_frame();
            let starts_only = self.follow_up.as_ref().is_some_and(|next| next.starts_only);
            if starts_only {
                return Ok(FrameOutcome::Complete);
            }
        }
        Ok(progress)
    }

    fn decode_body(
        &mut self,
        body: &Bytes,
        target: &AttemptTarget<Arc<ChatRequest>>,
    ) -> Result<(), Error> {
        let skips = self.follow_up.as_mut().and_then(|next| next.skip_to.take());
        let ResponseState {
            decoder,
            builder,
            has_failed,
            ..
        } = self.response_state(target);
        if skips.is_some() {
            builder.warn(restarted());
        }
        let read = decoder.decode_body(body, builder);
        *has_failed = read.as_ref().is_err_and(|error| !is_cut_or_invalid(error));
        let in_progress = builder.take_in_progress();
        let usage = builder.current_usage().cloned();
        if in_progress.is_some() {
            self.follow_up_mut().in_progress = in_progress;
        }
        if let Some(follow_up) = &mut self.follow_up {
            follow_up.update_billed(usage.as_ref());
        }
        let Err(error) = read else {
            return Ok(());
        };
        if let Some(follow_up) = self.follow_up.as_mut().filter(|next| next.cancels) {
            if error.kind() == ErrorKind::Cancelled {
                follow_up.is_cancelled = true;
                return Ok(());
            }
        }
        let is_foreign = error.kind() == ErrorKind::Protocol
            && std::str::from_utf8(body).is_ok_and(states_an_error);
        Err(if is_foreign {
            errors::from_event("", body)
        } else {
            error
        })
    }

    fn take_error(&mut self) -> Option<Error> {
        let response = self.response.as_mut()?;
        response
            .error
            .take()
            .filter(|_| !response.builder.is_visible())
    }

    fn keep_body(&mut self, body: Bytes) {
        self.raw = Some(RawBody::new(body));
    }

    fn is_complete(&self) -> bool {
        let starts_only = self.follow_up.as_ref().is_some_and(|next| next.starts_only);
        let response = self.response.as_ref();
        response.is_some_and(|response| {
            response.builder.is_complete() || (starts_only && response.builder.is_resumable())
        })
    }

    fn finish(
        &mut self,
        target: &AttemptTarget<Arc<ChatRequest>>,
        warning: Option<Warning>,
    ) -> Result<(), Error> {
        let is_open = self.follow_up.as_ref().is_some_and(|next| {
            next.in_progress.is_some() || next.is_cancelled || next.starts_only
        });
        if is_open {
            return Ok(());
        }
        let ResponseState {
            decoder, builder, ..
        } = self.response_state(target);
        finish_answer(&mut **decoder, builder, warning)
    }

    fn next_page(&mut self, target: &AttemptTarget<Arc<ChatRequest>>) -> Result<bool, Error> {
        self.prepare_next(target)
    }

    fn wait_before_next(&self) -> Duration {
        self.next_wait()
    }

    fn warn(&mut self, target: &AttemptTarget<Arc<ChatRequest>>, warning: Warning) {
        self.response_state(target).builder.warn(warning);
    }

    fn next_event(&mut self) -> Option<StreamEvent> {
        if let Some(event) = self.earlier_event() {
            return Some(event);
        }
        let event = self.response.as_mut()?.builder.next_event()?;
        if self.follow_up.is_none() {
            return Some(event);
        }
        Some(self.in_call(event))
    }

    fn may_emit(&self) -> bool {
        self.is_visible() || self.turns().is_some_and(|turns| turns.has_events())
    }

    fn has_content(&self) -> bool {
        self.is_visible() || self.turns().is_some_and(|turns| turns.is_visible())
    }

    fn continuation(&self, target: &AttemptTarget<Arc<ChatRequest>>) -> Option<Continuation> {
        Chat::continuation(self, target)
    }

    fn chat_event(event: &StreamEvent) -> Option<&StreamEvent> {
        Some(event)
    }

    fn is_visible(&self) -> bool {
        let response = self.response.as_ref();
        response.is_some_and(|response| response.builder.is_visible())
    }

    fn is_streamed(request: &Arc<ChatRequest>) -> bool {
        request.stream
    }

    fn response(output: &UnifiedChatResponse) -> Option<&UnifiedChatResponse> {
        Some(output)
    }

    fn into_output(
        self,
        target: &AttemptTarget<Arc<ChatRequest>>,
        metadata: ProviderMetadata,
        metrics: CallMetrics,
    ) -> UnifiedChatResponse {
        self.into_response(target, metadata, metrics)
    }

    fn into_partial(
        self,
        target: &AttemptTarget<Arc<ChatRequest>>,
        metadata: ProviderMetadata,
        metrics: CallMetrics,
    ) -> Option<UnifiedChatResponse> {
        let response = self.response.as_ref();
        let has_content = response.is_some_and(|response| !response.builder.is_empty());
        (has_content || self.turns().is_some())
            .then(|| self.into_response(target, metadata, metrics))
    }
}

/// Reads an answer that came inside of another one, such as a line of a batch's results, as the answer of a call is read.
pub(crate) fn decode_chat_body(
    provider: &dyn Provider,
    body: Bytes,
    request: Option<&Arc<ChatRequest>>,
    sizes: &SizeLimits,
) -> Result<UnifiedChatResponse, Error> {
    let Some(api) = provider.batch_api() else {
        let what = format!("`{}` has no batches", provider.name());
        return Err(Error::new(ErrorKind::InvalidRequest, what));
    };
    let mut decoder = api.answer_decoder(&body, request.map(|request| &**request));
    let request = request
        .cloned()
        .unwrap_or_else(|| Arc::new(ChatRequest::new("")));
    let mut builder = new_builder(&request, ResponseLimits::of(sizes), 0);
    decoder.decode_body(&body, &mut builder)?;
    finish_answer(&mut *decoder, &mut builder, None)?;
    while builder.next_event().is_some() {}
    let response = builder.response_mut();
    response.provider_metadata.provider = provider.name().to_owned();
    response.provider_metadata.raw = Some(RawBody::new(body));
    if response.model.is_empty() {
        response.model.clone_from(&request.model);
    }
    Ok(builder.into_response())
}

/// Whether an error says nothing of the response at the provider.
fn is_cut_or_invalid(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Truncated | ErrorKind::Protocol)
}

fn new_builder(
    request: &Arc<ChatRequest>,
    limits: ResponseLimits,
    seed: u64,
) -> Box<ResponseBuilder> {
    let mut builder = Box::new(ResponseBuilder::new(request.stream, limits));
    builder.parse_think_tags(request.parse_think_tags);
    builder.expected_choices(request.n.unwrap_or(1));
    builder.generate_call_ids(seed, request.clone());
    builder
}

/// Ends a complete answer. The finish events are emitted only after all checks at the end have passed.
fn finish_answer(
    decoder: &mut dyn ChatDecoder,
    builder: &mut ResponseBuilder,
    warning: Option<Warning>,
) -> Result<(), Error> {
    if let Some(status) = builder.take_in_progress() {
        return Err(not_complete(&status));
    }
    builder.check_calls()?;
    decoder.check_end()?;
    if let Some(warning) = warning {
        builder.warn(warning);
    }
    builder.set_logically_complete();
    decoder.finish(builder)?;
    builder.check_stated_end()?;
    builder.finish_response()
}

impl fmt::Debug for Chat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Shows neither the request nor the response: an exchange may be logged.
        f.debug_struct("Chat")
            .field("framing", &self.meta.framing)
            .finish_non_exhaustive()
    }
}

fn encode_with_headers(
    provider: &dyn Provider,
    request: &ChatRequest,
) -> Result<EncodedRequest, Error> {
    let mut encoded = provider.encode_chat(request)?;
    add_headers(&mut encoded.request, request)?;
    Ok(encoded)
}

/// Adapts a request to a target. The caller's headers belong to the first target, and each target has its own.
fn apply_target(request: &mut Arc<ChatRequest>, target: &FallbackTarget, is_first: bool) {
    let request = Arc::make_mut(request);
    target.model.clone_into(&mut request.model);
    if !is_first {
        request.headers.clear();
    }
    request.headers.extend(target.headers.iter().cloned());
}
