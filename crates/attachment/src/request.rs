//! What is asked.

use std::collections::BTreeMap;
use std::time::Duration;

use volume::{Generation, NodeId, NodeRef, NodeUid};

/// A request about one volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// ControllerPublishVolume.
    Publish(Publish),
    /// ControllerUnpublishVolume.
    Unpublish(Unpublish),
    /// The reconciler's turn with this volume (R19).
    Reconcile(Reconcile),
}

/// A node wants the volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// The node.
    pub node: NodeId,
    /// Its Node object's UID; `None` where there is no Kubernetes.
    pub uid: Option<NodeUid>,
    /// Its NVMe host NQN.
    pub host_nqn: String,
    /// As a raw block device, else as a file system.
    pub block: bool,
    /// MULTI_NODE_MULTI_WRITER: a second node may join. Only ever granted to block.
    pub shared: bool,
    /// The generation for a new attachment: fresh, or that of a try whose outcome is not known.
    pub mint: Generation,
    /// How long a migration that this starts may take before it is said to have failed.
    pub migration_timeout: Duration,
}

impl Publish {
    pub(crate) fn holder(&self) -> NodeRef {
        NodeRef::new(&self.node, self.uid)
    }
}

/// Nodes let the volume go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpublish {
    /// Who.
    pub leaving: Leaving,
}

/// Who leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leaving {
    /// The node of that name, whatever its UID.
    Node(NodeId),
    /// Everybody: an empty node id (CSI specification, ControllerUnpublishVolume).
    Everybody,
}

/// The reconciler looks at the volume: it closes what nobody wants any more and restores what is wanted.
///
/// Times are those of the caller's monotonic clock, from when it first saw [`unwanted`](crate::unwanted) name the
/// holder or the export; what it names no longer begins anew.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reconcile {
    /// How long each holder has not been wanted; one that is missing here is too young to lose anything.
    pub holders_unwanted_for: BTreeMap<NodeRef, Duration>,
    /// How long an export without a holder has not been wanted.
    pub export_unwanted_for: Duration,
}
