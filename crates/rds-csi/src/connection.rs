//! The management connection as people and alerts see it: a log line and figures at each turn
//! (R24), followed from the readiness that the controller keeps.

mod metrics;

use csi_server::{Readiness, ReadyState};
use prometheus_client::registry::Registry;
use tokio::time::Instant;

use metrics::ConnectionMetrics;

/// Follows one device's connection.
pub(crate) struct ConnectionFollower {
    address: String,
    metrics: ConnectionMetrics,
}

impl ConnectionFollower {
    /// Shows the figures of the device at `address` in `registry`; none of them is known yet.
    pub(crate) fn new(address: &str, registry: &mut Registry) -> Self {
        Self { address: address.to_owned(), metrics: ConnectionMetrics::register(address, registry) }
    }

    /// Follows `readiness` from now on; ends only with it.
    ///
    /// ```text
    /// (start) ──► lost ──► connected ──► lost ──► …   outage: from (start) or lost to connected
    /// ```
    pub(crate) async fn follow(self, readiness: Readiness) {
        let mut states = readiness.subscribe();
        let mut out_since = Some(Instant::now());
        while states.changed().await.is_ok() {
            let ready = *states.borrow_and_update() == ReadyState::Ready;
            match (ready, out_since) {
                (true, Some(since)) => {
                    tracing::info!(address = self.address, "the device answers and fits");
                    self.metrics.connected(since.elapsed());
                    out_since = None;
                }
                (true, None) => {}
                (false, since) => {
                    self.metrics.lost();
                    out_since = since.or_else(|| Some(Instant::now()));
                }
            }
        }
    }
}
