//! One look over everything: what needs a look of its own, and what the ledger and the agenda are filled with.

use std::collections::{BTreeMap, BTreeSet};

use attachment::{Attachments, Facts, KubernetesFacts, Observed, Plan, Request, Want, decide, unwanted};
use routeros::Transport;
use tokio::time::Instant;
use tonic::Status;
use volume::{Migration, NodeId, Slot};

use super::READ_TIMEOUT;
use super::kept::Kept;
use crate::decision::unlisted;
use crate::observe::{Found, NotOurs, classify};
use crate::{AllAttachments, Controller, device_error};

/// What was read of all volumes: names only, so that thousands fit.
pub(crate) struct Survey {
    asked: Instant,
    /// Volumes of this cluster.
    pub(crate) volumes: usize,
    /// Their holders.
    pub(crate) attachments: usize,
    /// The highest term of any record.
    pub(crate) highest_term: u32,
    /// What seems to need something.
    candidates: BTreeSet<Slot>,
    /// What a VolumeAttachment or a record says is attached, or may become so.
    named: BTreeSet<Slot>,
    all_mapped: bool,
    migrations: BTreeMap<Slot, Migration>,
}

/// The VolumeAttachments by volume.
pub(super) struct Listed {
    /// In the order of the volumes, as they came: thousands fit without a copy.
    wants: Vec<(Slot, Want)>,
    unmapped: BTreeSet<NodeId>,
}

impl Listed {
    pub(super) fn of(all: AllAttachments) -> Self {
        let AllAttachments { mut wants, unmapped } = all;
        wants.sort_by(|(one, _), (other, _)| one.cmp(other));
        Self { wants, unmapped }
    }

    /// As a decision about one volume wants it.
    pub(super) fn of_volume(&self, slot: &Slot) -> Attachments {
        let first = self.wants.partition_point(|(of, _)| of < slot);
        let of_volume = self.wants[first..].iter().take_while(|(of, _)| of == slot);
        let wants = of_volume.map(|(_, want)| want.clone()).collect();
        Attachments { wants, unmapped: self.unmapped.clone() }
    }
}

impl<T: Transport> Controller<T> {
    /// Reads everything: the VolumeAttachments, live, and the disks beside them, since each takes its server half a
    /// second for ten thousand.
    ///
    /// The two readings are of different moments, in no order, and what was made, deleted or written in between shows
    /// in one of them only. That may name a volume too many or one too few, and does no more:
    ///
    /// - Nothing is closed or restored by this reading. What it names is looked at again under the volume's lock, with
    ///   a list that was asked for after the lock, and with a reading of the disk after that list: whoever became a
    ///   holder in between has its VolumeAttachment in that list.
    /// - What it misses changed while it read. A call that changed it left nothing to do; a VolumeAttachment that was
    ///   torn off wakes the reconciler again; what a person changed on the device is for the next regular look, as if
    ///   it had been changed a moment after this one.
    /// - The ledger (docs/adr/0006) rests on the list alone: a VolumeAttachment that this list lacks was made after
    ///   `asked`, and is attached only by a grant of this process, which the ledger keeps; one that an earlier leader
    ///   granted was there before. What records name comes on top of that. In a rebuild both come after the barrier.
    ///
    /// # Errors
    /// UNAVAILABLE where one of the two does not answer.
    pub(crate) async fn survey(&self) -> Result<Survey, Status> {
        let asked = Instant::now();
        let deadline = asked + READ_TIMEOUT;
        let (listed, volumes) =
            tokio::try_join!(self.surveyed_attachments(deadline), self.observed_volumes(deadline))?;
        let mut survey = Survey::begun(asked, &listed);
        for kept in volumes {
            survey.take(self, kept, &listed);
        }
        Ok(survey)
    }

    async fn surveyed_attachments(&self, deadline: Instant) -> Result<Listed, Status> {
        let Some(cluster) = &self.cluster else { return Ok(Listed::of(AllAttachments::default())) };
        cluster.surveyed_attachments(deadline).await.map(Listed::of).map_err(|error| unlisted(&error))
    }

    /// What the rules look at of each volume of this cluster: of ten thousand, only that fits until the list is there.
    async fn observed_volumes(&self, deadline: Instant) -> Result<Vec<Kept>, Status> {
        let mut volumes = Vec::new();
        let client = self.client.until(deadline);
        let read = client.for_each_disk(|row| {
            let Ok(slot) = Slot::parse(&row.slot) else { return Ok(()) };
            match classify(&slot, Some(row), &self.config) {
                Found::Ours(volume) => volumes.push(Kept::of(volume.into_observed(), &self.terms(&slot))),
                Found::NotOurs(why @ NotOurs::Unreadable(..)) if self.is_named_here(&slot, &why) => {
                    tracing::warn!("{}", why.message(&slot, self.config.cluster_id.hash()));
                }
                Found::NotOurs(_) | Found::Nothing => {}
            }
            Ok(())
        });
        read.await.map_err(|error| device_error::status("reading all volumes", &error))?;
        Ok(volumes)
    }

    pub(super) async fn all_attachments(&self, deadline: Instant) -> Result<AllAttachments, Status> {
        let Some(cluster) = &self.cluster else { return Ok(AllAttachments::default()) };
        cluster.all_attachments(deadline).await.map_err(|error| unlisted(&error))
    }

    /// Whether a volume, by what a survey saw of it, wants a look of its own. Nothing is decided by this.
    fn needs_look(&self, slot: &Slot, observed: &Observed, attachments: Attachments) -> bool {
        let terms = self.terms(slot);
        let unwanted = unwanted(observed, &attachments, &terms);
        if unwanted.export || !unwanted.holders.is_empty() {
            return true;
        }
        let known = KubernetesFacts { attachments: Some(attachments), ..KubernetesFacts::default() };
        let request = Request::Reconcile(attachment::Reconcile::default());
        decide(observed, &request, &Facts::Kubernetes(known), &terms) != Plan::Idle
    }
}

impl Survey {
    fn begun(asked: Instant, listed: &Listed) -> Self {
        Self {
            asked,
            volumes: 0,
            attachments: 0,
            highest_term: 0,
            candidates: BTreeSet::new(),
            named: listed.wants.iter().map(|(slot, _)| slot.clone()).collect(),
            all_mapped: listed.unmapped.is_empty(),
            migrations: BTreeMap::new(),
        }
    }

    fn take<T: Transport>(&mut self, controller: &Controller<T>, kept: Kept, listed: &Listed) {
        let (slot, record) = (kept.slot.clone(), &kept.record);
        self.volumes += 1;
        self.attachments += record.holders.len();
        self.highest_term = self.highest_term.max(record.term);
        if !record.holders.is_empty() || record.generation.is_some() {
            self.named.insert(slot.clone());
        }
        if let Some(migration) = record.migration {
            self.migrations.insert(slot.clone(), migration);
        }
        let observed = kept.into_observed(&controller.terms(&slot));
        if controller.needs_look(&slot, &observed, listed.of_volume(&slot)) {
            self.candidates.insert(slot);
        }
    }

    /// Fills what the controller remembers; the volumes that want a look of their own.
    pub(crate) fn adopted<T: Transport>(self, controller: &Controller<T>) -> Vec<Slot> {
        controller.ledger.listed(self.asked, self.named, self.all_mapped);
        controller.agenda.read_migrations(self.migrations, (controller.wall_clock)());
        controller.metrics.migrations().set_active(controller.agenda.migrations());
        controller.unwanted.only(&self.candidates);
        self.candidates.into_iter().collect()
    }
}
