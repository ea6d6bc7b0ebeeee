//! Unpublish: leave, or close behind the last one (attachments.md, "Unpublish").

use volume::NodeRef;

use crate::halt::Halt;
use crate::known::Parting;
use crate::{Change, ExportChange, Facts, Leaving, Observed, Plan, State, Terms, Unpublish, ending};

/// Holders, and what has it that leaves.
pub(crate) fn leave(
    observed: &Observed,
    ask: &Unpublish,
    facts: &Facts,
    terms: &Terms<'_>,
) -> Result<Plan, Halt> {
    let record = &observed.record;
    let (leaving, staying): (Vec<_>, Vec<_>) =
        record.holders.iter().cloned().partition(|member| ask.takes_off(member));
    if leaving.is_empty() {
        return Ok(Plan::Detached);
    }
    let off = partings(leaving.clone(), ask, facts)?;
    if !staying.is_empty() {
        let record = ending::without(record, &off, staying);
        return Ok(Plan::Detach(Change { record, export: ExportChange::Keep }));
    }
    let heirs = heirs(observed, &leaving, ask, facts, terms)?;
    Ok(Plan::Detach(ending::last_off(observed, &off, heirs, terms)))
}

/// Exported without a holder: whoever leaves has no right to that export. It closes behind everybody, and behind a
/// node if no VolumeAttachment may be another's.
pub(crate) fn stray(
    observed: &Observed,
    ask: &Unpublish,
    facts: &Facts,
    terms: &Terms<'_>,
) -> Result<Plan, Halt> {
    if let (Some(known), Leaving::Node(node)) = (facts.kubernetes(), &ask.leaving) {
        let attachments = known.attachments()?;
        let has_another = attachments.standing().any(|want| want.node != *node);
        if has_another || attachments.unmapped.iter().any(|unmapped| unmapped != node) {
            return Ok(Plan::Detached);
        }
    }
    Ok(Plan::Detach(ending::closed(observed, true, terms)))
}

fn partings(leaving: Vec<NodeRef>, ask: &Unpublish, facts: &Facts) -> Result<Vec<(NodeRef, Parting)>, Halt> {
    let hint = match &ask.leaving {
        Leaving::Node(node) => Some(node),
        Leaving::Everybody => None,
    };
    match facts.kubernetes() {
        Some(known) => known.partings(&leaving, hint),
        // Nobody can be asked, so nobody was seen to let go.
        None => Ok(leaving.into_iter().map(|member| (member, Parting::Unproven)).collect()),
    }
}

/// Who else has the export by VolumeAttachments that stand. Asked for only where the record may have lost one: a
/// volume that is attached as recorded and was ever a file system has one node only.
fn heirs(
    observed: &Observed,
    leaving: &[NodeRef],
    ask: &Unpublish,
    facts: &Facts,
    terms: &Terms<'_>,
) -> Result<Vec<NodeRef>, Halt> {
    let is_alone = observed.state(terms) == State::Attached && observed.record.published.filesystem;
    match facts.kubernetes() {
        Some(known) if !is_alone && ask.leaving != Leaving::Everybody => {
            ending::heirs(observed, leaving, known, terms)
        }
        _ => Ok(Vec::new()),
    }
}

impl Unpublish {
    fn takes_off(&self, member: &NodeRef) -> bool {
        match &self.leaving {
            Leaving::Node(node) => member.is_named(node),
            Leaving::Everybody => true,
        }
    }
}
