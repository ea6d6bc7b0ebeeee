//! What is to be done.

use std::time::Duration;

use thiserror::Error;
use volume::{NodeRef, Nqn, Record};

use crate::Question;

/// The next step for a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Look this up, live; then decide again. What does not answer: UNAVAILABLE.
    Ask(Question),
    /// Nothing to write: the volume is attached as asked.
    Attached(Attached),
    /// Write this, in one request; then it is attached as asked.
    Attach(Change, Attached),
    /// Close an export that nobody holds, in one request; then decide again.
    Close(Change),
    /// Wait for so long, then decide again.
    Settle(Duration),
    /// Nothing to write: the node, or everybody, does not have it.
    Detached,
    /// Write this, in one request; then they do not have it.
    Detach(Change),
    /// No.
    Refuse(Refusal),
}

/// What a holder is told of its attachment: the same at every retry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// The NQN to connect to.
    pub nqn: Nqn,
    /// Published as a block device now or ever before: what it holds may be a raw user's data.
    pub published_as_block: bool,
}

/// One write: record and export together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The whole new record.
    pub record: Record,
    /// What becomes of the export.
    pub export: ExportChange,
}

/// What becomes of an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExportChange {
    /// Not touched, not even written again.
    Keep,
    /// Closed.
    Close,
    /// Opened.
    Open {
        /// Under this NQN.
        nqn: Nqn,
        /// For these host NQNs; empty is any.
        allow: Vec<String>,
    },
    /// The allow list of an open export grows; the export itself is not touched.
    Allow(Vec<String>),
}

/// Why a node does not get a volume: FAILED_PRECONDITION, each of them.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// Another node holds it.
    #[error("already attached to node {}; delete the pod there to release the volume", names(.0))]
    Held(Vec<NodeRef>),
    /// Two nodes hold it.
    #[error("already attached to nodes {}; two nodes at most may share a volume", names(.0))]
    Full(Vec<NodeRef>),
    /// A member of the generation left without being seen to have let go.
    #[error(
        "node {} left without being seen to have let go and is not fenced while another node stays; \
         only it may come back until the last holder leaves", names(.0)
    )]
    Unfenced(Vec<NodeRef>),
    /// The export is not the recorded one.
    #[error(
        "it is exported as {exported} while its record says {recorded}; an export in use is never renamed: \
         unpublish it from every node first"
    )]
    Renamed {
        /// As the device shows.
        exported: String,
        /// As the record says.
        recorded: Nqn,
    },
    /// The allow list cannot take a second name.
    #[error(
        "it is exported for one host only, and the device is not known to take a longer list \
         (--device allow-list=comma)"
    )]
    ListCannotGrow,
}

impl Refusal {
    /// Whether another node is in the way: AttachmentConflict.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Held(_) | Self::Full(_) | Self::Unfenced(_))
    }
}

/// Names as an operator knows them: without the UID.
fn names(members: &[NodeRef]) -> String {
    let name = |member: &NodeRef| match member.node_id() {
        Some(node) => node.name().to_owned(),
        None => member.to_string(),
    };
    members.iter().map(name).collect::<Vec<_>>().join(" and ")
}
