//! The host that a publish is for, by its live Node object.

use attachment::{Facts, NodeFacts};
use routeros::Transport;
use tokio::time::Instant;
use tonic::Status;
use volume::{HostIdentity, NodeId, NodeUid};

use super::Ask;
use crate::Controller;

/// A node, as the device is told of it.
pub(super) struct Host {
    /// Of its Node object; `None` without Kubernetes.
    pub(super) uid: Option<NodeUid>,
    /// What it connects as.
    pub(super) identity: HostIdentity,
    node: NodeId,
    facts: Option<NodeFacts>,
}

impl Host {
    /// What the answer about the node adds.
    pub(super) fn known(&self, mut facts: Facts) -> Facts {
        if let (Facts::Kubernetes(known), Some(node)) = (&mut facts, &self.facts) {
            known.nodes.insert(self.node.clone(), Some(node.clone()));
        }
        facts
    }
}

impl<T: Transport> Controller<T> {
    /// The host of a node.
    ///
    /// # Errors
    /// NOT_FOUND where the API server answered that there is no such Node; UNAVAILABLE where it did not answer, or the
    /// Node has no UID to tell it from the next of its name.
    pub(super) async fn host_of(&self, ask: &Ask, deadline: Instant) -> Result<Host, Status> {
        let found = self.live_node(&ask.node, &ask.slot, deadline).await?;
        let is_nameless = found.as_ref().is_some_and(|node| node.uid.is_empty() || node.facts.uid.is_none());
        if is_nameless {
            return Err(Status::unavailable(format!("Node {} came without a UID", ask.node.name())));
        }
        // Without Kubernetes no Node object is known, so none of its UIDs.
        let (uid, facts) = found.map(|node| (node.uid, node.facts)).unzip();
        Ok(Host {
            uid: facts.as_ref().and_then(|facts| facts.uid),
            identity: ask.node.host_identity(&self.config.cluster_id, uid.as_deref().unwrap_or_default()),
            node: ask.node.clone(),
            facts,
        })
    }
}
