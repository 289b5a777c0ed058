/// What both clients can be told before they are used: written once, because nothing of it does I/O.
macro_rules! settings {
    ($client:ident, $boxed:ident, $transport:path, ($($bound:tt)+)) => {
        impl $client {
            /// A client of one provider, over any transport.
            pub fn new(transport: impl $($bound)+, provider: impl Provider + 'static) -> Self {
                $client::shared(transport, Arc::new(provider))
            }

            /// A client of a provider that others use too.
            pub fn shared(transport: impl $($bound)+, provider: Arc<dyn Provider>) -> Self {
                $client::unboxed($boxed::new(transport), provider)
            }

            /// A client of these providers, with their credentials from the environment. The first one is the default.
            ///
            /// # Errors
            /// `invalid_request` that names the variable that is missing or wrong, the provider that is not known or
            /// named twice, or says that none is named.
            pub fn from_env(transport: impl $($bound)+, providers: &[&str]) -> Result<Self, Error> {
                let (first, others) = providers.split_first().ok_or_else(|| {
                    Error::new(
                        ErrorKind::InvalidRequest,
                        "a client needs at least one provider",
                    )
                })?;
                let mut client = $client::shared(transport, crate::provider::from_env(first, None)?);
                for name in others {
                    client.providers.add(crate::provider::from_env(name, None)?)?;
                }
                Ok(client)
            }
        }

        impl<T> $client<T> {
            /// A client whose type names its transport. It saves the allocations and virtual calls of
            /// [`new`](Self::new), which are below 2 % of a call.
            pub fn unboxed(transport: T, provider: Arc<dyn Provider>) -> Self {
                $client::of(transport, ProviderRegistry::new(provider))
            }

            /// Adds a provider: models named `<provider>.<model>` go to it, without that beginning.
            ///
            /// A name that is one of the default provider's own models goes there as it is: with Bedrock first,
            /// `openai.gpt-oss-120b-1:0` is Bedrock's. Where Bedrock is added behind `openai`, that name may be meant in two
            /// ways and is refused; `bedrock.openai.gpt-oss-120b-1:0` and `client.provider("openai")` say which. So is
            /// `anthropic.claude-x` where a LiteLLM proxy comes first and Anthropic behind it: the proxy's operator names its
            /// models, and may have one of that name. A name that begins with a known provider that the client lacks
            /// (`groq.llama-3.3-70b`) is refused, unless that provider is a maker of models, too, and so is the id of another
            /// provider's model: `amazon.nova-lite-v1:0` where Bedrock is not the first. Any other name goes to the default
            /// provider, as it is: `foo.bar`, `foo/bar`, `anthropic/claude-x`. Case does not matter before the dot.
            ///
            /// # Errors
            /// `invalid_request` if there is one of that name.
            pub fn with_provider(self, provider: impl Provider + 'static) -> Result<Self, Error> {
                self.with_shared_provider(Arc::new(provider))
            }

            /// Adds a provider that others use too.
            ///
            /// # Errors
            /// `invalid_request` if there is one of that name.
            pub fn with_shared_provider(
                mut self,
                provider: Arc<dyn Provider>,
            ) -> Result<Self, Error> {
                self.providers.add(provider)?;
                Ok(self)
            }

            /// Changes the rules of all calls made with this client and its later clones.
            #[must_use]
            pub fn with_options(mut self, options: CallOptions) -> Self {
                self.providers.set_options(options);
                self
            }

            /// Lets at most this many calls of a provider run at once, those of clones included and those that come to it by
            /// [`Fallback`](crate::policy::Fallback). The others wait in the order in which they asked; the time counts towards
            /// [`Timeouts::total`](crate::Timeouts::total).
            ///
            /// A call holds the permit of the provider that it is with, and gives it back while it waits for another
            /// attempt and when it moves on to another target. A streamed call holds it until its last event was read or the
            /// stream is dropped.
            ///
            /// # Errors
            /// `invalid_request` for zero, or if there is no provider of this name.
            pub fn with_max_concurrent(
                mut self,
                provider: &str,
                calls: usize,
            ) -> Result<Self, Error> {
                self.providers.set_max_concurrent(provider, calls)?;
                Ok(self)
            }

            /// Changes what the calls to a provider share: their pace, a circuit breaker, the budget for retries.
            ///
            /// # Errors
            /// `invalid_request` if there is no provider of this name.
            pub fn with_provider_limits(mut self, provider: &str, guard: Arc<ProviderLimits>) -> Result<Self, Error> {
                self.providers.set_provider_limits(provider, &guard)?;
                Ok(self)
            }

            /// Tells `observer` of every call.
            #[must_use]
            pub fn with_observer(mut self, observer: impl Observer + 'static) -> Self {
                self.providers.add_observer(Arc::new(observer));
                self
            }

            /// The same client, all of whose calls go to the provider of this name.
            ///
            /// # Errors
            /// `invalid_request` if there is none.
            pub fn provider(&self, name: &str) -> Result<Self, Error>
            where
                T: Clone,
            {
                let mut client = self.clone();
                client.providers = self.providers.only(name)?;
                Ok(client)
            }

            /// The providers, to make a [`Fallback`](crate::policy::Fallback) of their models or to look at their guards.
            pub fn providers(&self) -> &ProviderRegistry {
                &self.providers
            }

            /// The rules of all calls.
            pub fn options(&self) -> &CallOptions {
                self.providers.options()
            }

            /// Ends the client and all its clones: later calls are an error of kind `misuse`. Calls that were made before
            /// go on. Idle connections are closed when the last clone is dropped.
            pub fn close(&self) {
                self.providers.close();
            }
        }

        impl<T: $transport> $client<T> {
            pub(crate) fn start(&self) -> CallStart {
                CallStart::new(self.transport.now(), self.transport.wall_clock(), seed())
            }
        }
    };
}

pub(crate) use settings;
