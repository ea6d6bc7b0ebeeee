//! What is asked.

use volume::{Generation, NodeId, NodeRef, NodeUid};

/// A request about one volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// ControllerPublishVolume.
    Publish(Publish),
    /// ControllerUnpublishVolume.
    Unpublish(Unpublish),
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
    /// Whether the node was *seen* to have let go (attachments.md, "Proven unstage"). Never where there is no
    /// Kubernetes to ask.
    pub proven: bool,
}

/// Who leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leaving {
    /// The node of that name, whatever its UID.
    Node(NodeId),
    /// Everybody: an empty node id (CSI specification, ControllerUnpublishVolume).
    Everybody,
}
