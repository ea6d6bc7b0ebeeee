//! Time that goes on while the machine sleeps: what a lease is measured by.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Time since boot, suspend included (`CLOCK_BOOTTIME`). `Instant` stands still while a machine is suspended: a
/// leader that wakes up would believe in a lease that ran out hours ago. Only differences mean something.
///
/// A paused virtual machine stops this clock too; nothing in a guest can see that. The device's records and the
/// barrier at every start of a leader are what is left then (attachments.md, "Leadership").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BootTime(Duration);

/// Reads [`BootTime`]; a property of the process, so that tests can have their own.
pub type BootClock = fn() -> BootTime;

impl BootTime {
    /// Now.
    #[must_use]
    pub fn now() -> Self {
        let now = clock_gettime(ClockId::Boottime);
        let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
        let nanoseconds = u32::try_from(now.tv_nsec).unwrap_or_default();
        Self(Duration::new(seconds, nanoseconds))
    }

    /// The time that is `since_boot` after boot: for models and replays.
    #[must_use]
    pub fn since_boot(since_boot: Duration) -> Self {
        Self(since_boot)
    }

    /// The time that is `later` after this one.
    #[must_use]
    pub fn after(self, later: Duration) -> Self {
        Self(self.0.saturating_add(later))
    }

    /// How long from `now` until this time; zero where it is over.
    #[must_use]
    pub fn left(self, now: Self) -> Duration {
        self.0.saturating_sub(now.0)
    }
}
