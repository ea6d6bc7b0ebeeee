//! What Kubernetes says, as far as a decision asked for it.
//!
//! A decision names what it has to know ([`Plan::Ask`](crate::Plan::Ask)); the caller looks it up **live**, adds it
//! here and decides again. What could not be looked up is never added: the call ends UNAVAILABLE instead.

use std::collections::{BTreeMap, BTreeSet};

use volume::{Generation, NodeId, NodeUid};

/// What is known of Kubernetes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Facts {
    /// There is none: no UID, every unstage unproven, another holder is always in the way.
    Standalone,
    /// What was asked so far.
    Kubernetes(KubernetesFacts),
}

/// Answers of the API server, from live requests of this very decision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KubernetesFacts {
    /// Node objects; `None`: the answer was that there is none. A name that is missing here was not asked for.
    pub nodes: BTreeMap<NodeId, Option<NodeFacts>>,
    /// The VolumeAttachments of this driver; `None`: not asked for.
    pub attachments: Option<Attachments>,
    /// Whether the pods that use the volume on these two nodes are one VM's; `None`: not asked for.
    pub machines: Option<Machines>,
}

/// A Node object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeFacts {
    /// Its UID, in short.
    pub uid: Option<NodeUid>,
    /// Its condition Ready is True.
    pub ready: bool,
    /// It carries the taint `node.kubernetes.io/out-of-service`.
    pub out_of_service: bool,
    /// Its `status.volumesInUse` lists this volume.
    pub in_use: bool,
}

/// The VolumeAttachments of this driver, from one live LIST.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attachments {
    /// Those of this volume.
    pub wants: Vec<Want>,
    /// Nodes with a VolumeAttachment of this driver that maps to no volume (its PV is missing or unreadable):
    /// nothing is closed for a holder there.
    pub unmapped: BTreeSet<NodeId>,
}

/// One VolumeAttachment of a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want {
    /// The object's name.
    pub name: String,
    /// For which node.
    pub node: NodeId,
    /// It has a deletion timestamp.
    pub deleting: bool,
    /// `status.attached`
    pub attached: bool,
    /// The generation that its attachment metadata names.
    pub generation: Option<Generation>,
}

/// What the pods say of a volume that a second node asks for (R18).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machines {
    /// All pods that use the claim belong to one VirtualMachineInstance, and one of them is on the node that asks.
    Same,
    /// They belong to several, or some to none while others do; or none of a machine's is on the node that asks. Who
    /// came there for another machine and left may leave the request behind, and one like it may come again: it would
    /// find the volume attached.
    Different,
    /// None of them belongs to a virtual machine.
    NoMachine,
    /// Pods may not be read.
    Forbidden,
}

/// What a decision has to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// These Node objects.
    Nodes(Vec<NodeId>),
    /// The VolumeAttachments. Of a volume without holder and export the caller may answer that there is none where it
    /// can prove from memory that none is attached; everywhere else only a live LIST tells who is gone.
    Attachments,
    /// Whose pods use the volume.
    Machines,
}

impl Facts {
    /// What Kubernetes says, where there is one.
    pub(crate) fn kubernetes(&self) -> Option<&KubernetesFacts> {
        match self {
            Self::Standalone => None,
            Self::Kubernetes(known) => Some(known),
        }
    }
}
