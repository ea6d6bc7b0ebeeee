//! What the device says of a volume, and the states that this makes.

use volume::{Fencing, NodeId, NodeRef, NodeUid, Record};

use crate::Terms;

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
///               publish: open                    publish (ReadWriteMany block): join
///  Detached ──────────────────────► Attached ◄──────────────────────► Attached (two holders)
///    ▲  ▲                            ▲  │             unpublish: leave
///    │  └─────── unpublish: close ───┼──┤
///    │                               │  │ by hand, or by a power cut
///    │                 publish by    │  ▼
///    │                 a holder:    Shut ── unpublish: close ──► Detached
///    │                 reopen
///    └── publish, unpublish: close ── Stray      Renamed ── unpublish: close ──► Detached
/// ```
///
/// A publish of `Detached` whose last generation ended unproven waits for what is left of the settle.
/// `decide` is the one function that takes these arrows.
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

/// Whether a recorded reference is this very holder: the same name, and not another known UID.
pub(crate) fn is_same(member: &NodeRef, node: &NodeId, uid: Option<NodeUid>) -> bool {
    let other_uid = matches!((member.uid(), uid), (Some(recorded), Some(asked)) if recorded != asked);
    member.is_named(node) && !other_uid
}
