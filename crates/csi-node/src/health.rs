//! The health of connections and mounts (node.md rule 8), looked at while no call is: outages that last, and mounts whose
//! device is not the volume's any more, each said once on the volume's claim.
//!
//! By controllers' states and device numbers only: mountinfo's options and statfs answer well of what is dead (node.md K9).

mod outage;
mod stale;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use host::{ControllerState, Host, MountEntry, Subsystem};
use tokio::time::{Duration, Instant};
use volume::{Event, Involved, Reason, Slot};

use crate::Node;
use crate::attached;
use crate::error::Result;
use crate::records::{Phase, StageRecord};

use outage::{Outages, Word};
pub(crate) use stale::{Stale, find_stale};

/// What a call holds is looked at once it has ended: most take less than this.
const BUSY: Duration = Duration::from_secs(2);

/// What is remembered between two looks.
#[derive(Debug, Default)]
pub(crate) struct Health(Mutex<Memory>);

#[derive(Debug, Default)]
struct Memory {
    outages: Outages,
    /// The stale mounts that were said.
    stale: BTreeMap<Slot, Stale>,
    /// The controllers of ours as they were seen last.
    states: Vec<(String, ControllerState)>,
}

/// What one look shows.
struct Look {
    subsystems: Vec<Subsystem>,
    mounts: Vec<MountEntry>,
    now: Instant,
}

impl<H: Host> Node<H> {
    /// Looks at every staged volume that no call works on, and says what changed. Returns how long it is until something
    /// is due of one of them.
    pub async fn check_health(&self) -> Option<Duration> {
        match self.look_at_health().await {
            Ok(due) => due,
            Err(error) => {
                tracing::warn!(%error, "the health of connections could not be looked at");
                Some(BUSY)
            }
        }
    }

    async fn look_at_health(&self) -> Result<Option<Duration>> {
        let (subsystems, mounts) = (self.host.subsystems().await?, self.host.mounts().await?);
        let look = Look { subsystems, mounts, now: Instant::now() };
        self.health.lock().states = states(&look.subsystems, &self.config.nqn_prefix);
        let records = self.records.all()?;
        let mut busy = false;
        for record in &records {
            // What a call does is no outage. The claim is dropped at once, so that no call is refused for a look.
            match self.guard(&record.slot, "a look at its health").map(drop) {
                Ok(()) => self.look_at(&look, record).await?,
                Err(_) => busy = true,
            }
        }
        let mut memory = self.health.lock();
        memory.stale.retain(|slot, _| records.iter().any(|record| record.slot == *slot));
        memory.outages.forget_old(look.now);
        let due = memory.outages.due(look.now);
        Ok(due.into_iter().chain(busy.then_some(BUSY)).min())
    }

    async fn look_at(&self, look: &Look, known: &StageRecord) -> Result<()> {
        // A call may have ended between the look and the claim: then this is of no more use.
        if self.records.load(&known.slot)?.as_ref() != Some(known) || known.phase != Phase::Staged {
            return Ok(());
        }
        let path = outage::path(&look.subsystems, known.nqn.as_str());
        let word = self.health.lock().outages.see(known, path, look.now);
        if let Some(word) = word {
            self.say_word(known, &word);
        }
        let stale = find_stale(&self.host, &look.subsystems, &look.mounts, known).await?;
        self.note_stale(known, stale);
        Ok(())
    }

    fn say_word(&self, record: &StageRecord, word: &Word) {
        tracing::warn!(volume_id = %record.slot, nqn = %record.nqn, "{word}");
        let reason = match word {
            Word::Lost { .. } | Word::Removed { .. } => Reason::ConnectionFailure,
            Word::Recovered { .. } => Reason::ConnectionRecovery,
        };
        self.say_of(record, reason, word.to_string());
    }

    fn note_stale(&self, record: &StageRecord, stale: Option<Stale>) {
        let mut memory = self.health.lock();
        let Some(stale) = stale else {
            memory.stale.remove(&record.slot);
            return;
        };
        if memory.stale.get(&record.slot) == Some(&stale) {
            return;
        }
        let said = memory.stale.insert(record.slot.clone(), stale.clone());
        drop(memory);
        // Who uses it may change; that it is stale is one finding.
        if said.is_none_or(|said| !said.is_same(&stale)) {
            tracing::warn!(volume_id = %record.slot, "{stale}");
            self.metrics.stale_mount();
            self.say_of(record, Reason::StaleMountDetected, stale.to_string());
        }
    }

    /// Says something on the claim of a staged volume, where one is known.
    pub(crate) fn say_of(&self, record: &StageRecord, reason: Reason, what: String) {
        let Some(claim) = record.claim.clone() else { return };
        let message = format!("[{}] on [{}]: {what}", record.slot, self.config.node.name());
        self.events.post(Event { reason, involved: Involved::Claim(claim), message });
    }

    /// Whether a controller of ours is in another state than at the last look, by a small read each.
    pub(crate) async fn is_changed(&self) -> bool {
        let seen = self.health.lock().states.clone();
        let names: Vec<String> = seen.iter().map(|(name, _)| name.clone()).collect();
        if names.is_empty() {
            return false;
        }
        let now = self.host.states(&names).await;
        now.is_ok_and(|now| {
            !now.iter().eq(seen.iter().map(|(_, state)| Some(state.clone())).collect::<Vec<_>>().iter())
        })
    }
}

impl Health {
    /// The memory is whole after every statement, so a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn states(subsystems: &[Subsystem], prefix: &volume::NqnPrefix) -> Vec<(String, ControllerState)> {
    let ours = subsystems.iter().filter(|subsystem| prefix.slot_of(&subsystem.nqn).is_some());
    let controllers = ours.flat_map(|subsystem| attached::controllers(subsystems, &subsystem.nqn));
    controllers.map(|controller| (controller.name.clone(), controller.state.clone())).collect()
}
