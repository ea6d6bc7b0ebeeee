//! What nobody wants any more.

use volume::NodeRef;

use crate::{Attachments, Observed, State, Terms};

/// What no VolumeAttachment asks for: the caller remembers since when, for [`Reconcile`](crate::Reconcile).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unwanted {
    /// Holders.
    pub holders: Vec<NodeRef>,
    /// The export, which has no holder.
    pub export: bool,
}

/// What no VolumeAttachment asks for, by these answers.
#[must_use]
pub fn unwanted(observed: &Observed, attachments: &Attachments, terms: &Terms<'_>) -> Unwanted {
    let holders = observed.record.holders.iter().filter(|holder| attachments.let_go(holder));
    let nobody = attachments.unmapped.is_empty() && attachments.wants.iter().all(|want| want.deleting);
    Unwanted { holders: holders.cloned().collect(), export: nobody && observed.state(terms) == State::Stray }
}

impl Attachments {
    /// Whether every VolumeAttachment of the holder's node is known, and none of them is for this volume to stay.
    pub(crate) fn let_go(&self, holder: &NodeRef) -> bool {
        let all_known = !self.unmapped.iter().any(|node| holder.is_named(node));
        all_known && self.wants.iter().all(|want| want.deleting || !holder.is_named(&want.node))
    }
}
