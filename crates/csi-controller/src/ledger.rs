//! Which volumes may have an attached VolumeAttachment (docs/adr/0006).
//!
//! What this process did not grant, and what its last live list did not show, is attached to nobody: so for a volume
//! without an entry a publish needs no list of its own. Whatever is not certain makes an entry, and a list.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;
use volume::Slot;

/// The volumes that may be attached by what VolumeAttachments say.
#[derive(Default)]
pub(crate) struct Ledger {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// A live list has shown all that were attached; without one everything may be.
    complete: bool,
    /// Since when: the last grant, or the list that showed it.
    entries: HashMap<Slot, Instant>,
}

impl Ledger {
    /// A grant is about to be answered.
    pub(crate) fn granted(&self, slot: &Slot) {
        self.lock().entries.insert(slot.clone(), Instant::now());
    }

    /// Whether a VolumeAttachment of the volume may say attached.
    pub(crate) fn may_be_attached(&self, slot: &Slot) -> bool {
        let known = self.lock();
        !known.complete || known.entries.contains_key(slot)
    }

    /// A live list, asked for at `asked`, and a reading of the device begun after it: `named` are the volumes that
    /// either of them names, `complete` that no VolumeAttachment was without a volume. What was granted since the
    /// list stays.
    pub(crate) fn listed(&self, asked: Instant, named: BTreeSet<Slot>, complete: bool) {
        let mut known = self.lock();
        known.complete = complete;
        known.entries.retain(|_, since| *since >= asked);
        for slot in named {
            known.entries.entry(slot).or_insert(asked);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // What a panic leaves is at worst an entry too many: each is put in before its grant is answered.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::time::Duration;

    use super::*;

    fn slot(name: &str) -> Slot {
        Slot::parse(name).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_a_whole_list_did_not_name_and_nobody_was_granted_since_is_free() {
        let ledger = Ledger::default();
        assert!(ledger.may_be_attached(&slot("a")), "nothing was listed yet");
        ledger.granted(&slot("old"));
        tokio::time::advance(Duration::from_secs(1)).await;
        let asked = Instant::now();
        ledger.granted(&slot("new"));
        ledger.listed(asked, [slot("named")].into(), true);
        for (name, may_be) in [("a", false), ("old", false), ("new", true), ("named", true)] {
            assert_eq!(ledger.may_be_attached(&slot(name)), may_be, "{name}");
        }
        ledger.listed(Instant::now(), BTreeSet::new(), false);
        assert!(ledger.may_be_attached(&slot("a")), "one of the list was without a volume");
    }
}
