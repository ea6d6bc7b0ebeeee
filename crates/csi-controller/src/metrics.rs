//! The controller's metrics (requirements R22 to R24), under the names of the described system.

mod migrations;

use std::future::Future;
use std::time::Instant;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use tonic::Status;

pub(crate) use migrations::{MigrationMetrics, MigrationResult};

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
struct Action {
    action: &'static str,
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
    grace_periods: Counter,
    reconciled: Family<Action, Counter>,
    stale_cleared: Counter,
    attachment_durations: Durations,
    volumes: Family<OperationOutcome, Counter>,
    volume_durations: Durations,
    migrations: MigrationMetrics,
}

impl Metrics {
    /// Makes the metrics and shows them in `registry`.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            attach: Family::default(),
            detach: Family::default(),
            conflicts: Counter::default(),
            grace_periods: Counter::default(),
            reconciled: Family::default(),
            stale_cleared: Counter::default(),
            attachment_durations: Family::new_with_constructor(|| Histogram::new(ATTACHMENT_BUCKETS)),
            volumes: Family::default(),
            volume_durations: Family::new_with_constructor(|| Histogram::new(VOLUME_BUCKETS)),
            migrations: MigrationMetrics::register(registry),
        };
        metrics.show_attachments(registry.sub_registry_with_prefix("rds_csi_attachment"));
        metrics.show_volumes(registry.sub_registry_with_prefix("rds_csi_volume"));
        metrics
    }

    fn show_attachments(&self, registry: &mut Registry) {
        registry.register("attach", "ControllerPublishVolume calls", self.attach.clone());
        registry.register("detach", "ControllerUnpublishVolume calls", self.detach.clone());
        registry.register("conflicts", "Attachments refused for another holder", self.conflicts.clone());
        registry.register(
            "grace_period_used",
            "Attachments handed on within the grace period after the old node's detach",
            self.grace_periods.clone(),
        );
        registry.register("reconcile", "What the reconciler did", self.reconciled.clone());
        registry.register(
            "stale_cleared",
            "Attachments of deleted nodes that the reconciler dropped",
            self.stale_cleared.clone(),
        );
        let durations = self.attachment_durations.clone();
        registry.register_with_unit("operation_duration", "Attachment calls", Unit::Seconds, durations);
    }

    fn show_volumes(&self, registry: &mut Registry) {
        registry.register("operations", "Volume calls", self.volumes.clone());
        let durations = self.volume_durations.clone();
        registry.register_with_unit("operation_duration", "Volume calls", Unit::Seconds, durations);
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

    /// Live migrations (R24).
    pub(crate) fn migrations(&self) -> &MigrationMetrics {
        &self.migrations
    }

    /// A volume went to its next node within the grace period after its last detach.
    pub(crate) fn grace_period_used(&self) {
        self.grace_periods.inc();
    }

    /// Times one pass of the reconciler.
    pub(crate) async fn reconcile<R>(
        &self,
        pass: impl Future<Output = Result<R, Status>>,
    ) -> Result<R, Status> {
        timed(&self.attachment_durations, "reconcile", pass).await.0
    }

    /// The reconciler did something, such as `clear_stale`, `close_export` or `restore_export`.
    pub(crate) fn reconciled(&self, action: &'static str) {
        self.reconciled.get_or_create(&Action { action }).inc();
    }

    /// The reconciler dropped an attachment of a deleted node; beside [`Metrics::reconciled`].
    pub(crate) fn stale_cleared(&self) {
        self.stale_cleared.inc();
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[tokio::test]
    async fn attachments_are_shown_under_the_described_names_labels_and_buckets() {
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        metrics.attach(async { Ok(()) }).await.unwrap();
        metrics.attach(async { Err::<(), _>(Status::unavailable("down")) }).await.unwrap_err();
        metrics.detach(async { Ok(()) }).await.unwrap();
        metrics.reconcile(async { Ok(()) }).await.unwrap();
        metrics.conflict();
        metrics.grace_period_used();
        metrics.reconciled("clear_stale");
        metrics.stale_cleared();
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let shown = |line: &str| text.lines().any(|seen| seen == format!("rds_csi_attachment_{line}"));
        for line in [
            "attach_total{status=\"success\"} 1",
            "attach_total{status=\"failure\"} 1",
            "detach_total{status=\"success\"} 1",
            "conflicts_total 1",
            "grace_period_used_total 1",
            "reconcile_total{action=\"clear_stale\"} 1",
            "stale_cleared_total 1",
        ] {
            assert!(shown(line), "{line} in\n{text}");
        }
        for (operation, count) in [("attach", 2), ("detach", 1), ("reconcile", 1)] {
            let bounds = ["0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1.0", "2.5", "5.0", "+Inf"];
            for le in bounds {
                let line = format!("bucket{{le=\"{le}\",operation=\"{operation}\"}} {count}");
                assert!(shown(&format!("operation_duration_seconds_{line}")), "{line} in\n{text}");
            }
            let all = format!("operation=\"{operation}\"}} ");
            assert_eq!(
                text.lines().filter(|line| line.contains("_bucket{le=") && line.contains(&all)).count(),
                10
            );
        }
    }
}
