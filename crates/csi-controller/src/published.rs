//! To which nodes a volume is attached, as the attacher compares it with its VolumeAttachments: a node that is missing
//! here counts as detached, so that none is ever left out that a VolumeAttachment could mean.

use std::collections::BTreeSet;

use routeros::Transport;
use tokio::time::Instant;
use tonic::Status;
use volume::{NodeId, NodeRef, Slot};

use crate::decision::unlisted;
use crate::observe::{Found, NotOurs, Volume};
use crate::{AllAttachments, Controller};

/// Who has a volume, as far as its row tells.
#[derive(Debug)]
pub(crate) enum Published {
    /// Its record names them; a name that did not fit is hashed.
    Recorded(Vec<NodeRef>),
    /// No record that can be read does.
    Untold,
}

impl Published {
    /// By what was read in a slot. A damaged record still says by its slot whose it is.
    pub(crate) fn of(found: &Found) -> Self {
        match found {
            Found::Ours(volume) => Self::Recorded(volume.record.holders.clone()),
            Found::Nothing | Found::NotOurs(_) => Self::Untold,
        }
    }

    /// Whether the row alone does not tell it.
    pub(crate) fn is_unclear(&self) -> bool {
        match self {
            Self::Recorded(holders) => holders.iter().any(|holder| holder.node_id().is_none()),
            Self::Untold => true,
        }
    }

    /// The CSI ids of the nodes; `listed` are the VolumeAttachments, from a list begun **after** the row was read.
    ///
    /// # Errors
    /// The hashed name that cannot be resolved, where there is no list.
    pub(crate) fn ids(&self, slot: &Slot, listed: Option<&Attached>) -> Result<Vec<String>, String> {
        let ids = match self {
            Self::Recorded(holders) => {
                let named = holders.iter().map(|holder| resolve(holder, slot, listed));
                named.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect()
            }
            Self::Untold => listed.map(|listed| listed.to(slot)).unwrap_or_default(),
        };
        Ok(ids.iter().map(NodeId::to_string).collect())
    }
}

/// The node of a holder. `None` where no VolumeAttachment of this driver is for a node of that name: then none can be
/// taken for detached.
fn resolve(holder: &NodeRef, slot: &Slot, listed: Option<&Attached>) -> Result<Option<NodeId>, String> {
    if let Some(node) = holder.node_id() {
        return Ok(Some(node));
    }
    let listed = listed.ok_or_else(|| holder.to_string())?;
    let node = listed.node_named(holder);
    if node.is_none() {
        tracing::warn!(%slot, %holder, "a holder that no VolumeAttachment is for is not listed");
    }
    Ok(node)
}

/// What VolumeAttachments say.
pub(crate) struct Attached {
    nodes: BTreeSet<NodeId>,
    attached: BTreeSet<(Slot, NodeId)>,
}

impl Attached {
    fn of(all: AllAttachments) -> Self {
        let AllAttachments { wants, mut unmapped } = all;
        unmapped.extend(wants.iter().map(|(_, want)| want.node.clone()));
        let attached = wants.into_iter().filter(|(_, want)| want.attached);
        Self { attached: attached.map(|(slot, want)| (slot, want.node)).collect(), nodes: unmapped }
    }

    /// The node that a holder's name means, of those that VolumeAttachments of this driver are for.
    pub(crate) fn node_named(&self, holder: &NodeRef) -> Option<NodeId> {
        self.nodes.iter().find(|node| holder.is_named(node)).cloned()
    }

    fn to(&self, slot: &Slot) -> Vec<NodeId> {
        self.attached.iter().filter(|(attached, _)| attached == slot).map(|(_, node)| node.clone()).collect()
    }
}

impl<T: Transport> Controller<T> {
    /// The VolumeAttachments, for what rows alone do not tell; `None` without Kubernetes.
    pub(crate) async fn attached(&self, deadline: Instant) -> Result<Option<Attached>, Status> {
        let Some(cluster) = &self.cluster else { return Ok(None) };
        let listed = cluster.all_attachments(deadline).await;
        let all = listed.map_err(|error| unlisted(&error))?;
        Ok(Some(Attached::of(all)))
    }

    /// The CSI ids of a volume's holders.
    ///
    /// # Errors
    /// UNAVAILABLE where one of them cannot be named.
    pub(crate) async fn published_node_ids(
        &self,
        volume: &Volume,
        deadline: Instant,
    ) -> Result<Vec<String>, Status> {
        let published = Published::Recorded(volume.record.holders.clone());
        let listed = if published.is_unclear() { self.attached(deadline).await? } else { None };
        published.ids(&volume.slot, listed.as_ref()).map_err(|holder| unnamed(&volume.slot, &holder))
    }

    /// Whether it is known which volumes PVs name.
    ///
    /// # Errors
    /// UNAVAILABLE where it is not: a volume that is left out would be taken for detached.
    pub(crate) fn check_synced(&self) -> Result<(), Status> {
        let synced = self.cluster.as_ref().map_or(Ok(()), |cluster| cluster.synced());
        synced.map_err(|missing| Status::unavailable(format!("the volumes cannot be listed: {missing}")))
    }

    /// Whether a volume that is not known by its record is one of this cluster: by its slot, or by a PV.
    pub(crate) fn is_named_here(&self, slot: &Slot, why: &NotOurs) -> bool {
        let of_cluster = slot.cluster() == Some(self.config.cluster_id.hash());
        match why {
            NotOurs::Unreadable(..) => of_cluster || self.claim(slot, None).is_some(),
            NotOurs::Unmarked => self.claim(slot, None).is_some(),
            NotOurs::OtherCluster(_) | NotOurs::NotAFile(_) => false,
        }
    }
}

/// UNAVAILABLE: an attacher would take this node for detached.
pub(crate) fn unnamed(slot: &Slot, holder: &str) -> Status {
    Status::unavailable(format!(
        "volume {slot} is held by {holder}, a name too long for its record, and there is no Kubernetes to resolve it"
    ))
}
