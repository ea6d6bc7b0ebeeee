//! Why a node does not get a volume, now or at all.

use thiserror::Error;
use volume::{NodeId, NodeRef, Nqn};

use crate::Want;

/// No: FAILED_PRECONDITION, but for [`Refusal::NoNode`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The API server answered that there is no such Node: NOT_FOUND.
    #[error("there is no Node {}", .0.name())]
    NoNode(NodeId),
    /// Another node holds it.
    #[error("already attached to node {}; delete the pod there to release the volume", names(.0))]
    Held(Vec<NodeRef>),
    /// Two nodes hold it.
    #[error("already attached to nodes {}; two nodes at most may share a volume", names(.0))]
    Full(Vec<NodeRef>),
    /// A member of the generation left without being seen to have let go.
    #[error(
        "node {} left without being seen to have let go and is not fenced while another node stays; \
         only it may come back until it is Ready without the volume in use, or carries the taint \
         node.kubernetes.io/out-of-service, or the last holder leaves", names(.0)
    )]
    Unfenced(Vec<NodeRef>),
    /// The pods of both nodes are not one virtual machine's.
    #[error(
        "already attached to node {}; a second node gets it only for the live migration of one virtual machine",
        names(.0)
    )]
    NotOneMachine(Vec<NodeRef>),
    /// Whether both nodes serve one virtual machine cannot be known.
    #[error(
        "already attached to node {}; whether this is the live migration of one virtual machine is not known, \
         since pods may not be read", names(.0)
    )]
    PodsUnreadable(Vec<NodeRef>),
    /// The export is not the recorded one.
    #[error(
        "it is exported as {exported} while its record says {recorded}; an export in use is never renamed: \
         unpublish it from every node first"
    )]
    Renamed {
        /// As the device shows.
        exported: String,
        /// As the record says.
        recorded: Nqn,
    },
    /// The allow list cannot take a second name.
    #[error(
        "it is exported for one host only, and the device is not known to take a longer list \
         (--device allow-list=comma)"
    )]
    ListCannotGrow,
}

/// Not now: UNAVAILABLE, each of them.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Later {
    /// The VolumeAttachment of a holder is being deleted.
    #[error("it is being detached from node {}", names(.0))]
    Detaching(Vec<NodeRef>),
    /// The Node object is not the one that the request was made for.
    #[error("Node {} changed while it was asked for", .0.name())]
    NodeChanged(NodeId),
    /// The Node was recreated, while the VolumeAttachment of before stands.
    #[error(
        "Node {} was recreated while VolumeAttachment {attachment} of before stands; delete that to release the volume",
        node.name()
    )]
    Recreated {
        /// The node.
        node: NodeId,
        /// The VolumeAttachment's name.
        attachment: String,
    },
    /// It is not known whose VolumeAttachment that is.
    #[error(
        "VolumeAttachments of node {} map to no volume, so that one may be this volume's; bring their PersistentVolumes \
         back, or delete them once their pods are gone", node_names(.0)
    )]
    Unmapped(Vec<NodeId>),
    /// VolumeAttachments say attached, and neither can that be so nor may it be ignored.
    #[error(
        "VolumeAttachment {} says attached, but {why}; to go on, delete one whose pods are gone",
        attachments.join(" and ")
    )]
    Contradiction {
        /// Their names.
        attachments: Vec<String>,
        /// What speaks against it.
        why: &'static str,
    },
}

impl Later {
    pub(crate) fn contradiction(wants: &[&Want], why: &'static str) -> Self {
        Self::Contradiction { attachments: wants.iter().map(|want| want.name.clone()).collect(), why }
    }
}

impl Refusal {
    /// Whether another node is in the way: AttachmentConflict.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        !self.in_the_way().is_empty()
    }

    /// The nodes that are in the way.
    #[must_use]
    pub fn in_the_way(&self) -> &[NodeRef] {
        match self {
            Self::Held(nodes)
            | Self::Full(nodes)
            | Self::Unfenced(nodes)
            | Self::NotOneMachine(nodes)
            | Self::PodsUnreadable(nodes) => nodes,
            Self::NoNode(_) | Self::Renamed { .. } | Self::ListCannotGrow => &[],
        }
    }
}

/// Names as an operator knows them: without the UID.
fn names(members: &[NodeRef]) -> String {
    let name = |member: &NodeRef| match member.node_id() {
        Some(node) => node.name().to_owned(),
        None => member.to_string(),
    };
    members.iter().map(name).collect::<Vec<_>>().join(" and ")
}

fn node_names(nodes: &[NodeId]) -> String {
    nodes.iter().map(NodeId::name).collect::<Vec<_>>().join(" and ")
}
