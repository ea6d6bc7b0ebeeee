//! Since when nobody wants what is there, by this process's own clock: only what is older than the grace is closed.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use attachment::{Reconcile, Unwanted};
use tokio::time::Instant;
use volume::{NodeRef, Slot};

/// The ages, by volume.
#[derive(Default)]
pub(crate) struct UnwantedSince {
    volumes: Mutex<HashMap<Slot, Ages>>,
}

#[derive(Default)]
struct Ages {
    holders: HashMap<NodeRef, Instant>,
    export: Option<Instant>,
}

impl UnwantedSince {
    /// A live answer: this is what nobody wants of the volume. Returns how long each has not been wanted; what is not
    /// named any more begins anew.
    pub(crate) fn seen(&self, slot: &Slot, unwanted: &Unwanted) -> Reconcile {
        let now = Instant::now();
        let mut volumes = self.lock();
        let ages = volumes.entry(slot.clone()).or_default();
        ages.holders.retain(|holder, _| unwanted.holders.contains(holder));
        for holder in &unwanted.holders {
            ages.holders.entry(holder.clone()).or_insert(now);
        }
        ages.export = unwanted.export.then(|| ages.export.unwrap_or(now));
        Reconcile {
            holders_unwanted_for: ages.holders.iter().map(|(h, since)| (h.clone(), now - *since)).collect(),
            export_unwanted_for: ages.export.map_or(Duration::ZERO, |since| now - since),
        }
    }

    /// When the next of the volume's ages reaches the grace.
    pub(crate) fn due(&self, slot: &Slot, grace: Duration) -> Option<Instant> {
        let volumes = self.lock();
        let ages = volumes.get(slot)?;
        let ends = ages.holders.values().chain(&ages.export).map(|since| *since + grace);
        ends.filter(|end| *end > Instant::now()).min()
    }

    /// Somebody wants the volume, or it is gone.
    pub(crate) fn forget(&self, slot: &Slot) {
        self.lock().remove(slot);
    }

    /// Only these volumes have something that nobody wants.
    pub(crate) fn only(&self, slots: &BTreeSet<Slot>) {
        self.lock().retain(|slot, _| slots.contains(slot));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Slot, Ages>> {
        // An age that a panic lost begins anew, which only closes later.
        self.volumes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use volume::NodeId;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_age_counts_from_the_first_look_and_anew_after_it_was_wanted() {
        let (ages, slot) = (UnwantedSince::default(), Slot::parse("rds-a").unwrap());
        let holder = NodeRef::new(&NodeId::of_node("a").unwrap(), None);
        let unwanted = Unwanted { holders: vec![holder.clone()], export: true };
        let second = Duration::from_secs(1);
        let age =
            |seen: &Reconcile| (seen.holders_unwanted_for.get(&holder).copied(), seen.export_unwanted_for);
        assert_eq!(age(&ages.seen(&slot, &unwanted)), (Some(Duration::ZERO), Duration::ZERO));
        tokio::time::advance(second).await;
        assert_eq!(age(&ages.seen(&slot, &unwanted)), (Some(second), second));
        assert_eq!(ages.due(&slot, 3 * second), Some(Instant::now() + 2 * second));
        assert_eq!(age(&ages.seen(&slot, &Unwanted::default())), (None, Duration::ZERO));
        assert_eq!(ages.due(&slot, 3 * second), None);
        tokio::time::advance(second).await;
        assert_eq!(age(&ages.seen(&slot, &unwanted)), (Some(Duration::ZERO), Duration::ZERO));
        ages.only(&BTreeSet::new());
        assert_eq!(ages.due(&slot, second), None);
    }
}
