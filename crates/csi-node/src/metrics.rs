//! The node's metrics (requirements R23). Gauges are derived from state at the scrape (R25).

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Seconds: from a mount that is there already to the kubelet's two minutes.
const OPERATION_BUCKETS: [f64; 10] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 120.0];
/// Seconds: from one round trip to a silent listener's ten seconds (node.md K10).
const CONNECT_BUCKETS: [f64; 9] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];

/// The counters and histograms. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    connects: Family<StatusLabel, Counter>,
    connect_seconds: Histogram,
    mounts: Family<OperationLabels, Counter>,
    operations: Family<OperationLabels, Counter>,
    operation_seconds: Family<OperationLabel, Histogram, fn() -> Histogram>,
    losses: Counter,
    orphans_cleaned: Counter,
    stale_mounts: Counter,
    recoveries: Family<StatusLabel, Counter>,
    connections: Connections,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatusLabel {
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabel {
    operation: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabels {
    operation: &'static str,
    status: &'static str,
}

/// Our connections as sysfs shows them; absent while unknown.
#[derive(Clone, Debug, Default)]
struct Connections(Arc<Mutex<Option<Connected>>>);

/// NVMe subsystems of this driver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Connected {
    /// With a controller in any state.
    pub(crate) active: u64,
    /// Of those, the ones with none that is live: their reads and writes wait.
    pub(crate) down: u64,
}

impl Metrics {
    /// Shows the metrics in `registry`.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            connects: Family::default(),
            connect_seconds: Histogram::new(CONNECT_BUCKETS),
            mounts: Family::default(),
            operations: Family::default(),
            operation_seconds: Family::new_with_constructor(
                (|| Histogram::new(OPERATION_BUCKETS)) as fn() -> Histogram,
            ),
            losses: Counter::default(),
            orphans_cleaned: Counter::default(),
            stale_mounts: Counter::default(),
            recoveries: Family::default(),
            connections: Connections::default(),
        };
        let Self {
            connects,
            connect_seconds,
            mounts,
            operations,
            operation_seconds,
            losses,
            orphans_cleaned,
            stale_mounts,
            recoveries,
            connections,
        } = metrics.clone();
        // The registry appends `_total` to counters.
        registry.register("rds_csi_nvme_connects", "NVMe/TCP connects, probes included", connects);
        registry.register(
            "rds_csi_nvme_connect_duration_seconds",
            "Duration of NVMe/TCP connects in seconds",
            connect_seconds,
        );
        registry.register("rds_csi_mount_operations", "Mounts, binds and unmounts", mounts);
        registry.register("rds_csi_volume_operations", "Volume operations of this node", operations);
        registry.register(
            "rds_csi_volume_operation_duration_seconds",
            "Duration of volume operations in seconds",
            operation_seconds,
        );
        registry.register(
            "rds_csi_unwritten_data_losses",
            "Volumes let go of while data may have been unwritten; each is in the log",
            losses,
        );
        registry.register(
            "rds_csi_orphans_cleaned",
            "Orphaned connections that were disconnected",
            orphans_cleaned,
        );
        registry.register(
            "rds_csi_stale_mounts_detected",
            "Mounts whose device was lost or renumbered, or whose file system failed",
            stale_mounts,
        );
        registry.register("rds_csi_stale_recoveries", "Recoveries of stale mounts at a publish", recoveries);
        registry.register_collector(Box::new(connections));
        metrics
    }

    /// A connect ended.
    pub(crate) fn connect(&self, ok: bool, took: Duration) {
        self.connects.get_or_create(&StatusLabel { status: status(ok) }).inc();
        self.connect_seconds.observe(took.as_secs_f64());
    }

    /// A mount, bind or unmount ended; hands its result on.
    pub(crate) fn mounted<T, E>(&self, operation: &'static str, result: Result<T, E>) -> Result<T, E> {
        self.mounts.get_or_create(&OperationLabels { operation, status: status(result.is_ok()) }).inc();
        result
    }

    /// A volume operation ended.
    pub(crate) fn operation(&self, operation: &'static str, ok: bool, took: Duration) {
        self.operations.get_or_create(&OperationLabels { operation, status: status(ok) }).inc();
        self.operation_seconds.get_or_create(&OperationLabel { operation }).observe(took.as_secs_f64());
    }

    /// Unwritten data may have been lost.
    pub(crate) fn loss(&self) {
        self.losses.inc();
    }

    /// An orphaned connection was cut.
    pub(crate) fn orphan_cleaned(&self) {
        self.orphans_cleaned.inc();
    }

    /// A stale mount was found.
    pub(crate) fn stale_mount(&self) {
        self.stale_mounts.inc();
    }

    /// The recovery of a stale mount ended.
    pub(crate) fn recovery(&self, ok: bool) {
        self.recoveries.get_or_create(&StatusLabel { status: status(ok) }).inc();
    }

    /// What sysfs shows; `None` where it could not be read.
    pub(crate) fn set_connections(&self, connected: Option<Connected>) {
        *self.connections.0.lock().unwrap_or_else(PoisonError::into_inner) = connected;
    }
}

impl Collector for Connections {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Some(connected) = *self.0.lock().unwrap_or_else(PoisonError::into_inner) else { return Ok(()) };
        for (name, help, count) in [
            (
                "rds_csi_nvme_connections_active",
                "NVMe subsystems of this driver with a controller in any state",
                connected.active,
            ),
            (
                "rds_csi_nvme_connections_down",
                "NVMe subsystems of this driver with controllers of which none is live: reads and writes wait",
                connected.down,
            ),
        ] {
            let gauge = ConstGauge::new(count);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}

fn status(ok: bool) -> &'static str {
    if ok { "success" } else { "failure" }
}
