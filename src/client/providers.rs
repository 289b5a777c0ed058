use super::{call_context::CallContext, names};
use crate::observe::{CallInfo, Observer, ObserverNotifier};
use crate::{
    CallOptions, ChatRequest, EmbedRequest, Error, ErrorKind, Model, UnifiedChatResponse,
    cache::{CachedContent, CachedContentApi, NewCachedContent},
    chat::{CompactedConversation, Continuation},
    policy::{ConcurrencyLimit, Fallback, FallbackTarget, ProviderLimits},
    provider::{ApiRequest, Provider},
    provider_batch::BatchCall,
    sans_io::cached_content_api,
    sans_io::{ApiCall, CallBatchApi, CallStart, Chat, Embed, Exchange, Operation},
    tokens::TokenCount,
};
use std::{
    borrow::Cow,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// The providers of a client, and how it makes calls to them. Clones share limits and the closed state.
#[derive(Clone)]
pub struct ProviderRegistry {
    /// The first one is the default: it gets models whose name selects no provider.
    entries: Vec<Entry>,
    options: Arc<CallOptions>,
    observers: Arc<[Arc<dyn Observer>]>,
    closed: Arc<AtomicBool>,
}

#[derive(Clone)]
struct Entry {
    provider: Arc<dyn Provider>,
    limits: Arc<ProviderLimits>,
    limiter: Option<Arc<ConcurrencyLimit>>,
}

/// An exchange, and the state that the client adds to it.
pub(crate) struct PreparedCall<O: Operation> {
    pub(crate) exchange: Box<Exchange<O>>,
    pub(crate) context: CallContext,
    pub(crate) start: CallStart,
}

/// Creates the exchange of a small JSON call about a chat.
type CreateAboutChat<T> = fn(
    Arc<dyn Provider>,
    &ChatRequest,
    Arc<CallOptions>,
    CallStart,
) -> Result<Exchange<ApiCall<T>>, Error>;

/// What observers learn about a call.
struct CallMeta<'a> {
    operation: &'static str,
    provider: &'a str,
    model: &'a str,
    stream: bool,
    request: Option<&'a ChatRequest>,
}

impl ProviderRegistry {
    pub(crate) fn new(provider: Arc<dyn Provider>) -> Self {
        ProviderRegistry {
            entries: vec![Entry::new(provider)],
            options: Arc::default(),
            observers: Arc::new([]),
            closed: Arc::default(),
        }
    }

    /// Adds a provider, selected by models whose name begins with its name and a dot; see `route`.
    pub(crate) fn add(&mut self, provider: Arc<dyn Provider>) -> Result<(), Error> {
        if self.names().any(|name| name == provider.name()) {
            return Err(refuse(format!(
                "the client has two providers named `{}`: give one of them another name",
                provider.name()
            )));
        }
        self.entries.push(Entry::new(provider));
        Ok(())
    }

    /// Keeps only the provider of this name.
    pub(crate) fn only(&self, name: &str) -> Result<Self, Error> {
        Ok(ProviderRegistry {
            entries: vec![self.named(Some(name))?.clone()],
            ..self.clone()
        })
    }

    pub(crate) fn set_options(&mut self, options: CallOptions) {
        self.options = Arc::new(options);
    }

    pub(crate) fn options(&self) -> &CallOptions {
        &self.options
    }

    pub(crate) fn set_max_concurrent(&mut self, name: &str, calls: usize) -> Result<(), Error> {
        self.named(Some(name))?;
        let limiter = Arc::new(ConcurrencyLimit::new(calls)?);
        for entry in &mut self.entries {
            if entry.provider.name() == name {
                entry.limiter = Some(limiter.clone());
            }
        }
        Ok(())
    }

    pub(crate) fn add_observer(&mut self, observer: Arc<dyn Observer>) {
        self.observers = self.observers.iter().cloned().chain([observer]).collect();
    }

    pub(crate) fn set_provider_limits(
        &mut self,
        name: &str,
        guard: &Arc<ProviderLimits>,
    ) -> Result<(), Error> {
        self.named(Some(name))?;
        for entry in &mut self.entries {
            if entry.provider.name() == name {
                entry.limits = guard.clone();
            }
        }
        Ok(())
    }

    /// The limits that all calls to a provider share.
    #[must_use]
    pub fn provider_limits(&self, provider: &str) -> Option<&Arc<ProviderLimits>> {
        Some(&self.find(provider)?.limits)
    }

    /// Creates a fallback chain of models, each named as in any request.
    ///
    /// # Errors
    /// `invalid_request` for the name of a provider that the client lacks.
    pub fn fallback<'m>(
        &self,
        first: &str,
        others: impl IntoIterator<Item = &'m str>,
    ) -> Result<Fallback, Error> {
        let target = |model: &str| {
            let (entry, model) = self.route(model)?;
            let target = FallbackTarget::new(entry.provider.clone(), model);
            Ok::<_, Error>(target.limits(entry.limits.clone()))
        };
        let first = Fallback::new(target(first)?);
        others
            .into_iter()
            .try_fold(first, |fallback, model| Ok(fallback.then(target(model)?)))
    }

    /// The providers' names, the default provider first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.provider.name())
    }

    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    pub(crate) fn chat(
        &self,
        mut request: Arc<ChatRequest>,
        stream: bool,
        start: CallStart,
    ) -> Result<PreparedCall<Chat>, Error> {
        let (entry, model) = self.route(&request.model)?;
        // `request.stream` also applies to calls that return the complete response.
        let stream = stream || request.stream;
        if request.stream != stream || model.len() != request.model.len() {
            let model = model.to_owned();
            let request = Arc::make_mut(&mut request);
            request.stream = stream;
            request.model = model;
        }
        let (provider, options) = (entry.provider.clone(), self.options.clone());
        let exchange = Exchange::new_boxed(provider, request.clone(), options, start)?;
        let about = CallMeta {
            model: &request.model,
            stream,
            request: Some(&request),
            ..entry.call_meta("chat")
        };
        self.call(entry.with_limits(exchange), &about, start)
    }

    /// A chat that ends once the response exists at the provider.
    pub(crate) fn start_background(
        &self,
        mut request: Arc<ChatRequest>,
        start: CallStart,
    ) -> Result<PreparedCall<Chat>, Error> {
        if request.background != Some(true) {
            Arc::make_mut(&mut request).background = Some(true);
        }
        let mut call = self.chat(request, false, start)?;
        call.exchange.start_only();
        Ok(call)
    }

    pub(crate) fn resume(
        &self,
        continuation: &Continuation,
        stream: bool,
        start: CallStart,
    ) -> Result<PreparedCall<Chat>, Error> {
        let (entry, options) = (
            self.named(Some(&continuation.provider))?,
            self.options.clone(),
        );
        let provider = entry.provider.clone();
        let exchange = Exchange::resume_response(provider, continuation, stream, options, start)?;
        let about = CallMeta {
            model: &continuation.model,
            stream,
            ..entry.call_meta("resume")
        };
        self.call(entry.with_limits(exchange), &about, start)
    }

    pub(crate) fn cancel_response(
        &self,
        continuation: &Continuation,
        start: CallStart,
    ) -> Result<PreparedCall<Chat>, Error> {
        let (entry, options) = (
            self.named(Some(&continuation.provider))?,
            self.options.clone(),
        );
        let exchange =
            Exchange::cancel_response(entry.provider.clone(), continuation, options, start)?;
        let about = CallMeta {
            model: &continuation.model,
            ..entry.call_meta("cancel")
        };
        self.call(entry.with_limits(exchange), &about, start)
    }

    pub(crate) fn chat_with_fallback(
        &self,
        mut request: Arc<ChatRequest>,
        mut fallback: Fallback,
        stream: bool,
        start: CallStart,
    ) -> Result<PreparedCall<Chat>, Error> {
        let stream = stream || request.stream;
        if request.stream != stream {
            Arc::make_mut(&mut request).stream = stream;
        }
        fallback.set_concurrency_limits(|provider| self.find(provider)?.limiter.clone());
        let first = fallback.clone().next();
        let options = self.options.clone();
        let exchange = Exchange::with_fallback(fallback, request.clone(), options, start)?;
        let model = first.as_ref().map_or("", |target| &target.model);
        let provider = first.as_ref().map_or("", |target| target.provider.name());
        let about = CallMeta {
            operation: "chat",
            provider,
            model,
            stream,
            request: Some(&request),
        };
        self.call(Box::new(exchange), &about, start)
    }

    pub(crate) fn embed(
        &self,
        mut request: Arc<EmbedRequest>,
        start: CallStart,
    ) -> Result<PreparedCall<Embed>, Error> {
        let (entry, model) = self.route(&request.model)?;
        if model.len() != request.model.len() {
            let model = model.to_owned();
            Arc::make_mut(&mut request).model = model;
        }
        let options = self.options.clone();
        let exchange = Exchange::embed(entry.provider.clone(), request.clone(), options, start)?;
        let about = CallMeta {
            model: &request.model,
            ..entry.call_meta("embed")
        };
        self.call(entry.with_limits(exchange), &about, start)
    }

    pub(crate) fn list_models(
        &self,
        name: Option<&str>,
        start: CallStart,
    ) -> Result<PreparedCall<ApiCall<Vec<Model>>>, Error> {
        let entry = self.named(name)?;
        let (provider, options) = (entry.provider.clone(), self.options.clone());
        let exchange = Exchange::list_models(provider, options, start)?;
        let about = entry.call_meta("list_models");
        self.call(entry.with_limits(exchange), &about, start)
    }

    pub(crate) fn retrieve_model(
        &self,
        id: &str,
        start: CallStart,
    ) -> Result<PreparedCall<ApiCall<Model>>, Error> {
        let (entry, id) = self.route(id)?;
        let (provider, options) = (entry.provider.clone(), self.options.clone());
        let exchange = Exchange::retrieve_model(provider, id, options, start)?;
        let about = CallMeta {
            model: id,
            ..entry.call_meta("model")
        };
        self.call(entry.with_limits(exchange), &about, start)
    }

    /// A small JSON call of the provider of this name, which `describe` creates.
    pub(crate) fn api_call<T: Default>(
        &self,
        name: Option<&str>,
        operation: &'static str,
        describe: impl FnOnce(&dyn Provider) -> Result<ApiRequest<T>, Error>,
        start: CallStart,
    ) -> Result<PreparedCall<ApiCall<T>>, Error> {
        let entry = self.named(name)?;
        let (provider, options) = (entry.provider.clone(), self.options.clone());
        let api = describe(&*provider)?;
        let exchange = Exchange::api_call(provider, api, options, start);
        let about = entry.call_meta(operation);
        self.call(entry.with_limits(exchange), &about, start)
    }

    pub(crate) fn count_tokens(
        &self,
        request: &ChatRequest,
        start: CallStart,
    ) -> Result<PreparedCall<ApiCall<TokenCount>>, Error> {
        self.about_chat(request, "count_tokens", Exchange::count_tokens, start)
    }

    pub(crate) fn compact(
        &self,
        request: &ChatRequest,
        start: CallStart,
    ) -> Result<PreparedCall<ApiCall<CompactedConversation>>, Error> {
        self.about_chat(request, "compact", Exchange::compact, start)
    }

    /// A small JSON call about a chat: its model selects the provider.
    fn about_chat<T: Default>(
        &self,
        request: &ChatRequest,
        operation: &'static str,
        create: CreateAboutChat<T>,
        start: CallStart,
    ) -> Result<PreparedCall<ApiCall<T>>, Error> {
        let (entry, model) = self.route(&request.model)?;
        let request = with_model(request, model);
        let (provider, options) = (entry.provider.clone(), self.options.clone());
        let exchange = create(provider, &request, options, start)?;
        let about = CallMeta {
            model,
            ..entry.call_meta(operation)
        };
        self.call(entry.with_limits(exchange), &about, start)
    }

    /// A call for cached contents of the provider of this name.
    pub(crate) fn cached_content<T: Default>(
        &self,
        name: Option<&str>,
        describe: impl FnOnce(&dyn CachedContentApi) -> Result<ApiRequest<T>, Error>,
        start: CallStart,
    ) -> Result<PreparedCall<ApiCall<T>>, Error> {
        let describe = |provider: &dyn Provider| describe(&*cached_content_api(provider)?);
        self.api_call(name, "cached_content", describe, start)
    }

    pub(crate) fn list_cached_contents(
        &self,
        name: Option<&str>,
        start: CallStart,
    ) -> Result<PreparedCall<ApiCall<Vec<CachedContent>>>, Error> {
        let entry = self.named(name)?;
        let (provider, options) = (entry.provider.clone(), self.options.clone());
        let exchange = Exchange::list_cached_contents(provider, options, start)?;
        let about = entry.call_meta("cached_content");
        self.call(entry.with_limits(exchange), &about, start)
    }

    /// The model of its prompt selects the provider.
    pub(crate) fn create_cached_content(
        &self,
        new: &NewCachedContent,
        start: CallStart,
    ) -> Result<PreparedCall<ApiCall<CachedContent>>, Error> {
        let (entry, model) = self.route(&new.prompt.model)?;
        let mut new = new.clone();
        new.prompt.model = model.to_owned();
        let name = Some(entry.provider.name());
        self.cached_content(name, |contents| contents.create(&new), start)
    }

    pub(crate) fn batch_call(
        &self,
        name: Option<&str>,
        call: BatchCall,
        start: CallStart,
    ) -> Result<PreparedCall<CallBatchApi>, Error> {
        let entry = self.named(name)?;
        let (provider, options) = (entry.provider.clone(), self.options.clone());
        let exchange = Exchange::batch_call(provider, call, options, start)?;
        let about = entry.call_meta("batch");
        self.call(entry.with_limits(exchange), &about, start)
    }

    pub(crate) fn check_provider(
        &self,
        name: Option<&str>,
        start: CallStart,
    ) -> Result<PreparedCall<ApiCall<()>>, Error> {
        let entry = self.named(name)?;
        let options = self.options.clone();
        let exchange = Exchange::check_provider(entry.provider.clone(), options, start)?;
        self.call(entry.with_limits(exchange), &entry.call_meta("ping"), start)
    }

    fn call<O: Operation>(
        &self,
        exchange: Box<Exchange<O>>,
        about: &CallMeta<'_>,
        start: CallStart,
    ) -> Result<PreparedCall<O>, Error> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::new(ErrorKind::Misuse, "the client is closed"));
        }
        let watch = (!self.observers.is_empty()).then(|| {
            let metadata = about.request.and_then(|request| request.metadata.as_ref());
            let labels = exchange.options().labels.with_metadata(metadata);
            let CallMeta {
                operation,
                provider,
                model,
                stream,
                ..
            } = *about;
            let call = CallInfo::new(operation, provider, model, stream, labels);
            ObserverNotifier::new(self.observers.clone(), call, about.request, start.now)
        });
        Ok(PreparedCall {
            exchange,
            context: CallContext::new(watch),
            start,
        })
    }

    /// The provider that a model's name selects, and the name without the prefix: `bedrock.amazon.nova-lite-v1:0` is
    /// `amazon.nova-lite-v1:0` of `bedrock`. A model that the default provider has under the complete name selects
    /// the default provider. Refused are: a name with two possible meanings, the prefix of a known provider that the
    /// client lacks, and the id of another provider's model. Case does not matter before the dot.
    fn route<'m>(&self, model: &'m str) -> Result<(&Entry, &'m str), Error> {
        let default = self.named(None)?;
        if default.provider.owns_model(model) {
            return Ok((default, model));
        }
        if let Some((prefix, rest)) = model.split_once('.') {
            if let Some(chosen) = self.find(prefix) {
                let is_other = chosen.provider.name() != default.provider.name();
                let may_be_own = default.provider.names_freely() && names::is_maker(prefix);
                let owner = self.owner(model);
                return match owner.or((is_other && may_be_own).then_some(default)) {
                    Some(owner) => Err(ambiguous(model, prefix, owner.provider.name())),
                    None => Ok((chosen, rest)),
                };
            }
            // The prefix can only mean a provider that the client lacks. The default provider must not get such a
            // request.
            if names::is_provider_alone(prefix) {
                self.named(Some(prefix))?;
            }
        }
        // The name is that of another provider's model. The default provider gets the prompt only if the caller names
        // it.
        if let Some(owner) = self.owner(model) {
            let default = default.provider.name();
            return Err(ambiguous(model, default, owner.provider.name()));
        }
        Ok((default, model))
    }

    /// The provider that has a model with this name.
    fn owner(&self, model: &str) -> Option<&Entry> {
        let mut entries = self.entries.iter();
        entries.find(|entry| entry.provider.owns_model(model))
    }

    /// The names of the provider and the model that a model's name selects.
    pub(crate) fn target<'a>(&'a self, model: &'a str) -> (&'a str, &'a str) {
        match self.route(model) {
            Ok((entry, model)) => (entry.provider.name(), model),
            Err(_) => model.split_once('.').unwrap_or(("", model)),
        }
    }

    fn named(&self, name: Option<&str>) -> Result<&Entry, Error> {
        let found = match name {
            Some(name) => self.find(name),
            None => self.entries.first(),
        };
        found.ok_or_else(|| {
            let known: Vec<&str> = self.names().collect();
            refuse(format!(
                "this client has no provider named `{}`; known are: {}",
                name.unwrap_or_default().escape_debug(),
                known.join(", ")
            ))
        })
    }

    /// The provider of this name, else the one whose name differs only in case.
    fn find(&self, name: &str) -> Option<&Entry> {
        let named = |is_same: &dyn Fn(&str) -> bool| {
            let mut entries = self.entries.iter();
            entries.find(|entry| is_same(entry.provider.name()))
        };
        named(&|own| own == name).or_else(|| named(&|own| own.eq_ignore_ascii_case(name)))
    }
}

impl Entry {
    fn new(provider: Arc<dyn Provider>) -> Self {
        Entry {
            provider,
            limits: Arc::default(),
            limiter: None,
        }
    }

    /// Adds the limits that all calls to the provider share.
    fn with_limits<O: Operation>(&self, exchange: impl Into<Box<Exchange<O>>>) -> Box<Exchange<O>> {
        let mut exchange = exchange.into();
        exchange.set_provider_limits(self.limits.clone());
        exchange.set_concurrency_limit(self.limiter.clone());
        exchange
    }

    fn call_meta(&self, operation: &'static str) -> CallMeta<'_> {
        CallMeta {
            operation,
            provider: self.provider.name(),
            model: "",
            stream: false,
            request: None,
        }
    }
}

impl fmt::Debug for ProviderRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.names().collect();
        f.debug_struct("ProviderRegistry")
            .field("names", &names)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// The request with the model's name as the provider has it.
fn with_model<'r>(request: &'r ChatRequest, model: &str) -> Cow<'r, ChatRequest> {
    if model.len() == request.model.len() {
        return Cow::Borrowed(request);
    }
    let mut request = request.clone();
    request.model = model.to_owned();
    Cow::Owned(request)
}

/// The error for a response that was generated in the foreground although it was requested in the background.
pub(super) fn not_kept(response: UnifiedChatResponse) -> Error {
    Error::new(
        ErrorKind::Protocol,
        "the provider did not generate the response in the background: `partial` has the response",
    )
    .with_partial(Some(response))
}

fn ambiguous(model: &str, prefix: &str, owner: &str) -> Error {
    let model = model.escape_debug();
    refuse(format!(
        "the model name `{model}` is ambiguous: it may select the provider `{prefix}` or a model of `{owner}`; use `{owner}.{model}`, or the client of `provider(\"{prefix}\")`"
    ))
}

fn refuse(what: String) -> Error {
    Error::new(ErrorKind::InvalidRequest, what)
}
