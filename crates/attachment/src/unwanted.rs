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
    let export = attachments.nobody() && observed.state(terms) == State::Stray;
    Unwanted { holders: holders.cloned().collect(), export }
}
