//! What the calls of a run share: the client, the state of the limiter, the estimate of tokens.

use crate::{
    FleetError,
    store::{RunRow, RunState},
};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;
use unifiedai::{
    AsyncClient, CallOptions, RetryPolicy, Usage,
    policy::SizeLimits,
    provider::{self, Provider},
    transport::{HyperTransport, Options},
};

/// A run with its client.
pub(super) struct RunContext {
    pub(super) row: RunRow,
    pub(super) provider: Arc<dyn Provider>,
    pub(super) client: AsyncClient,
    pub(super) limiter: Arc<LimiterContext>,
    /// The mean number of completion tokens, times 16. 0 before the first response.
    mean_output: AtomicU64,
}

/// The local state of a limiter.
pub(super) struct LimiterContext {
    pub(super) id: i32,
    /// Estimated tokens that were not used, since the last grant.
    settle: AtomicI64,
    /// No call starts before this, also in a slot that was handed out.
    hold: Mutex<Option<Instant>>,
}

/// The contexts of the runs that this worker has worked on.
#[derive(Default)]
pub(super) struct Contexts {
    runs: HashMap<i32, Arc<RunContext>>,
    limiters: HashMap<i32, Arc<LimiterContext>>,
}

impl Contexts {
    pub(super) fn get(&self, run: i32) -> Option<Arc<RunContext>> {
        self.runs.get(&run).cloned()
    }

    /// Creates the context of a run. The provider's key is read from the environment.
    pub(super) fn create(
        &mut self,
        row: RunRow,
        concurrency: usize,
        call_timeout: Duration,
    ) -> Result<Arc<RunContext>, FleetError> {
        let config = &row.config;
        let provider = provider::from_env(&config.provider, config.base_url.as_deref())?;
        let options = Options::default().max_idle_connections(concurrency.max(8));
        let transport = HyperTransport::with_options(options)
            .map_err(|e| FleetError::Refused(format!("the HTTP client cannot be set up: {e}")))?;
        // Each attempt takes a slot, so the library must not repeat one by itself.
        let call = CallOptions::default()
            .retry(RetryPolicy::none())
            .timeout(call_timeout)
            .sizes(SizeLimits::default());
        let limiter = self.limiters.entry(row.limiter).or_insert_with(|| {
            Arc::new(LimiterContext {
                id: row.limiter,
                settle: AtomicI64::new(0),
                hold: Mutex::new(None),
            })
        });
        let context = Arc::new(RunContext {
            client: AsyncClient::shared(transport, provider.clone()).with_options(call),
            provider,
            limiter: limiter.clone(),
            mean_output: AtomicU64::new(0),
            row,
        });
        self.runs.insert(context.row.id, context.clone());
        Ok(context)
    }

    pub(super) fn is_cancelled(state: RunState) -> bool {
        state == RunState::Cancelled
    }
}

/// The tokens of a completion before the first response, if the request sets no limit.
const USUAL_OUTPUT: u64 = 256;

impl RunContext {
    /// The tokens that a call is expected to take: four bytes of the body are a token, and the completion is as long as the mean.
    pub(super) fn estimate(&self, body_bytes: usize, max_tokens: Option<u64>) -> i32 {
        let mean = self.mean_output.load(Ordering::Relaxed) / 16;
        let output = match (mean, max_tokens) {
            (0, limit) => limit.unwrap_or(USUAL_OUTPUT).min(4096),
            (mean, limit) => mean.min(limit.unwrap_or(u64::MAX)),
        };
        i32::try_from(body_bytes as u64 / 4 + output).unwrap_or(i32::MAX)
    }

    /// Corrects the estimate of a call by its usage.
    pub(super) fn settle(&self, estimate: i32, usage: &Usage) {
        let prompt = usage.prompt_tokens.unwrap_or(0);
        let output = usage.completion_tokens.unwrap_or(0);
        let total = usage.total_tokens.unwrap_or(prompt + output);
        if total == 0 {
            return;
        }
        let total = i64::try_from(total).unwrap_or(i64::MAX);
        self.limiter
            .settle
            .fetch_add(i64::from(estimate) - total, Ordering::Relaxed);
        let mean = self.mean_output.load(Ordering::Relaxed);
        let next = if mean == 0 {
            output * 16
        } else {
            (mean * 15 + output * 16) / 16
        };
        self.mean_output.store(next.max(1), Ordering::Relaxed);
    }

    /// Gives the estimate of a call back that took no tokens.
    pub(super) fn refund(&self, estimate: i32) {
        self.limiter
            .settle
            .fetch_add(estimate.into(), Ordering::Relaxed);
    }
}

impl LimiterContext {
    pub(super) fn take_settlement(&self) -> i64 {
        self.settle.swap(0, Ordering::Relaxed)
    }

    pub(super) fn restore_settlement(&self, tokens: i64) {
        self.settle.fetch_add(tokens, Ordering::Relaxed);
    }

    /// Holds back calls of this process. True if that changes anything by more than 100 ms.
    pub(super) fn hold_until(&self, until: Instant) -> bool {
        let mut hold = self.hold.lock().unwrap_or_else(PoisonError::into_inner);
        let is_later = hold.is_none_or(|held| until > held + Duration::from_millis(100));
        if is_later {
            *hold = Some(until);
        }
        is_later
    }

    pub(super) fn is_held(&self) -> bool {
        let hold = self.hold.lock().unwrap_or_else(PoisonError::into_inner);
        hold.is_some_and(|until| until > Instant::now())
    }
}
