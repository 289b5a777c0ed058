use crate::{
    CallOptions, Chat, ChatRequest, Error, ErrorKind, Exchange, ListModels, OneModel, Provider,
    Start,
};
use std::sync::Arc;

/// The providers that a client can ask, and how it makes exchanges with them.
#[derive(Clone, Debug)]
pub struct Providers {
    /// Asked where a model's name chooses none.
    default: Arc<dyn Provider>,
    others: Vec<Arc<dyn Provider>>,
    options: Arc<CallOptions>,
}

impl Providers {
    /// One provider, asked with the default rules.
    #[must_use]
    pub fn new(provider: Arc<dyn Provider>) -> Self {
        Providers {
            default: provider,
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
        self.others.push(provider);
        Ok(())
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
        let (provider, model) = self.route(&request.model);
        if request.stream != stream || model.len() != request.model.len() {
            let model = model.to_owned();
            let request = Arc::make_mut(&mut request);
            request.stream = stream;
            request.model = model;
        }
        Exchange::new(provider.clone(), request, self.options.clone(), start)
    }

    pub(super) fn list_models(
        &self,
        name: Option<&str>,
        start: Start,
    ) -> Result<Exchange<ListModels>, Error> {
        Exchange::list_models(self.named(name)?.clone(), self.options.clone(), start)
    }

    pub(super) fn model(&self, id: &str, start: Start) -> Result<Exchange<OneModel>, Error> {
        let (provider, id) = self.route(id);
        Exchange::one_model(provider.clone(), id, self.options.clone(), start)
    }

    /// The provider that a model's name chooses, and the name without the choice: `bedrock.amazon.nova-lite-v1:0` is
    /// `amazon.nova-lite-v1:0` of `bedrock`.
    fn route<'m>(&self, model: &'m str) -> (&Arc<dyn Provider>, &'m str) {
        let chosen = model
            .split_once('.')
            .and_then(|(prefix, rest)| Some((self.find(prefix)?, rest)));
        chosen.unwrap_or((&self.default, model))
    }

    fn named(&self, name: Option<&str>) -> Result<&Arc<dyn Provider>, Error> {
        let found = match name {
            Some(name) => self.find(name),
            None => Some(&self.default),
        };
        found.ok_or_else(|| {
            let known: Vec<&str> = self.all().map(|provider| provider.name()).collect();
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

    fn find(&self, name: &str) -> Option<&Arc<dyn Provider>> {
        self.all().find(|provider| provider.name() == name)
    }

    fn all(&self) -> impl Iterator<Item = &Arc<dyn Provider>> {
        std::iter::once(&self.default).chain(&self.others)
    }
}
