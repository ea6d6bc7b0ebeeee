//! What a write of a record means to people: the controller makes Events and metrics of it.

use volume::{NodeRef, Record};

use crate::Request;
use crate::state::is_among;

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
    let came = missing(&after.holders, &before.holders).map(|node| match request {
        Request::Publish(ask) if node.is_named(&ask.node) => Happening::Attached { node },
        _ => Happening::Restored { node },
    });
    let went = missing(&before.holders, &after.holders).map(|node| match request {
        Request::Unpublish(_) => Happening::Detached { node },
        Request::Publish(_) | Request::Reconcile(_) => Happening::StaleCleared { node },
    });
    let unproven = missing(&after.left, &before.left).map(|node| Happening::LeftUnproven { node });
    let settled = missing(&before.left, &after.left);
    // With the last holder its generation ended, and who comes back is a holder.
    let fenced = settled.filter(|node| !after.holders.is_empty() && !is_among(node, &after.holders));
    let fenced = fenced.map(|node| Happening::Fenced { node });
    let people = went.chain(unproven).chain(fenced).chain(came);
    people.chain(end_of_migration(before, after, now)).chain(start_of_migration(before, after)).collect()
}

fn start_of_migration(before: &Record, after: &Record) -> Option<Happening> {
    let started =
        after.migration.filter(|_| before.migration.is_none() || before.holders.len() < after.holders.len());
    let [source, target] = after.holders.as_slice() else { return None };
    started.map(|migration| Happening::MigrationStarted {
        source: source.clone(),
        target: target.clone(),
        timeout_seconds: migration.deadline.saturating_sub(migration.started),
    })
}

fn end_of_migration(before: &Record, after: &Record, now: u64) -> Option<Happening> {
    // A deadline of 0: its end was said.
    let migration = before.migration.filter(|migration| migration.deadline > 0)?;
    let [source, target] = before.holders.as_slice() else { return None };
    // A clock that was set back tells nothing of how long it took.
    let seconds = now.saturating_sub(migration.started);
    let (from, to) = (is_among(source, &after.holders), is_among(target, &after.holders));
    let (source, target) = (source.clone(), target.clone());
    match (from, to, after.migration) {
        (true, true, Some(migration)) if migration.deadline == 0 => {
            Some(Happening::MigrationTimedOut { source, target, seconds })
        }
        (true, true, _) => None,
        (false, true, _) => Some(Happening::MigrationCompleted { source, target, seconds }),
        (_, false, _) => Some(Happening::MigrationAborted { source, target, seconds }),
    }
}

/// Those of `members` that are not among `others`.
fn missing<'a>(members: &'a [NodeRef], others: &'a [NodeRef]) -> impl Iterator<Item = NodeRef> + 'a {
    members.iter().filter(|member| !is_among(member, others)).cloned()
}
