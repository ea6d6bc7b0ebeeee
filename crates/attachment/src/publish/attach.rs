//! The writes by which a node gets a volume: open, open again, join (attachments.md, "Publish" 1, 2, 5).

use std::time::Duration;

use volume::{Fencing, Generation, Migration, NodeRef, Record};

use crate::export::AllowList;
use crate::state::is_same;
use crate::{Attached, Change, ExportChange, Observed, Plan, Publish, Refusal, State, Terms};

/// A volume without a holder gets one, under a new generation (1).
pub(super) fn open(observed: &Observed, ask: &Publish, terms: &Terms<'_>) -> Plan {
    // In mode `off` the export stands open anyway, and nothing is fenced by waiting.
    let is_closed = observed.export.is_none();
    if is_closed && ended_unproven(&observed.record) && !terms.settle_left.is_zero() {
        return Plan::Settle(terms.settle_left);
    }
    let mut record = with_holder(&observed.record, ask);
    (record.generation, record.ended) = match terms.fencing {
        // Not used as a generation, but it tells those of before from this attachment.
        Fencing::Off => (None, Some(ask.mint)),
        Fencing::Generation | Fencing::HostNqn => (Some(ask.mint), None),
    };
    record.left.clear();
    // An open door clears no doubt about who went through it.
    record.unproven = observed.record.unproven && !is_closed;
    let export = if is_closed { opening(record.generation, ask, terms) } else { ExportChange::Keep };
    attach(record, export, terms)
}

/// A holder asks again and gets what it was given; an export that was closed is opened again (2).
pub(super) fn again(observed: &Observed, ask: &Publish, terms: &Terms<'_>) -> Plan {
    let record = with_holder(&observed.record, ask);
    let export = match observed.state(terms) {
        // What was listed for a second holder is not shown of a closed export: both have to get in.
        State::Shut if record.holders.len() > 1 => open_to_any(record.generation, terms),
        State::Shut => opening(record.generation, ask, terms),
        State::Renamed => return renamed(observed, terms),
        _ => ExportChange::Keep,
    };
    if export == ExportChange::Keep && record == observed.record {
        return Plan::Attached(attached(&record, terms));
    }
    attach(record, export, terms)
}

/// A second node joins the generation of the first; nothing that the first uses is touched (5).
pub(super) fn join(observed: &Observed, ask: &Publish, migrates: bool, terms: &Terms<'_>) -> Plan {
    let mut record = with_holder(&observed.record, ask);
    record.left.retain(|member| !is_same(member, &ask.node, ask.uid));
    if migrates {
        record.migration = Some(migration(terms.now, ask.migration_timeout));
    }
    let export = match (observed.state(terms), &observed.export) {
        (State::Renamed, _) => return renamed(observed, terms),
        (State::Attached, Some(export)) => match grown(&export.allow, ask, terms) {
            Ok(change) => change,
            Err(refusal) => return Plan::Refuse(refusal),
        },
        _ => open_to_any(record.generation, terms),
    };
    attach(record, export, terms)
}

/// A migration that starts now. A deadline of 0 would say that it has timed out.
fn migration(now: u64, timeout: Duration) -> Migration {
    Migration { started: now, deadline: now.saturating_add(timeout.as_secs()).max(1) }
}

/// A generation that stands without a holder was never ended by this driver, so it ended unproven.
fn ended_unproven(record: &Record) -> bool {
    record.unproven || record.generation.is_some()
}

fn with_holder(record: &Record, ask: &Publish) -> Record {
    let mut record = record.clone();
    if !record.holders.iter().any(|holder: &NodeRef| is_same(holder, &ask.node, ask.uid)) {
        record.holders.push(ask.holder());
    }
    if record.holders.len() == 1 {
        // Who has it alone has it as it asked last; the second one joins only what is shared already.
        record.shared = ask.block && ask.shared;
    }
    record.published.block |= ask.block;
    record.published.filesystem |= !ask.block;
    record
}

fn opening(generation: Option<Generation>, ask: &Publish, terms: &Terms<'_>) -> ExportChange {
    ExportChange::Open { nqn: terms.nqn(generation), allow: terms.list_for(&ask.host_nqn, ask.shared) }
}

fn open_to_any(generation: Option<Generation>, terms: &Terms<'_>) -> ExportChange {
    ExportChange::Open { nqn: terms.nqn(generation), allow: Vec::new() }
}

fn grown(listed: &[String], ask: &Publish, terms: &Terms<'_>) -> Result<ExportChange, Refusal> {
    if listed.is_empty() || listed.contains(&ask.host_nqn) {
        return Ok(ExportChange::Keep);
    }
    if terms.allow_list != AllowList::Comma {
        return Err(Refusal::ListCannotGrow);
    }
    Ok(ExportChange::Allow(listed.iter().chain([&ask.host_nqn]).cloned().collect()))
}

fn renamed(observed: &Observed, terms: &Terms<'_>) -> Plan {
    let exported = observed.export.as_ref().map(|export| export.nqn.clone()).unwrap_or_default();
    Plan::Refuse(Refusal::Renamed { exported, recorded: terms.nqn(observed.record.generation) })
}

fn attach(record: Record, export: ExportChange, terms: &Terms<'_>) -> Plan {
    let told = attached(&record, terms);
    Plan::Attach(Change { record, export }, told)
}

fn attached(record: &Record, terms: &Terms<'_>) -> Attached {
    Attached { nqn: terms.nqn(record.generation), published_as_block: record.published.block }
}
