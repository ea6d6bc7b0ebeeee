//! The wall clock: the one place that reads it.

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since the Unix epoch. Only a migration's deadline is of this clock, since it is in the record and outlives
/// the process; nothing is closed by it, so that a clock that jumps does no harm.
#[expect(clippy::disallowed_methods, reason = "a record's times are those of the wall clock")]
pub(crate) fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
