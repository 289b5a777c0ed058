use crate::{
    CallOptions, Chat, ChatRequest, Error, ErrorKind, Exchange, Fallback, Guard, ListModels,
    OneModel, Provider, Start, Target,
};
use std::sync::Arc;

/// The providers that a client can ask, and how it makes exchanges with them.
#[derive(Clone, Debug)]
pub struct Providers {
    /// Asked where a model's name chooses none.
    default: Entry,
    others: Vec<Entry>,
    options: Arc<CallOptions>,
}

/// A provider and what its calls share. Clones share it too.
#[derive(Clone, Debug)]
struct Entry {
    provider: Arc<dyn Provider>,
    guard: Arc<Guard>,
}

impl Entry {
    fn new(provider: Arc<dyn Provider>) -> Self {
        Entry {
            provider,
            guard: Arc::default(),
        }
    }
}

impl Providers {
    /// One provider, asked with the default rules.
    #[must_use]
    pub fn new(provider: Arc<dyn Provider>) -> Self {
        Providers {
            default: Entry::new(provider),
            others: Vec::new(),
            options: Arc::default(),
        }
    }

    /// Adds a provider, asked for models whose name begins with its own and a dot.
    ///
    /// # Errors
    /// `invalid_request` if there is one of that name.
    pub fn add(&mut self, provider: Arc<dyn Provider>) -> Result<(), Error> {
        if self.find(provider.name()).is_some() {
            return Err(Error::new(
                ErrorKind::InvalidRequest,
                format!(
                    "there are two providers named `{}`: give one of them another name",
                    provider.name()
                ),
            ));
        }
        self.others.push(Entry::new(provider));
        Ok(())
    }

    /// Sets what the calls to a provider share: pace, circuit breaker, budget for retries.
    ///
    /// # Errors
    /// `invalid_request` if there is no provider of that name.
    pub fn set_guard(&mut self, provider: &str, guard: Arc<Guard>) -> Result<(), Error> {
        self.named(Some(provider))?;
        std::iter::once(&mut self.default)
            .chain(&mut self.others)
            .filter(|entry| entry.provider.name() == provider)
            .for_each(|entry| entry.guard = guard.clone());
        Ok(())
    }

    /// What the calls to a provider share.
    #[must_use]
    pub fn guard(&self, provider: &str) -> Option<&Arc<Guard>> {
        Some(&self.find(provider)?.guard)
    }

    /// Models to be asked in turn, each by the name by which a request would choose it.
    #[must_use]
    pub fn fallback<'m>(&self, first: &str, others: impl IntoIterator<Item = &'m str>) -> Fallback {
        let target = |model: &str| {
            let (entry, model) = self.route(model);
            Target::new(entry.provider.clone(), model).guard(entry.guard.clone())
        };
        others
            .into_iter()
            .fold(Fallback::new(target(first)), |fallback, model| {
                fallback.or(target(model))
            })
    }

    /// Changes the rules of all calls.
    pub fn set_options(&mut self, options: CallOptions) {
        self.options = Arc::new(options);
    }

    pub(super) fn chat(
        &self,
        mut request: Arc<ChatRequest>,
        stream: bool,
        start: Start,
    ) -> Result<Exchange<Chat>, Error> {
        let (entry, model) = self.route(&request.model);
        let (provider, guard) = (entry.provider.clone(), entry.guard.clone());
        if request.stream != stream || model.len() != request.model.len() {
            let model = model.to_owned();
            let request = Arc::make_mut(&mut request);
            request.stream = stream;
            request.model = model;
        }
        let exchange = Exchange::new(provider, request, self.options.clone(), start)?;
        Ok(exchange.guarded_by(guard))
    }

    pub(super) fn chat_any(
        &self,
        mut request: Arc<ChatRequest>,
        fallback: Fallback,
        stream: bool,
        start: Start,
    ) -> Result<Exchange<Chat>, Error> {
        if request.stream != stream {
            Arc::make_mut(&mut request).stream = stream;
        }
        Exchange::with_fallback(fallback, request, self.options.clone(), start)
    }

    pub(super) fn list_models(
        &self,
        name: Option<&str>,
        start: Start,
    ) -> Result<Exchange<ListModels>, Error> {
        let entry = self.named(name)?;
        let provider = entry.provider.clone();
        let exchange = Exchange::list_models(provider, self.options.clone(), start)?;
        Ok(exchange.guarded_by(entry.guard.clone()))
    }

    pub(super) fn model(&self, id: &str, start: Start) -> Result<Exchange<OneModel>, Error> {
        let (entry, id) = self.route(id);
        let provider = entry.provider.clone();
        let exchange = Exchange::one_model(provider, id, self.options.clone(), start)?;
        Ok(exchange.guarded_by(entry.guard.clone()))
    }

    /// The provider that a model's name chooses, and the name without the choice: `bedrock.amazon.nova-lite-v1:0` is
    /// `amazon.nova-lite-v1:0` of `bedrock`.
    fn route<'m>(&self, model: &'m str) -> (&Entry, &'m str) {
        let chosen = model
            .split_once('.')
            .and_then(|(prefix, rest)| Some((self.find(prefix)?, rest)));
        chosen.unwrap_or((&self.default, model))
    }

    fn named(&self, name: Option<&str>) -> Result<&Entry, Error> {
        let found = match name {
            Some(name) => self.find(name),
            None => Some(&self.default),
        };
        found.ok_or_else(|| {
            let known: Vec<&str> = self.all().map(|entry| entry.provider.name()).collect();
            Error::new(
                ErrorKind::InvalidRequest,
                format!(
                    "there is no provider `{}`; known are: {}",
                    name.unwrap_or_default(),
                    known.join(", ")
                ),
            )
        })
    }

    fn find(&self, name: &str) -> Option<&Entry> {
        self.all().find(|entry| entry.provider.name() == name)
    }

    fn all(&self) -> impl Iterator<Item = &Entry> {
        std::iter::once(&self.default).chain(&self.others)
    }
}
