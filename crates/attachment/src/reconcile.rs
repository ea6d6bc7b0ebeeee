//! The reconciler's turn with a volume (attachments.md, "Reconciler"; R19).

use volume::{Migration, NodeId, NodeRef, Record};

use crate::halt::Halt;
use crate::known::Parting;
use crate::{
    Attachments, Change, ExportChange, KubernetesFacts, NodeFacts, Observed, Plan, Reconcile, State, Terms,
    claims, ending,
};

/// What is to be done next: put back what stands, take off what nobody wants, let go of who is fenced, say what has
/// taken too long. One at a time, and nothing while anything of it is unknown.
pub(crate) fn reconcile(
    observed: &Observed,
    state: State,
    ask: &Reconcile,
    known: &KubernetesFacts,
    terms: &Terms<'_>,
) -> Result<Plan, Halt> {
    let attachments = known.attachments()?;
    if matches!(state, State::Detached | State::Stray) {
        return match claims::restored(observed, None, known, terms)? {
            Some(change) => Ok(Plan::Restore(change)),
            None => Ok(close_stray(observed, state, ask, attachments, terms)),
        };
    }
    if let Some(plan) = take_off(observed, state, ask, known, terms)? {
        return Ok(plan);
    }
    if let Some(plan) = reopen(observed, state, known, terms)? {
        return Ok(plan);
    }
    let noted = match ending::fenced(&observed.record, known)? {
        Some(record) => Some(record),
        None => timed_out(&observed.record, terms),
    };
    Ok(noted.map_or(Plan::Idle, |record| Plan::Note(Change { record, export: ExportChange::Keep })))
}

/// An export that nobody holds and nobody wants.
fn close_stray(
    observed: &Observed,
    state: State,
    ask: &Reconcile,
    attachments: &Attachments,
    terms: &Terms<'_>,
) -> Plan {
    let unwanted = state == State::Stray && attachments.nobody() && ask.export_unwanted_for >= terms.grace;
    if unwanted { Plan::Close(ending::closed(observed, true, terms)) } else { Plan::Idle }
}

/// Holders that nobody wants any more, each of them for longer than the grace.
fn take_off(
    observed: &Observed,
    state: State,
    ask: &Reconcile,
    known: &KubernetesFacts,
    terms: &Terms<'_>,
) -> Result<Option<Plan>, Halt> {
    let attachments = known.attachments()?;
    let old = |holder: &NodeRef| ask.holders_unwanted_for.get(holder).is_some_and(|age| *age >= terms.grace);
    let unwanted = |holder: &NodeRef| attachments.let_go(holder) && old(holder);
    let (off, staying): (Vec<_>, Vec<_>) = observed.record.holders.iter().cloned().partition(unwanted);
    if off.is_empty() {
        return Ok(None);
    }
    let off = known.partings(&off, None)?;
    if !staying.is_empty() {
        let record = ending::without(&observed.record, &off, staying);
        return Ok(Some(Plan::Note(Change { record, export: ExportChange::Keep })));
    }
    // Under a name that nobody recorded there may be somebody who is recorded nowhere.
    if state == State::Renamed && !attachments.nobody() {
        return Ok(None);
    }
    let heirs = ending::heirs(observed, &observed.record.holders, known, terms)?;
    Ok(Some(Plan::Detach(ending::last_off(observed, &off, heirs, terms))))
}

/// A closed export whose holder has a VolumeAttachment that stands is opened again, under its generation.
fn reopen(
    observed: &Observed,
    state: State,
    known: &KubernetesFacts,
    terms: &Terms<'_>,
) -> Result<Option<Plan>, Halt> {
    if state != State::Shut {
        return Ok(None);
    }
    let holds = |node: &NodeId| observed.record.holders.iter().find(|holder| holder.is_named(node));
    let standing = known.attachments()?.standing().map(|want| &want.node);
    let nodes: Vec<&NodeId> = standing.filter(|node| holds(node).is_some()).collect();
    let facts = known.nodes(nodes.iter().copied())?;
    // By somebody's word that machine is off: the next publish takes the volume over, and nothing is opened for it.
    let serves = |(node, facts): (&&NodeId, Option<&NodeFacts>)| {
        holds(node).is_some_and(|holder| Parting::of(holder, facts) != Parting::OutOfService)
    };
    let wanted = nodes.iter().zip(facts).any(serves);
    let export = ExportChange::Open { nqn: terms.nqn(observed.record.generation), allow: Vec::new() };
    Ok(wanted.then(|| Plan::Restore(Change { record: observed.record.clone(), export })))
}

/// A migration that has taken too long: its deadline becomes 0, so that it is said once. Nothing is torn.
fn timed_out(record: &Record, terms: &Terms<'_>) -> Option<Record> {
    let Migration { started, deadline } = record.migration?;
    let late = deadline > 0 && terms.now >= deadline;
    late.then(|| Record { migration: Some(Migration { started, deadline: 0 }), ..record.clone() })
}
