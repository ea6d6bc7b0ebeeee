//! The driver's Events, as they have to be read back.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use scenarios::WholeCluster;
use testbed::{Event, wait_until};

/// Who says what of a claim in `default`.
pub(crate) const CONTROLLER: &str = "rds-csi-controller";
/// Likewise.
pub(crate) const NODE: &str = "rds-csi-node";

/// What is said of every volume that a node gets and gives back.
pub(crate) const COMES_AND_GOES: [&str; 2] = ["VolumeAttached", "VolumeDetached"];

/// All that the driver has said until some moment: each Event by its UID, with how often.
pub(crate) struct Said(BTreeMap<String, u64>);

impl Said {
    /// Until now.
    pub(crate) fn so_far(cluster: &WholeCluster) -> Result<Self> {
        Ok(Self(all(cluster)?.into_iter().map(|event| (event.id, event.times)).collect()))
    }

    /// Waits until every one of these reasons was given since that moment; none besides may be.
    pub(crate) fn then(&self, cluster: &WholeCluster, reasons: &BTreeSet<&str>) -> Result<()> {
        let mut new = Vec::new();
        let all_said = wait_until("an Event of each reason", WholeCluster::SOON, || {
            new = self.since(cluster).unwrap_or_default();
            let said: BTreeSet<&str> = new.iter().map(|event| event.reason.as_str()).collect();
            Ok(said.is_superset(reasons).then_some(()))
        });
        let said: Vec<_> =
            new.iter().map(|event| format!("{} {}: {}", event.reason, event.name, event.message)).collect();
        all_said.with_context(|| format!("{reasons:?} of {said:#?}"))?;
        let others: Vec<_> = new.iter().filter(|event| !reasons.contains(event.reason.as_str())).collect();
        ensure!(others.is_empty(), "nobody expects {others:#?}");
        Ok(())
    }

    /// What was said since, or again.
    fn since(&self, cluster: &WholeCluster) -> Result<Vec<Event>> {
        let mut events = all(cluster)?;
        events.retain(|event| self.0.get(&event.id).is_none_or(|times| event.times > *times));
        Ok(events)
    }
}

/// As `kubectl get events` reads it, of both roles.
fn all(cluster: &WholeCluster) -> Result<Vec<Event>> {
    let of = |component| cluster.control_plane.events_of(component);
    Ok([of(CONTROLLER)?, of(NODE)?].concat())
}

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
