//! What a disk has read and written since boot: the counters of `/disk` and `/disk/monitor-traffic`.

use serde::{Deserialize, Serialize};

use super::Disk;
use crate::device::clock::span_of_millis;
use crate::device::row::{Property, View};
use crate::menu::{Row, Value};

/// Totals since boot or the last `reset-counters`, but for what is in flight.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Traffic {
    /// `read-ops`
    pub read_ops: u64,
    /// `read-bytes`
    pub read_bytes: u64,
    /// `read-time`, in milliseconds.
    pub read_millis: u64,
    /// `write-ops`
    pub write_ops: u64,
    /// `write-bytes`
    pub write_bytes: u64,
    /// `write-time`, in milliseconds.
    pub write_millis: u64,
    /// `in-flight-ops`: those of this moment.
    pub in_flight_ops: u64,
    /// `active-time`, in milliseconds.
    pub active_millis: u64,
    /// `wait-time`, in milliseconds.
    pub wait_millis: u64,
}

impl Traffic {
    /// Counts more on; what is in flight is replaced.
    pub(crate) fn add(&mut self, more: &Self) {
        *self = Self {
            read_ops: self.read_ops + more.read_ops,
            read_bytes: self.read_bytes + more.read_bytes,
            read_millis: self.read_millis + more.read_millis,
            write_ops: self.write_ops + more.write_ops,
            write_bytes: self.write_bytes + more.write_bytes,
            write_millis: self.write_millis + more.write_millis,
            in_flight_ops: more.in_flight_ops,
            active_millis: self.active_millis + more.active_millis,
            wait_millis: self.wait_millis + more.wait_millis,
        };
    }

    /// The row of `monitor-traffic` (S [CLI] for the names). Nobody reads through this device's mouth, so that the
    /// rates of the moment are zero.
    pub(crate) fn row(&self, slot: &str) -> Row {
        let zero = Value::Borrowed("0");
        vec![
            ("slot", Value::Owned(slot.to_owned())),
            ("read-ops", number(self.read_ops)),
            ("read-ops-per-second", zero.clone()),
            ("read-bytes", number(self.read_bytes)),
            ("read-rate", zero.clone()),
            ("read-time", span(self.read_millis)),
            ("write-ops", number(self.write_ops)),
            ("write-ops-per-second", zero.clone()),
            ("write-bytes", number(self.write_bytes)),
            ("write-rate", zero),
            ("write-time", span(self.write_millis)),
            ("in-flight-ops", number(self.in_flight_ops)),
            ("active-time", span(self.active_millis)),
            ("wait-time", span(self.wait_millis)),
        ]
    }
}

fn number(value: u64) -> Value {
    Value::Owned(value.to_string())
}

fn span(millis: u64) -> Value {
    Value::Owned(span_of_millis(millis))
}

fn counter(disk: &Disk, view: &View<'_>, get: fn(&Traffic) -> Value) -> Option<Value> {
    view.counters.then(|| get(&view.facts.traffic(disk.id)))
}

/// The counters as properties of `/disk`, where they are shown at all (assumption `disk-counters`).
pub(crate) static COUNTERS: &[Property<Disk>] = &[
    Property::new("active-time", |d, v| counter(d, v, |t| span(t.active_millis))),
    Property::new("in-flight-ops", |d, v| counter(d, v, |t| number(t.in_flight_ops))),
    Property::new("read-bytes", |d, v| counter(d, v, |t| number(t.read_bytes))),
    Property::new("read-ops", |d, v| counter(d, v, |t| number(t.read_ops))),
    Property::new("read-time", |d, v| counter(d, v, |t| span(t.read_millis))),
    Property::new("wait-time", |d, v| counter(d, v, |t| span(t.wait_millis))),
    Property::new("write-bytes", |d, v| counter(d, v, |t| number(t.write_bytes))),
    Property::new("write-ops", |d, v| counter(d, v, |t| number(t.write_ops))),
    Property::new("write-time", |d, v| counter(d, v, |t| span(t.write_millis))),
];
