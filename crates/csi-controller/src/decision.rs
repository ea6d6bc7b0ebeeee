//! Decisions with what they have to know: `decide` names it, and it is looked up live, for this call only.

use std::time::Duration;

use attachment::{Facts, KubernetesFacts, Later, Machines, Plan, Question, Request, Terms, decide};
use routeros::Transport;
use tokio::time::Instant;
use tonic::Status;
use volume::{NodeId, Slot};

use crate::observe::Volume;
use crate::{Cluster, ClusterNode, Controller, Unanswered};

/// Questions of one decision at most: nodes, attachments, machines, and a few nodes more that the attachments named.
/// More is a decision that asks what it was told.
const MOST_QUESTIONS: usize = 8;

impl<T: Transport> Controller<T> {
    /// What is known before anything was asked.
    pub(crate) fn no_facts(&self) -> Facts {
        match self.cluster {
            Some(_) => Facts::Kubernetes(KubernetesFacts::default()),
            None => Facts::Standalone,
        }
    }

    /// The Node that a call is about; `None` without Kubernetes.
    ///
    /// # Errors
    /// NOT_FOUND where the API server answered that there is none, UNAVAILABLE where it did not answer.
    pub(crate) async fn live_node(
        &self,
        node: &NodeId,
        slot: &Slot,
        deadline: Instant,
    ) -> Result<Option<ClusterNode>, Status> {
        let Some(cluster) = &self.cluster else { return Ok(None) };
        let found = cluster.node(node, slot, deadline).await.map_err(|error| unanswered(slot, &error))?;
        let absent = || Status::not_found(format!("there is no Node {:?} in this cluster", node.name()));
        found.ok_or_else(absent).map(Some)
    }

    /// What is to be done for a volume that was just read, asking what has to be known.
    ///
    /// # Errors
    /// UNAVAILABLE for what Kubernetes does not answer, and for what has to wait.
    pub(crate) async fn decide(
        &self,
        volume: &Volume,
        request: &Request,
        mut facts: Facts,
        deadline: Instant,
    ) -> Result<Plan, Status> {
        let slot = &volume.slot;
        self.note_reading(volume);
        self.excuse_list(volume, &mut facts);
        for _ in 0..MOST_QUESTIONS {
            match decide(&volume.observed(), request, &facts, &self.terms(slot)) {
                Plan::Ask(question) => self.look_up(slot, request, question, &mut facts, deadline).await?,
                Plan::Outranked(term) => return Err(self.gate.outranked(slot, term)),
                Plan::Later(later) => return Err(not_now(slot, &later)),
                plan => return Ok(plan),
            }
        }
        Err(Status::internal(format!("volume {slot}: a decision asks without end: this is a bug")))
    }

    /// The terms of a decision, with the settle as it stands now.
    pub(crate) fn terms<'a>(&'a self, slot: &'a Slot) -> Terms<'a> {
        Terms {
            fencing: self.config.fencing,
            allow_list: self.config.device.allow_list,
            prefix: &self.config.nqn_prefix,
            slot,
            settle_left: self.settle.left(slot),
            grace: if self.may_close() { self.attachments.grace } else { Duration::MAX },
            now: (self.wall_clock)(),
            term: self.gate.term(),
            rwx_plain_pods: self.attachments.rwx_plain_pods,
            pods_unreadable: self.attachments.pods_unreadable,
        }
    }

    /// Whether what nobody wants may be closed at all (attachments.md, "Reconciler"): else nothing is old enough.
    pub(crate) fn may_close(&self) -> bool {
        let Some(Err(missing)) = self.cluster.as_ref().map(|cluster| cluster.synced()) else { return true };
        self.said_unsynced.call_once(|| {
            tracing::warn!("what nobody wants is left as it is until all watches have begun: {missing}");
        });
        false
    }

    /// Since when a volume is closed, by a reading under its lock.
    fn note_reading(&self, volume: &Volume) {
        if !volume.row.nvme_tcp_export && volume.record.holders.is_empty() {
            self.settle.read_closed(&volume.slot);
        } else {
            // A closed reading of before is not the end of what is there now.
            self.settle.forget(&volume.slot);
        }
    }

    /// A volume that is free on the device and not in the ledger has no attached VolumeAttachment (docs/adr/0006), and
    /// nothing else is asked of the list for one that is free.
    fn excuse_list(&self, volume: &Volume, facts: &mut Facts) {
        let record = &volume.record;
        let is_free = record.holders.is_empty()
            && record.left.is_empty()
            && record.generation.is_none()
            && !volume.row.nvme_tcp_export;
        if let Facts::Kubernetes(known) = facts
            && is_free
            && known.attachments.is_none()
            && !self.ledger.may_be_attached(&volume.slot)
        {
            known.attachments = Some(attachment::Attachments::default());
        }
    }

    async fn look_up(
        &self,
        slot: &Slot,
        request: &Request,
        question: Question,
        facts: &mut Facts,
        deadline: Instant,
    ) -> Result<(), Status> {
        let (Facts::Kubernetes(known), Some(cluster)) = (facts, &self.cluster) else {
            return Err(Status::internal("Kubernetes is asked where there is none: this is a bug"));
        };
        let asked = answer(cluster.as_ref(), slot, request, question, known, deadline).await;
        asked.map_err(|error| unanswered(slot, &error))?;
        if known.machines == Some(Machines::Forbidden) {
            let second = self.attachments.pods_unreadable;
            self.said_forbidden.call_once(|| {
                tracing::warn!(
                    ?second,
                    "pods may not be read, so that nobody knows whether two nodes serve one virtual machine: what \
                     becomes of the second is said by --pods-unreadable"
                );
            });
        }
        Ok(())
    }
}

async fn answer(
    cluster: &dyn Cluster,
    slot: &Slot,
    request: &Request,
    question: Question,
    known: &mut KubernetesFacts,
    deadline: Instant,
) -> Result<(), Unanswered> {
    match question {
        Question::Nodes(nodes) => {
            for node in nodes {
                let found = cluster.node(&node, slot, deadline).await?;
                known.nodes.insert(node, found.map(|found| found.facts));
            }
        }
        Question::Attachments => known.attachments = Some(cluster.attachments(slot, deadline).await?),
        Question::Machines => {
            let Request::Publish(ask) = request else {
                return Err(Unanswered("only who gets a volume is asked for its pods: this is a bug".into()));
            };
            known.machines = Some(cluster.machines(slot, &ask.node, deadline).await?);
        }
    }
    Ok(())
}

/// What Kubernetes did not say is unknown: it closes nothing and grants nothing.
pub(crate) fn unanswered(slot: &Slot, error: &Unanswered) -> Status {
    Status::unavailable(format!("volume {slot}: {error}"))
}

/// The same of all volumes.
pub(crate) fn unlisted(error: &Unanswered) -> Status {
    Status::unavailable(format!("the VolumeAttachments cannot be listed: {error}"))
}

fn not_now(slot: &Slot, later: &Later) -> Status {
    Status::unavailable(format!("volume {slot}: {later}"))
}
