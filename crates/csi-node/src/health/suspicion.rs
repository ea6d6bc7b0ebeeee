//! File systems that may have failed while their device stays (node.md K9), pure.
//!
//! Nothing that is merely looked at tells: mountinfo and statfs answer well. Only a sync does, so one is made once per
//! suspicion (rule 8): the path was down, or the kernel's log names the device.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::{Duration, Instant};
use volume::Slot;

/// A log that is flooded with complaints of a device is one suspicion, not one a second.
const PAUSE: Duration = Duration::from_secs(30);

/// The volumes whose file system is suspected.
#[derive(Debug, Default)]
pub(super) struct Suspicions {
    suspected: BTreeSet<Slot>,
    /// When each was asked last.
    asked: BTreeMap<Slot, Instant>,
}

impl Suspicions {
    pub(super) fn suspect(&mut self, slot: &Slot) {
        self.suspected.insert(slot.clone());
    }

    /// Whether it is to be asked now.
    pub(super) fn is_due(&self, slot: &Slot, now: Instant) -> bool {
        self.suspected.contains(slot) && self.rest(slot, now).is_zero()
    }

    /// It is being asked. It stays suspected until there is an answer.
    pub(super) fn asked(&mut self, slot: &Slot, now: Instant) {
        self.asked.insert(slot.clone(), now);
    }

    /// There was an answer, or it is no matter any more.
    pub(super) fn settled(&mut self, slot: &Slot) {
        self.suspected.remove(slot);
    }

    /// How long until one that was asked before is due again. One that cannot be asked yet is due when its path is back.
    pub(super) fn due(&self, now: Instant) -> Option<Duration> {
        let rests = self.suspected.iter().map(|slot| self.rest(slot, now));
        rests.filter(|rest| !rest.is_zero()).min()
    }

    /// Forgets every volume that is not on this node any more.
    pub(super) fn retain(&mut self, is_here: impl Fn(&Slot) -> bool) {
        self.suspected.retain(&is_here);
        self.asked.retain(|slot, _| is_here(slot));
    }

    fn rest(&self, slot: &Slot, now: Instant) -> Duration {
        let asked = self.asked.get(slot);
        asked.map_or(Duration::ZERO, |asked| (*asked + PAUSE).saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn one_is_asked_once_per_suspicion_and_not_again_for_a_while() {
        let (mut all, slot, start) = (Suspicions::default(), Slot::parse("a").unwrap(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(!all.is_due(&slot, at(0)));
        all.suspect(&slot);
        all.suspect(&slot);
        assert!(all.is_due(&slot, at(1)));
        assert_eq!(all.due(at(1)), None, "it waits for its path, not for time");
        all.asked(&slot, at(1));
        all.settled(&slot);
        assert!(!all.is_due(&slot, at(100)));
        all.suspect(&slot);
        assert!(!all.is_due(&slot, at(30)));
        assert_eq!(all.due(at(30)), Some(Duration::from_secs(1)));
        assert!(all.is_due(&slot, at(31)));
    }

    #[test]
    fn what_gave_no_answer_is_asked_again_and_what_left_is_not() {
        let (mut all, slot, now) = (Suspicions::default(), Slot::parse("a").unwrap(), Instant::now());
        all.suspect(&slot);
        all.asked(&slot, now);
        assert!(all.is_due(&slot, now + PAUSE));
        all.retain(|_| true);
        assert!(all.is_due(&slot, now + PAUSE));
        all.retain(|_| false);
        assert!(!all.is_due(&slot, now + PAUSE) && all.due(now).is_none());
    }
}
