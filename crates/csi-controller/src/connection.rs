//! The tries to reach the device, in figures (R24, R28).

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Seconds: from a dropped packet to a device that was rebooted or repaired.
const BUCKETS: [f64; 10] = [0.1, 0.5, 1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 900.0];

/// Counts the tries.
pub(crate) struct ConnectionMetrics {
    tries: Family<Outcome, Counter>,
    duration: Histogram,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    status: &'static str,
}

impl ConnectionMetrics {
    /// Makes the metrics and shows them in `registry`.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self { tries: Family::default(), duration: Histogram::new(BUCKETS) };
        registry.register(
            "rds_csi_rds_reconnect",
            "Tries to reach a device that was lost or not reached yet",
            metrics.tries.clone(),
        );
        registry.register_with_unit(
            "rds_csi_rds_reconnect_duration",
            "From the loss of the device (or the start) until it was connected",
            Unit::Seconds,
            metrics.duration.clone(),
        );
        metrics
    }

    /// A try ended the outage.
    pub(crate) fn connected(&self, outage: Duration) {
        self.count("success");
        self.duration.observe(outage.as_secs_f64());
    }

    /// A try did not.
    pub(crate) fn failed(&self) {
        self.count("failure");
    }

    fn count(&self, status: &'static str) {
        self.tries.get_or_create(&Outcome { status }).inc();
    }
}
