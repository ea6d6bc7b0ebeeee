//! What the controller needs of Kubernetes: a port, filled by the binary with the adapters of the crate `kubernetes`.

use attachment::{Attachments, Machines, NodeFacts, Want};
use tokio::time::Instant;
use volume::{Claim, NodeId, Slot};

/// Why Kubernetes did not say: the call that asked ends UNAVAILABLE with this text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unanswered(pub String);

/// A Node object, with what this driver makes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterNode {
    /// Its UID in full: part of the host identity.
    pub uid: String,
    /// What decisions look at.
    pub facts: NodeFacts,
}

/// Every VolumeAttachment of this driver, from one live LIST.
#[derive(Clone, Debug, Default)]
pub struct AllAttachments {
    /// Those whose PV names a volume.
    pub wants: Vec<(Slot, Want)>,
    /// Nodes with one that maps to no volume.
    pub unmapped: std::collections::BTreeSet<NodeId>,
}

/// Kubernetes, as the controller asks it. Everything that is async is a **live** request that ends at its deadline;
/// what is not async is answered from memory and never waits.
#[tonic::async_trait]
pub trait Cluster: Send + Sync {
    /// A Node; `None`: the API server answered that there is none.
    async fn node(
        &self,
        node: &NodeId,
        slot: &Slot,
        deadline: Instant,
    ) -> Result<Option<ClusterNode>, Unanswered>;

    /// The VolumeAttachments of this driver that map to this volume.
    async fn attachments(&self, slot: &Slot, deadline: Instant) -> Result<Attachments, Unanswered>;

    /// The VolumeAttachments of this driver, all of them, mapped by live answers.
    async fn all_attachments(&self, deadline: Instant) -> Result<AllAttachments, Unanswered>;

    /// The same VolumeAttachments, for a look over everything, which only finds what to look at more closely: which
    /// volume a PV names may come from the index where that knows the PV, since it cannot be changed.
    async fn surveyed_attachments(&self, deadline: Instant) -> Result<AllAttachments, Unanswered>;

    /// Whose pods use the volume's claim, on whatever node, while `node` asks for it.
    async fn machines(&self, slot: &Slot, node: &NodeId, deadline: Instant) -> Result<Machines, Unanswered>;

    /// The claim of the PV whose `volumeHandle` is this volume: from an index that a watch fills.
    fn claim(&self, slot: &Slot) -> Option<Claim>;

    /// Whether every watch has shown its first list; else which one has not.
    ///
    /// One that broke afterwards is still in sync here: it says when it breaks, but not when it works again before
    /// something changes, and nothing is closed without a live answer, which an API server that is away does not give.
    ///
    /// # Errors
    /// What is missing. Nothing is closed until then, and what only a watch tells is unknown.
    fn synced(&self) -> Result<(), Unanswered>;

    /// Mirrors the attachment on the PV for people (R21); queued, and lost where that fails.
    fn mirror(&self, slot: &Slot, attached: Option<&NodeId>);

    /// Tells the node that stays, through its VolumeAttachment, whether a member that left unproven keeps new pods
    /// off (attachments.md, "Unpublish"). The answer is that of the API server.
    async fn mark_unfenced(
        &self,
        slot: &Slot,
        node: &NodeId,
        unfenced: Option<&str>,
        deadline: Instant,
    ) -> Result<(), Unanswered>;

    /// Waits until a Node was deleted or has turned NotReady, or VolumeAttachments changed so that something may be
    /// left to do; returns at once if that happened since the last call.
    async fn changed(&self);
}

/// The one leader (attachments.md, "Leadership").
pub trait Leadership: Send + Sync {
    /// Until when requests may be sent; `None`: this process does not lead.
    fn sends_until(&self) -> Option<Instant>;

    /// The term of this leadership, for records; 0 without Kubernetes.
    fn term(&self) -> u32;

    /// A record of a higher term was read: the Lease is to be read again at once.
    fn doubt(&self);
}

/// Without Kubernetes: one controller, which always leads.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

impl Leadership for Alone {
    fn sends_until(&self) -> Option<Instant> {
        // Longer than any call may take.
        Some(Instant::now() + csi_server::LONGEST_CALL_DEADLINE)
    }

    fn term(&self) -> u32 {
        0
    }

    fn doubt(&self) {}
}
