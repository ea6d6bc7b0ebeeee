//! One reading of the device: which requests are sent, and what of their answers is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use routeros::{Client, DiskCounters, DiskFigures, Error, ItemId, Transport};
use tokio::time::Instant;
use volume::Record;

use super::FigureScope;
use super::rates::Sample;
use super::sensors;

/// What the device said.
pub(super) struct Reading {
    /// When the first request was sent.
    pub(super) asked: Instant,
    /// Disks by slot; one whose slot another has too is not there, since nobody could tell them apart.
    pub(super) disks: BTreeMap<String, Disk>,
    pub(super) pools: Vec<Pool>,
    pub(super) sensors: sensors::Values,
    /// How long the device was up, and when it said so: after the counters.
    pub(super) up: Option<(Duration, Instant)>,
    /// What was not read, with the reason.
    pub(super) failed: Vec<(Source, String)>,
}

/// A disk whose figures are shown.
pub(super) struct Disk {
    pub(super) id: ItemId,
    /// Absent where the device said nothing.
    pub(super) sample: Option<Sample>,
}

/// A pool that this controller makes images in.
#[derive(Clone)]
pub(super) struct Pool {
    pub(super) slot: String,
    /// Bytes.
    pub(super) size: u64,
    /// Bytes.
    pub(super) used: u64,
}

/// A request whose failure hides only its own figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    Monitor,
    Health,
    Uptime,
}

impl Source {
    /// The menu, for people.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Monitor => "/disk/monitor-traffic",
            Self::Health => "/system/health",
            Self::Uptime => "/system/resource",
        }
    }
}

/// Reads once: the list of disks, their counters where the list did not have them, the sensors, and last how long the
/// device is up, so that a boot before the counters is seen.
///
/// # Errors
/// Only where the disks could not be listed: then the device is as good as not there.
pub(super) async fn read<T: Transport>(client: &Client<T>, scope: &FigureScope) -> Result<Reading, Error> {
    let asked = Instant::now();
    let mut reading = list(client, scope, asked).await?;
    let silent: Vec<ItemId> =
        reading.disks.values().filter(|disk| disk.sample.is_none()).map(|disk| disk.id.clone()).collect();
    if !silent.is_empty() {
        let monitored = monitor(client, &silent, &mut reading.disks).await;
        reading.note(Source::Monitor, monitored);
    }
    let rows = client.health().await;
    if let Some(rows) = reading.note(Source::Health, rows) {
        reading.sensors = sensors::values(&rows);
    }
    let resource = client.resource().await;
    let said = Instant::now();
    let resource = reading.note(Source::Uptime, resource);
    reading.up = resource.and_then(|resource| resource.up_for()).map(|up_for| (up_for, said));
    Ok(reading)
}

async fn list<T: Transport>(
    client: &Client<T>,
    scope: &FigureScope,
    asked: Instant,
) -> Result<Reading, Error> {
    let mut rows = Vec::new();
    let mut ambiguous = BTreeSet::new();
    let mut pools = Vec::new();
    let listing = client.for_each_disk_figures(|row| {
        let pool = scope.pool(&row);
        if pool.is_some() || scope.is_ours(&row) {
            rows.push((row.slot, row.id, row.counters));
        }
        pools.extend(pool);
        Ok(())
    });
    listing.await?;
    let at = Instant::now();
    let mut disks = BTreeMap::new();
    for (slot, id, counters) in rows {
        let sample = (!counters.is_empty()).then_some(Sample { at, counters });
        if disks.insert(slot.clone(), Disk { id, sample }).is_some() {
            ambiguous.insert(slot);
        }
    }
    disks.retain(|slot, _| !ambiguous.contains(slot));
    let known = disks.keys().cloned().collect::<BTreeSet<_>>();
    pools.retain(|pool: &Pool| known.contains(&pool.slot));
    Ok(Reading { asked, disks, pools, sensors: sensors::Values::default(), up: None, failed: Vec::new() })
}

async fn monitor<T: Transport>(
    client: &Client<T>,
    ids: &[ItemId],
    disks: &mut BTreeMap<String, Disk>,
) -> Result<(), Error> {
    let mut answered: Vec<(String, DiskCounters)> = Vec::new();
    let monitoring = client.monitor_disks(ids, |slot, counters| {
        answered.push((slot.to_owned(), counters));
        Ok(())
    });
    monitoring.await?;
    let at = Instant::now();
    for (slot, counters) in answered.into_iter().filter(|(_, counters)| !counters.is_empty()) {
        if let Some(disk) = disks.get_mut(&slot) {
            disk.sample = Some(Sample { at, counters });
        }
    }
    Ok(())
}

impl Reading {
    fn note<R>(&mut self, source: Source, result: Result<R, Error>) -> Option<R> {
        result.map_err(|error| self.failed.push((source, error.report()))).ok()
    }
}

impl FigureScope {
    /// An exported volume of this cluster; one that is not exported moves nothing.
    fn is_ours(&self, row: &DiskFigures) -> bool {
        let record = row.comment.as_deref().map(Record::parse);
        row.nvme_tcp_export && matches!(record, Some(Ok(Some(record))) if record.cluster == self.cluster)
    }

    fn pool(&self, row: &DiskFigures) -> Option<Pool> {
        let mount = row.mount_point.as_deref()?.trim_matches('/');
        let (size, free) = row.size.zip(row.free).filter(|_| self.pools.contains(mount))?;
        Some(Pool { slot: row.slot.clone(), size, used: size.saturating_sub(free) })
    }
}
