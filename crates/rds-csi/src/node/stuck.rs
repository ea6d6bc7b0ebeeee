//! Helpers that hang in the kernel, as figures and by name (design decision 11: counted and reported).

use std::fmt;

use host::linux::Stuck;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

/// Asks at each scrape, so that it cannot drift from what runs.
struct StuckHelpers<F> {
    stuck: F,
}

/// Shows `rds_csi_stuck_helpers`, their count, and `rds_csi_stuck_helper`, each by its name, in `registry`. A volume
/// has one helper, and one more that disconnects it: so many series there are at most.
pub(super) fn register(stuck: impl Fn() -> Vec<Stuck> + Send + Sync + 'static, registry: &mut Registry) {
    registry.register_collector(Box::new(StuckHelpers { stuck }));
}

impl<F> fmt::Debug for StuckHelpers<F> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("StuckHelpers")
    }
}

impl<F: Fn() -> Vec<Stuck> + Send + Sync + 'static> Collector for StuckHelpers<F> {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let stuck = (self.stuck)();
        let count = ConstGauge::new(i64::try_from(stuck.len()).unwrap_or(i64::MAX));
        let help = "Helper processes that were abandoned at their deadline and still run";
        let metric = encoder.encode_descriptor("rds_csi_stuck_helpers", help, None, count.metric_type())?;
        count.encode(metric)?;
        if stuck.is_empty() {
            // A family without a series is no family.
            return Ok(());
        }
        let one = ConstGauge::new(1_i64);
        let help =
            "What an abandoned helper process does to which volume; uninterruptible: in the kernel (D)";
        let mut metric = encoder.encode_descriptor("rds_csi_stuck_helper", help, None, one.metric_type())?;
        for helper in &stuck {
            let uninterruptible = if helper.uninterruptible { "true" } else { "false" };
            let labels = [
                ("volume_id", helper.slot.as_str()),
                ("operation", helper.operation.as_str()),
                ("uninterruptible", uninterruptible),
            ];
            one.encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use volume::Slot;

    #[test]
    fn what_hangs_is_counted_and_named() {
        let helper = |slot, operation: &str, uninterruptible| Stuck {
            slot: Slot::parse(slot).unwrap(),
            operation: operation.into(),
            pid: Some(7),
            uninterruptible,
        };
        let mut registry = Registry::default();
        let all = vec![helper("a", "sync", true), helper("b", "connect", false)];
        register(move || all.clone(), &mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "rds_csi_stuck_helpers 2",
            "rds_csi_stuck_helper{volume_id=\"a\",operation=\"sync\",uninterruptible=\"true\"} 1",
            "rds_csi_stuck_helper{volume_id=\"b\",operation=\"connect\",uninterruptible=\"false\"} 1",
        ] {
            assert!(text.lines().any(|shown| shown == line), "no {line} in {text}");
        }
    }
}
