//! Publish: open, open again, join, or no (attachments.md, "Publish" 1 to 6, without Kubernetes).

use volume::{Fencing, Generation, NodeRef, Record};

use crate::export::AllowList;
use crate::state::is_same;
use crate::{Attached, Change, ExportChange, Observed, Plan, Publish, Refusal, State, Terms};

/// Two nodes may share a block volume: source and target of a live migration (R18).
const MAX_HOLDERS: usize = 2;

/// How a node stands to a volume that has holders.
pub(crate) enum Standing {
    /// It is one of them.
    Holder,
    /// It may become the second.
    Guest,
    /// It may not.
    Refused(Refusal),
}

/// A volume without a holder gets one, under a new generation (1).
pub(crate) fn open(observed: &Observed, ask: &Publish, terms: &Terms<'_>) -> Plan {
    // In mode `off` the export stands open anyway, and nothing is fenced by waiting.
    let is_closed = observed.export.is_none();
    if is_closed && ended_unproven(&observed.record) && !terms.settle_left.is_zero() {
        return Plan::Settle(terms.settle_left);
    }
    let generation = (terms.fencing != Fencing::Off).then_some(ask.mint);
    let mut record = with_holder(&observed.record, ask);
    record.generation = generation;
    record.left.clear();
    // An open door clears no doubt about who went through it.
    record.unproven = observed.record.unproven && !is_closed;
    let export = if is_closed { opening(generation, ask, terms) } else { ExportChange::Keep };
    attach(record, export, terms)
}

/// An export that nobody holds is closed before anybody gets the volume (4).
pub(crate) fn close_stray(observed: &Observed) -> Plan {
    Plan::Close(closed(&observed.record))
}

/// A holder asks again and gets what it was given; an export that was closed is opened again (2).
pub(crate) fn again(observed: &Observed, ask: &Publish, terms: &Terms<'_>) -> Plan {
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
pub(crate) fn join(observed: &Observed, ask: &Publish, terms: &Terms<'_>) -> Plan {
    let mut record = with_holder(&observed.record, ask);
    record.left.retain(|member| !is_same(member, &ask.node, ask.uid));
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

/// How the node that asks stands to the holders that are recorded (2, 3, 5).
pub(crate) fn standing(observed: &Observed, ask: &Publish) -> Standing {
    let record = &observed.record;
    let other = |member: &&NodeRef| !is_same(member, &ask.node, ask.uid);
    let others: Vec<_> = record.holders.iter().filter(other).cloned().collect();
    let unfenced: Vec<_> = record.left.iter().filter(other).cloned().collect();
    let is_holder = others.len() < record.holders.len();
    // Who had it as a file system, or gets it as one, has it alone: two writers of one destroy it. And who was
    // given it for itself does not know of a second writer.
    let only_block = ask.block && record.published.block && !record.published.filesystem && record.shared;
    let was_recreated = !is_holder && others.iter().any(|holder| holder.is_named(&ask.node));
    if is_holder && (ask.block || (others.is_empty() && unfenced.is_empty())) {
        return Standing::Holder;
    }
    let may_join = ask.shared && only_block && !was_recreated;
    Standing::Refused(match (is_holder, may_join) {
        (false, true) if others.len() >= MAX_HOLDERS => Refusal::Full(others),
        (false, true) if unfenced.is_empty() => return Standing::Guest,
        (false, true) => Refusal::Unfenced(unfenced),
        (true, _) if others.is_empty() => Refusal::Unfenced(unfenced),
        _ => Refusal::Held(others),
    })
}

/// The record and export after nobody has the volume any more, without proof.
pub(crate) fn closed(record: &Record) -> Change {
    let mut record = record.clone();
    (record.generation, record.unproven, record.migration) = (None, true, None);
    record.shared = false;
    record.holders.clear();
    record.left.clear();
    Change { record, export: ExportChange::Close }
}

/// A generation that stands without a holder was never ended by this driver, so it ended unproven.
fn ended_unproven(record: &Record) -> bool {
    record.unproven || record.generation.is_some()
}

fn with_holder(record: &Record, ask: &Publish) -> Record {
    let mut record = record.clone();
    if !record.holders.iter().any(|holder| is_same(holder, &ask.node, ask.uid)) {
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
