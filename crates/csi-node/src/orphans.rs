//! Orphans (node.md rule 13): connections of this cluster that no stage record and no mount on this node accounts for.
//!
//! What is looked at in passing is only said. A connection is cut after a grace, with its volume claimed so that no stage
//! is in progress, looked at once more, and only where a live GET of its VolumeAttachment says that it is over.

mod plan;

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use host::{Host, Subsystem, Volume};
use tokio::time::{Duration, Instant};
use volume::{Event, Involved, Reason};

use crate::Node;
use crate::attached::{self, Number as _};
use crate::attachments::Unanswered;
use crate::error::{Error, Result};
use crate::mounted;
use crate::seen::Seen;
use crate::settle::{self, Remains};

use plan::{Orphan, Sightings, Step};

/// A deletion with its link cut took 7.4 s (node.md K5); a GET gets ten.
const SETTLE_TIME: Duration = Duration::from_secs(60);
/// How long the cluster's mark is waited for: the start of the plugin waits as well.
const MARK_TIME: Duration = Duration::from_secs(5);

/// The orphans that this process has seen.
#[derive(Debug, Default)]
pub(crate) struct Orphans(Mutex<Sightings>);

/// Why an orphan is kept.
#[derive(Debug, thiserror::Error)]
enum Kept {
    #[error("whether its attachment is over is not known: {0}")]
    NotAsked(#[from] Unanswered),
    #[error("its VolumeAttachment stands, so it may yet be staged")]
    Attached,
    #[error("{device} is held by somebody whom this driver does not see")]
    Held { device: host::Device },
    #[error("{0}")]
    Failed(#[from] Error),
}

impl From<host::Error> for Kept {
    fn from(error: host::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl<H: Host> Node<H> {
    /// Looks for orphans, says those that are new, and cuts those whose grace is over. Returns how long it is until one
    /// of them is to be looked at again; `None`: not before something changes. To be called once before the first stage
    /// is served, and then whenever [`host::Nvme::changes`] wakes.
    pub async fn sweep_orphans(&self) -> Option<Duration> {
        let found = match self.unaccounted().await {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, "orphaned connections could not be looked for");
                return Some(plan::RETRY);
            }
        };
        let now = Instant::now();
        let steps = self.with_orphans(|seen| seen.see(found, now, self.config.orphan_grace));
        for step in steps {
            match step {
                Step::Report(orphan) => self.report(&orphan),
                Step::Settle(orphan) => self.settle_orphan(&orphan).await,
            }
        }
        self.with_orphans(|seen| seen.next(Instant::now()))
    }

    fn with_orphans<T>(&self, change: impl FnOnce(&mut Sightings) -> T) -> T {
        change(&mut self.orphans.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sysfs is read before the records: a record is there before its connection.
    async fn unaccounted(&self) -> std::result::Result<Vec<Orphan>, Kept> {
        let subsystems = self.host.subsystems().await?;
        let mut found = plan::marked(&subsystems, &self.config.nqn_prefix);
        found.retain(|orphan| self.is_unrecorded(orphan));
        if found.is_empty() {
            return Ok(found);
        }
        let mark = self.kubernetes.cluster(Instant::now() + MARK_TIME).await?;
        found.retain(|orphan| orphan.slot.cluster() == mark && mark.is_some());
        let used = self.used_devices(&subsystems).await?;
        found.retain(|orphan| Remains::of(&subsystems, &orphan.nqn).numbers.is_disjoint(&used));
        Ok(found)
    }

    /// A record that cannot be read may be this one's.
    fn is_unrecorded(&self, orphan: &Orphan) -> bool {
        let record = self.records.load(&orphan.slot);
        record.is_ok_and(|record| record.is_none_or(|record| record.nqn.as_str() != orphan.nqn))
    }

    /// The devices of ours that something is mounted from, or that are bound somewhere.
    async fn used_devices(&self, subsystems: &[Subsystem]) -> Result<BTreeSet<mounted::DeviceNumber>> {
        let mounts = self.host.mounts().await?;
        let namespaces = subsystems.iter().flat_map(|subsystem| &subsystem.namespaces);
        let mut used = BTreeSet::new();
        for number in namespaces.map(|namespace| namespace.device.number()) {
            let one = BTreeSet::from([number]);
            let is_mounted = !mounted::filesystems(&mounts, &one).is_empty();
            if is_mounted || !mounted::block_publishes(&self.host, &mounts, &one).await?.is_empty() {
                used.insert(number);
            }
        }
        Ok(used)
    }

    fn report(&self, orphan: &Orphan) {
        let Orphan { nqn, slot, .. } = orphan;
        tracing::warn!(volume_id = %slot, nqn, "an orphaned connection was found");
        let grace = self.config.orphan_grace.as_secs();
        self.say_of_node(
            Reason::OrphanDetected,
            format!(
                "Orphaned connection {nqn}: no volume on this node accounts for it; it is disconnected in {grace} s if its \
                 VolumeAttachment is gone and nobody holds its device"
            ),
        );
    }

    async fn settle_orphan(&self, orphan: &Orphan) {
        let Orphan { nqn, slot, .. } = orphan;
        match self.cut(orphan).await {
            Ok(true) => {
                tracing::warn!(volume_id = %slot, nqn, "an orphaned connection was disconnected");
                self.metrics.orphan_cleaned();
                self.with_orphans(|seen| seen.forget(nqn));
                self.say_of_node(
                    Reason::OrphanCleaned,
                    format!("Orphaned connection {nqn} was disconnected"),
                );
            }
            Ok(false) => {}
            Err(why) => tracing::warn!(volume_id = %slot, nqn, %why, "an orphaned connection is kept"),
        }
    }

    /// Disconnects an orphan; false where it is none any more, or a call has its volume.
    async fn cut(&self, orphan: &Orphan) -> std::result::Result<bool, Kept> {
        let Orphan { nqn, slot, .. } = orphan;
        let Ok(_guard) = self.guard(slot, "the removal of an orphan") else { return Ok(false) };
        let volume = Volume { slot, deadline: Instant::now() + SETTLE_TIME };
        self.host.join(volume).await?;
        let seen = Seen::observe(self, slot).await?;
        let remains = Remains::of(&seen.subsystems, nqn);
        let used = !settle::users(self, &remains, &seen.mounts, &[]).await?.is_empty();
        if !remains.connected || used || !self.is_unrecorded(orphan) {
            return Ok(false);
        }
        if !self.is_attachment_over(volume, nqn).await? {
            return Err(Kept::Attached);
        }
        for device in &remains.devices {
            if !self.host.is_free(volume, device).await? {
                return Err(Kept::Held { device: device.clone() });
            }
        }
        self.host.disconnect(volume, nqn).await?;
        let left = self.host.subsystems().await?;
        Ok(attached::controllers(&left, nqn).is_empty())
    }

    fn say_of_node(&self, reason: Reason, what: String) {
        let name = self.config.node.name().to_owned();
        // The kubelet's own events have the name for the UID, and `kubectl describe node` looks for both.
        let involved = Involved::Node { uid: name.clone(), name: name.clone() };
        self.events.post(Event { reason, involved, message: format!("[{name}]: {what}") });
    }
}
