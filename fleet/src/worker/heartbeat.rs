//! The worker's signs of life.

use super::{Shared, dispatch::Event};
use crate::store::{Store, WorkerState};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::{sync::mpsc, time::Instant};

/// Gives a sign of life six times a lease, and reports the end of the lease.
pub(super) async fn beat(
    store: Arc<dyn Store>,
    shared: Arc<Shared>,
    lease: Duration,
    events: mpsc::UnboundedSender<Event>,
) {
    let every = (lease / 6).clamp(Duration::from_millis(100), Duration::from_secs(10));
    let (mut at, mut done) = (Instant::now(), shared.done());
    loop {
        let id = shared.id();
        let (now, total) = (Instant::now(), shared.done());
        let seconds = (now - at).as_secs_f64();
        let state = WorkerState {
            leaving: shared.leaving.load(Ordering::Relaxed),
            in_flight: shared.in_flight.load(Ordering::Relaxed),
            done: total,
            rate: if seconds > 0.01 {
                total.saturating_sub(done) as f64 / seconds
            } else {
                0.0
            },
        };
        metrics::gauge!("fleet_in_flight").set(state.in_flight as f64);
        match store.beat(id, state).await {
            Ok(true) => (at, done) = (now, total),
            Ok(false) if shared.id() == id => {
                if events.send(Event::LeaseLost(id)).is_err() {
                    return;
                }
            }
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "no sign of life could be given"),
        }
        tokio::time::sleep(every).await;
    }
}
