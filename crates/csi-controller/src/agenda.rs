//! When the reconciler has to look at which volume, besides its regular look at all of them: the end of a grace, the
//! deadline of a migration, a volume that was busy. Timers, so that nothing is polled.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use volume::{Migration, Slot};

/// What is to be looked at, and when.
#[derive(Default)]
pub(crate) struct Agenda {
    plan: Mutex<Appointments>,
    changed: Notify,
}

#[derive(Default)]
struct Appointments {
    /// Everything, then.
    all: Option<Instant>,
    at: BTreeMap<Slot, Instant>,
    /// Volumes under migration; `None` until everything was read once.
    migrations: Option<BTreeSet<Slot>>,
}

/// What is to be looked at now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Everything.
    All,
    /// These volumes.
    These(Vec<Slot>),
}

impl Agenda {
    /// Everything is to be looked at, now.
    pub(crate) fn all(&self) {
        self.all_at(Instant::now());
    }

    /// Everything is to be looked at then, if not earlier.
    pub(crate) fn all_at(&self, when: Instant) {
        let mut plan = self.lock();
        plan.all = Some(plan.all.map_or(when, |at| at.min(when)));
        drop(plan);
        self.changed.notify_one();
    }

    /// The volume is to be looked at then; an earlier look stays.
    pub(crate) fn look_at(&self, slot: &Slot, when: Instant) {
        let mut plan = self.lock();
        let at = plan.at.entry(slot.clone()).or_insert(when);
        *at = when.min(*at);
        drop(plan);
        self.changed.notify_one();
    }

    /// The volume's record tells of this migration, or of none; `now` by the clock that its deadline is of. A clock
    /// that was set back only makes the look a later one.
    pub(crate) fn follow_migration(&self, slot: &Slot, migration: Option<Migration>, now: u64) {
        let mut plan = self.lock();
        let Some(known) = &mut plan.migrations else { return };
        let Some(migration) = migration else {
            known.remove(slot);
            return;
        };
        known.insert(slot.clone());
        drop(plan);
        // What is over is looked at by the pass that found it; a second for a clock that counts whole ones.
        if migration.deadline > now {
            let left = Duration::from_secs((migration.deadline - now).saturating_add(1)).min(LONGEST_LOOK);
            self.look_at(slot, Instant::now() + left);
        }
    }

    /// Everything was read: these volumes are under migration.
    pub(crate) fn read_migrations(&self, slots: BTreeMap<Slot, Migration>, now: u64) {
        self.lock().migrations = Some(BTreeSet::new());
        for (slot, migration) in slots {
            self.follow_migration(&slot, Some(migration), now);
        }
    }

    /// How many migrations are under way; `None` while that is not known.
    pub(crate) fn migrations(&self) -> Option<u64> {
        let plan = self.lock();
        plan.migrations.as_ref().and_then(|slots| u64::try_from(slots.len()).ok())
    }

    /// Waits for the next look.
    pub(crate) async fn due(&self) -> Due {
        loop {
            let next = match self.take(Instant::now()) {
                Ok(due) => return due,
                Err(next) => next,
            };
            let timer = async {
                match next {
                    Some(next) => sleep_until(next).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = timer => {}
                () = self.changed.notified() => {}
            }
        }
    }

    /// Takes what is due off the agenda; else when something will be.
    fn take(&self, now: Instant) -> Result<Due, Option<Instant>> {
        let mut plan = self.lock();
        if plan.all.is_some_and(|at| at <= now) {
            plan.all = None;
            return Ok(Due::All);
        }
        let due: Vec<_> =
            plan.at.iter().filter(|(_, at)| **at <= now).map(|(slot, _)| slot.clone()).collect();
        plan.at.retain(|_, at| *at > now);
        if due.is_empty() {
            Err(plan.at.values().chain(&plan.all).min().copied())
        } else {
            Ok(Due::These(due))
        }
    }

    fn lock(&self) -> MutexGuard<'_, Appointments> {
        // The maps are whole after every statement, and a look too few is made up for by the next regular one.
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The regular looks come sooner than this; a deadline that somebody wrote by hand must not overflow the clock.
const LONGEST_LOOK: Duration = Duration::from_secs(86_400);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn slot(name: &str) -> Slot {
        Slot::parse(name).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn looks_come_when_they_are_due_and_once() {
        let (agenda, began) = (Agenda::default(), Instant::now());
        agenda.look_at(&slot("a"), began + Duration::from_secs(9));
        agenda.look_at(&slot("b"), began + Duration::from_secs(5));
        agenda.look_at(&slot("b"), began + Duration::from_secs(7));
        assert_eq!(agenda.due().await, Due::These(vec![slot("b")]));
        assert_eq!(began.elapsed(), Duration::from_secs(5));
        agenda.all();
        assert_eq!(agenda.due().await, Due::All);
        assert_eq!(agenda.due().await, Due::These(vec![slot("a")]));
        assert!(tokio::time::timeout(Duration::from_secs(3600), agenda.due()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_migration_is_looked_at_after_its_deadline_and_counted_once_all_was_read() {
        let (agenda, began) = (Agenda::default(), Instant::now());
        let migration = Migration { started: 100, deadline: 130 };
        agenda.follow_migration(&slot("a"), Some(migration), 100);
        assert_eq!(agenda.migrations(), None, "not everything was read yet");
        agenda.read_migrations([(slot("a"), migration)].into(), 110);
        assert_eq!(agenda.migrations(), Some(1));
        assert_eq!(agenda.due().await, Due::These(vec![slot("a")]));
        assert_eq!(began.elapsed(), Duration::from_secs(21));
        agenda.follow_migration(&slot("a"), None, 131);
        assert_eq!(agenda.migrations(), Some(0));
    }
}
