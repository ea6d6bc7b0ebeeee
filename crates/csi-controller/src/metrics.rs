//! The controller's metrics (requirements R22 and R23), under the names of the described system.

use std::future::Future;
use std::time::Instant;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use tonic::Status;

/// Seconds; R22 names them.
const ATTACHMENT_BUCKETS: [f64; 9] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];
/// Seconds: a create on a quiet device takes half of one, a full queue up to its cap of 60.
const VOLUME_BUCKETS: [f64; 10] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

type Durations = Family<Operation, Histogram, fn() -> Histogram>;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Operation {
    operation: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationOutcome {
    operation: &'static str,
    status: &'static str,
}

/// Counts what the controller did.
pub(crate) struct Metrics {
    attach: Family<Outcome, Counter>,
    detach: Family<Outcome, Counter>,
    conflicts: Counter,
    attachment_durations: Durations,
    volumes: Family<OperationOutcome, Counter>,
    volume_durations: Durations,
}

impl Metrics {
    /// Makes the metrics and shows them in `registry`.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            attach: Family::default(),
            detach: Family::default(),
            conflicts: Counter::default(),
            attachment_durations: Family::new_with_constructor(|| Histogram::new(ATTACHMENT_BUCKETS)),
            volumes: Family::default(),
            volume_durations: Family::new_with_constructor(|| Histogram::new(VOLUME_BUCKETS)),
        };
        let mut attachment = registry.sub_registry_with_prefix("rds_csi_attachment");
        attachment.register("attach", "ControllerPublishVolume calls", metrics.attach.clone());
        attachment.register("detach", "ControllerUnpublishVolume calls", metrics.detach.clone());
        attachment.register("conflicts", "Attachments refused for another holder", metrics.conflicts.clone());
        let durations = metrics.attachment_durations.clone();
        attachment.register_with_unit("operation_duration", "Attachment calls", Unit::Seconds, durations);
        attachment = registry.sub_registry_with_prefix("rds_csi_volume");
        attachment.register("operations", "Volume calls", metrics.volumes.clone());
        let durations = metrics.volume_durations.clone();
        attachment.register_with_unit("operation_duration", "Volume calls", Unit::Seconds, durations);
        metrics
    }

    /// Counts and times one ControllerPublishVolume.
    pub(crate) async fn attach<R>(&self, call: impl Future<Output = Result<R, Status>>) -> Result<R, Status> {
        let (result, status) = timed(&self.attachment_durations, "attach", call).await;
        self.attach.get_or_create(&Outcome { status }).inc();
        result
    }

    /// Counts and times one ControllerUnpublishVolume.
    pub(crate) async fn detach<R>(&self, call: impl Future<Output = Result<R, Status>>) -> Result<R, Status> {
        let (result, status) = timed(&self.attachment_durations, "detach", call).await;
        self.detach.get_or_create(&Outcome { status }).inc();
        result
    }

    /// Counts and times one call about volumes.
    pub(crate) async fn volume<R>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<R, Status>>,
    ) -> Result<R, Status> {
        let (result, status) = timed(&self.volume_durations, operation, call).await;
        self.volumes.get_or_create(&OperationOutcome { operation, status }).inc();
        result
    }

    /// A node was refused for another holder.
    pub(crate) fn conflict(&self) {
        self.conflicts.inc();
    }
}

async fn timed<R>(
    durations: &Durations,
    operation: &'static str,
    call: impl Future<Output = Result<R, Status>>,
) -> (Result<R, Status>, &'static str) {
    let started = Instant::now();
    let result = call.await;
    durations.get_or_create(&Operation { operation }).observe(started.elapsed().as_secs_f64());
    let status = if result.is_ok() { "success" } else { "failure" };
    (result, status)
}
