//! What is to be done.

use std::time::Duration;

use volume::{Nqn, Record};

use crate::{Later, Question, Refusal};

/// The next step for a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Look this up, live; then decide again. What does not answer: UNAVAILABLE.
    Ask(Question),
    /// The record was written under this higher term: read the Lease again at once. Lost: stop. Still held: raise
    /// the own term above it, and decide again.
    Outranked(u32),
    /// Nothing to write: the volume is attached as asked.
    Attached(Attached),
    /// Write this, in one request; then it is attached as asked.
    Attach(Change, Attached),
    /// Close an export that nobody has a right to, its holders that are gone with it, in one request; then decide
    /// again.
    Close(Change),
    /// Put back what VolumeAttachments say stands, in one request; then decide again.
    Restore(Change),
    /// Only the record changes: members that are gone or fenced are dropped, a migration has timed out. Write it;
    /// then decide again.
    Note(Change),
    /// Wait for so long, then decide again.
    Settle(Duration),
    /// Nothing to write: the node, or everybody, does not have it.
    Detached,
    /// Write this, in one request; then they do not have it.
    Detach(Change),
    /// Nothing to do for the reconciler.
    Idle,
    /// Not now: UNAVAILABLE.
    Later(Later),
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
