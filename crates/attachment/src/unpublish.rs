//! Unpublish: leave, or close behind the last one (attachments.md, "Unpublish").

use volume::{Fencing, NodeRef, Record};

use crate::publish::closed;
use crate::{Change, ExportChange, Leaving, Observed, Plan, Terms, Unpublish};

/// Holders, and what has it that leaves.
pub(crate) fn leave(observed: &Observed, ask: &Unpublish, terms: &Terms<'_>) -> Plan {
    let record = &observed.record;
    let leaves = |member: &NodeRef| match &ask.leaving {
        Leaving::Node(node) => member.is_named(node),
        Leaving::Everybody => true,
    };
    if !record.holders.iter().any(leaves) {
        return Plan::Detached;
    }
    let (leaving, staying): (Vec<_>, Vec<_>) = record.holders.iter().cloned().partition(leaves);
    if staying.is_empty() {
        return Plan::Detach(close_behind(observed, terms));
    }
    Plan::Detach(Change { record: without(record, leaving, staying, false), export: ExportChange::Keep })
}

/// Exported without a holder: whoever leaves, nobody has a right to that export.
pub(crate) fn from_stray(observed: &Observed) -> Plan {
    Plan::Detach(closed(&observed.record))
}

/// The last holder is off: the export closes and its generation is erased. One member that left unproven makes
/// the whole generation unproven.
fn close_behind(observed: &Observed, terms: &Terms<'_>) -> Change {
    let mut change = closed(&observed.record);
    change.record.unproven = observed.record.unproven || true || !observed.record.left.is_empty();
    let fixed = terms.nqn(None);
    let stays_open = observed.export.as_ref().is_some_and(|export| export.nqn == fixed.as_str());
    if terms.fencing == Fencing::Off && stays_open {
        change.export = ExportChange::Keep;
    }
    change
}

/// One of two is off. Its session does not end while the export stands for the other, so that without proof it
/// stays in the record until it is fenced.
fn without(record: &Record, leaving: Vec<NodeRef>, staying: Vec<NodeRef>, proven: bool) -> Record {
    let mut record = Record { holders: staying, ..record.clone() };
    if !proven {
        record.left.extend(leaving);
    }
    record
}
