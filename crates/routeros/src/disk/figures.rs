//! What disks do, in figures: the counters of `/disk` and of `/disk/monitor-traffic` (RouterOS 7, CLI reference).

use std::time::Duration;

use crate::error::Error;
use crate::identifier::ItemId;
use crate::row::Row;
use crate::span::parse_span;

/// What is asked of `/disk` for figures. Whether a row shows counters where they are named is not known of any
/// device: one that does not is asked by [`crate::Client::monitor_disks`].
pub(crate) const FIGURE_PROPERTIES: &[&str] = &[
    ".id",
    "slot",
    "comment",
    "nvme-tcp-export",
    "mount-point",
    "size",
    "free",
    "read-ops",
    "read-bytes",
    "read-time",
    "write-ops",
    "write-bytes",
    "write-time",
    "in-flight-ops",
    "active-time",
    "wait-time",
    "discard-ops",
    "flush-ops",
];

/// Totals since the device booted or its counters were reset, but for what is in flight. What is absent was not
/// shown, or not in a form that can be read: it is unknown, never zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskCounters {
    /// Reads that ended.
    pub read_ops: Option<u64>,
    /// Bytes read.
    pub read_bytes: Option<u64>,
    /// Time that reads took, added up.
    pub read_time: Option<Duration>,
    /// Writes that ended.
    pub write_ops: Option<u64>,
    /// Bytes written.
    pub write_bytes: Option<u64>,
    /// Time that writes took, added up.
    pub write_time: Option<Duration>,
    /// Operations under way at this moment.
    pub in_flight_ops: Option<u64>,
    /// Time in which anything was under way.
    pub active_time: Option<Duration>,
    /// Time that all operations took, waiting included, added up.
    pub wait_time: Option<Duration>,
    /// Discards that ended.
    pub discard_ops: Option<u64>,
    /// Flushes that ended.
    pub flush_ops: Option<u64>,
}

impl DiskCounters {
    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl From<&Row> for DiskCounters {
    fn from(row: &Row) -> Self {
        // A figure that cannot be read must not hide the others.
        let number = |name| row.number(name).ok().flatten();
        let time = |name| row.get(name).and_then(parse_span);
        Self {
            read_ops: number("read-ops"),
            read_bytes: number("read-bytes"),
            read_time: time("read-time"),
            write_ops: number("write-ops"),
            write_bytes: number("write-bytes"),
            write_time: time("write-time"),
            in_flight_ops: number("in-flight-ops"),
            active_time: time("active-time"),
            wait_time: time("wait-time"),
            discard_ops: number("discard-ops"),
            flush_ops: number("flush-ops"),
        }
    }
}

/// A row of `/disk`, as far as figures go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskFigures {
    /// Stable for the life of the row.
    pub id: ItemId,
    /// The name of the disk.
    pub slot: String,
    /// The operator's text, or a record.
    pub comment: Option<Box<str>>,
    /// Whether it is exported over NVMe/TCP.
    pub nvme_tcp_export: bool,
    /// Where RouterOS has it mounted, without a leading slash.
    pub mount_point: Option<Box<str>>,
    /// The block device's size in bytes.
    pub size: Option<u64>,
    /// Free bytes of the file system on it.
    pub free: Option<u64>,
    /// What it has read and written.
    pub counters: DiskCounters,
}

impl TryFrom<&Row> for DiskFigures {
    type Error = Error;

    fn try_from(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            id: row.id()?,
            slot: row.required("slot")?.to_owned(),
            comment: row.text("comment"),
            nvme_tcp_export: row.flag("nvme-tcp-export")?.unwrap_or_default(),
            mount_point: row.text("mount-point"),
            size: row.number("size")?,
            free: row.number("free")?,
            counters: DiskCounters::from(row),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_that_cannot_be_read_is_unknown_and_hides_no_other() {
        let row: Row = [("read-ops", "113 229"), ("read-bytes", ""), ("write-ops", "7"), ("read-time", "5")]
            .into_iter()
            .collect();
        let counters = DiskCounters::from(&row);
        assert_eq!(counters, DiskCounters { write_ops: Some(7), ..DiskCounters::default() });
        assert!(DiskCounters::from(&Row::default()).is_empty());
    }
}
