//! From two readings of totals to rates: pure. What cannot be told is absent, and never 0.

use std::time::Duration;

use routeros::DiskCounters;
use tokio::time::Instant;

/// Counters as they were at a moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// When they came.
    pub(super) at: Instant,
    /// What they said.
    pub(super) counters: DiskCounters,
}

/// What a disk did between two samples.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rates {
    /// Per second.
    pub(super) read_ops: Option<f64>,
    /// Per second.
    pub(super) write_ops: Option<f64>,
    /// Per second.
    pub(super) read_bytes: Option<f64>,
    /// Per second.
    pub(super) write_bytes: Option<f64>,
    /// Milliseconds of a read, on average.
    pub(super) read_latency: Option<f64>,
    /// Milliseconds of a write, on average.
    pub(super) write_latency: Option<f64>,
    /// Milliseconds of any operation with its time in the queue, on average.
    pub(super) wait_latency: Option<f64>,
    /// Milliseconds in each second in which anything was under way.
    pub(super) active_time: Option<f64>,
}

/// Whether the device ran through from before `earlier_asked` until `answered`, when it said how long it was up: only
/// then are the totals of both readings those of one boot. A reboot that is not seen so cannot be between them.
pub(super) fn is_same_boot(earlier_asked: Instant, answered: Instant, up_for: Duration) -> bool {
    answered.checked_duration_since(earlier_asked).is_some_and(|between| up_for >= between)
}

/// The rates between two samples of one boot. A total that went backwards was reset: then nothing is known.
pub(super) fn rates(earlier: &Sample, later: &Sample) -> Rates {
    let elapsed = later.at.checked_duration_since(earlier.at).map_or(0.0, |elapsed| elapsed.as_secs_f64());
    if elapsed <= 0.0 {
        return Rates::default();
    }
    Between::of(&earlier.counters, &later.counters).map_or_else(Rates::default, |moved| moved.rates(elapsed))
}

/// What was added to each total.
struct Between {
    read: Moved,
    write: Moved,
    /// All operations, those that are not counted as reads or writes too.
    all_ops: Option<u64>,
    wait: Option<Duration>,
    active: Option<Duration>,
}

struct Moved {
    ops: Option<u64>,
    bytes: Option<u64>,
    time: Option<Duration>,
}

impl Between {
    /// `None` where any total is smaller than before.
    fn of(earlier: &DiskCounters, later: &DiskCounters) -> Option<Self> {
        let (e, l) = (earlier, later);
        let read = Moved {
            ops: added(e.read_ops, l.read_ops)?,
            bytes: added(e.read_bytes, l.read_bytes)?,
            time: added_time(e.read_time, l.read_time, l.read_ops)?,
        };
        let write = Moved {
            ops: added(e.write_ops, l.write_ops)?,
            bytes: added(e.write_bytes, l.write_bytes)?,
            time: added_time(e.write_time, l.write_time, l.write_ops)?,
        };
        // A device that does not show these does not count them.
        let (discards, flushes) = (added(e.discard_ops, l.discard_ops)?, added(e.flush_ops, l.flush_ops)?);
        let others = discards.unwrap_or_default().saturating_add(flushes.unwrap_or_default());
        let all_ops =
            read.ops.zip(write.ops).map(|(read, write)| read.saturating_add(write).saturating_add(others));
        let ops_ever = l.read_ops.zip(l.write_ops).map(|(read, write)| read.saturating_add(write));
        Some(Self {
            all_ops,
            wait: added_time(e.wait_time, l.wait_time, ops_ever)?,
            active: added_time(e.active_time, l.active_time, ops_ever)?,
            read,
            write,
        })
    }

    fn rates(&self, elapsed: f64) -> Rates {
        #[expect(clippy::cast_precision_loss, reason = "a rate needs no more than 53 bits")]
        let per_second = |added: Option<u64>| added.map(|added| added as f64 / elapsed);
        Rates {
            read_ops: per_second(self.read.ops),
            write_ops: per_second(self.write.ops),
            read_bytes: per_second(self.read.bytes),
            write_bytes: per_second(self.write.bytes),
            read_latency: latency(self.read.time, self.read.ops),
            write_latency: latency(self.write.time, self.write.ops),
            wait_latency: latency(self.wait, self.all_ops),
            active_time: self.active.map(|active| milliseconds(active) / elapsed),
        }
    }
}

/// What was added to a total: `Some(None)` while one of both is unknown, `None` if it went backwards.
fn added(earlier: Option<u64>, later: Option<u64>) -> Option<Option<u64>> {
    match earlier.zip(later) {
        None => Some(None),
        Some((earlier, later)) => later.checked_sub(earlier).map(Some),
    }
}

/// As [`added`]. A total time of zero beside operations is one that the device does not keep for this disk: captures
/// show `0ms` for a busy pool (routeros.md §1.7).
fn added_time(
    earlier: Option<Duration>,
    later: Option<Duration>,
    operations_ever: Option<u64>,
) -> Option<Option<Duration>> {
    let kept = later.filter(|total| !total.is_zero() || operations_ever == Some(0));
    match earlier.zip(later) {
        None => Some(None),
        Some((earlier, later)) => later.checked_sub(earlier).map(|added| kept.map(|_| added)),
    }
}

/// Milliseconds of an operation; nothing is known of those that there were none of.
fn latency(time: Option<Duration>, operations: Option<u64>) -> Option<f64> {
    let operations = operations.filter(|operations| *operations > 0)?;
    #[expect(clippy::cast_precision_loss, reason = "an average needs no more than 53 bits")]
    time.map(|time| milliseconds(time) / operations as f64)
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests;
