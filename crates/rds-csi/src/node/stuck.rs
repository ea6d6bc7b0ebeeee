//! Helpers that hang in the kernel, as a figure (design decision 11: counted and reported).

use std::fmt;

use host::linux::Linux;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

/// Asks at each scrape, so that it cannot drift from what runs.
#[derive(Debug)]
pub(super) struct StuckHelpers {
    machine: Linux,
}

impl StuckHelpers {
    /// Shows `rds_csi_stuck_helpers` in `registry`.
    pub(super) fn register(machine: Linux, registry: &mut Registry) {
        registry.register_collector(Box::new(Self { machine }));
    }
}

impl Collector for StuckHelpers {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let stuck = i64::try_from(self.machine.stuck().len()).unwrap_or(i64::MAX);
        let gauge = ConstGauge::new(stuck);
        let help = "Helper processes that were abandoned at their deadline and still run";
        let metric = encoder.encode_descriptor("rds_csi_stuck_helpers", help, None, gauge.metric_type())?;
        gauge.encode(metric)
    }
}
