//! How long a volume still waits after a generation that ended unproven (attachments.md, "Settle").
//!
//! The clock is the process's monotonic one: it stands while the machine is suspended, so that a wait can only be
//! longer than asked, never shorter.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use volume::Slot;

use crate::device_facts::Unexport;

/// Since when each volume is known to be closed.
pub(crate) struct Settle {
    period: Duration,
    closed: Mutex<HashMap<Slot, Instant>>,
}

impl Settle {
    /// A settle of `period`, which a device that drains at unexport ends.
    pub(crate) fn new(period: Duration, unexport: Unexport) -> Self {
        let period = if unexport == Unexport::Drains { Duration::ZERO } else { period };
        Self { period, closed: Mutex::default() }
    }

    /// The device answered that it closed the export just now.
    pub(crate) fn unexported(&self, slot: &Slot) {
        self.lock().insert(slot.clone(), Instant::now());
    }

    /// The volume was read as closed after an unproven generation: the first such reading counts.
    pub(crate) fn read_closed(&self, slot: &Slot) {
        self.lock().entry(slot.clone()).or_insert_with(Instant::now);
    }

    /// What is left of the wait; the whole period for a volume that nobody saw closed.
    pub(crate) fn left(&self, slot: &Slot) -> Duration {
        match self.lock().get(slot) {
            Some(closed) => self.period.saturating_sub(closed.elapsed()),
            None => self.period,
        }
    }

    /// A generation begins or ends, or the volume is gone: the next end counts anew.
    pub(crate) fn forget(&self, slot: &Slot) {
        self.lock().remove(slot);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Slot, Instant>> {
        // The map is whole after every statement.
        self.closed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const PERIOD: Duration = Duration::from_secs(5);

    fn slot() -> Slot {
        Slot::parse("rds-a").unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_counts_from_the_unexport_or_the_first_reading_whichever_this_process_saw() {
        let settle = Settle::new(PERIOD, Unexport::Early);
        assert_eq!(settle.left(&slot()), PERIOD);
        settle.read_closed(&slot());
        tokio::time::advance(Duration::from_secs(3)).await;
        settle.read_closed(&slot());
        assert_eq!(settle.left(&slot()), Duration::from_secs(2));
        settle.unexported(&slot());
        assert_eq!(settle.left(&slot()), PERIOD);
        settle.forget(&slot());
        assert_eq!(settle.left(&slot()), PERIOD, "an earlier end is not the present one");
    }

    #[test]
    fn a_device_that_drains_needs_no_wait() {
        assert!(Settle::new(PERIOD, Unexport::Drains).left(&slot()).is_zero());
    }
}
