//! What became of the events (R23).

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use volume::Reason;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Posted {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Lost {
    cause: Dropped,
}

/// Why an event was never posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(super) enum Dropped {
    QueueFull,
    /// The API server said no.
    Refused,
    /// It did not answer, attempt after attempt.
    Unanswered,
    /// On the own pod, which is not known.
    NoObject,
}

/// Counts events; clones share the counters.
#[derive(Clone, Default)]
pub(super) struct Metrics {
    posted: Family<Posted, Counter>,
    dropped: Family<Lost, Counter>,
}

impl Metrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let events = registry.sub_registry_with_prefix("rds_csi_events");
        events.register(
            "posted",
            "Events that the API server took, repeats included",
            metrics.posted.clone(),
        );
        events.register("dropped", "Events that were never posted", metrics.dropped.clone());
        metrics
    }

    pub(super) fn posted(&self, reason: Reason) {
        self.posted.get_or_create(&Posted { reason: reason.as_str() }).inc();
    }

    pub(super) fn dropped(&self, cause: Dropped) {
        self.dropped.get_or_create(&Lost { cause }).inc();
    }
}
