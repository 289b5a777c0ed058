/// Constructors and configuration of both clients. None of it does I/O, so it is written once.
macro_rules! settings {
    ($client:ident, $boxed:ident, $transport:path, ($($bound:tt)+)) => {
        impl $client {
            /// Creates a client of one provider, over any transport.
            pub fn new(transport: impl $($bound)+, provider: impl Provider + 'static) -> Self {
                $client::shared(transport, Arc::new(provider))
            }

            /// Creates a client of a provider that other clients share.
            pub fn shared(transport: impl $($bound)+, provider: Arc<dyn Provider>) -> Self {
                $client::unboxed($boxed::new(transport), provider)
            }

            /// Creates a client of these providers, with credentials from the environment. The first one is the
            /// default.
            ///
            /// # Errors
            /// `invalid_request` if no provider is named, if one is unknown or named twice, or if an environment
            /// variable is missing or wrong; the error names it.
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
            /// Creates a client whose type names its transport. It saves the allocations and virtual calls of
            /// [`new`](Self::new), which cost less than 2 % of a call.
            pub fn unboxed(transport: T, provider: Arc<dyn Provider>) -> Self {
                $client::of(transport, ProviderRegistry::new(provider))
            }

            /// Adds a provider. Models named `<provider>.<model>` select it, and it gets the name without that
            /// prefix.
            ///
            /// The other names are resolved as follows; case does not matter before the dot:
            /// - A model that the default provider has under this name selects the default provider: with Bedrock
            ///   first, `openai.gpt-oss-120b-1:0` is Bedrock's model.
            /// - A name with two possible meanings is refused. With `openai` first and Bedrock added,
            ///   `openai.gpt-oss-120b-1:0` is one; `bedrock.openai.gpt-oss-120b-1:0` and `client.provider("openai")`
            ///   are unambiguous. With a LiteLLM proxy first and Anthropic added, `anthropic.claude-x` is one,
            ///   because the proxy may have a model of that name.
            /// - A name with the prefix of a known provider that the client lacks (`groq.llama-3.3-70b`) is refused,
            ///   unless models have names with this prefix.
            /// - The id of another provider's model is refused: `amazon.nova-lite-v1:0` where Bedrock is not the
            ///   first provider.
            /// - Any other name selects the default provider, unchanged: `foo.bar`, `foo/bar`, `anthropic/claude-x`.
            ///
            /// # Errors
            /// `invalid_request` if the client has a provider of this name already.
            pub fn with_provider(self, provider: impl Provider + 'static) -> Result<Self, Error> {
                self.with_shared_provider(Arc::new(provider))
            }

            /// Adds a provider that other clients share.
            ///
            /// # Errors
            /// `invalid_request` if the client has a provider of this name already.
            pub fn with_shared_provider(
                mut self,
                provider: Arc<dyn Provider>,
            ) -> Result<Self, Error> {
                self.providers.add(provider)?;
                Ok(self)
            }

            /// Sets the options of all calls made with this client and its later clones.
            #[must_use]
            pub fn with_options(mut self, options: CallOptions) -> Self {
                self.providers.set_options(options);
                self
            }

            /// Limits the calls of a provider that run concurrently, including those of clones and those that
            /// [`Fallback`](crate::policy::Fallback) moves to it. Further calls wait in FIFO order; the wait counts
            /// towards [`Timeouts::total`](crate::Timeouts::total).
            ///
            /// A call holds a permit of its current provider. It releases the permit while it waits for another
            /// attempt, and when it moves to another target. A stream holds it until its last event is read or it is
            /// dropped.
            ///
            /// # Errors
            /// `invalid_request` for zero, or if the client has no provider of this name.
            pub fn with_max_concurrent(
                mut self,
                provider: &str,
                calls: usize,
            ) -> Result<Self, Error> {
                self.providers.set_max_concurrent(provider, calls)?;
                Ok(self)
            }

            /// Sets the limits that all calls to a provider share: rate limiter, circuit breaker, retry budget.
            ///
            /// # Errors
            /// `invalid_request` if the client has no provider of this name.
            pub fn with_provider_limits(mut self, provider: &str, guard: Arc<ProviderLimits>) -> Result<Self, Error> {
                self.providers.set_provider_limits(provider, &guard)?;
                Ok(self)
            }

            /// Adds an observer, which is notified of every call.
            #[must_use]
            pub fn with_observer(mut self, observer: impl Observer + 'static) -> Self {
                self.providers.add_observer(Arc::new(observer));
                self
            }

            /// Returns the same client with only the provider of this name.
            ///
            /// # Errors
            /// `invalid_request` if the client has no provider of this name.
            pub fn provider(&self, name: &str) -> Result<Self, Error>
            where
                T: Clone,
            {
                let mut client = self.clone();
                client.providers = self.providers.only(name)?;
                Ok(client)
            }

            /// The client's providers, to create a [`Fallback`](crate::policy::Fallback) of their models or to read
            /// their limits.
            pub fn providers(&self) -> &ProviderRegistry {
                &self.providers
            }

            /// The options of all calls.
            pub fn options(&self) -> &CallOptions {
                self.providers.options()
            }

            /// Closes the client and all its clones: later calls are an error of kind `misuse`. Calls that are
            /// running continue. Idle connections are closed when the last clone is dropped.
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
