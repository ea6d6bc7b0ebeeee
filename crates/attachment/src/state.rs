//! What the device says of a volume, and the states that this makes.

use volume::{Fencing, Generation, NodeId, NodeRef, NodeUid, Record};

use crate::Terms;

/// Two nodes may share a block volume: source and target of a live migration (R18).
pub(crate) const MAX_HOLDERS: usize = 2;

/// What was read of one disk of this cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// Its record.
    pub record: Record,
    /// Its export; `None` where it is not exported.
    pub export: Option<Export>,
}

/// An export as the device shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// Under which NQN. Text, since a device may show one that this driver never wrote.
    pub nqn: String,
    /// Which host NQNs may connect; empty is any.
    pub allow: Vec<String>,
}

/// The state of an attachment.
///
/// ```text
///            publish: open                        publish (ReadWriteMany block): join
///  Detached ─────────────────────────► Attached ◄─────────────────────────────────► Attached
///   ▲ ▲ ▲ │   restore: what a           ▲  │ ▲      unpublish, reconcile, take over:  (two holders)
///   │ │ │ └── VolumeAttachment says ────┘  │ │      one leaves
///   │ │ │     stands                       │ │
///   │ │ └──── unpublish, reconcile, take ──┤ │ publish by a holder, reconcile: reopen
///   │ │       over: close, generation over │ │
///   │ │                       by hand, or by a power cut
///   │ │                                    ▼ │
///   │ └────── unpublish, reconcile, ────── Shut
///   │         take over: close
///   │
///   ├──────── publish, unpublish, reconcile: close ── Stray ── restore: its NQN stays ──► Attached
///   └──────── unpublish, reconcile, take over: close ── Renamed
/// ```
///
/// A publish of `Detached` whose last generation ended unproven waits for what is left of the settle. A take-over is
/// a publish that drops holders which are gone; then it goes on from `Detached`. What VolumeAttachments and pods say,
/// and so restore, reconcile, take over and join, is only where there is Kubernetes. [`decide`](crate::decide) is the
/// one function that takes these arrows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No holder; not exported, or in mode `off` exported under the fixed NQN.
    Detached,
    /// Holders, exported under the recorded NQN.
    Attached,
    /// Holders, but not exported.
    Shut,
    /// No holder, but exported where the mode does not have it so.
    Stray,
    /// Holders, but exported under an NQN that is not the recorded one: nobody knows who uses that.
    Renamed,
}

impl Observed {
    /// The state under these terms.
    #[must_use]
    pub fn state(&self, terms: &Terms<'_>) -> State {
        let recorded = terms.nqn(self.record.generation);
        let exported_as = self.export.as_ref().map(|export| export.nqn.as_str());
        match (self.record.holders.is_empty(), exported_as) {
            (true, None) => State::Detached,
            (true, Some(nqn)) if terms.fencing == Fencing::Off && nqn == terms.nqn(None).as_str() => {
                State::Detached
            }
            (true, Some(_)) => State::Stray,
            (false, None) => State::Shut,
            (false, Some(nqn)) if nqn == recorded.as_str() => State::Attached,
            (false, Some(_)) => State::Renamed,
        }
    }
}

impl Observed {
    /// The generation that a node has to know to reach the volume now, or once it is opened again: that of the
    /// export, else that of the record. `None` where it is exported under a name that this driver does not write.
    pub(crate) fn open_generation(&self, terms: &Terms<'_>) -> Option<Option<Generation>> {
        let Some(export) = &self.export else { return Some(self.record.generation) };
        let (slot, generation) = terms.prefix.slot_of(&export.nqn)?;
        (slot == *terms.slot).then_some(generation)
    }
}

/// Whether a recorded reference is this very holder: the same name, and not another known UID.
pub(crate) fn is_same(member: &NodeRef, node: &NodeId, uid: Option<NodeUid>) -> bool {
    let other_uid = matches!((member.uid(), uid), (Some(recorded), Some(asked)) if recorded != asked);
    member.is_named(node) && !other_uid
}

/// Whether a holder is among others: the same name, either perhaps hashed, and the same UID.
pub(crate) fn is_among(one: &NodeRef, others: &[NodeRef]) -> bool {
    let is_named_so = |other: &NodeRef| match (one.node_id(), other.node_id()) {
        (Some(node), _) => other.is_named(&node),
        (None, Some(node)) => one.is_named(&node),
        (None, None) => one == other,
    };
    others.iter().any(|other| other.uid() == one.uid() && is_named_so(other))
}
