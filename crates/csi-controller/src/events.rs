//! What the controller says through Events (requirements R7 to R12): every message form is in this file.
//!
//! Posting never waits and never fails, so that no call is held up by it. A volume whose claim nobody knows says
//! nothing.

use std::time::Duration;

use attachment::Refusal;
use routeros::Transport;
use volume::{Claim, Event, Involved, NodeId, NodeRef, Reason, Slot, VolumeContext};

use crate::Controller;
use crate::reconcile::Done;

/// What the provisioner writes into the volume context with `--extra-create-metadata` (R13).
const CLAIM_NAME: &str = "csi.storage.k8s.io/pvc/name";
/// Its namespace.
const CLAIM_NAMESPACE: &str = "csi.storage.k8s.io/pvc/namespace";

/// Something to be said of a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum News<'a> {
    /// R7: `node` was refused for others that are in the way.
    Conflict { node: &'a NodeId, refusal: &'a Refusal },
    /// R8: a ControllerPublish took this long.
    Attached { node: &'a str, took: Duration },
    /// R9
    Detached { node: &'a str },
    /// R10: by the reconciler, or by the takeover of a publish.
    StaleCleared { node: &'a str },
    /// R11
    MigrationStarted { source: &'a str, target: &'a str, timeout: Duration },
    /// R11: the source left.
    MigrationCompleted { source: &'a str, target: &'a str, took: Duration },
    /// R11: the target left, or the time is over.
    MigrationFailed { source: &'a str, target: &'a str, reason: &'a str },
    /// Who left may still write: said as a migration that failed, whose kind of event it is.
    LeftUnproven { node: &'a str, staying: &'a str },
}

impl News<'_> {
    fn reason(&self) -> Reason {
        match self {
            Self::Conflict { .. } => Reason::AttachmentConflict,
            Self::Attached { .. } => Reason::VolumeAttached,
            Self::Detached { .. } => Reason::VolumeDetached,
            Self::StaleCleared { .. } => Reason::StaleAttachmentCleared,
            Self::MigrationStarted { .. } => Reason::MigrationStarted,
            Self::MigrationCompleted { .. } => Reason::MigrationCompleted,
            Self::MigrationFailed { .. } | Self::LeftUnproven { .. } => Reason::MigrationFailed,
        }
    }

    fn message(&self, volume: &Slot) -> String {
        let said = match self {
            Self::Conflict { node, refusal: Refusal::Held(holders) | Refusal::Full(holders) } => {
                let (node, holders) = (node.name(), names(holders));
                format!(
                    "Attachment to node {node} rejected - volume already attached to node {holders}. \
                     Delete the pod on {holders} to release the volume."
                )
            }
            // There it would not help, or end a virtual machine for want of a right.
            Self::Conflict { node, refusal } => {
                format!("Attachment to node {} rejected - {refusal}.", node.name())
            }
            Self::Attached { node, took } => {
                format!("Attached to node {node} (duration: {}ms)", took.as_millis())
            }
            Self::Detached { node } => format!("Detached from node {node}"),
            Self::StaleCleared { node } => format!("Cleared stale attachment from deleted node {node}"),
            Self::MigrationStarted { source, target, timeout } => {
                format!(
                    "Migration started from node {source} to node {target} (timeout: {}s)",
                    timeout.as_secs()
                )
            }
            Self::MigrationCompleted { source, target, took } => {
                format!(
                    "Migration completed from node {source} to node {target} (duration: {}s)",
                    took.as_secs()
                )
            }
            Self::MigrationFailed { source, target, reason } => {
                format!("Migration failed from node {source} to node {target}: {reason}")
            }
            Self::LeftUnproven { node, staying } => format!(
                "Node {node} left without being seen to have let go, while node {staying} stays. Until it is Ready \
                 without the volume in use, or carries the taint node.kubernetes.io/out-of-service, or node {staying} \
                 leaves too, no further node and no new pod on {staying} gets the volume."
            ),
        };
        format!("[{volume}]: {said}")
    }
}

impl<T: Transport> Controller<T> {
    /// The claim of a volume: of the PV that names it, else the names that its context has of its creation.
    pub(crate) fn claim(&self, slot: &Slot, context: Option<&VolumeContext>) -> Option<Claim> {
        let of_volume = self.cluster.as_ref().and_then(|cluster| cluster.claim(slot));
        of_volume.or_else(|| {
            let text = |key| context?.metadata.get(key).filter(|text| !text.is_empty()).cloned();
            Some(Claim { namespace: text(CLAIM_NAMESPACE)?, name: text(CLAIM_NAME)?, uid: String::new() })
        })
    }

    /// Says something of a volume on its claim.
    pub(crate) fn tell(&self, slot: &Slot, claim: Option<Claim>, news: &News<'_>) {
        let message = news.message(slot);
        tracing::info!(volume = %slot, reason = %news.reason(), "{message}");
        if let Some(claim) = claim {
            self.events.post(Event { reason: news.reason(), involved: Involved::Claim(claim), message });
        }
    }

    /// Says something on the controller's own pod.
    pub(crate) fn tell_of_self(&self, reason: Reason, message: String) {
        self.events.post(Event { reason, involved: Involved::OwnPod, message });
    }
}

/// R12: the management connection is lost.
pub(crate) fn disconnected(address: &str, error: &str) -> String {
    format!("Connection to {address} lost: {error}")
}

/// R12: it is back.
pub(crate) fn reconnected(address: &str, outage: Duration) -> String {
    format!("Connection to {address} restored after {:.1}s", outage.as_secs_f64())
}

/// R12: a new leader has read everything.
pub(crate) fn rebuilt(attachments: usize, volumes: usize, done: Done, took: Duration) -> String {
    let Done { cleared, closed, restored } = done;
    format!(
        "Rebuilt {attachments} attachments of {volumes} volumes in {}ms: \
         {cleared} stale cleared, {closed} exports closed, {restored} restored",
        took.as_millis()
    )
}

/// A holder as people know it: the node's name, or the hash that its record has room for.
pub(crate) fn name(member: &NodeRef) -> String {
    member.node_id().map_or_else(|| member.to_string(), |node| node.name().to_owned())
}

/// Several of them.
pub(crate) fn names(members: &[NodeRef]) -> String {
    members.iter().map(name).collect::<Vec<_>>().join(" and ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn every_message_has_the_form_that_people_and_alerts_know() {
        let slot = Slot::parse("rds-v").unwrap();
        let node = NodeId::of_node("n").unwrap();
        let holder = |name: &str| NodeRef::new(&NodeId::of_node(name).unwrap(), None);
        let (one, two) = (Refusal::Held(vec![holder("m")]), Refusal::Full(vec![holder("m"), holder("k")]));
        let unreadable = Refusal::PodsUnreadable(vec![holder("m")]);
        let (source, target) = ("m", "n");
        for (news, message) in [
            (
                News::Conflict { node: &node, refusal: &one },
                "[rds-v]: Attachment to node n rejected - volume already attached to node m. \
                 Delete the pod on m to release the volume.",
            ),
            (
                News::Conflict { node: &node, refusal: &two },
                "[rds-v]: Attachment to node n rejected - volume already attached to node m and k. \
                 Delete the pod on m and k to release the volume.",
            ),
            (
                News::Conflict { node: &node, refusal: &unreadable },
                "[rds-v]: Attachment to node n rejected - already attached to node m; whether this is the live \
                 migration of one virtual machine is not known, since pods may not be read.",
            ),
            (
                News::Attached { node: "n", took: Duration::from_millis(1234) },
                "[rds-v]: Attached to node n (duration: 1234ms)",
            ),
            (News::Detached { node: "n" }, "[rds-v]: Detached from node n"),
            (News::StaleCleared { node: "n" }, "[rds-v]: Cleared stale attachment from deleted node n"),
            (
                News::MigrationStarted { source, target, timeout: Duration::from_secs(300) },
                "[rds-v]: Migration started from node m to node n (timeout: 300s)",
            ),
            (
                News::MigrationCompleted { source, target, took: Duration::from_secs(12) },
                "[rds-v]: Migration completed from node m to node n (duration: 12s)",
            ),
            (
                News::MigrationFailed { source, target, reason: "the target left" },
                "[rds-v]: Migration failed from node m to node n: the target left",
            ),
            (
                News::LeftUnproven { node: "n", staying: "m" },
                "[rds-v]: Node n left without being seen to have let go, while node m stays. Until it is Ready \
                 without the volume in use, or carries the taint node.kubernetes.io/out-of-service, or node m \
                 leaves too, no further node and no new pod on m gets the volume.",
            ),
        ] {
            assert_eq!(news.message(&slot), message);
        }
        assert_eq!(disconnected("https://rds", "no route"), "Connection to https://rds lost: no route");
        let done = Done { cleared: 1, closed: 2, restored: 3 };
        assert_eq!(
            rebuilt(12, 300, done, Duration::from_millis(80)),
            "Rebuilt 12 attachments of 300 volumes in 80ms: 1 stale cleared, 2 exports closed, 3 restored"
        );
        let outage = Duration::from_millis(61_230);
        assert_eq!(reconnected("https://rds", outage), "Connection to https://rds restored after 61.2s");
    }
}
