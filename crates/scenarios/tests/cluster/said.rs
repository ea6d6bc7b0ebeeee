//! The driver's Events, as they have to be read back.

use anyhow::Result;
use scenarios::WholeCluster;

/// Who says what of a claim in `default`.
pub(crate) const CONTROLLER: &str = "rds-csi-controller";
/// Likewise.
pub(crate) const NODE: &str = "rds-csi-node";

/// Waits for an event on a claim in `default`: its type, its reason, who says so, and words that are in its message.
pub(crate) fn of_claim(
    cluster: &WholeCluster,
    claim: &str,
    (level, reason, component): (&str, &str, &str),
    words: &[&str],
) -> Result<()> {
    cluster.control_plane.wait_for_event(reason, WholeCluster::SOON, |event| {
        let about = (event.kind.as_str(), event.name.as_str(), event.namespace.as_str());
        about == ("PersistentVolumeClaim", claim, "default")
            && (event.level.as_str(), event.component.as_str()) == (level, component)
            && words.iter().all(|word| event.message.contains(word))
    })?;
    Ok(())
}

/// Waits for what is said of each attachment: that the claim came to the node, and that it left.
pub(crate) fn attached_and_detached(cluster: &WholeCluster, claim: &str, nodes: &[&str]) -> Result<()> {
    for node in nodes {
        attached(cluster, claim, node)?;
        detached(cluster, claim, node)?;
    }
    Ok(())
}

/// Waits for what is said when a claim came to a node.
pub(crate) fn attached(cluster: &WholeCluster, claim: &str, node: &str) -> Result<()> {
    let words = format!("]: Attached to node {node} (duration: ");
    of_claim(cluster, claim, ("Normal", "VolumeAttached", CONTROLLER), &[&words])
}

/// Waits for what is said when it left.
pub(crate) fn detached(cluster: &WholeCluster, claim: &str, node: &str) -> Result<()> {
    let words = format!("]: Detached from node {node}");
    of_claim(cluster, claim, ("Normal", "VolumeDetached", CONTROLLER), &[&words])
}
