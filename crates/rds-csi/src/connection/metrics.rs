//! The management connection in figures (R24).

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Seconds: from a dropped packet to a device that was rebooted or repaired.
const BUCKETS: [f64; 10] = [0.1, 0.5, 1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 900.0];

pub(super) struct ConnectionMetrics {
    address: String,
    /// 1 connected, 0 lost; absent until the first look has ended.
    state: Family<ByAddress, Gauge>,
    attempts: Family<ByStatus, Counter>,
    duration: Histogram,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByAddress {
    address: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByStatus {
    status: &'static str,
}

impl ConnectionMetrics {
    pub(super) fn register(address: &str, registry: &mut Registry) -> Self {
        let metrics = Self {
            address: address.to_owned(),
            state: Family::default(),
            attempts: Family::default(),
            duration: Histogram::new(BUCKETS),
        };
        registry.register(
            "rds_csi_rds_connection_state",
            "1 while the device answers and can serve volumes, else 0",
            metrics.state.clone(),
        );
        registry.register(
            "rds_csi_rds_reconnect",
            "Times that the device was reached (success), or could not be for a new reason (failure)",
            metrics.attempts.clone(),
        );
        registry.register_with_unit(
            "rds_csi_rds_reconnect_duration",
            "From the loss of the device (or the start) until it was connected",
            Unit::Seconds,
            metrics.duration.clone(),
        );
        metrics
    }

    pub(super) fn connected(&self, outage: Duration) {
        self.attempt("success");
        self.duration.observe(outage.as_secs_f64());
        self.set(1);
    }

    /// Lost, or not reached for another reason than before.
    pub(super) fn lost(&self) {
        self.attempt("failure");
        self.set(0);
    }

    fn attempt(&self, status: &'static str) {
        self.attempts.get_or_create(&ByStatus { status }).inc();
    }

    fn set(&self, state: i64) {
        self.state.get_or_create(&ByAddress { address: self.address.clone() }).set(state);
    }
}
