//! The health of connections and mounts (node.md rule 8), looked at while no call is: outages that last, and mounts whose
//! device is not the volume's any more or whose file system failed, each said once on the volume's claim.
//!
//! By controllers' states, device numbers, and a sync of what is suspected: mountinfo's options and statfs answer well of what
//! is dead (node.md K9).

mod failed;
mod outage;
mod stale;
mod suspicion;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use host::{ControllerState, Host, MountEntry, Subsystem};
use tokio::time::{Duration, Instant};
use volume::{Event, Involved, NqnPrefix, Reason, Slot};

use crate::Node;
use crate::attached;
use crate::error::Result;
use crate::records::{Phase, StageRecord};
use crate::request::Form;

use outage::{Outages, Path, Word};
use suspicion::Suspicions;

pub(crate) use stale::{Failure, Stale, find_stale};

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
    suspicions: Suspicions,
    /// The file systems that are known to have failed.
    failures: BTreeMap<Slot, Failure>,
    /// The volumes whose unmount was begun.
    leaving: BTreeSet<Slot>,
    /// The heads of ours as they were seen last, by name.
    heads: BTreeSet<String>,
    /// The heads that the kernel's log has named since the last look.
    complaints: BTreeSet<String>,
    /// Those that the last look was told of: what is named on and on wakes nobody.
    heard: BTreeSet<String>,
}

/// What one look shows.
struct Look {
    subsystems: Vec<Subsystem>,
    mounts: Vec<MountEntry>,
    /// The heads that the kernel's log has named since the last one.
    complaints: BTreeSet<String>,
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
        self.hear_complaints().await;
        let (subsystems, mounts) = (self.host.subsystems().await?, self.host.mounts().await?);
        let look = self.health.lock().look(subsystems, mounts, &self.config.nqn_prefix);
        let records = self.records.all()?;
        let mut busy = false;
        for record in &records {
            // What a call does is no outage. The claim is dropped at once, so that no call is refused for a look.
            match self.guard(&record.slot, "a look at its health").map(drop) {
                Ok(()) => self.look_at(&look, record).await?,
                Err(_) => busy = true,
            }
        }
        let asked = self.ask_suspects(&look, &records).await?;
        let mut memory = self.health.lock();
        memory.forget_others(&records);
        memory.outages.forget_old(look.now, &records);
        let due = memory.outages.due(look.now);
        Ok(due.into_iter().chain(busy.then_some(BUSY)).chain(asked).min())
    }

    async fn look_at(&self, look: &Look, known: &StageRecord) -> Result<()> {
        // A call may have ended between the look and the claim: then this is of no more use.
        if self.records.load(&known.slot)?.as_ref() != Some(known) || known.phase != Phase::Staged {
            return Ok(());
        }
        let path = outage::path(&look.subsystems, known.nqn.as_str());
        let is_live = matches!(path, Path::Live { .. });
        let word = self.health.lock().outages.see(known, path, look.now);
        if let Some(word) = word {
            self.say_word(known, &word);
        }
        let stale = self.stale(look, known).await?;
        self.health.lock().weigh(look, known, is_live, stale.as_ref());
        self.note_stale(known, stale);
        Ok(())
    }

    /// Of a volume that is on its way off this node nothing new is found: its unmount takes the mount out of the table
    /// first, and may hang then (node.md K4).
    async fn stale(&self, look: &Look, known: &StageRecord) -> Result<Option<Stale>> {
        let left = self.health.lock().left(&known.slot);
        if let Some(found_before) = left {
            return Ok(found_before);
        }
        let failure = self.health.failure(&known.slot);
        find_stale(&self.host, &look.subsystems, &look.mounts, known, failure.as_ref()).await
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

    /// Takes what the kernel's log complains of; whether a head of ours is, of which the last look was not told.
    async fn hear_complaints(&self) -> bool {
        let complaints = self.host.complaints().await;
        let mut memory = self.health.lock();
        let is_news =
            complaints.iter().any(|name| memory.heads.contains(name) && !memory.heard.contains(name));
        memory.complaints.extend(complaints);
        is_news
    }

    /// Whether a controller of ours is in another state than at the last look, or a head of ours was complained of, by a
    /// small read each.
    pub(crate) async fn is_changed(&self) -> bool {
        let seen = self.health.lock().states.clone();
        if !seen.is_empty() && self.hear_complaints().await {
            return true;
        }
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
    /// An unmount of the volume begins.
    pub(crate) fn leaves(&self, slot: &Slot) {
        self.lock().leaving.insert(slot.clone());
    }

    /// The volume is wanted here, whatever was begun.
    pub(crate) fn stays(&self, slot: &Slot) {
        self.lock().leaving.remove(slot);
    }

    /// The memory is whole after every statement, so a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    /// Begins a look: what is heard from now on is for the next one.
    fn look(&mut self, subsystems: Vec<Subsystem>, mounts: Vec<MountEntry>, prefix: &NqnPrefix) -> Look {
        self.states = states(&subsystems, prefix);
        self.heads = heads(&subsystems, prefix);
        let complaints = std::mem::take(&mut self.complaints);
        self.heard.clone_from(&complaints);
        Look { subsystems, mounts, complaints, now: Instant::now() }
    }

    /// Suspects the file system of a volume whose path is down, or whose device the kernel's log names. One that is stale
    /// already is not asked.
    fn weigh(&mut self, look: &Look, record: &StageRecord, is_live: bool, stale: Option<&Stale>) {
        let named = || {
            let ours = look.subsystems.iter().filter(|subsystem| subsystem.nqn == record.nqn.as_str());
            let mut names = ours.flat_map(|one| &one.namespaces).map(|namespace| &namespace.device.name);
            names.any(|name| look.complaints.contains(name))
        };
        if stale.is_some() || record.usage.form == Form::Block {
            self.suspicions.settled(&record.slot);
        } else if !is_live || named() {
            self.suspicions.suspect(&record.slot);
        }
    }

    /// What was found of a volume before its unmount began; `None` where none was begun.
    fn left(&self, slot: &Slot) -> Option<Option<Stale>> {
        self.leaving.contains(slot).then(|| self.stale.get(slot).cloned())
    }

    fn failed(&mut self, slot: &Slot, failure: Failure) {
        self.suspicions.settled(slot);
        self.failures.insert(slot.clone(), failure);
    }

    fn forget_others(&mut self, records: &[StageRecord]) {
        let is_here = |slot: &Slot| records.iter().any(|record| record.slot == *slot);
        self.stale.retain(|slot, _| is_here(slot));
        self.failures.retain(|slot, _| is_here(slot));
        self.leaving.retain(is_here);
        self.suspicions.retain(is_here);
    }
}

fn heads(subsystems: &[Subsystem], prefix: &NqnPrefix) -> BTreeSet<String> {
    let ours = subsystems.iter().filter(|subsystem| prefix.slot_of(&subsystem.nqn).is_some());
    ours.flat_map(|one| &one.namespaces).map(|namespace| namespace.device.name.clone()).collect()
}

fn states(subsystems: &[Subsystem], prefix: &NqnPrefix) -> Vec<(String, ControllerState)> {
    let ours = subsystems.iter().filter(|subsystem| prefix.slot_of(&subsystem.nqn).is_some());
    let controllers = ours.flat_map(|subsystem| attached::controllers(subsystems, &subsystem.nqn));
    controllers.map(|controller| (controller.name.clone(), controller.state.clone())).collect()
}
