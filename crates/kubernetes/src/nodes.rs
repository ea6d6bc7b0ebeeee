//! Node objects, as far as the fencing rules look at them.

use attachment::NodeFacts;
use kube::Api;
use tokio::time::Instant;
use volume::{NodeId, NodeUid, Slot};

use crate::ask::find;
use crate::trimmed::{self, Condition};
use crate::{ApiError, Live};

/// Kubernetes: somebody vouches that the node is shut down, and its volumes may be taken.
const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";

/// A Node object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its UID in full; empty where the object carries none.
    pub uid: String,
    /// What decisions look at.
    pub facts: NodeFacts,
}

impl Live {
    /// A Node by a live GET; `None`: the API server answered that there is none.
    ///
    /// # Errors
    /// Where it did not answer by `deadline`, or refused.
    pub async fn node(
        &self,
        node: &NodeId,
        slot: &Slot,
        deadline: Instant,
    ) -> Result<Option<Node>, ApiError> {
        let api = Api::<trimmed::Node>::all(self.client.clone());
        let name = node.name();
        let found = find(|| format!("reading Node {name}"), deadline, name, api.get(name)).await?;
        Ok(found.map(|object| read(&object, &in_use_name(&self.driver, slot.as_str()))))
    }
}

/// How `status.volumesInUse` names a CSI volume.
fn in_use_name(driver: &str, handle: &str) -> String {
    format!("kubernetes.io/csi/{driver}^{handle}")
}

/// Whether its condition Ready is True: Unknown, and no condition at all, are not.
pub(crate) fn is_ready(node: &trimmed::Node) -> bool {
    let is_true =
        |it: &Condition| it.kind.as_deref() == Some("Ready") && it.status.as_deref() == Some("True");
    node.status.conditions.iter().any(is_true)
}

/// Whether it carries the out-of-service taint, with whatever effect.
pub(crate) fn is_out_of_service(node: &trimmed::Node) -> bool {
    node.spec.taints.iter().any(|taint| taint.key.as_deref() == Some(OUT_OF_SERVICE))
}

fn read(node: &trimmed::Node, in_use: &str) -> Node {
    let uid = node.metadata.uid.clone().unwrap_or_default();
    let facts = NodeFacts {
        uid: NodeUid::of(&uid),
        ready: is_ready(node),
        out_of_service: is_out_of_service(node),
        in_use: node.status.volumes_in_use.iter().any(|volume| volume == in_use),
    };
    Node { uid, facts }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use serde_json::{Value, json};

    fn facts(object: Value) -> Node {
        read(&serde_json::from_value(object).unwrap(), &in_use_name("rds.csi.srvlab.io", "pvc-1"))
    }

    #[test]
    fn a_node_with_nothing_in_it_is_neither_ready_nor_using_anything() {
        for object in [
            json!({}),
            json!({"metadata": {}, "spec": {}, "status": {}}),
            json!({"spec": {"taints": null}, "status": {"conditions": [{}], "volumesInUse": null}}),
        ] {
            let node = facts(object);
            assert_eq!(node.uid, "");
            let none = NodeFacts { uid: None, ready: false, out_of_service: false, in_use: false };
            assert_eq!(node.facts, none);
        }
    }

    #[test]
    fn ready_is_true_only_and_the_volume_is_named_by_driver_and_handle() {
        for (status, volume, ready, in_use) in [
            ("True", "kubernetes.io/csi/rds.csi.srvlab.io^pvc-1", true, true),
            ("Unknown", "kubernetes.io/csi/rds.csi.srvlab.io^pvc-11", false, false),
            ("False", "kubernetes.io/csi/other.csi^pvc-1", false, false),
        ] {
            let node = facts(json!({
                "metadata": {"name": "n", "uid": "u-1"},
                "spec": {"taints": [{"key": OUT_OF_SERVICE, "effect": "NoExecute"}]},
                "status": {
                    "conditions": [{"type": "DiskPressure", "status": "True"}, {"type": "Ready", "status": status}],
                    "volumesInUse": [volume],
                },
            }));
            assert_eq!(node.uid, "u-1");
            let expected = NodeFacts { uid: NodeUid::of("u-1"), ready, out_of_service: true, in_use };
            assert_eq!(node.facts, expected, "{status} {volume}");
        }
    }
}
