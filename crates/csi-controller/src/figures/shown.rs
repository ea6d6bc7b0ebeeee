//! What a scrape sees of the device: the last reading, from memory, and nothing once that is old (R25).

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use tokio::time::Instant;

use super::rates::Rates;
use super::reading::Pool;
use super::sensors::{self, SENSORS};

/// The figures of one reading.
pub(super) struct Shown {
    /// When the reading was begun.
    pub(super) asked: Instant,
    pub(super) disks: Vec<Disk>,
    pub(super) pools: Vec<Pool>,
    pub(super) sensors: sensors::Values,
}

/// What is shown of a disk.
pub(super) struct Disk {
    pub(super) slot: Arc<str>,
    pub(super) rates: Rates,
    pub(super) in_flight: Option<u64>,
}

/// Where readings are put and scrapes look. Clones share it.
#[derive(Clone)]
pub(super) struct Board {
    last: Arc<Mutex<Option<Arc<Shown>>>>,
    /// What is older is not shown.
    fresh_for: Duration,
}

impl Board {
    pub(super) fn new(fresh_for: Duration) -> Self {
        Self { last: Arc::default(), fresh_for }
    }

    /// Shows this from now on; `None` for nothing.
    pub(super) fn show(&self, shown: Option<Shown>) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = shown.map(Arc::new);
    }

    fn fresh(&self) -> Option<Arc<Shown>> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        last.filter(|shown| shown.asked.elapsed() <= self.fresh_for)
    }
}

impl fmt::Debug for Board {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Board").field("fresh_for", &self.fresh_for).finish_non_exhaustive()
    }
}

struct DiskSeries {
    name: &'static str,
    help: &'static str,
    of: fn(&Disk) -> Option<f64>,
}

const DISK_SERIES: [DiskSeries; 9] = [
    DiskSeries {
        name: "rds_disk_read_ops_per_second",
        help: "Reads a second, between the last two readings",
        of: |disk| disk.rates.read_ops,
    },
    DiskSeries {
        name: "rds_disk_write_ops_per_second",
        help: "Writes a second, between the last two readings",
        of: |disk| disk.rates.write_ops,
    },
    DiskSeries {
        name: "rds_disk_read_bytes_per_second",
        help: "Bytes read a second, between the last two readings",
        of: |disk| disk.rates.read_bytes,
    },
    DiskSeries {
        name: "rds_disk_write_bytes_per_second",
        help: "Bytes written a second, between the last two readings",
        of: |disk| disk.rates.write_bytes,
    },
    DiskSeries {
        name: "rds_disk_read_latency_milliseconds",
        help: "Time of a read, on average between the last two readings; absent without reads",
        of: |disk| disk.rates.read_latency,
    },
    DiskSeries {
        name: "rds_disk_write_latency_milliseconds",
        help: "Time of a write, on average between the last two readings; absent without writes",
        of: |disk| disk.rates.write_latency,
    },
    DiskSeries {
        name: "rds_disk_wait_latency_milliseconds",
        help: "Time of an operation with its wait, on average between the last two readings; absent without any",
        of: |disk| disk.rates.wait_latency,
    },
    DiskSeries {
        name: "rds_disk_in_flight_operations",
        help: "Operations under way at the last reading",
        #[expect(
            clippy::cast_precision_loss,
            reason = "a gauge is a float, and nobody has 2^53 requests under way"
        )]
        of: |disk| disk.in_flight.map(|operations| operations as f64),
    },
    DiskSeries {
        name: "rds_disk_active_time_milliseconds",
        help: "Time of each second in which anything was under way, between the last two readings",
        of: |disk| disk.rates.active_time,
    },
];

impl Collector for Board {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Some(shown) = self.fresh() else { return Ok(()) };
        for series in &DISK_SERIES {
            let values = shown.disks.iter().filter_map(|disk| Some((&*disk.slot, (series.of)(disk)?)));
            by_slot(&mut encoder, series.name, series.help, values)?;
        }
        for (sensor, value) in SENSORS.iter().zip(&shown.sensors) {
            let Some(value) = value else { continue };
            let metric = encoder.encode_descriptor(sensor.series, sensor.help, None, MetricType::Gauge)?;
            ConstGauge::new(*value).encode(metric)?;
        }
        let sizes = shown.pools.iter().map(|pool| (pool.slot.as_str(), pool.size));
        by_slot(
            &mut encoder,
            "rds_hardware_disk_pool_size_bytes",
            "Size of a pool that has base paths",
            sizes,
        )?;
        let used = shown.pools.iter().map(|pool| (pool.slot.as_str(), pool.used));
        by_slot(&mut encoder, "rds_hardware_disk_pool_used_bytes", "What of it is taken", used)
    }
}

/// A series with one value for each slot; none at all without any.
fn by_slot<'a, N>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: impl Iterator<Item = (&'a str, N)>,
) -> Result<(), fmt::Error>
where
    ConstGauge<N>: EncodeMetric,
{
    let mut values = values.peekable();
    if values.peek().is_none() {
        return Ok(());
    }
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (slot, value) in values {
        let label = [("slot", slot)];
        ConstGauge::new(value).encode(family.encode_family(&label)?)?;
    }
    Ok(())
}
