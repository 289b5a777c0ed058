//! Health checks of a client's providers.

use crate::client::future_set::FutureSet;
use crate::{AsyncClient, Client};
use crate::{CallOptions, Error, RetryPolicy};
use serde::{Serialize, Serializer, ser::SerializeMap};
use std::{future::poll_fn, time::Duration};
use unifiedai_transport::{AsyncTransport, Time, Transport};

/// Whether the providers of a client respond.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct Health {
    /// The status of all providers together.
    pub status: HealthStatus,
    /// One entry for each provider, the default provider first.
    pub providers: Vec<ProviderHealth>,
}

/// The status of all providers together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum HealthStatus {
    /// Every provider responds.
    Healthy,
    /// Some providers respond.
    Degraded,
    /// No provider responds.
    Unhealthy,
}

/// Whether one provider responds.
#[derive(Debug)]
#[non_exhaustive]
pub struct ProviderHealth {
    /// The provider's name.
    pub provider: String,
    /// The duration of the check.
    pub latency: Duration,
    /// The error of the check, if it failed.
    pub error: Option<Error>,
}

/// A provider that needs longer than this for a trivial request is reported unhealthy.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);

impl<T: Transport + Clone> Client<T> {
    /// Sends one cheap request to each provider, sequentially, with a timeout of 5 s each.
    #[must_use]
    pub fn health(&self) -> Health {
        let client = self.clone().with_options(check_options(self.options()));
        let check = |name: &str| {
            let began = client.transport.now();
            let result = client.check_provider(Some(name));
            ProviderHealth::new(name, began, client.transport.now(), result.err())
        };
        Health::new(client.providers.names().map(check).collect())
    }
}

impl<T: AsyncTransport + Clone + Unpin> AsyncClient<T> {
    /// Sends one cheap request to each provider, concurrently, with a timeout of 5 s each.
    pub async fn health(&self) -> Health {
        let client = self.clone().with_options(check_options(self.options()));
        let mut checks = FutureSet::new();
        for (place, name) in client.providers.names().enumerate() {
            let client = &client;
            checks.push(async move {
                let began = client.transport.now();
                let result = client.check_provider(Some(name)).await;
                let now = client.transport.now();
                (place, ProviderHealth::new(name, began, now, result.err()))
            });
        }
        let mut providers = Vec::new();
        while let Some(checked) = poll_fn(|cx| checks.poll_next(cx)).await {
            providers.push(checked);
        }
        providers.sort_by_key(|(place, _)| *place);
        Health::new(providers.into_iter().map(|(_, health)| health).collect())
    }
}

impl Health {
    fn new(providers: Vec<ProviderHealth>) -> Self {
        let well = |health: &ProviderHealth| health.error.is_none();
        let status = if providers.iter().all(well) {
            HealthStatus::Healthy
        } else if providers.iter().any(well) {
            HealthStatus::Degraded
        } else {
            HealthStatus::Unhealthy
        };
        Health { status, providers }
    }
}

impl ProviderHealth {
    fn new(provider: &str, began: Time, now: Time, error: Option<Error>) -> Self {
        ProviderHealth {
            provider: provider.to_owned(),
            latency: now.saturating_since(began),
            error,
        }
    }
}

impl Serialize for ProviderHealth {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("provider", &self.provider)?;
        map.serialize_entry("healthy", &self.error.is_none())?;
        map.serialize_entry("latency_ms", &crate::chat::milliseconds(self.latency))?;
        if let Some(error) = &self.error {
            map.serialize_entry("error", error)?;
        }
        map.end()
    }
}

fn check_options(options: &CallOptions) -> CallOptions {
    let mut options = options.clone();
    options.timeouts.total = Some(CHECK_TIMEOUT);
    options.retry = RetryPolicy::none();
    options
}
