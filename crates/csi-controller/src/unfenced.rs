//! Keeping new pods off a node that stays beside a member that left unproven (attachments.md, "Unpublish"): such a pod
//! comes without a ControllerPublish, so its node learns it from an annotation of its VolumeAttachment.
//!
//! The annotation is there before the record says so, and goes before the record forgets it: a call that ends in
//! between is made again, and finds one of the two still to be written.

use std::time::Duration;

use attachment::must_stay_alone;
use routeros::Transport;
use tokio::time::Instant;
use tonic::Status;
use volume::{NodeId, NodeRef, Record, Slot};

use crate::Controller;
use crate::decision::unanswered;
use crate::events::names;

/// A member's Node may be Ready long before its kubelet says that the volume is not in use; no watch tells that, for
/// every pod that ends anywhere would wake the reconciler. A look is a list and two readings, of these volumes only.
const LOOK_AGAIN: Duration = Duration::from_secs(15);

impl<T: Transport> Controller<T> {
    /// Looks again soon at a volume with a member that is not fenced yet.
    pub(crate) fn follow_unfenced(&self, slot: &Slot, record: &Record) {
        if must_stay_alone(record).is_some() {
            self.agenda.look_at(slot, Instant::now() + LOOK_AGAIN);
        }
    }

    /// Before a record is written over another one: tells the nodes that stay whether they do so alone.
    ///
    /// # Errors
    /// UNAVAILABLE where the API server does not answer: then nothing may be written.
    pub(crate) async fn mark_before(
        &self,
        slot: &Slot,
        before: &Record,
        after: &Record,
        deadline: Instant,
    ) -> Result<(), Status> {
        // An earlier try may have marked them and not have come to its write.
        let somebody_left = before.holders.len() > after.holders.len();
        if somebody_left || !before.left.is_empty() || !after.left.is_empty() {
            self.mark(slot, after, deadline).await?;
        }
        Ok(())
    }

    /// Where a call ends with this record, whoever wrote it.
    ///
    /// # Errors
    /// As [`Controller::mark_before`]: then the call is not answered with success.
    pub(crate) async fn mark_shared(
        &self,
        slot: &Slot,
        record: &Record,
        deadline: Instant,
    ) -> Result<(), Status> {
        // Two holders: one of them may have come back from having left.
        let may_be_marked = record.holders.len() > 1 || !record.left.is_empty();
        if may_be_marked { self.mark(slot, record, deadline).await } else { Ok(()) }
    }

    async fn mark(&self, slot: &Slot, record: &Record, deadline: Instant) -> Result<(), Status> {
        let Some(cluster) = &self.cluster else { return Ok(()) };
        let unfenced = must_stay_alone(record).map(|alone| names(alone.unfenced));
        for holder in &record.holders {
            let Some(node) = self.node_of(holder, deadline).await? else { continue };
            let ends = self.gate.ends(deadline);
            let marked = cluster.mark_unfenced(slot, &node, unfenced.as_deref(), ends).await;
            marked.map_err(|error| unanswered(slot, &error))?;
        }
        Ok(())
    }

    /// The node of a holder; `None` where no VolumeAttachment is for it, so that none can be annotated.
    async fn node_of(&self, holder: &NodeRef, deadline: Instant) -> Result<Option<NodeId>, Status> {
        if let Some(node) = holder.node_id() {
            return Ok(Some(node));
        }
        let listed = self.attached(deadline).await?;
        Ok(listed.and_then(|listed| listed.node_named(holder)))
    }
}
