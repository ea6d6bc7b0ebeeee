//! Live migrations in figures (R24). How many run is read from state and never counted up and down (R25).

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Seconds: from a small idle machine to the largest timeout that a class may give (R18: 3600).
const BUCKETS: [f64; 9] = [5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0];

/// How a live migration ended (R18), by the described system's label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MigrationResult {
    /// The source left.
    Success,
    /// The target left.
    Failed,
    /// Both were there at the deadline.
    Timeout,
}

/// Counts and times migrations, and shows how many run.
pub(crate) struct MigrationMetrics {
    ended: Family<Result, Counter>,
    duration: Histogram,
    active: Active,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Result {
    result: &'static str,
}

/// The last reading of the state; absent while unknown.
#[derive(Clone, Debug, Default)]
struct Active(Arc<Mutex<Option<u64>>>);

impl MigrationMetrics {
    /// Makes the metrics and shows them in `registry`.
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics =
            Self { ended: Family::default(), duration: Histogram::new(BUCKETS), active: Active::default() };
        let shown = registry.sub_registry_with_prefix("rds_csi_migration");
        shown.register("migrations", "KubeVirt live migrations that ended", metrics.ended.clone());
        shown.register_with_unit(
            "duration",
            "From the second node's attachment to the end of a migration",
            Unit::Seconds,
            metrics.duration.clone(),
        );
        registry.register_collector(Box::new(metrics.active.clone()));
        metrics
    }

    /// A migration ended, so long after it began.
    pub(crate) fn ended(&self, result: MigrationResult, took: Duration) {
        let result = match result {
            MigrationResult::Success => "success",
            MigrationResult::Failed => "failed",
            MigrationResult::Timeout => "timeout",
        };
        self.ended.get_or_create(&Result { result }).inc();
        self.duration.observe(took.as_secs_f64());
    }

    /// How many records say that a migration is under way, as just read; `None` while that is not known, as before
    /// the rebuild or without the leadership.
    pub(crate) fn set_active(&self, count: Option<u64>) {
        *self.active.0.lock().unwrap_or_else(PoisonError::into_inner) = count;
    }
}

impl Collector for Active {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::result::Result<(), fmt::Error> {
        let Some(count) = *self.0.lock().unwrap_or_else(PoisonError::into_inner) else { return Ok(()) };
        let gauge = ConstGauge::new(count);
        let help = "KubeVirt live migrations under way";
        let metric = encoder.encode_descriptor(
            "rds_csi_migration_active_migrations",
            help,
            None,
            gauge.metric_type(),
        )?;
        gauge.encode(metric)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn how_many_run_is_what_was_read_last_and_absent_while_unknown() {
        let mut registry = Registry::default();
        let metrics = MigrationMetrics::register(&mut registry);
        for (count, shown) in [(None, None), (Some(0), Some("0")), (Some(2), Some("2")), (None, None)] {
            metrics.set_active(count);
            let mut text = String::new();
            prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
            let found =
                text.lines().find_map(|line| line.strip_prefix("rds_csi_migration_active_migrations "));
            assert_eq!(found, shown, "{count:?}");
        }
    }

    #[test]
    fn ends_are_counted_by_result_and_timed() {
        let mut registry = Registry::default();
        let metrics = MigrationMetrics::register(&mut registry);
        metrics.ended(MigrationResult::Success, Duration::from_secs(20));
        metrics.ended(MigrationResult::Failed, Duration::from_secs(3));
        metrics.ended(MigrationResult::Timeout, Duration::from_secs(300));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "rds_csi_migration_migrations_total{result=\"success\"} 1",
            "rds_csi_migration_migrations_total{result=\"failed\"} 1",
            "rds_csi_migration_migrations_total{result=\"timeout\"} 1",
            "rds_csi_migration_duration_seconds_count 3",
            "rds_csi_migration_duration_seconds_bucket{le=\"30.0\"} 2",
        ] {
            assert!(text.lines().any(|seen| seen == line), "{line} in\n{text}");
        }
    }
}
