//! One reading of the device: which requests are sent, and what of their answers is kept.

use std::collections::BTreeSet;
use std::sync::Arc;
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
    /// Disks in the order of their slots.
    pub(super) disks: Vec<Disk>,
    pub(super) pools: Vec<Pool>,
    pub(super) sensors: sensors::Values,
    /// How long the device was up, and when it said so: after the counters.
    pub(super) up: Option<(Duration, Instant)>,
    /// What was not read, with the reason.
    pub(super) failed: Vec<(Source, String)>,
}

/// A disk whose figures are shown. Two readings of thousands are held at a time, and what is shown of them: a slot's
/// name is there once for both.
pub(super) struct Disk {
    pub(super) slot: Arc<str>,
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

/// Reads once, some `expected` disks: the list of disks, their counters where the list did not have them, the sensors, and last how long the
/// device is up, so that a boot before the counters is seen.
///
/// # Errors
/// Only where the disks could not be listed: then the device is as good as not there.
pub(super) async fn read<T: Transport>(
    client: &Client<T>,
    scope: &FigureScope,
    expected: usize,
) -> Result<Reading, Error> {
    let asked = Instant::now();
    let mut reading = list(client, scope, asked, expected).await?;
    let silent: Vec<ItemId> =
        reading.disks.iter().filter(|disk| disk.sample.is_none()).map(|disk| disk.id.clone()).collect();
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
    expected: usize,
) -> Result<Reading, Error> {
    let mut disks = Vec::with_capacity(expected);
    let mut pools = Vec::new();
    let listing = client.for_each_disk_figures(|row| {
        let pool = scope.pool(&row);
        if pool.is_some() || scope.is_ours(&row) {
            let sample =
                (!row.counters.is_empty()).then(|| Sample { at: Instant::now(), counters: row.counters });
            disks.push(Disk { slot: row.slot.into(), id: row.id, sample });
        }
        pools.extend(pool);
        Ok(())
    });
    listing.await?;
    keep_distinct(&mut disks);
    pools.retain(|pool: &Pool| position(&disks, &pool.slot).is_some());
    Ok(Reading { asked, disks, pools, sensors: sensors::Values::default(), up: None, failed: Vec::new() })
}

/// Sorts disks by their slots. One whose slot another has too goes, and that other with it: nobody could tell them
/// apart.
fn keep_distinct(disks: &mut Vec<Disk>) {
    disks.sort_unstable_by(|one, other| one.slot.cmp(&other.slot));
    let pairs = disks.windows(2).filter(|pair| pair[0].slot == pair[1].slot);
    let ambiguous: BTreeSet<Arc<str>> = pairs.map(|pair| Arc::clone(&pair[0].slot)).collect();
    disks.retain(|disk| !ambiguous.contains(&disk.slot));
}

fn position(disks: &[Disk], slot: &str) -> Option<usize> {
    disks.binary_search_by(|disk| (*disk.slot).cmp(slot)).ok()
}

async fn monitor<T: Transport>(client: &Client<T>, ids: &[ItemId], disks: &mut [Disk]) -> Result<(), Error> {
    let mut answered: Vec<(usize, DiskCounters)> = Vec::with_capacity(ids.len());
    let monitoring = client.monitor_disks(ids, |slot, counters| {
        answered.extend(position(disks, slot).map(|place| (place, counters)));
        Ok(())
    });
    monitoring.await?;
    let at = Instant::now();
    for (place, counters) in answered.into_iter().filter(|(_, counters)| !counters.is_empty()) {
        disks[place].sample = Some(Sample { at, counters });
    }
    Ok(())
}

impl Reading {
    /// The disk in that slot.
    pub(super) fn disk(&self, slot: &str) -> Option<&Disk> {
        position(&self.disks, slot).map(|place| &self.disks[place])
    }

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
