//! What a write of a record means to people: the controller makes Events and metrics of it.

use volume::{NodeRef, Record};

use crate::Request;

/// One thing to say of a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    /// The node that asked got it (R8).
    Attached {
        /// The node.
        node: NodeRef,
    },
    /// The node was taken off as asked (R9).
    Detached {
        /// The node.
        node: NodeRef,
    },
    /// An attachment that nobody wants any more was dropped: by the reconciler, or by a publish that took the
    /// volume over (R10).
    StaleCleared {
        /// The node.
        node: NodeRef,
    },
    /// The record and the device had lost an attachment that stands in Kubernetes: it is back.
    Restored {
        /// The node.
        node: NodeRef,
    },
    /// A member left without being seen to have let go, while another stays (attachments.md, "Unpublish").
    LeftUnproven {
        /// Who left.
        node: NodeRef,
    },
    /// A member that had left unproven is fenced: it keeps nobody off any more.
    Fenced {
        /// The node.
        node: NodeRef,
    },
    /// A second node joined for a live migration (R11).
    MigrationStarted {
        /// From where.
        source: NodeRef,
        /// To where.
        target: NodeRef,
        /// How long it may take.
        timeout_seconds: u64,
    },
    /// The source left in time.
    MigrationCompleted {
        /// From where.
        source: NodeRef,
        /// To where.
        target: NodeRef,
        /// How long it took.
        seconds: u64,
    },
    /// The target left in time, or both did.
    MigrationAborted {
        /// From where.
        source: NodeRef,
        /// To where.
        target: NodeRef,
        /// How long it took.
        seconds: u64,
    },
    /// It took longer than it may. Said once; how it ends after that is no news of the migration any more.
    MigrationTimedOut {
        /// From where.
        source: NodeRef,
        /// To where.
        target: NodeRef,
        /// How long it has taken.
        seconds: u64,
    },
}

/// What to say once the device answered that it wrote `after` over `before`; `now` in seconds since the Unix epoch.
#[must_use]
pub fn happened(before: &Record, after: &Record, request: &Request, now: u64) -> Vec<Happening> {
    let _ = (before, after, request, now);
    Vec::new()
}
